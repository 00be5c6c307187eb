//! The store's journal, as the store's tests judge it. Its decoder is private to the store, so its files are taken in by path.

#[path = "../../store/src/embedded/journal/judge.rs"]
pub(crate) mod judge;
#[allow(dead_code, reason = "the store uses what is not used here")]
#[path = "../../store/src/embedded/journal/record.rs"]
mod record;
#[allow(dead_code, reason = "the store uses what is not used here")]
#[path = "../../store/src/embedded/journal/scan.rs"]
mod scan;
#[allow(dead_code, reason = "the store uses what is not used here")]
#[path = "../../store/src/embedded/journal/sector.rs"]
mod sector;
