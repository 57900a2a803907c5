//! Records the messages of moved refs as entries in the spool, and has them delivered.
//!
//! A push is one entry, unless it moves more refs than a batch holds: then each batch is one entry.
//! The line for the pusher, and the flush that delivers, cover all of them together.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::batches::Batch;
use super::compose::{self, Composer};
use super::outbox;
use super::process::LazyCaller;
use super::push_options::Wishes;
use super::recorder::{Recorded, Recorder, Share};
use super::sync::{self, Attempted, Submitted};
use crate::config::{self, Endpoint, Loaded, Mode, Settings};
use crate::context::{Surroundings, locate};
use crate::error::Error;
use crate::event::RefUpdate;
use crate::git::{self, Repository};
use crate::payload::Message;
use crate::report;
use crate::spool::{Attempt, Content, Draft, FolderId, Intent, Queue, Spool, Status};

/// The facts about a push, or about another transaction of refs, apart from the refs.
pub(super) struct Push {
    pub(super) git_dir: PathBuf,
    /// The namespace of the refs, which git leaves out of their names (gitnamespaces(7)).
    pub(super) namespace: PathBuf,
    pub(super) pusher: String,
    pub(super) time: SystemTime,
    pub(super) wishes: Wishes,
}

impl Push {
    /// Makes a push by the current pusher at the current time, without a namespace.
    pub(super) fn now(git_dir: PathBuf, around: &Surroundings) -> Self {
        Self {
            git_dir,
            namespace: PathBuf::new(),
            pusher: compose::pusher(around),
            time: around.now(),
            wishes: Wishes::default(),
        }
    }

    /// Makes a push by the current pusher at the current time, in git's namespace
    /// (`GIT_NAMESPACE`).
    pub(super) fn received(git_dir: PathBuf, around: &Surroundings) -> Self {
        let namespace = around.path_variable("GIT_NAMESPACE").unwrap_or_default();
        Self {
            namespace: namespace.into(),
            ..Self::now(git_dir, around)
        }
    }

    /// Opens the repository, in whose hook this process runs.
    pub(super) fn repository(&self) -> Result<Repository, git::Error> {
        let repository = Repository::open_in_hook(&self.git_dir)?;
        Ok(repository.in_namespace(&self.namespace))
    }

    /// Returns the intents of the repository and the namespace.
    pub(super) fn intents(&self, spool: &Spool) -> Vec<Intent> {
        outbox::intents_of(spool, &self.git_dir, &self.namespace)
    }

    /// Adds the options that the pusher gave.
    ///
    /// If the configuration cannot be loaded, they are recorded with the push, and judged once it
    /// can.
    pub(super) fn asking(self, options: &[String], loaded: &Result<Loaded, config::Error>) -> Self {
        let is_off = loaded
            .as_ref()
            .is_ok_and(|loaded| !loaded.settings.push_options);
        let wishes = Wishes::of(options, !is_off);
        Self { wishes, ..self }
    }

    pub(super) fn draft(&self, content: Content<Message>) -> Draft {
        Draft {
            namespace: self.namespace.clone(),
            repository: self.git_dir.clone(),
            folder: FolderId::of(&self.git_dir),
            time: self.time,
            pusher: Some(self.pusher.clone()),
            push_options: self.wishes.options(),
            process: None,
            confirms: Vec::new(),
            missing_since: None,
            received: false,
            moved: Vec::new(),
            content,
        }
    }
}

