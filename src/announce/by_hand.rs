//! Records messages that a person asked for, and leaves them to delivery.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::intents;
use super::leave::{Listener, leave};
use super::push::Push;
use super::recorder::Recorded;
use crate::config::{Mode, Settings};
use crate::context::{Context, locate};
use crate::error::Error;
use crate::event::RefUpdate;
use crate::git::Repository;
use crate::payload::Message;
use crate::spool::{Built, Content, Spool};

/// Records messages behind all older ones of the repository, and tells the person where they are.
///
/// With them go the moves that are announced for the first time. Messages that are sent again come
/// with none: the order of moves that hooks have recorded stays.
pub(crate) fn send(
    push: &Push,
    repository: &Repository,
    settings: &Settings,
    (built, moved): (Built<Message>, &[RefUpdate]),
    ctx: &Context,
) -> Result<(), Error> {
    let spool = prepared(push, repository, settings, ctx)?;
    let (messages, recipients) = (built.messages.len(), built.recipients.clone());
    let is_noted = || spool.note_at_once(&push.git_dir, &push.namespace, moved);
    if recipients.is_empty() && is_noted() {
        return Ok(());
    }
    let draft = push.draft(Content::Built(built)).of_moves(moved);
    let id = spool
        .enqueue(&draft, &ctx.id_parts())
        .map_err(|source| Error::Enqueue { messages, source })?;
    if recipients.is_empty() {
        return Ok(());
    }
    let recorded = Recorded::one(id, recipients, messages);
    leave(&recorded, &spool, settings, Listener::Admin, ctx)
}

/// Records moves whose messages cannot be made now, behind all older ones of the repository.
pub(crate) fn defer(
    push: &Push,
    repository: &Repository,
    settings: &Settings,
    updates: &[RefUpdate],
    ctx: &Context,
) -> Result<(), Error> {
    let spool = prepared(push, repository, settings, ctx)?;
    let draft = push.draft(Content::Deferred(updates.to_vec()));
    let messages = updates.len();
    spool
        .enqueue(&draft, &ctx.id_parts())
        .map_err(|source| Error::Enqueue { messages, source })?;
    if settings.mode == Mode::Spool {
        return Ok(());
    }
    ctx.flush_detached(spool.root())
}

/// Returns the spool of a repository, in which older messages come before the next entry.
fn prepared(
    push: &Push,
    repository: &Repository,
    settings: &Settings,
    ctx: &Context,
) -> Result<Spool, Error> {
    let spool = locate::spool_of(&push.git_dir, Some(settings)).held_open();
    ensure_usable_by_its_owner(&spool, &push.git_dir, ctx)?;
    intents::settle(
        &spool,
        repository,
        &push.git_dir,
        (&[], &intents::nobody()),
        ctx,
    )?;
    locate::adopt_former(&push.git_dir, &spool)?;
    Ok(spool)
}

/// Fails as root in another account's spool: hooks of that account could not use root's files.
fn ensure_usable_by_its_owner(spool: &Spool, git_dir: &Path, ctx: &Context) -> Result<(), Error> {
    if ctx.own_uid() != 0 {
        return Ok(());
    }
    let there = fs::metadata(spool.root()).or_else(|_| fs::metadata(git_dir));
    let owner = there.map_or(0, |meta| meta.uid());
    if owner == 0 {
        return Ok(());
    }
    let (name, _) = ctx.account(owner);
    Err(Error::Failed {
        what: format!(
            "cannot write to spool `{}` as root: it is `{name}` whose hooks must read it",
            spool.root().display()
        ),
        hint: Some(format!(
            "run it as that account: runuser -u {name} -- refpost …"
        )),
    })
}
