//! Delivery: signs messages, sends them, and decides what follows.
//!
//! ```text
//! transport the seam of an attempt: over HTTP, to a bus, or in a simulation
//! http      one attempt: sends a request, returns an answer or its absence
//! bus       one attempt: publishes a message to a broker
//! outage    the state of a receiver after an answer, for all queues that lead to it
//! outcome   the meaning of an answer, and whose fault a failure is (pure)
//! retry     the decision after an outcome: done, later, aside, given up (pure)
//! agent     delivering a queue: inputs, time limits
//! result    the result of work on a queue, and the texts for people in it
//! work      the state of work on one queue
//! lane      one endpoint's queue: attempt after attempt, in order
//! trial     a message that is always answered with 500, and the one behind it
//! scheduler many queues side by side: which is worked on now, and when again
//! turn      one turn of a queue
//! agenda    times at which queues are read again, and whether they are tried then
//! distributor  from `new/` to queues, a step at a time
//! prepared  the data that an item's messages need: entry, settings, endpoint
//! attempt   one attempt of a message, and the work for its neighbours meanwhile
//! line      queues that wait for their turn, and the choice of the next
//! shortage  waiting for file descriptors when there are too few
//! crowd     queues whose receiver has as many requests under way as allowed
//! places    the number of turns at once, and which of them are slow
//! origin    a receiver: scheme, host and port
//! receivers the number of requests under way to each receiver, and which are down
//! recipients the endpoints and queues that get a message (pure)
//! known     the state of receivers and of the queues that lead to them, as values
//! journal   the records of a delivery: the log's lines, and notices for a person
//! tally     the attempts of a delivery, counted
//! ```

mod agenda;
mod agent;
mod attempt;
mod bus;
mod crowd;
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
mod recipients;
mod result;
mod retry;
mod scheduler;
mod shortage;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod simulation;
mod tally;
mod transport;
mod trial;
mod turn;
mod work;

pub use agent::{DeliveryAgent, Limits, Outside, Surveyor, Unavailable};
pub use bus::THREAD as BUS_THREAD;
#[cfg(feature = "amqp")]
pub use bus::consumer::{Consumed, Intake, Source, consume};
pub use bus::probe::find;
pub use bus::publication::{Header, Publication};
pub use http::address::{Forbidden, permit_url};
pub use http::answer::{Answer, Broken};
pub use http::fault::Fault;
pub use http::proxy::{ProxyFault, permit_bus};
pub use http::request::{CONTENT_TYPE, HeaderValue, Request};
pub use http::tls::{TlsFault, check_tls};
pub use journal::unrendered;
pub use origin::Origin;
pub use outcome::{Outcome, Reason, retry_after};
pub use receivers::Receivers;
pub use recipients::{broker_queue, is_left, queue_of, recipients, recipients_meant, why_unwanted};
pub use result::{About, Drained, LaneReport, Left, Notice, Words};
pub use scheduler::{STEP, Scheduler};
pub use transport::{Client, Transport};

/// A time of the runtime's clock.
pub use tokio::time::Instant;

/// Lets other tasks run for a while.
pub async fn pause(duration: std::time::Duration) {
    tokio::time::sleep(duration).await;
}

/// Runs a future on this thread alone. Fails if there are too few file descriptors.
///
/// Only names are looked up on another thread. Once the work is done, that thread is not waited
/// for: a name server that does not answer must not hold up a push.
pub fn run<F: Future>(work: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let output = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(output)
}
