//! Sending: sign, POST, say what it came to. The only user of reqwest.
//!
//! ```text
//! request   message + endpoint → headers and body (pure)
//! address   which addresses may be dialled
//! client    one attempt: request → Answer
//! outcome   what an answer means, and whose fault it is (pure)
//! ```

mod address;
mod client;
mod outcome;
mod request;
mod retry;

pub use address::Forbidden;
pub use client::{Answer, Client, Fault};
pub use outcome::{LONGEST_RETRY_AFTER, Outcome, Reason, retry_after};
pub use request::{HeaderValue, Request};

/// Runs what awaits answers, on this thread alone.
pub fn run<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .expect("a runtime needs a few file descriptors")
        .block_on(work)
}
