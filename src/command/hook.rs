//! `hook`, and refpost called by a hook's name: a push becomes an entry in the spool.
//!
//! Nothing here can fail a push: what goes wrong is one line to the pusher, and
//! what could not be understood is recorded as it came, to be announced later.

use std::path::PathBuf;
use std::time::SystemTime;

use super::surroundings::Surroundings;
use super::sync::{self, Attempted};
use super::{Done, Error, compose, place};
use crate::cli::{HookArgs, HookName};
use crate::config::{Mode, Settings};
use crate::event::RefUpdate;
use crate::git::{self, Repository};
use crate::payload::Message;
use crate::report;
use crate::spool::{Content, Draft, Id, Recipient, Spool};

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
    if let Some(former) = place::former_spool(&push.git_dir, &spool) {
        // What was recorded there is older, and must be announced first.
        spool
            .adopt(&former)
            .map_err(|error| Error::Spool(error.into()))?;
    }
    let recipients = built.recipients.clone();
    let total = built.messages.len();
    let draft = push.draft(Content::Built(built));
    let id = enqueue(&spool, &draft, total, around)?;
    let attempted = match settings.mode {
        Mode::Sync => sync::deliver_now(&spool, &id, &recipients, settings, around),
        Mode::Background | Mode::Spool => Vec::new(),
    };
    tell(settings, &recipients, total, &attempted, around);
    match settings.mode {
        Mode::Spool => Ok(()),
        Mode::Sync if attempted.iter().all(Attempted::is_empty_now) => Ok(()),
        // What is left, of this push or of others that found us in the way, goes
        // on without the pusher.
        Mode::Sync | Mode::Background => around.flush_detached(spool.root()),
    }
}

/// One honest line to the pusher, and what a person must see to.
fn tell(
    settings: &Settings,
    recipients: &[Recipient],
    total: usize,
    attempted: &[Attempted],
    around: &Surroundings,
) {
    for notice in attempted.iter().flat_map(|one| &one.report.notices) {
        around.tell_once(&notice.text, notice.hint.as_deref());
    }
    let is_sent = |name: &str| {
        attempted
            .iter()
            .any(|one| one.endpoint == name && one.is_sent())
    };
    let now = around.now();
    let state = |name: &str| {
        let attempted = attempted.iter().find(|one| one.endpoint == name);
        attempted.map_or_else(String::new, |one| one.state(now))
    };
    let names = recipients
        .iter()
        .map(|recipient| recipient.endpoint.as_str());
    let (sent, queued): (Vec<&str>, Vec<&str>) = names.partition(|name| is_sent(name));
    if settings.quiet && attempted.len() == sent.len() {
        return;
    }
    let sent: Vec<String> = sent.iter().map(|name| format!("`{name}`")).collect();
    let queued: Vec<String> = queued
        .iter()
        .map(|name| format!("`{name}`{}", state(name)))
        .collect();
    let parts: Vec<String> = [("sent to", sent), ("queued for", queued)]
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
