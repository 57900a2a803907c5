//! Records messages that a person asked for, and leaves them to delivery.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::compose::{self, Composer};
use super::intents;
use super::leave::{Listener, leave};
use super::push::Push;
use super::push_options::PushOptions;
use super::recorder::Recorded;
use crate::config::{Mode, Settings};
use crate::context::{Context, locate};
use crate::error::Error;
use crate::event::RefUpdate;
use crate::git::Repository;
use crate::payload::Message;
use crate::spool::{Built, Content, Spool};

/// The messages of a push that a person asked for.
#[derive(Clone, Copy)]
pub(crate) struct ByHand<'a> {
    pub(crate) push: &'a Push,
    pub(crate) repository: &'a Repository,
    pub(crate) settings: &'a Settings,
    pub(crate) ctx: &'a Context,
}

/// Returns a push that no git received.
pub(crate) fn push(repository: &Repository, pusher: Option<&String>, ctx: &Context) -> Push {
    Push {
        namespace: repository.namespace().to_owned(),
        git_dir: repository.path(),
        pusher: pusher.cloned().unwrap_or_else(|| compose::pusher(ctx)),
        time: ctx.now(),
        options: PushOptions::default(),
    }
}

impl<'a> ByHand<'a> {
    pub(crate) fn composer(self) -> Composer<'a> {
        let (pusher, time) = (&self.push.pusher, self.push.time);
        Composer::new(self.repository, self.settings, self.ctx, pusher, None, time)
    }

    /// Records messages behind all older ones of the repository, and tells the person where they
    /// are.
    ///
    /// With them go the moves that are announced for the first time. Messages that are sent again
    /// come with none: the order of moves that hooks have recorded stays.
    pub(crate) fn send(self, built: Built<Message>, moved: &[RefUpdate]) -> Result<(), Error> {
        let (push, ctx) = (self.push, self.ctx);
        let spool = self.prepared()?;
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
        leave(&recorded, &spool, self.settings, Listener::Admin, ctx)
    }

    /// Records moves whose messages cannot be made now, behind all older ones of the repository.
    pub(crate) fn defer(self, updates: &[RefUpdate]) -> Result<(), Error> {
        let spool = self.prepared()?;
        let draft = self.push.draft(Content::Deferred(updates.to_vec()));
        let messages = updates.len();
        spool
            .enqueue(&draft, &self.ctx.id_parts())
            .map_err(|source| Error::Enqueue { messages, source })?;
        if self.settings.mode == Mode::Spool {
            return Ok(());
        }
        self.ctx.flush_detached(spool.root())
    }

    /// Returns the spool of the repository, in which older messages come before the next entry.
    fn prepared(self) -> Result<Spool, Error> {
        let (git_dir, ctx) = (&self.push.git_dir, self.ctx);
        let spool = locate::spool_of(git_dir, Some(self.settings)).held_open();
        ensure_usable_by_its_owner(&spool, git_dir, ctx)?;
        let by_none = (&[][..], &intents::nobody());
        intents::settle(&spool, self.repository, git_dir, by_none, ctx)?;
        locate::adopt_former(git_dir, &spool)?;
        Ok(spool)
    }
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
