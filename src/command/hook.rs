//! `hook`, and refpost called by a hook's name: a push becomes an entry in the spool.
//!
//! Nothing here can fail a push: what goes wrong is one line to the pusher, and
//! what could not be understood is recorded as it came, to be announced later.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::surroundings::Surroundings;
use super::world::World;
use super::{Done, Error, compose, place};
use crate::cli::{HookArgs, HookName};
use crate::config::{Mode, Settings};
use crate::delivery::{Client, Courier, LaneReport, Left, Limits, Surveyor};
use crate::event::RefUpdate;
use crate::git::{self, Repository};
use crate::report;
use crate::spool::{Content, Draft, Id, Lock, Queue, Recipient, Spool};
use crate::{delivery, payload::Message};

/// How often a held lock is looked at again, within the push budget.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// No more malformed lines than this are told of one by one.
const MALFORMED_TOLD: usize = 5;

pub(super) fn run(args: &HookArgs, around: &Surroundings) -> Done {
    match args.name {
        HookName::PostReceive => {
            if let Err(error) = post_receive(around) {
                report::say(&format!(
                    "{} (your push was accepted)",
                    report::chain(&error)
                ));
                if let Some(hint) = error.hint() {
                    report::hint(&hint);
                }
            }
        }
    }
    Done::Well
}

/// One push, and what is known of it.
struct Push {
    git_dir: PathBuf,
    updates: Vec<RefUpdate>,
    pusher: String,
    time: SystemTime,
}

impl Push {
    fn draft(&self, content: Content<Message>) -> Draft {
        Draft {
            repository: self.git_dir.clone(),
            time: self.time,
            pusher: Some(self.pusher.clone()),
            content,
        }
    }
}

fn post_receive(around: &Surroundings) -> Result<(), Error> {
    let git_dir = place::hook_git_dir(around);
    let loaded = around.load(Some(&git_dir));
    // No config file, or no endpoint: nothing is wanted.
    if let Ok(loaded) = &loaded
        && loaded.settings.endpoints.is_empty()
    {
        return Ok(());
    }
    let push = Push {
        updates: read_updates()?,
        pusher: compose::pusher(around),
        time: around.now(),
        git_dir,
    };
    if push.updates.is_empty() {
        return Ok(());
    }
    match loaded {
        Ok(loaded) => announce(&push, &loaded.settings, around),
        Err(error) => {
            // Which spool is meant may be in the part that can be read.
            let server = around.load(None).ok();
            let settings = server.as_ref().map(|loaded| &loaded.settings);
            owe(&push, settings, error.into(), around)
        }
    }
}

/// Reads standard input. Lines that are no ref updates are told, and cost the
/// others nothing.
fn read_updates() -> Result<Vec<RefUpdate>, Error> {
    let (updates, malformed) =
        git::read_ref_lines(&mut std::io::stdin().lock()).map_err(|source| Error::Io {
            operation: "read",
            path: PathBuf::from("standard input"),
            source,
        })?;
    for bad in malformed.iter().take(MALFORMED_TOLD) {
        report::error(bad);
    }
    if malformed.len() > MALFORMED_TOLD {
        let more = malformed.len() - MALFORMED_TOLD;
        report::say(&format!("{} more like that", report::count(more, "line")));
    }
    Ok(updates)
}

/// Records the push as it came: its messages are built once that can be done.
fn owe(
    push: &Push,
    settings: Option<&Settings>,
    why: Error,
    around: &Surroundings,
) -> Result<(), Error> {
    let spool = place::spool_of(&push.git_dir, settings);
    let draft = push.draft(Content::Owed(push.updates.clone()));
    enqueue(&spool, &draft, push.updates.len(), around)?;
    Err(Error::Owed(Box::new(why)))
}

fn enqueue(
    spool: &Spool,
    draft: &Draft,
    messages: usize,
    around: &Surroundings,
) -> Result<Id, Error> {
    around
        .enqueue(spool, draft)
        .map_err(|source| Error::Enqueue {
            what: report::count(messages, "message"),
            source,
        })
}

