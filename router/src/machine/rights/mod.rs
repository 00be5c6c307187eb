//! Rights: who may do what ([`table`]), who may be with whom ([`kinds`], [`admission`], by [`told_roles`]), and whether the
//! other one wants it ([`approval`], [`blocks`]), also to be seen ([`sight`]).

pub(in crate::machine) mod admission;
pub(in crate::machine) mod approval;
pub(in crate::machine) mod blocks;
pub(in crate::machine) mod kinds;
pub(in crate::machine) mod sight;
pub(in crate::machine) mod table;
pub(in crate::machine) mod told_roles;
