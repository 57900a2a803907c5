//! The state of all spools for people and programs that watch them.
//!
//! ```text
//! labels      the names by which states are told apart
//! state       the states of endpoints
//! look        a spool as it stands: its queues, its counts
//! scrape      states of many spools, added up
//! carried     counts of spools that are gone: totals never fall
//! board       endpoints and recent deliveries, as the page shows them
//! recent      the last deliveries among them, of all accounts
//! page_rows   the endpoints and deliveries of one spool
//! page        the page
//! alerts      alerts, and the texts that tell them
//! told        what a person is to be told of, after what was told before (pure)
//! news        what a flush prints of receivers, after what each spool remembers (pure)
//! situation   the receivers and spools of an account, for alerts
//! prometheus  the text that Prometheus reads
//! ```

pub mod alerts;
pub mod board;
pub mod carried;
pub mod labels;
pub mod look;
pub mod news;
pub mod page;
pub mod page_rows;
pub mod prometheus;
pub mod recent;
pub mod scrape;
pub mod situation;
pub mod state;
pub mod told;

pub use labels::{Detail, Labels, Route};
pub use state::State;
