//! refpost: a ref moves, a POST goes out.
#![doc = ""]
pub mod delivery;
pub mod event;
pub mod payload;
pub mod spool;