fn announce(push: &Push, settings: &Settings, around: &Surroundings) -> Result<(), Error> {
    let built = Repository::open_in_hook(&push.git_dir)
        .map_err(Error::from)
        .and_then(|repository| {
            let who = &push.pusher;
            compose::built(&repository, settings, &push.updates, who, push.time, around)
        });
    let built = match built {
        Ok(built) => built,
        Err(error) => return owe(push, Some(settings), error, around),
    };
    if built.recipients.is_empty() {
        return Ok(());
    }
    let spool = place::spool_of(&push.git_dir, Some(settings));
    let recipients = built.recipients.clone();
    let draft = push.draft(Content::Built(built));
    let Content::Built(built) = &draft.content else {
        unreachable!("made so above")
    };
    let total = built.messages.len();
    let id = enqueue(&spool, &draft, total, around)?;
    let left = match settings.mode {
        Mode::Sync => deliver_now(&spool, &id, &recipients, settings, around),
        Mode::Background | Mode::Spool => Vec::new(),
    };
    match settings.mode {
        Mode::Spool => {}
        Mode::Sync if left.iter().all(|one| one.report.left.is_none()) => {}
        // A queue that others hold, or that has older messages, goes on without us.
        Mode::Sync | Mode::Background => around.flush_detached(spool.root())?,
    }
    tell(settings, &recipients, total, &left);
    Ok(())
}

/// What became of the push's messages for one endpoint.
struct Attempted {
    endpoint: String,
    report: LaneReport,
}

/// Attempts the push's own entry, all endpoints at once, for as long as the push
/// budget lasts.
fn deliver_now(
    spool: &Spool,
    id: &Id,
    recipients: &[Recipient],
    settings: &Settings,
    around: &Surroundings,
) -> Vec<Attempted> {
    let end = Instant::now() + settings.push_budget;
    let client = Client::new(settings.network.clone());
    let world = World::new(around, false);
    let stop = Cell::new(false);
    let courier = Courier {
        spool,
        client: &client,
        outside: &world,
        stop: &stop,
        limits: Limits {
            begin_before: None,
            end_by: Some(end),
        },
        only: Some(id),
    };
    delivery::run(async {
        let is_distributed = wait_until(end, || {
            let build = |_: &Id, header: &_| world.build(header);
            spool.distribute(Lock::Try, build).ok().flatten().map(drop)
        })
        .await
        .is_some();
        let attempts = recipients.iter().map(async |recipient| {
            let report = if is_distributed {
                attempt(&courier, &recipient.queue, end).await
            } else {
                out_of_time()
            };
            Attempted {
                endpoint: recipient.endpoint.clone(),
                report,
            }
        });
        futures_util::future::join_all(attempts).await
    })
}

async fn attempt(courier: &Courier<'_>, queue: &Queue, end: Instant) -> LaneReport {
    let lane = wait_until(end, || courier.spool.lane(queue).ok().flatten()).await;
    match lane {
        None => out_of_time(),
        Some(lane) => courier.run(&lane).await.unwrap_or_else(|error| LaneReport {
            left: Some(Left::Failed(report::chain(&error))),
            ..LaneReport::default()
        }),
    }
}

fn out_of_time() -> LaneReport {
    LaneReport {
        left: Some(Left::OutOfTime),
        ..LaneReport::default()
    }
}

/// Asks again and again, until there is an answer or no time is left.
async fn wait_until<T>(end: Instant, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        match ask() {
            Some(answer) => return Some(answer),
            None if Instant::now() + LOOK_AGAIN >= end => return None,
            None => delivery::pause(LOOK_AGAIN).await,
        }
    }
}

/// One honest line to the pusher.
fn tell(settings: &Settings, recipients: &[Recipient], total: usize, attempted: &[Attempted]) {
    let mut sent = Vec::new();
    let mut queued = Vec::new();
    for recipient in recipients {
        let name = &recipient.endpoint;
        let report = attempted
            .iter()
            .find(|one| one.endpoint == *name)
            .map(|one| &one.report);
        for notice in report.iter().flat_map(|report| &report.notices) {
            report::say(&notice.text);
            if let Some(hint) = &notice.hint {
                report::hint(hint);
            }
        }
        match report {
            Some(report) if report.left.is_none() && report.failed == 0 => {
                sent.push(format!("`{name}`"));
            }
            Some(report) => queued.push(format!("`{name}`{}", reason(report.left.as_ref()))),
            None => queued.push(format!("`{name}`")),
        }
    }
    let is_well = attempted.len() == sent.len();
    if settings.quiet && is_well {
        return;
    }
    let parts = [("sent to", sent), ("queued for", queued)];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(verb, names)| format!("{verb} {}", names.join(", ")))
        .collect();
    report::say(&format!(
        "{} {}",
        report::count(total, "message"),
        parts.join(", ")
    ));
}

fn reason(left: Option<&Left>) -> String {
    match left {
        None | Some(Left::Fault) => String::new(),
        Some(Left::Older) => " (behind older ones)".to_owned(),
        Some(Left::NotDue) => " (it failed before)".to_owned(),
        Some(Left::Failed(why)) => format!(" (it {why})"),
        Some(Left::OutOfTime) => " (no time left)".to_owned(),
    }
}
