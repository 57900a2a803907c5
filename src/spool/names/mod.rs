//! The file names of a spool, which hold the state of every entry.
//!
//! ```text
//! id      the name of an entry: the time of its push, and data that make it unique
//! times   a time in a name
//! queue   the name of an endpoint's queue
//! item    the name of an entry in a queue: due, attempts, the part of it that waits
//! ```

pub(super) mod id;
pub(super) mod item;
pub(super) mod queue;
pub(super) mod times;
