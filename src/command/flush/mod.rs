//! `flush`: delivers due messages.

mod alert_command;
mod alerts;
mod beside;
mod look;
mod prepare;
mod printed;
mod watch;

use std::cell::Cell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use nix::sys::signal::Signal;
use tokio::sync::watch::Receiver;

use crate::announce::delivery_host::DeliveryHost;
use crate::announce::moved_out::leave_broker;
use crate::as_account::apart::{self, Job};
use crate::as_account::become_account;
use crate::command::flush::prepare::prepare;
use crate::command::{ReposArgs, page, parse_duration};
use crate::config::IN_FLIGHT;
use crate::context::targets::{self, Target};
use crate::context::{Context, signals};
use crate::delivery::{self, Client, Instant, Limits, Scheduler};
use crate::error::{Error, Exit, IoContext};
use crate::report::{self, Progress};

/// Arguments of `flush`.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct FlushArgs {
    /// The repositories.
    #[command(flatten)]
    pub(crate) repos: ReposArgs,
    /// Keep running: deliver new messages, and retries as they fall due
    #[arg(long, conflicts_with_all = ["budget", "strict"])]
    pub(crate) watch: bool,
    /// Start no new attempts after DURATION, such as `55s`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) budget: Option<humantime::Duration>,
    /// Exit with 75 if any message is still queued
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print a JSON object for each queue that was flushed
    #[arg(long)]
    pub(crate) json: bool,
    /// Replace FILE with a page of endpoints and recent deliveries at the end, or every 20 seconds
    #[arg(long, value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,
    /// Tell the alerts that are due, and deliver nothing
    #[arg(long, hide = true, conflicts_with_all = ["watch", "repos"])]
    pub(crate) alerts: bool,
    /// Leave the session of the process that started this
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

/// Time limit of root's flush, which is started once a minute.
const ROOTS_BUDGET: Duration = Duration::from_secs(55);

pub(crate) fn run(args: &FlushArgs, ctx: &Context) -> Result<Exit, Error> {
    run_until(None, args, ctx)
}

/// Flushes until the end, or until `told` becomes true. `None`: until a signal says so.
pub(crate) fn run_until(
    told: Option<Receiver<bool>>,
    args: &FlushArgs,
    ctx: &Context,
) -> Result<Exit, Error> {
    let hear = |signals: &[Signal]| {
        let told = told.map_or_else(|| signals::heard(signals), Ok);
        told.doing("wait for", Path::new("signals"))
    };
    if args.detached {
        become_account::detach();
    }
    signals::panic_ends("cannot go on", i32::from(Exit::Deferred.exit_code()));
    let budget = args.budget.map(Into::into);
    let stays = args.watch || args.detached;
    let roots = (ctx.own_uid() == 0 && !stays).then_some(ROOTS_BUDGET);
    let limits = Limits {
        begin_before: budget.or(roots).map(|budget| Instant::now() + budget),
        end_by: None,
    };
    let host = DeliveryHost::new(ctx, args.json);
    let descriptors = ctx.descriptors();
    let client = Client::new(descriptors, ctx.host());
    let stop = Cell::new(false);
    // A file that cannot be loaded is reported for each repository.
    let in_flight = ctx.server().map_or(IN_FLIGHT, |server| server.in_flight());
    let mut flush = Scheduler::new(&client, &host, limits, &stop, in_flight, descriptors);
    if args.watch {
        let told = hear(&[Signal::SIGTERM, Signal::SIGINT])?;
        watch::run(&mut flush, &host, args, ctx, (&stop, told))?;
        return Ok(Exit::Well);
    }
    let searched = targets::search(args.repos.named(), ctx)?;
    // An alert is about all of an account's spools, and a hook's flush is about one.
    let is_all = searched.is_server && !args.detached;
    let server = is_all.then(|| ctx.server().ok()).flatten();
    let alerts = server.and_then(|server| server.alerts());
    host.held.is_holding.set(alerts.is_some());
    if args.alerts {
        if alerts.is_some() {
            alerts::tell(&searched.targets(ctx), &host.held, alerts.as_ref(), ctx);
        }
        return Ok(ctx.outcome());
    }
    if searched.is_of_others(ctx) {
        // From here on: with many folders, one account would use up the time of all.
        let deadline = Instant::now() + budget.unwrap_or(ROOTS_BUDGET);
        let job = job(args, is_all, deadline);
        let mut ended = apart::run(searched.by_owner, &job, ctx)?;
        if let Some(file) = &args.page {
            page::keep_fresh(file, ctx);
            ended = ended.max(ctx.outcome());
        }
        return Ok(match ended {
            Exit::Deferred if !args.strict => Exit::Well,
            done => done,
        });
    }
    let all = searched.targets(ctx);
    let progress = Progress::new(|| waiting(&all));
    let goes_on = || {
        let end = limits.begin_before;
        end.is_none_or(|end| Instant::now() < end) && !stop.get()
    };
    let mut told = hear(&[Signal::SIGTERM])?;
    delivery::run(async {
        let prepared = all.iter().map(|target| {
            prepare(target, &host, ctx, &goes_on);
            target.spool.clone()
        });
        let mut worked = || {
            progress.set(host.delivered.get());
            host.submit_waiting();
        };
        until_told(flush.drain(prepared, &mut worked), &mut told, &stop).await;
        // Entries for a broker of before come out of `new/` only now.
        let spools = all.iter().map(|target| &target.spool);
        let left = spools.filter(|spool| leave_broker(spool, &host, ctx, &goes_on));
        let again = left.cloned().chain(host.move_renamed());
        until_told(flush.drain(again, &mut worked), &mut told, &stop).await;
    })
    .doing("wait for", Path::new("answers"))?;
    host.submit_waiting();
    progress.finish();
    let left = waiting(&all);
    report::to_person(&format!(
        "{} delivered, {left} waiting",
        report::count(host.delivered.get(), "message")
    ));
    // Nobody reads what a hook's flush prints.
    if !args.detached {
        alerts::tell(&all, &host.held, alerts.as_ref(), ctx);
    }
    if let Some(file) = &args.page {
        page::keep_fresh(file, ctx);
    }
    Ok(match ctx.outcome() {
        Exit::Well if args.strict && left > 0 => Exit::Deferred,
        done => done,
    })
}

/// Makes the job of each account's refpost, where root flushes for all of them.
fn job(args: &FlushArgs, is_server: bool, deadline: Instant) -> Job {
    let mut line: Vec<OsString> = vec!["flush".into(), "--strict".into()];
    line.extend(is_server.then(|| "--server".into()));
    line.extend(args.json.then(|| "--json".into()));
    Job {
        args: line,
        has_budget: true,
        deadline,
        as_json: args.json,
    }
}

/// Works until the end, or until the process that started this one sends SIGTERM, which may have
/// come before.
///
/// After that, attempts under way end by themselves, within their timeouts.
async fn until_told(work: impl Future<Output = ()>, told: &mut Receiver<bool>, stop: &Cell<bool>) {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        _ = told.wait_for(|told| *told) => stop.set(true),
        () = &mut work => return,
    }
    work.await;
}

/// Returns the number of entries that wait, in all queues.
fn waiting(targets: &[Target]) -> usize {
    let count = |target: &Target| target.spool.count_waiting().ok();
    targets.iter().filter_map(count).sum()
}
