//! The state of all spools for people and programs that watch them.
//!
//! ```text
//! labels      the names by which states are told apart
//! look        a spool as it stands: its queues, its counts
//! scrape      states of many spools, added up
//! carried     counts of spools that are gone: totals never fall
//! prometheus  the text that Prometheus reads
//! ```

pub mod carried;
pub mod labels;
pub mod look;
pub mod prometheus;
pub mod scrape;

pub use labels::{Detail, Labels, Route};
