//! The embedded store against the contract, and what is its own: locks, schemas, crashes, damage, full disks.

mod contract;
mod crash;
mod directory;
mod disk;
mod flips;
mod lists;
mod model;
mod overlays;
mod races;
mod support;
mod torn;
