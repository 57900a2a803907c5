//! `work`: the service, and a watch that delivers what it takes in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use clap::Args;
use nix::sys::signal::Signal;

use super::{ReposArgs, flush};
use crate::config::{Broker, Server};
use crate::context::{Context, signals};
use crate::delivery::Drained;
use crate::error::{Error, Exit, IoContext};
use crate::service::{self, Shared};

/// Arguments of `work`.
#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// Take from these queues of the broker alone, by number, such as `0,3`
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub(crate) shards: Vec<u32>,
    /// Take from the broker's queue of dead letters alone
    #[arg(long, conflicts_with = "shards")]
    pub(crate) dead: bool,
    /// Take what is in the queues of the broker, deliver it once, and exit
    #[arg(long)]
    pub(crate) once: bool,
    /// Import a mail drop of an earlier refpost and exit
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["json", "shards", "dead", "once"])]
    pub(crate) drain: Option<PathBuf>,
    /// Print a JSON object for each queue that was flushed
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &WorkArgs, ctx: &Context) -> Result<Exit, Error> {
    let server = ctx.server()?;
    let missing = |what: &str| Error::Failed {
        what: format!("cannot work as the service: {what} set in the server's file"),
        hint: Some(
            "docs/guides/accounts.md, \"A service account\"; docs/guides/fleet.md".to_owned(),
        ),
    };
    let queues = queues(args, &server)?;
    if server.socket().is_none() && queues.is_empty() {
        return Err(missing("neither `socket` nor `[worker]` is"));
    }
    if server.root().is_none() {
        return Err(missing("`root` is not"));
    }
    if server.spools_of_service().is_empty() {
        return Err(missing("`spool` is not"));
    }
    if ctx.own_uid() == 0 {
        return Err(Error::Failed {
            what: "cannot work as the service as root: it needs none of root's rights".to_owned(),
            hint: Some("run it as an account of its own, which owns `spool`".to_owned()),
        });
    }
    if let Some(old) = &args.drain {
        return service::drain(old, &server, ctx);
    }
    service::ensure_spools(&server, ctx)?;
    let shared = Arc::new(Shared::default());
    if !args.once {
        let listener = match (service::handed()?, server.socket()) {
            (Some(listener), _) => Some(listener),
            // A worker's file names the socket of other machines too.
            (None, Some(path)) if queues.is_empty() => Some(service::listener(path)?),
            _ => None,
        };
        listener.map_or(Ok(()), |listener| service::serve(listener, &shared, ctx))?;
    }
    let watch = flush::FlushArgs {
        repos: ReposArgs {
            repos: Vec::new(),
            server: true,
        },
        watch: !args.once,
        budget: None,
        strict: false,
        json: args.json,
        page: None,
        alerts: false,
        detached: false,
    };
    if queues.is_empty() {
        return flush::run(&watch, ctx);
    }
    // SIGINT ends `--once` at once, as it ends a flush.
    let ending = [Signal::SIGTERM, Signal::SIGINT];
    let ending = &ending[..if args.once { 1 } else { 2 }];
    let stop = signals::heard(ending).doing("wait for", Path::new("signals"))?;
    let taking = service::take_from_broker(&queues, args.once, &stop, &shared, &server, ctx)?;
    if args.once {
        let drained = ended(taking);
        if *stop.borrow() {
            return Ok(Exit::Deferred);
        }
        return flush::run_until(Some(stop), &watch, ctx).map(|exit| exit.max(drained));
    }
    let exit = flush::run_until(Some(stop), &watch, ctx)?;
    ended(taking);
    Ok(exit)
}

/// Returns the queues of the broker to take from.
fn queues(args: &WorkArgs, server: &Server) -> Result<Vec<String>, Error> {
    let Some(worker) = server.worker() else {
        if args.dead || args.once || !args.shards.is_empty() {
            return Err(Error::Failed {
                what: "cannot take from a broker: `[worker]` is not set in the server's file"
                    .to_owned(),
                hint: Some("docs/guides/fleet.md".to_owned()),
            });
        }
        return Ok(Vec::new());
    };
    if args.dead {
        return Ok(vec![Broker::DEAD_LETTERS.to_owned()]);
    }
    let all = server.broker().map_or(1, |broker| broker.shards);
    if let Some(other) = args.shards.iter().find(|own| **own >= all) {
        return Err(Error::Failed {
            what: format!("cannot take from queue {other}: `broker.shards` is {all}"),
            hint: Some("their numbers begin with 0".to_owned()),
        });
    }
    let own = if args.shards.is_empty() {
        &worker.shards
    } else {
        &args.shards
    };
    let own: BTreeSet<u32> = own.iter().copied().collect();
    Ok(own.into_iter().map(Broker::queue).collect())
}

/// Waits for the threads that take from the broker. Returns the outcome of all.
fn ended(threads: Vec<JoinHandle<Drained>>) -> Exit {
    let each = threads.into_iter().map(|thread| match thread.join() {
        Ok(Drained::All) => Exit::Well,
        Ok(Drained::Full) => Exit::Deferred,
        Ok(Drained::Failed) | Err(_) => Exit::No,
    });
    each.max().unwrap_or(Exit::Well)
}
