//! Sending: sign, POST, say what it came to. The only user of reqwest.
//!
//! ```text
//! request   message + endpoint → headers and body (pure)
//! address   which addresses may be dialled
//! client    one attempt: request → Answer
//! outcome   what an answer means, and whose fault it is (pure)
//! retry     what follows from an outcome: now, later, aside, never (pure)
//! courier   delivering a queue: from outside what, until when, with what result
//! lane      one endpoint's queue: attempt after attempt, in order
//! flush     many queues side by side: which now, which again, which when
//! journal   what is written down of it: the log, and what a person must see to
//! ```

mod address;
mod client;
mod courier;
mod flush;
mod journal;
mod lane;
mod outcome;
mod request;
mod retry;

pub use address::Forbidden;
pub use client::{Answer, Client, Fault};
pub use courier::{Courier, LaneReport, Left, Limits, Notice, Outside, Unavailable};
pub use flush::{Flush, Surveyor};
pub use outcome::{Outcome, Reason};
pub use request::{HeaderValue, Request};

/// Lets others go on for a while.
pub async fn pause(duration: std::time::Duration) {
    tokio::time::sleep(duration).await;
}

/// Runs what awaits answers, on this thread alone.
pub fn run<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .expect("a runtime needs a few file descriptors")
        .block_on(work)
}
