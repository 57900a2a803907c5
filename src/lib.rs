//! refpost: a ref moves, a POST goes out.
#![doc = ""]
pub mod cli;
pub mod command;
pub mod config;
pub mod delivery;
pub mod event;
pub mod git;
pub mod payload;
pub mod receiver;
pub mod report;
pub mod signature;
pub mod spool;