/// Records the updates of a push and, as the mode says, delivers their messages.
///
/// `caller` is the git that moved the refs, whose intents this settles. The process is looked for
/// only if there are intents.
pub(super) fn announce(
    push: &Push,
    batches: impl Iterator<Item = Batch>,
    loaded: Result<Loaded, config::Error>,
    caller: &LazyCaller,
    around: &Surroundings,
) -> Result<(), Error> {
    let mut batches = batches.peekable();
    if batches.peek().is_none() {
        return Ok(());
    }
    let settings = match loaded {
        Ok(loaded) => loaded.settings,
        Err(error) => {
            // The part of the configuration that can be read may name the spool.
            let settings = around.load_without_own(&push.git_dir);
            let spool = locate::spool_of(&push.git_dir, settings.as_ref());
            let recorder = Recorder::new(push, &spool, caller, around);
            return recorder.owe(batches, error.into()).into_result();
        }
    };
    for complaint in &push.wishes.complaints {
        report::warning(complaint);
    }
    let spool = locate::spool_of(&push.git_dir, Some(&settings)).held_open();
    if push.wishes.skip {
        return skip(push, batches, &spool, &settings, caller, around);
    }
    let recorder = Recorder::new(push, &spool, caller, around);
    let repository = match push.repository() {
        Ok(repository) => repository,
        Err(error) => return recorder.owe(batches, error.into()).into_result(),
    };
    // Only the first of several batches is known here: the refs of the others are judged by where
    // they are now, and by the push's own intents.
    let first = first_of(&mut batches);
    let settled = outbox::settle(&spool, &repository, &push.git_dir, (first, caller), around);
    let (pusher, note) = (&push.pusher, push.wishes.note.as_deref());
    let composer =
        settled.map(|()| Composer::new(&repository, &settings, around, pusher, note, push.time));
    let outcome = match composer {
        Ok(mut composer) => recorder.record(batches, &mut composer),
        Err(error) => return recorder.owe(batches, error).into_result(),
    };
    let left = if outcome.shares.is_empty() {
        Ok(())
    } else {
        leave(&outcome, &spool, &settings, Listener::Pusher, around)
    };
    outcome.into_result().and(left)
}

/// Settles a push that its pusher does not want announced.
///
/// Older pushes are settled first, as before any push: this one knows best where its refs were.
fn skip(
    push: &Push,
    mut batches: Peekable<impl Iterator<Item = Batch>>,
    spool: &Spool,
    settings: &Settings,
    caller: &LazyCaller,
    around: &Surroundings,
) -> Result<(), Error> {
    let settled = push.repository().map_err(Error::from).and_then(|it| {
        let first = first_of(&mut batches);
        outbox::settle(spool, &it, &push.git_dir, (first, caller), around)
    });
    let (outcome, refs) = Recorder::new(push, spool, caller, around).skip(batches);
    let why = Unannounced::Skipped(&push.pusher);
    log_unannounced(spool, &push.git_dir, &why, refs, around);
    if !settings.quiet {
        report::say("not announced, as asked (refpost.skip)");
    }
    outcome.into_result().and(settled)?;
    let has_older = spool.ids_in_new().is_ok_and(|ids| !ids.is_empty());
    if has_older && settings.mode != Mode::Spool {
        around.flush_detached(spool.root())?;
    }
    Ok(())
}

/// Returns the updates of the first batch, or none if they cannot be read.
fn first_of(batches: &mut Peekable<impl Iterator<Item = Batch>>) -> &[RefUpdate] {
    match batches.peek() {
        Some(Ok(updates)) => updates,
        Some(Err(_)) | None => &[],
    }
}

/// The reason for which a push was not announced.
pub(super) enum Unannounced<'a> {
    /// The pusher of this name asked for it.
    Skipped(&'a str),
    /// The push was recorded, and its repository has no endpoint any more.
    Dropped,
    /// The object ids have the length of another hash than the repository's.
    Malformed,
}

/// Logs that a push was not announced, for those who miss it.
///
/// Errors of writing are ignored: they are no reason to fail a push.
pub(super) fn log_unannounced(
    spool: &Spool,
    git_dir: &Path,
    why: &Unannounced<'_>,
    refs: usize,
    around: &Surroundings,
) {
    let refs = report::count(refs, "ref");
    let (word, note) = match why {
        Unannounced::Skipped(pusher) => (
            "skipped",
            format!("{refs} not announced, as {pusher} asked"),
        ),
        Unannounced::Dropped => (
            "dropped",
            format!("{refs} not announced: no endpoint is configured"),
        ),
        Unannounced::Malformed => (
            "malformed",
            format!("{refs} not announced: object ids with the length of another hash"),
        ),
    };
    let attempt = Attempt {
        time: around.now(),
        repository: git_dir.to_owned(),
        endpoint: String::new(),
        msg_id: String::new(),
        topic: String::new(),
        id: String::new(),
        attempt: 0,
        status: Status::Error(word.to_owned()),
        ms: 0,
        note: Some(note),
    };
    spool.log().append(&attempt).ok();
}

