//! Sending: sign, POST, say what it came to.
//!
//! ```text
//! http      one attempt: a request goes out, an answer or its absence comes back
//! outage    what an answer says of its receiver, for all that lead there
//! outcome   what an answer means, and whose fault it is (pure)
//! retry     what follows from an outcome: now, later, aside, never (pure)
//! courier   delivering a queue: from outside what, until when, with what result
//! lane      one endpoint's queue: attempt after attempt, in order
//! trial     a message that is always answered with 500, and the one behind it
//! scheduler many queues side by side: which now, which again, which when
//! turn      one turn of a queue
//! agenda    when each queue is looked into again, and whether it is tried then
//! distributor  from `new/` to queues, a step at a time
//! prepared  what an item's messages need: entry, settings, endpoint
//! attempt   one attempt of it, and what is done for its neighbours meanwhile
//! line      queues that wait for their turn, and which is the next
//! shortage  a want of file descriptors, which is waited out
//! places    how many turns there are at once, and which of them are slow
//! origin    a receiver: scheme, host and port
//! receivers how many requests are under way to each receiver, and which are down
//! known     what is known of them, as values
//! journal   what is written down of it: the log, and what a person must see to
//! ```

mod agenda;
mod attempt;
mod courier;
mod distributor;
mod http;
mod journal;
mod known;
mod lane;
mod line;
mod origin;
mod outage;
mod outcome;
mod places;
mod prepared;
mod receivers;
mod retry;
mod scheduler;
mod shortage;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod simulation;
mod trial;
mod turn;

pub use courier::{
    Courier, LaneReport, Left, Limits, Notice, Outside, Surveyor, Unavailable, Words,
};
pub use http::address::{Forbidden, permit_url};
pub use http::answer::{Answer, Broken};
pub use http::client::{Client, Transport};
pub use http::fault::Fault;
pub use http::proxy::ProxyFault;
pub use http::request::{HeaderValue, Request};
pub use http::tls::{TlsFault, check_tls};
pub use origin::Origin;
pub use outcome::{Outcome, Reason, retry_after};
pub use receivers::Receivers;
pub use scheduler::Scheduler;

/// A time of the runtime's clock.
pub use tokio::time::Instant;

/// Lets others go on for a while.
pub async fn pause(duration: std::time::Duration) {
    tokio::time::sleep(duration).await;
}

/// Runs what awaits answers, on this thread alone; only names are looked up on
/// another one, which nobody waits for once the work is done: a name server that
/// does not answer must hold no push up. Fails where there are too few file descriptors.
pub fn run<F: Future>(work: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let output = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(output)
}
