//! Reading: what is asked of conversations ([`pages`], [`survey`]), and what is read of the store for it ([`plan`]).

pub(in crate::machine) mod pages;
pub(in crate::machine) mod plan;
pub(in crate::machine) mod survey;
