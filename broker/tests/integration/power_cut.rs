//! Power cuts: the data directory lies on a disk of the test's own that forgets what was not synced when its plug is
//! pulled. Whatever had been acknowledged by then must be there when the power is back.

mod broker;
mod disk;
mod fs;
mod image;
mod process;
mod store;
