//! Sending: sign, POST, say what it came to. The only user of reqwest.
//!
//! ```text
//! request   message + endpoint → headers and body (pure)
//! address   which addresses may be dialled
//! proxy     the proxy in between, and what may be reached through it
//! tls       whom to trust, who we are, what a failed handshake means
//! client    one attempt: request → Answer
//! answer    what came of it: an answer, or what broke
//! fault     why nothing was sent, when that is ours to mend
//! outage    what an answer says of its receiver, for all that lead there
//! outcome   what an answer means, and whose fault it is (pure)
//! retry     what follows from an outcome: now, later, aside, never (pure)
//! courier   delivering a queue: from outside what, until when, with what result
//! lane      one endpoint's queue: attempt after attempt, in order
//! scheduler many queues side by side: which now, which again, which when
//! turn      one turn of a queue
//! agenda    when each queue is looked into again, and whether it is tried then
//! distributor  from `new/` to queues, a step at a time
//! attempt   one attempt of it, and what is done for its neighbours meanwhile
//! places    how many turns there are at once, and which of them are slow
//! origin    a receiver: scheme, host and port
//! receivers how many requests are under way to each receiver, and which are down
//! journal   what is written down of it: the log, and what a person must see to
//! ```

mod address;
mod agenda;
mod answer;
mod attempt;
mod client;
mod courier;
mod distributor;
mod fault;
mod journal;
mod lane;
mod origin;
mod outage;
mod outcome;
mod places;
mod proxy;
mod receivers;
mod request;
mod retry;
mod scheduler;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod simulation;
mod tls;
mod turn;

pub use address::{Forbidden, permit_url};
pub use answer::{Answer, Broken};
pub use client::{Client, Transport};
pub use courier::{
    Courier, LaneReport, Left, Limits, Notice, Outside, Surveyor, Unavailable, Words,
};
pub use fault::Fault;
pub use origin::Origin;
pub use outcome::{Outcome, Reason, retry_after};
pub use proxy::ProxyFault;
pub use receivers::Receivers;
pub use request::{HeaderValue, Request};
pub use scheduler::Scheduler;
pub use tls::{TlsFault, check_tls};

/// A time of the runtime's clock.
pub use tokio::time::Instant;

/// Lets others go on for a while.
pub async fn pause(duration: std::time::Duration) {
    tokio::time::sleep(duration).await;
}

/// Runs what awaits answers, on this thread alone; only names are looked up on
/// another one, which nobody waits for once the work is done: a name server that
/// does not answer must hold no push up.
pub fn run<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .expect("a runtime needs a few file descriptors");
    let output = runtime.block_on(work);
    runtime.shutdown_background();
    output
}
