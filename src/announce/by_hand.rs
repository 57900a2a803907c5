//! Records messages that a person asked for, and leaves them to delivery.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::intents;
use super::leave::{Listener, leave};
use super::push::Push;
use super::recorder::Recorded;
use crate::config::Settings;
use crate::context::{Context, locate};
use crate::error::Error;
use crate::git::Repository;
use crate::payload::Message;
use crate::spool::{Built, Content, Spool};

/// Records messages behind all older ones of the repository, and tells the person where they are.
///
/// No move of a ref goes with them: the order of moves that hooks have recorded stays.
pub(crate) fn send(
    push: &Push,
    repository: &Repository,
    settings: &Settings,
    built: Built<Message>,
    ctx: &Context,
) -> Result<(), Error> {
    let spool = locate::spool_of(&push.git_dir, Some(settings)).held_open();
    ensure_usable_by_its_owner(&spool, &push.git_dir, ctx)?;
    // Older messages must leave before these.
    intents::settle(
        &spool,
        repository,
        &push.git_dir,
        (&[], &intents::nobody()),
        ctx,
    )?;
    locate::adopt_former(&push.git_dir, &spool)?;
    let (messages, recipients) = (built.messages.len(), built.recipients.clone());
    let draft = push.draft(Content::Built(built));
    let id = spool
        .enqueue(&draft, &ctx.id_parts())
        .map_err(|source| Error::Enqueue { messages, source })?;
    let recorded = Recorded::one(id, recipients, messages);
    leave(&recorded, &spool, settings, Listener::Admin, ctx)
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
