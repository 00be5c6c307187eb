//! The integration tests of the broker, in one binary. A test belongs in a module named after what it shows.

mod binary;
mod browser;
mod chat;
mod commands;
mod demo;
mod features;
mod keys;
mod keyspace;
mod kill;
mod load;
mod negative;
mod plain;
mod power_cut;
mod process;
mod proxies;
mod raw;
mod readme;
mod sabotage;
mod secured;
mod shortage;
mod site;
mod start;
mod takeover;
mod terminal;
mod together;
