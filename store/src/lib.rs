//! Where timelines lie: the traits, the embedded store and the contract they keep.
