//! `flush --watch`: delivers entries when they come and when they fall due, until told to end.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use notify::event::{ModifyKind, RemoveKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch::Receiver;
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep};

use super::look::Look;
use super::printed::Printed;
use crate::announce::delivery_host::DeliveryHost;
use crate::announce::moved_out::{MOMENT, leave_broker};
use crate::command::flush::FlushArgs;
use crate::command::flush::beside::Beside;
use crate::context::found::ByOwner;
use crate::context::supervisor::Supervisor;
use crate::context::{Context, targets};
use crate::delivery::{self, Scheduler};
use crate::error::{Error, IoContext};
use crate::report;
use crate::spool::Spool;

/// Least time after which all spools are searched for again, with or without a change that the kernel
/// reports: inotify(7) knows nothing of other hosts on a network file system.
const LOOK_AROUND: Duration = Duration::from_secs(20);
/// Least time between two looks at what alerts are due.
const ALERTS_AGAIN: Duration = Duration::from_mins(1);

pub(crate) fn run(
    flush: &mut Scheduler<'_>,
    host: &DeliveryHost<'_>,
    args: &FlushArgs,
    ctx: &Context,
    (stop, mut told): (&Cell<bool>, Receiver<bool>),
) -> Result<(), Error> {
    delivery::run(async {
        let mut followed = Followed::new()?;
        let mut supervisor = Supervisor::find();
        Supervisor::ready();
        let mut page = args.page.as_deref().map(Beside::page);
        let mut alerts = Alerting::default();
        let mut has_begun = false;
        loop {
            host.forget();
            // Their spools are looked into below, with all others.
            host.move_renamed();
            let begun = Instant::now();
            let searched = match targets::search(args.repos.named(), ctx) {
                // While the server's file is broken, what falls due waits, as pushes do.
                Err(error) if has_begun => {
                    ctx.tell_error(error);
                    targets::Searched {
                        by_owner: ByOwner::default(),
                        is_server: false,
                    }
                }
                searched => searched?,
            };
            has_begun = true;
            if ctx.own_uid() == 0 {
                tell_others(&searched.by_owner, ctx);
            }
            let is_server = searched.is_server;
            let mut look = Look::at(searched.gathering(ctx), begun);
            host.is_service_down.set(false);
            let mut rest = None;
            let mut has_changed = false;
            // Another process tells what it hands over.
            let mut printed = (!(is_server && has_alerts(ctx))).then(Printed::default);
            // A look that has begun ends, so that each spool has its turn however often others come.
            while !look.is_over() || !has_changed {
                host.submit_waiting();
                let due = flush.line_up_due();
                supervisor.tick(|| status(flush));
                let may_look = !look.is_over() && flush.has_room();
                if look.is_over() && rest.is_none() {
                    rest = Some(Box::pin(sleep(look.rest(LOOK_AROUND))));
                    if let Some(page) = &mut page {
                        page.start(ctx);
                    }
                    match printed.take() {
                        Some(printed) => printed.tell(ctx),
                        None => alerts.start(ctx),
                    }
                }
                tokio::select! {
                    true = flush.step() => {}
                    () = yield_now(), if may_look => {
                        look.step(flush, host, ctx, |target| {
                            followed.follow(&target.spool);
                            if let Some(printed) = &mut printed {
                                printed.look_at(target, &|_| true, ctx);
                            }
                        });
                    }
                    changed = followed.next() => match changed {
                        Changed::Entries(spool) => {
                            host.forget();
                            // What waited for a broker is older.
                            let begun = Instant::now();
                            let goes_on = || begun.elapsed() < MOMENT;
                            leave_broker(&spool, host, ctx, &goes_on);
                            flush.add(&spool);
                        }
                        Changed::Spools => has_changed = true,
                    },
                    () = until(due, ctx.now()) => {}
                    () = sleep(supervisor.interval()) => {}
                    () = ended(&mut rest) => has_changed = true,
                    _ = told.wait_for(|told| *told) => stop.set(true),
                }
                if stop.get() {
                    Supervisor::ends();
                    // Attempts under way end by themselves, within their timeout.
                    while flush.step().await {
                        supervisor.tick(|| status(flush));
                    }
                    flush.end();
                    return Ok(());
                }
            }
        }
    })
    .doing("wait for", Path::new("changes"))?
}

/// The alerts of a watch, which another process tells, once a minute at most.
#[derive(Default)]
struct Alerting(Option<(Instant, Beside)>);

impl Alerting {
    fn start(&mut self, ctx: &Context) {
        let last = self.0.as_ref().map(|(last, _)| last.elapsed());
        if last.is_none_or(|since| since >= ALERTS_AGAIN) {
            let before = self.0.take().map(|(_, process)| process);
            let mut process = before.unwrap_or_else(Beside::alerts);
            process.start(ctx);
            self.0 = Some((Instant::now(), process));
        }
    }
}

