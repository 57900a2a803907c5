//! `queue move`: moves the entries that wait for one endpoint, or failed there, to another; with
//! `--renamed`, those of a former path to the repository's path of now.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::act::{apart, none_found, nowhere};
use super::scope::{Asked, Choice, FilterArgs, IdPrefix, ScopeArgs, absolute};
use super::selection::select;
use crate::announce::delivery_host::DeliveryHost;
use crate::announce::renamed::rename;
use crate::command::completions::candidates;
use crate::config::Via;
use crate::context::named::Named;
use crate::context::targets::{self, Target};
use crate::context::{Context, locate};
use crate::delivery::{self, Surveyor};
use crate::error::{Error, Exit};
use crate::payload::Format;
use crate::report;
use crate::spool::{Header, Id, Lock, Queue, Spool, SpoolError};

/// Arguments of `queue move`.
#[derive(Debug, Args)]
pub(crate) struct QueueMoveArgs {
    /// Treat OLD and NEW as paths of a repository that was renamed
    #[arg(long, conflicts_with = "ids")]
    pub(crate) renamed: bool,
    /// The endpoint to move from
    #[arg(value_name = "OLD", add = ArgValueCompleter::new(candidates::endpoints))]
    pub(crate) from: String,
    /// The endpoint to move to
    #[arg(value_name = "NEW", add = ArgValueCompleter::new(candidates::endpoints))]
    pub(crate) to: String,
    /// Only these entries, by their ids or the beginnings of these
    #[arg(value_name = "ID", add = ArgValueCompleter::new(candidates::ids))]
    pub(crate) ids: Vec<IdPrefix>,
    /// The spools in which entries are looked for.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// Time between two looks whether messages are made.
const BUILDS: Duration = Duration::from_millis(20);

/// Queues to move from and to, with the repositories whose entries are moved.
type Plan = BTreeMap<(Queue, Queue), BTreeSet<PathBuf>>;

pub(crate) fn run(args: &QueueMoveArgs, ctx: &Context) -> Result<Exit, Error> {
    if args.renamed {
        return repository(args, ctx);
    }
    let (old, new) = (&args.from, &args.to);
    if old == new {
        return Err(Error::failed(format!("cannot move `{old}` to itself")));
    }
    if Queue::new(old.clone()).is_ok_and(|queue| queue.is_broker()) {
        return Err(Error::Failed {
            what: format!(
                "cannot move `{old}` to one endpoint: its entries are for all that workers serve"
            ),
            hint: Some(
                "without `[broker]`, a flush gives them to their endpoints: docs/guides/fleet.md"
                    .to_owned(),
            ),
        });
    }
    let asked = Asked {
        ids: &args.ids,
        filter: FilterArgs {
            endpoint: Some(old.clone()),
            older_than: None,
        },
        named: args.scope.named(),
    };
    let (searched, mut choice) = asked.search(ctx)?;
    if searched.is_of_others(ctx) {
        // Names first, as on a command line.
        let mut line = asked.line("move", &choice);
        line.splice(2..2, [old, new].map(OsString::from));
        line.retain(|word| word != "--endpoint");
        return apart(searched, line, ctx);
    }
    let targets = searched.targets(ctx);
    if !asked.resolve(&mut choice, &targets, ctx)? {
        return none_found(ctx);
    }
    let host = DeliveryHost::new(ctx, false);
    let (mut count, mut is_any) = (0, false);
    let done = targets::each(&targets, ctx, |target| {
        distribute(&target.spool, &host)?;
        let plan = plan(target, &choice, args, ctx)?;
        if plan.is_empty() {
            return Ok(());
        }
        is_any = true;
        for ((from, to), repositories) in &plan {
            let is_wanted = |id: &Id, header: &Header| {
                let is_chosen = choice.has(id);
                is_chosen && repositories.contains(&header.repository)
            };
            let handed = target.spool.hand_over(from, (to, new), &is_wanted);
            let handed = handed.map_err(|error| unless_busy(error, args))?;
            count += handed.entries;
            for error in handed.unread {
                ctx.tell_failure(SpoolError::from(error));
            }
        }
        ctx.flush_detached(target.spool.root())
    });
    if !is_any && done == Exit::Well {
        return nowhere(ctx, || Error::Failed {
            what: format!("nothing waits for `{old}`, and nothing of it has failed"),
            hint: Some("`refpost queue list` shows what does".to_owned()),
        });
    }
    if is_any {
        report::line(&format!(
            "{} moved to `{new}`",
            report::count(count, "entry")
        ));
    }
    Ok(done)
}

/// Moves the entries of a repository's former path to the path that the repository has now.
fn repository(args: &QueueMoveArgs, ctx: &Context) -> Result<Exit, Error> {
    let old = absolute(Path::new(&args.from));
    let new = absolute(Path::new(&args.to));
    let named = match args.scope.named() {
        Named::Nothing => Named::Paths(std::slice::from_ref(&new)),
        named => named,
    };
    let searched = targets::search(named, ctx)?;
    if searched.is_of_others(ctx) {
        let line = ["queue", "move", "--renamed"].map(OsString::from);
        let line = line.into_iter().chain([old.into(), new.into()]);
        return apart(searched, line.collect(), ctx);
    }
    if old.exists() {
        let old = old.display();
        return Err(Error::failed(format!(
            "cannot move what waits for `{old}`: it is there"
        )));
    }
    let new = locate::repository(Some(&new), ctx)?.path();
    let settings = ctx.load_to_send(&new)?.settings;
    let (mut count, mut in_spare) = (0, 0);
    targets::each(&searched.targets(ctx), ctx, |target| {
        let moved = rename(&target.spool, &old, &new, &settings);
        // Entries in `spare` have no room elsewhere, and were not moved.
        let spare = target.spool.in_spare().map_err(SpoolError::from)?;
        let is_of_old = |(_, header): &&(Id, Header)| header.repository == old;
        in_spare += spare.iter().filter(is_of_old).count();
        let moved = moved.map_err(|error| unless_busy(error, args))?;
        count += moved.entries;
        for error in moved.unread {
            ctx.tell_failure(SpoolError::from(error));
        }
        ctx.flush_detached(target.spool.root())
    });
    if in_spare > 0 {
        ctx.note_failure();
        let (entries, old) = (report::count(in_spare, "entry"), old.display());
        ctx.tell_once(
            &format!("cannot move {entries} of `{old}` in `spare`: there is no room for them"),
            Some("make room on that disk, run `refpost flush`, and then this again"),
        );
    }
    if count == 0 && ctx.outcome() == Exit::Well {
        return nowhere(ctx, || Error::Failed {
            what: format!("nothing waits for `{}` that can be moved", old.display()),
            hint: Some("`refpost queue list` shows what waits, and for which endpoint".to_owned()),
        });
    }
    report::line(&format!(
        "{} moved to `{}`",
        report::count(count, "entry"),
        new.display()
    ));
    Ok(ctx.outcome())
}

/// Adds advice to the error that a queue is being delivered. Queues are locked before anything is
/// moved.
fn unless_busy(error: SpoolError, args: &QueueMoveArgs) -> Error {
    if !error.is_busy() {
        return error.into();
    }
    let (old, new) = (&args.from, &args.to);
    Error::Failed {
        what: format!("cannot move `{old}` to `{new}` now: one of them is being delivered"),
        hint: Some(
            "nothing of that queue was moved: run it again once the attempt is over, which is \
             within a minute"
                .to_owned(),
        ),
    }
}

/// Distributes the entries in `new/` to their queues, so that a move covers all of them.
fn distribute(spool: &Spool, host: &DeliveryHost<'_>) -> Result<(), Error> {
    loop {
        let build = |id: &Id, header: &Header| host.build(spool, id, header);
        let distribution = spool.distribution(Lock::Wait, build);
        let Some(mut distribution) = distribution.map_err(SpoolError::from)? else {
            return Ok(());
        };
        let more = loop {
            match distribution.step(|| true).map_err(SpoolError::from)? {
                Some(true) => {}
                more => break more,
            }
        };
        let distributed = distribution.finish();
        // Another process that has `new/` now, such as one that makes messages, may leave some.
        let is_all = more == Some(false) && !distributed.builds;
        let is_over = is_all || distributed.stopped.is_some();
        host.distributed(spool, Ok(distributed));
        if is_over {
            return Ok(());
        }
        std::thread::sleep(BUILDS);
    }
}

/// Plans the moves in a spool. Fails if an entry has no queue to move to: nothing is moved unless
/// all of it can be.
fn plan(
    target: &Target,
    choice: &Choice,
    args: &QueueMoveArgs,
    ctx: &Context,
) -> Result<Plan, Error> {
    let mut destinations = BTreeMap::new();
    let mut plan = Plan::new();
    for listed in select(target, choice, ctx)? {
        let queue = listed
            .location
            .queue()
            .filter(|queue| !queue.is_unreadable());
        let (Some(from), Some(header)) = (queue, listed.header.as_ref()) else {
            continue;
        };
        let repository = &header.repository;
        if !destinations.contains_key(repository) {
            let to = destination(repository, args, ctx)?;
            destinations.insert(repository.clone(), to);
        }
        let (to, format) = &destinations[repository];
        let mut formats = header.formats_for(from);
        if let Some(other) = formats.find(|one| one != format) {
            return Err(Error::Failed {
                what: format!(
                    "cannot move messages in format `{}` to `{}`, which has `{}`",
                    other.name(),
                    args.to,
                    format.name()
                ),
                hint: Some(format!(
                    "move them to an endpoint with `format = \"{}\"`",
                    other.name()
                )),
            });
        }
        let hop = (from.clone(), to.clone());
        plan.entry(hop).or_default().insert(repository.clone());
    }
    Ok(plan)
}

/// Returns the queue and the format of the endpoint that gets the entries of this repository.
/// Fails if the endpoint is not configured for it, or workers or the service deliver to it.
fn destination(
    repository: &Path,
    args: &QueueMoveArgs,
    ctx: &Context,
) -> Result<(Queue, Format), Error> {
    ctx.ensure_trusted(repository)?;
    let settings = ctx.load_to_send(repository)?.settings;
    let mut endpoints = settings.endpoints.iter();
    let endpoint = endpoints.find(|one| one.name == args.to);
    let endpoint = endpoint.ok_or_else(|| Error::Failed {
        what: format!(
            "cannot move `{}` to `{}`, which is not configured for `{}`",
            args.from,
            args.to,
            repository.display()
        ),
        hint: Some(format!(
            "`refpost check {}` lists the endpoints",
            report::shell(repository)
        )),
    })?;
    if endpoint.via != Via::Here {
        let (from, to) = (&args.from, &args.to);
        let why = format!("cannot move `{from}` to `{to}`, which is delivered to from elsewhere");
        return Err(Error::failed(why));
    }
    let queue = delivery::queue_of(endpoint, &settings, repository);
    Ok((queue, endpoint.format))
}
