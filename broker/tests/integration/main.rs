//! The integration tests of the broker, in one binary. A test belongs in a module named after what it shows.

mod commands;
mod features;
mod plain;
mod power_cut;
mod process;
mod site;
mod start;
