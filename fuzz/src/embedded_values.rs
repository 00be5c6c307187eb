//! Small values of the embedded store, as its tests judge them. Their decoders are private to it, so their files are taken in
//! by path.

#[path = "../../store/src/embedded/number.rs"]
mod number;
#[path = "../../store/src/embedded/router_row.rs"]
mod router_row;
#[path = "../../store/src/embedded/value.rs"]
mod value;
#[path = "../../store/src/embedded/values_judge.rs"]
pub(crate) mod values_judge;
