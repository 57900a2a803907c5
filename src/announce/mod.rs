//! Records the messages of moved refs as entries in the spool, and has them delivered.
//!
//! A push is one entry, unless it moves more refs than a batch holds: then each batch is one entry.
//! The line for the pusher, and the flush that delivers, cover all of them together.

pub(crate) mod alert;
pub(crate) mod batches;
mod builders;
pub(crate) mod by_hand;
pub(crate) mod compose;
mod consumed;
pub(crate) mod deferred;
pub(crate) mod delivery_host;
pub(crate) mod git_process;
pub(crate) mod held;
pub(crate) mod intend;
pub(crate) mod intents;
pub(crate) mod leave;
pub(crate) mod missing;
pub(crate) mod moved_out;
pub(crate) mod push;
pub(crate) mod push_options;
pub(crate) mod recorder;
pub(crate) mod renamed;
mod sync;
pub(crate) mod templates;
pub(crate) mod transaction;
mod unannounced;

use std::iter::Peekable;

use crate::announce::batches::Batch;
use crate::announce::compose::Composer;
use crate::announce::git_process::LazyCaller;
use crate::announce::leave::{Listener, leave};
use crate::announce::push::Push;
use crate::announce::recorder::Recorder;
use crate::announce::unannounced::{Unannounced, log_unannounced};
use crate::config::{self, Loaded, Mode, Settings};
use crate::context::{Context, locate};
use crate::error::Error;
use crate::event::RefUpdate;
use crate::report;
use crate::spool::Spool;

/// Records the updates of a push and, as the mode says, delivers their messages.
///
/// `caller` is the git that moved the refs, whose intents this settles. The process is looked for
/// only if there are intents.
pub(crate) fn announce(
    push: &Push,
    batches: impl Iterator<Item = Batch>,
    loaded: Result<Loaded, config::Error>,
    caller: &LazyCaller,
    ctx: &Context,
) -> Result<(), Error> {
    let mut batches = batches.peekable();
    if batches.peek().is_none() {
        return Ok(());
    }
    let settings = match loaded {
        Ok(loaded) => loaded.settings,
        Err(error) => {
            // The part of the configuration that can be read may name the spool.
            let settings = ctx.load_without_own(&push.git_dir);
            let spool = locate::spool_of(&push.git_dir, settings.as_ref());
            let recorder = Recorder::new(push, &spool, caller, ctx);
            return recorder.defer(batches, error.into()).into_result();
        }
    };
    for complaint in &push.options.complaints {
        report::warning(complaint);
    }
    let spool = locate::spool_of(&push.git_dir, Some(&settings)).held_open();
    if push.options.skip {
        return skip(push, batches, &spool, &settings, caller, ctx);
    }
    let recorder = Recorder::new(push, &spool, caller, ctx);
    let repository = match push.repository() {
        Ok(repository) => repository,
        Err(error) => return recorder.defer(batches, error.into()).into_result(),
    };
    // Only the first of several batches is known here: the refs of the others are judged by where
    // they are now, and by the push's own intents.
    let first = first_of(&mut batches);
    let settled = intents::settle(&spool, &repository, &push.git_dir, (first, caller), ctx);
    let (pusher, note) = (&push.pusher, push.options.note.as_deref());
    let composer =
        settled.map(|()| Composer::new(&repository, &settings, ctx, pusher, note, push.time));
    let outcome = match composer {
        Ok(mut composer) => recorder.record(batches, &mut composer),
        Err(error) => return recorder.defer(batches, error).into_result(),
    };
    let left = if outcome.shares.is_empty() {
        Ok(())
    } else {
        leave(&outcome, &spool, &settings, Listener::Pusher, ctx)
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
    ctx: &Context,
) -> Result<(), Error> {
    let settled = push.repository().map_err(Error::from).and_then(|it| {
        let first = first_of(&mut batches);
        intents::settle(spool, &it, &push.git_dir, (first, caller), ctx)
    });
    let (outcome, refs) = Recorder::new(push, spool, caller, ctx).skip(batches);
    let why = Unannounced::Skipped(&push.pusher);
    log_unannounced(spool, &push.git_dir, &why, refs, ctx);
    if !settings.quiet {
        report::say("not announced, as asked (refpost.skip)");
    }
    outcome.into_result().and(settled)?;
    let has_older = spool.ids_in_new().is_ok_and(|ids| !ids.is_empty());
    if has_older && settings.mode != Mode::Spool {
        ctx.flush_detached(spool.root())?;
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
