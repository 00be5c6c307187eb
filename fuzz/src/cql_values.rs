//! Values of the store in a cluster, as its tests judge them. Their decoder is private to it, so its file is taken in by path.

#[path = "../../store/src/cql/value.rs"]
mod value;
#[path = "../../store/src/cql/value_judge.rs"]
pub(crate) mod value_judge;
