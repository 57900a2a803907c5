//! Logs pushes that are not announced, and why.

use std::path::Path;
use std::time::SystemTime;

use super::compose::Composer;
use crate::context::Context;
use crate::report;
use crate::spool::{Attempt, Spool, Status};

/// The reason for which a push was not announced.
pub(crate) enum Unannounced<'a> {
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
pub(crate) fn log_unannounced(
    spool: &Spool,
    git_dir: &Path,
    why: &Unannounced<'_>,
    refs: usize,
    ctx: &Context,
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
    let line = line(ctx.now(), git_dir, String::new(), (word, note));
    spool.log().append(&line).ok();
}

/// Returns a line of the log that is about no message.
pub(super) fn line(
    time: SystemTime,
    repository: &Path,
    id: String,
    (word, note): (&str, String),
) -> Attempt {
    Attempt {
        time,
        repository: repository.to_owned(),
        endpoint: String::new(),
        msg_id: String::new(),
        topic: String::new(),
        reference: String::new(),
        id,
        attempt: 0,
        status: Status::Error(word.to_owned()),
        ms: 0,
        note: Some(note),
    }
}

/// Logs the number of malformed refs in a batch. No messages of them wait anywhere.
pub(crate) fn log_misfits(spool: &Spool, git_dir: &Path, composer: &Composer<'_>, ctx: &Context) {
    if composer.misfits() > 0 {
        let refs = composer.misfits();
        log_unannounced(spool, git_dir, &Unannounced::Malformed, refs, ctx);
    }
}