/// Returns whether the server's file has a way to hand over alerts.
fn has_alerts(ctx: &Context) -> bool {
    ctx.server().is_ok_and(|server| server.alerts().is_some())
}

/// Returns how deliveries stand, in a line.
fn status(flush: &Scheduler<'_>) -> String {
    let (failing, waiting) = flush.counts();
    let waiting = report::count(waiting, "queue");
    format!("{failing} failing, {waiting} waiting")
}

/// Tells, as root, of spools of other accounts. A watch stays, so it works for one account.
fn tell_others(found: &ByOwner, ctx: &Context) {
    let of_others = found.0.iter().filter(|(owner, _)| **owner != 0);
    for one in of_others.flat_map(|(_, all)| all) {
        ctx.tell_once(
            &format!(
                "cannot watch `{}` as root: it is another account's",
                one.path().display()
            ),
            Some("run a `refpost flush --watch` as that account"),
        );
    }
}

/// Waits until `due`. Never ends if nothing is due.
async fn until(due: Option<SystemTime>, now: SystemTime) {
    match due {
        Some(due) => sleep(due.duration_since(now).unwrap_or_default()).await,
        None => std::future::pending().await,
    }
}

/// Waits for the end of a rest. Never ends if none has begun.
async fn ended(rest: &mut Option<Pin<Box<Sleep>>>) {
    match rest {
        Some(rest) => rest.await,
        None => std::future::pending().await,
    }
}

/// A change that the kernel reports.
enum Changed {
    /// A spool may have new entries.
    Entries(Spool),
    /// A spool is there that was not, or the folder of one has gone.
    Spools,
}

/// Folders whose changes the kernel reports.
struct Followed {
    watcher: RecommendedWatcher,
    /// Names that came, and folders that went (true).
    changes: UnboundedReceiver<(PathBuf, bool)>,
    /// Spools by the folder where entries arrive.
    spools: HashMap<PathBuf, Spool>,
    /// Folders in which such a folder may appear, with those that may.
    awaited: HashMap<PathBuf, HashSet<PathBuf>>,
}

impl Followed {
    fn new() -> Result<Self, Error> {
        let (sender, changes) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a folder is an event too. Only names that come matter, and folders that go:
            // the kernel follows those no more.
            let Ok(event) = event else { return };
            let is_gone = match event.kind {
                EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)) => false,
                EventKind::Remove(kind) if kind != RemoveKind::File => true,
                _ => return,
            };
            for path in event.paths {
                // The receiver is gone only when the watch ends.
                sender.send((path, is_gone)).ok();
            }
        })
        .map_err(|error| Error::failed(format!("cannot watch folders: {error}")))?;
        Ok(Self {
            watcher,
            changes,
            spools: HashMap::new(),
            awaited: HashMap::new(),
        })
    }

    /// Follows a spool. One that does not exist yet is awaited in the nearest folder above it that
    /// does.
    fn follow(&mut self, spool: &Spool) {
        let arrivals = spool.arrivals();
        if self.spools.contains_key(&arrivals) {
            return;
        }
        // Folders that cannot be watched are searched all the same, if less often.
        let mut above = None;
        while !self.watch(&arrivals) {
            let nearest = arrivals.ancestors().find(|above| above.is_dir());
            // Folders that were made before the kernel was asked are not reported.
            if nearest == above {
                return;
            }
            above = nearest;
            if let Some(nearest) = nearest {
                let awaited = self.awaited.entry(nearest.to_owned()).or_default();
                awaited.insert(arrivals.clone());
                self.watch(nearest);
            }
        }
        self.spools.insert(arrivals, spool.clone());
    }

    fn watch(&mut self, folder: &Path) -> bool {
        let mode = RecursiveMode::NonRecursive;
        folder.is_dir() && self.watcher.watch(folder, mode).is_ok()
    }

    /// Waits for the next change that matters.
    async fn next(&mut self) -> Changed {
        while let Some((path, is_gone)) = self.changes.recv().await {
            // Another folder of that name, or one on the way to it, is to be followed anew.
            if is_gone {
                let spool = self.spools.remove(&path);
                if self.awaited.remove(&path).is_some() || spool.is_some() {
                    return Changed::Spools;
                }
                continue;
            }
            let folder = path.parent().unwrap_or(&path);
            if let Some(spool) = self.spools.get(folder) {
                return Changed::Entries(spool.clone());
            }
            if let Some(awaited) = self.awaited.get(folder)
                && awaited
                    .iter()
                    .any(|arrivals| self.is_nearer(folder, arrivals))
            {
                self.awaited.remove(folder);
                return Changed::Spools;
            }
        }
        // The watcher is gone; the periodic search remains.
        std::future::pending().await
    }

    /// Returns whether the awaited folder, or one on the way there, has appeared.
    fn is_nearer(&self, folder: &Path, arrivals: &Path) -> bool {
        let nearest = arrivals.ancestors().find(|above| above.is_dir());
        !self.spools.contains_key(arrivals) && nearest.is_some_and(|nearest| nearest != folder)
    }
}
