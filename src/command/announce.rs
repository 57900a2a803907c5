//! Refs moved: their messages become an entry in the spool, and leave.

use std::path::PathBuf;
use std::time::SystemTime;

use super::outbox;
use super::process::Caller;
use super::surroundings::Surroundings;
use super::sync::{self, Attempted};
use super::{Error, compose, place};
use crate::config::{self, Endpoint, Loaded, Mode, Settings};
use crate::event::RefUpdate;
use crate::git::Repository;
use crate::payload::Message;
use crate::report;
use crate::spool::{Content, Draft, Id, Recipient, Selection, Spool};

/// One push, or another transaction of refs, and what is known of it.
pub(super) struct Push {
    pub(super) git_dir: PathBuf,
    pub(super) updates: Vec<RefUpdate>,
    pub(super) pusher: String,
    pub(super) time: SystemTime,
    pub(super) options: Vec<String>,
}

impl Push {
    /// What happens here and now.
    pub(super) fn now(git_dir: PathBuf, updates: Vec<RefUpdate>, around: &Surroundings) -> Self {
        Self {
            git_dir,
            updates,
            pusher: compose::pusher(around),
            time: around.now(),
            options: around.push_options(),
        }
    }

    pub(super) fn draft(&self, content: Content<Message>) -> Draft {
        Draft {
            repository: self.git_dir.clone(),
            time: self.time,
            pusher: Some(self.pusher.clone()),
            push_options: self.options.clone(),
            process: None,
            confirms: Vec::new(),
            content,
        }
    }
}

/// Announces what moved: records it and, as the mode has it, delivers it.
///
/// `caller` is the git that moved it, whose intents this settles.
pub(super) fn announce(
    push: &Push,
    loaded: Result<Loaded, config::Error>,
    caller: Option<&Caller>,
    around: &Surroundings,
) -> Result<(), Error> {
    match loaded {
        Ok(loaded) => announce_as(push, &loaded.settings, caller, around),
        Err(error) => {
            // Which spool is meant may be in the part that can be read.
            let server = around.load(None).ok();
            let settings = server.as_ref().map(|loaded| &loaded.settings);
            owe(push, settings, error.into(), caller, around)
        }
    }
}

/// Records the push as it came: its messages are built once that can be done.
fn owe(
    push: &Push,
    settings: Option<&Settings>,
    why: Error,
    caller: Option<&Caller>,
    around: &Surroundings,
) -> Result<(), Error> {
    let spool = place::spool_of(&push.git_dir, settings);
    let content = Content::Owed(push.updates.clone());
    enqueue(&spool, push, content, push.updates.len(), caller, around)?;
    Err(Error::Owed(Box::new(why)))
}

/// Makes the push's entry durable, and withdraws the intents that it settles.
fn enqueue(
    spool: &Spool,
    push: &Push,
    content: Content<Message>,
    messages: usize,
    caller: Option<&Caller>,
    around: &Surroundings,
) -> Result<Id, Error> {
    let intents = outbox::intents_of(spool, &push.git_dir);
    let settled = outbox::settled_by(&push.updates, &intents, caller);
    let mut draft = push.draft(content);
    draft.confirms = settled.iter().map(|intent| intent.id.clone()).collect();
    let id = around
        .enqueue(spool, &draft)
        .map_err(|source| Error::Enqueue {
            what: report::count(messages, "message"),
            source,
        })?;
    outbox::withdraw(spool, &intents, &draft.confirms, &push.updates)?;
    Ok(id)
}

/// Nobody wants a message of this push: its intents are settled all the same.
fn forget(spool: &Spool, push: &Push, caller: Option<&Caller>) -> Result<(), Error> {
    let intents = outbox::intents_of(spool, &push.git_dir);
    let settled = outbox::settled_by(&push.updates, &intents, caller);
    let settled: Vec<Id> = settled.iter().map(|intent| intent.id.clone()).collect();
    outbox::withdraw(spool, &intents, &settled, &push.updates)
}

fn announce_as(
    push: &Push,
    settings: &Settings,
    caller: Option<&Caller>,
    around: &Surroundings,
) -> Result<(), Error> {
    let spool = place::spool_of(&push.git_dir, Some(settings));
    let built = Repository::open_in_hook(&push.git_dir)
        .map_err(Error::from)
        .and_then(|repository| {
            outbox::settle(&spool, &repository, &push.git_dir, &push.updates, around)?;
            let push = compose::Push {
                updates: &push.updates,
                pusher: &push.pusher,
                time: push.time,
            };
            compose::built(&push, &repository, settings, around)
        });
    let built = match built {
        Ok(built) => built,
        Err(error) => return owe(push, Some(settings), error, caller, around),
    };
    if built.recipients.is_empty() {
        return forget(&spool, push, caller);
    }
    if let Some(former) = place::former_spool(&push.git_dir, &spool) {
        // What was recorded there is older, and must be announced first.
        let adopted = spool
            .adopt(&former)
            .map_err(|error| Error::Spool(error.into()))?;
        if spool.is_drop() && !adopted.busy.is_empty() {
            let former = former.root().display();
            let why = format!("older messages wait in `{former}`: a mail drop cannot take them");
            let hint = format!("run, as its owner: refpost flush {former}");
            around.tell_once(&why, Some(&hint));
        }
    }
    let recipients = built.recipients.clone();
    let total = built.messages.len();
    let id = enqueue(&spool, push, Content::Built(built), total, caller, around)?;
    // What is in a mail drop only its owner can deliver.
    let mode = if spool.is_drop() {
        Mode::Spool
    } else {
        settings.mode
    };
    let attempted = match mode {
        Mode::Sync => sync::deliver_now(&spool, &id, &recipients, settings, around),
        Mode::Background | Mode::Spool => Vec::new(),
    };
    tell(settings, &recipients, total, &attempted, around);
    match mode {
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
    let verbose = settings.verbose_to_pusher;
    for notice in attempted.iter().flat_map(|one| &one.report.notices) {
        let words = if verbose {
            &notice.admin
        } else {
            &notice.pusher
        };
        around.tell_once(&words.text, words.hint.as_deref());
    }
    let shown = |name: &str| {
        let mut endpoints = settings.endpoints.iter();
        let endpoint = endpoints.find(|endpoint| endpoint.name == name && !verbose);
        endpoint.map_or_else(|| name.to_owned(), Endpoint::name_for_pusher)
    };
    let now = around.now();
    let mut sent = Vec::new();
    let mut queued = Vec::new();
    for recipient in recipients {
        let wanted = match &recipient.messages {
            Selection::All => total,
            Selection::Only(numbers) => numbers.len(),
        };
        let share = if wanted == total {
            String::new()
        } else {
            format!(" ({wanted} of them)")
        };
        let name = shown(&recipient.endpoint);
        let attempt = attempted
            .iter()
            .find(|one| one.endpoint == recipient.endpoint);
        match attempt {
            Some(one) if one.report.delivered >= wanted => sent.push(format!("`{name}`{share}")),
            Some(one) => queued.push(format!("`{name}`{share}{}", one.state(now, verbose))),
            None => queued.push(format!("`{name}`{share}")),
        }
    }
    if settings.quiet && attempted.len() == sent.len() {
        return;
    }
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
