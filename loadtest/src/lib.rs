//! Measures a Switchyard from outside, with an oracle.
