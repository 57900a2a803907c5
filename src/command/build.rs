//! `build`: makes the messages of pushes that could only be recorded, for a flush.
//!
//! It is a process of its own so that nothing that kills it, above all an object made by a
//! stranger, kills the flush.
//!
//! Standard output tells the flush about progress: a line with the id of each entry before its
//! messages are made, and after it the reason if they could not be made. An entry that misses an
//! object holds back only later ones of its refs; any other reason ends the process.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use crate::announce::delivery_host::DeliveryHost;
use crate::context::{Context, locate};
use crate::error::{Error, Exit, IoContext};
use crate::report;
use crate::spool::{Content, Id, Spool, SpoolError, Unbuilt, WaitingRefs};

/// Arguments of `build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// A spool
    pub(crate) spool: PathBuf,
    /// The first entry to build
    #[arg(value_parser = parse_id)]
    pub(crate) id: Id,
    /// The process that waits for the messages
    pub(crate) flush: i32,
}

fn parse_id(text: &str) -> Result<Id, &'static str> {
    Id::parse(text).ok_or("no entry has such an id")
}

/// Bytes of memory that may be allocated: far more than the messages of any push take.
const MOST_MEMORY: u64 = 4 << 30;

pub(crate) fn run(args: &BuildArgs, ctx: &Context) -> Result<Exit, Error> {
    // The result is told to the flush alone.
    set_pdeathsig(Signal::SIGKILL).ok();
    if getppid().as_raw() != args.flush {
        return Ok(Exit::Deferred);
    }
    bound_memory()?;
    let spool = locate::spool_named(&args.spool);
    let host = DeliveryHost::new(ctx, false);
    let first = spool.open_new(&args.id).map_err(SpoolError::from)?;
    let repository = first.header().repository.clone();
    let mut waiting = WaitingRefs::default();
    for id in ids_from(&spool, &args.id)? {
        let Ok(entry) = spool.open_new(&id) else {
            continue;
        };
        let header = entry.header();
        if header.repository != repository || !matches!(header.content, Content::Deferred(_)) {
            continue;
        }
        if waiting.holds(header) {
            continue;
        }
        report::line(id.as_str());
        match host.build_within(&spool, &id, header) {
            Ok(built) => {
                if let Err(error) = spool.put_built(&id, header, built) {
                    report::json(&Unbuilt::Unwritten(report::chain(&error)));
                    return Ok(Exit::Deferred);
                }
                spool.forget_deaths(&id);
            }
            Err(why) => {
                report::json(&why);
                let Unbuilt::Missing { opened, .. } = why else {
                    return Ok(Exit::Deferred);
                };
                waiting.add(header, opened);
            }
        }
    }
    Ok(Exit::Well)
}

/// Bounds the memory that this process, and each git that it runs, allocates.
///
/// Files that are only read into memory do not count (getrlimit(2)).
fn bound_memory() -> Result<(), Error> {
    let (_, most) = getrlimit(Resource::RLIMIT_DATA)
        .map_err(io::Error::from)
        .doing("bound", Path::new("memory"))?;
    let most = most.min(MOST_MEMORY);
    setrlimit(Resource::RLIMIT_DATA, most, most)
        .map_err(io::Error::from)
        .doing("bound", Path::new("memory"))
}

/// Returns the entries in `new/` that this process may build: `first` and the later ones.
fn ids_from(spool: &Spool, first: &Id) -> Result<Vec<Id>, Error> {
    let mut ids = spool.ids_in_new().map_err(SpoolError::from)?;
    ids.retain(|id| id >= first);
    Ok(ids)
}