/// Logs the number of malformed refs in a batch. No messages of them wait anywhere.
pub(super) fn log_misfits(
    spool: &Spool,
    git_dir: &Path,
    composer: &Composer<'_>,
    around: &Surroundings,
) {
    if composer.misfits() > 0 {
        let refs = composer.misfits();
        log_unannounced(spool, git_dir, &Unannounced::Malformed, refs, around);
    }
}

/// The person who is told the result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Listener {
    /// The pusher, by way of the hook's standard error.
    Pusher,
    /// The person who ran a command on the server.
    Admin,
}

/// Submits and delivers recorded entries as the mode says, and tells the listener the result.
pub(super) fn leave(
    recorded: &Recorded,
    spool: &Spool,
    settings: &Settings,
    listener: Listener,
    around: &Surroundings,
) -> Result<(), Error> {
    let submitted = recorded.entry.as_ref().and_then(|(id, _)| {
        let is_served = recorded.shares.iter().any(is_services);
        is_served.then(|| sync::submit_now(spool, id, around))
    });
    let is_submitted = !matches!(submitted, Some(Submitted::Left(_)));
    let attempted = match (settings.mode, &recorded.entry) {
        // A push of several batches takes longer than a pusher should wait.
        (Mode::Sync, Some((id, recipients))) if recorded.is_one_entry() => {
            sync::deliver_now(spool, id, recipients, settings, around)
        }
        _ => Vec::new(),
    };
    let is_one = recorded.is_one_entry() && is_submitted;
    tell(
        recorded,
        settings,
        (&attempted, submitted.as_ref()),
        listener,
        around,
    );
    match settings.mode {
        Mode::Spool => Ok(()),
        Mode::Sync if is_one && attempted.iter().all(Attempted::is_empty_now) => Ok(()),
        Mode::Background if is_submitted && recorded.shares.iter().all(is_services) => Ok(()),
        // The rest of this push, and pushes that found this process holding a lock, go on without
        // the pusher.
        Mode::Sync | Mode::Background => around.flush_detached(spool.root()),
    }
}

/// Greatest number of endpoints that one line names.
const ENDPOINTS_TOLD: usize = 10;

/// Returns whether a share is the service's, for all endpoints that the service delivers to.
fn is_services(share: &Share) -> bool {
    share.endpoint == Queue::service().as_str()
}

/// Prints the notices that need a person, and one line with the result.
fn tell(
    recorded: &Recorded,
    settings: &Settings,
    (attempted, submitted): (&[Attempted], Option<&Submitted>),
    listener: Listener,
    around: &Surroundings,
) {
    let verbose = settings.verbose_to_pusher || listener == Listener::Admin;
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
    let total = recorded.messages;
    let mut sent = Vec::new();
    let mut queued = Vec::new();
    for share in &recorded.shares {
        let wanted = share.wanted;
        let part = if wanted == total {
            String::new()
        } else {
            format!(" ({wanted} of them)")
        };
        if is_services(share) {
            match submitted {
                Some(Submitted::Left(why)) => queued.push(format!("the service{part} ({why})")),
                _ => sent.push(format!("the service{part}")),
            }
            continue;
        }
        let name = shown(&share.endpoint);
        let attempt = attempted.iter().find(|one| one.endpoint == share.endpoint);
        match attempt {
            Some(one) if one.report.delivered >= wanted => sent.push(format!("`{name}`{part}")),
            Some(one) => queued.push(format!("`{name}`{part}{}", one.state(now, verbose))),
            None => queued.push(format!("`{name}`{part}")),
        }
    }
    let tried = attempted.len() + usize::from(submitted.is_some());
    if settings.quiet && tried == sent.len() {
        return;
    }
    let mut parts: Vec<String> = [("sent to", sent), ("queued for", queued)]
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(verb, names)| format!("{verb} {}", some_of(names)))
        .collect();
    if settings.mode == Mode::Sync && !recorded.is_one_entry() {
        parts.push("too many to send during the push".to_owned());
    }
    let line = format!("{} {}", report::count(total, "message"), parts.join(", "));
    match listener {
        Listener::Pusher => report::say(&line),
        Listener::Admin => report::line(&line),
    }
}

/// Joins the first of these names with commas, and counts the others.
fn some_of(names: &[String]) -> String {
    match names.split_at_checked(ENDPOINTS_TOLD) {
        Some((first, others)) if !others.is_empty() => {
            format!("{} and {} more", first.join(", "), others.len())
        }
        _ => names.join(", "),
    }
}
