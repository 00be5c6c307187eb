//! What people do without a word: how far they have read ([`marks`], [`progress`]), that they type ([`typing`]), that they
//! are there ([`presence`]).

pub(in crate::machine) mod marks;
pub(in crate::machine) mod presence;
pub(in crate::machine) mod progress;
pub(in crate::machine) mod typing;
