//! A service under an account of its own, which delivers for all accounts that push. They
//! submit entries to it, and it reads no files of theirs.
//!
//! ```text
//!  hook, flush                      refpost work
//!  ───────────                      ────────────
//!  entry ──► retry/@service/ ──► submit ═══ socket ═══► desk ──► new/ ──► queues ──► receivers
//!            the repository's                            │        the service's own spool
//!            own spool                                   asker, reach: account and repository
//! ```
//!
//! | file | is for |
//! |---|---|
//! | `protocol` | requests and answers over the socket |
//! | `stream` | a connection that ends on time |
//! | `socket` | listening; how many requests at once |
//! | `asker` | the account at the other end |
//! | `reach` | finding a repository that this account may write, by its path |
//! | `desk` | taking an entry in, from any source (`desk::Offered`) |
//! | `submit` | the other side: sending the entries of a repository's spool to the service |
//! | `intake` | taking entries from the broker |
//! | `rules` | who gets an entry from the broker |
//! | `drain` | taking in the mail drop of an earlier refpost |

mod asker;
mod desk;
mod drain;
#[cfg(feature = "amqp")]
mod intake;
mod protocol;
mod reach;
#[cfg(feature = "amqp")]
mod rules;
mod socket;
mod stream;
mod submit;

pub(crate) use desk::Shared;
pub(crate) use drain::drain;
#[cfg(feature = "amqp")]
pub(crate) use intake::take_again;
pub(crate) use protocol::Answer;
pub(crate) use socket::{handed, listener};
pub(crate) use submit::{PUSH_PATIENCE, Submitter, probe, submit, submit_all};

use std::os::unix::net::UnixListener;
#[cfg(feature = "amqp")]
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::config::Server;
use crate::context::Context;
#[cfg(feature = "amqp")]
use crate::delivery;
use crate::delivery::Drained;
use crate::error::Error;
#[cfg(feature = "amqp")]
use crate::error::IoContext;
#[cfg(not(feature = "amqp"))]
use crate::spool::{Failed, Spool};

/// Makes the spools of the service, if there are none. Fails if they are not this account's alone.
pub(crate) fn ensure_spools(server: &Server, ctx: &Context) -> Result<(), Error> {
    let mut all = server.spools_of_service().into_iter();
    all.try_for_each(|root| drain::ensure_own(&root, ctx))
}

/// Answers requests on the socket, on threads of their own, as long as this process lives.
pub(crate) fn serve(
    listener: UnixListener,
    shared: &Arc<Shared>,
    ctx: &Context,
) -> Result<(), Error> {
    socket::serve(listener, Arc::clone(shared), ctx.named_config())
}

/// Takes entries from queues of the broker, on threads of their own, until this process is told to
/// end; with `once`, until the queues are empty.
#[cfg_attr(
    not(feature = "amqp"),
    expect(
        unused_variables,
        clippy::unnecessary_wraps,
        reason = "no broker can be configured"
    )
)]
pub(crate) fn take_from_broker(
    queues: &[String],
    once: bool,
    stop: &watch::Receiver<bool>,
    shared: &Arc<Shared>,
    server: &Server,
    ctx: &Context,
) -> Result<Vec<JoinHandle<Drained>>, Error> {
    #[cfg(feature = "amqp")]
    if let Some((broker, worker)) = server.broker().zip(server.worker()) {
        let network = server.load(None, ctx.host())?.settings.network;
        let start = |queue: &String| {
            let source = delivery::Source {
                broker: broker.clone(),
                network: Arc::clone(&network),
                host: ctx.host().to_owned(),
                queue: queue.clone(),
                once,
                stop: stop.clone(),
            };
            let (worker, queue, shared) = (worker.clone(), queue.clone(), Arc::clone(shared));
            let config = ctx.named_config();
            let intake = move || {
                let ctx = Context::new(config.clone(), false);
                intake::FromBroker::new(&worker, &queue, Arc::clone(&shared), ctx)
            };
            delivery::consume(source, intake).doing("start", Path::new("a thread"))
        };
        return queues.iter().map(start).collect();
    }
    Ok(Vec::new())
}

/// Takes in nothing: without a broker nothing was kept.
#[cfg(not(feature = "amqp"))]
#[expect(clippy::unnecessary_wraps, reason = "no broker can be configured")]
pub(crate) fn take_again(_: &Spool, _: &Failed, _: &Context) -> Result<bool, Error> {
    Ok(false)
}
