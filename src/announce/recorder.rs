//! Records a push as entries, one for each batch of its refs, and settles its intents with them.
//!
//! Crash between two batches: earlier batches lie in `new/` whole, and their intents are withdrawn,
//! or named by those entries. The intents of the rest stand as pre-receive recorded them, and are
//! settled from the repository once git is gone. Where intents are not recorded, batches that were
//! not enqueued are lost, as is all of a push that is killed before its one entry is there.
//!
//! Crash after a batch is enqueued and before its refs are struck from an intent that has others
//! too (some were not moved, so that batches fall otherwise than they did before): those refs are
//! announced once more.

use std::collections::HashSet;
use std::iter::Peekable;

use super::batches::Batch;
use super::compose::Composer;
use super::git_process::LazyCaller;
use super::push::Push;
use super::unannounced::log_misfits;
use super::{consumed, intents};
use crate::context::{Context, locate, max_spool};
use crate::error::Error;
use crate::event::RefUpdate;
use crate::payload::Message;
use crate::spool::{
    Claim, Content, Draft, Id, Intent, Queue, Recipient, Selection, Spool, SpoolError,
};
use crate::{git, report};

/// Records a push, and keeps account of the result.
pub(crate) struct Recorder<'a> {
    push: &'a Push,
    spool: &'a Spool,
    caller: &'a LazyCaller,
    ctx: &'a Context,
    recorded: Recorded,
    /// Intents of this push that have a ref in an earlier batch.
    met: HashSet<Id>,
    /// True if batches claim their places before they are composed.
    claims: bool,
    /// Place of the batch being recorded, until an entry has it.
    claim: Option<Claim>,
}

/// Records some of a push's updates. The flag is true if they are the last ones.
type Record<'r, 'a> = dyn FnMut(&mut Recorder<'a>, &[RefUpdate], bool) -> Result<(), Error> + 'r;

/// Result of recording a push.
#[derive(Default)]
pub(crate) struct Recorded {
    /// Number of batches.
    batches: usize,
    /// Number of messages that were made, without those that could not be recorded.
    pub(crate) messages: usize,
    /// Number of messages for each endpoint.
    pub(crate) shares: Vec<Share>,
    /// Number of entries with messages.
    entries: usize,
    /// The last of these entries, and its recipients.
    pub(crate) entry: Option<(Id, Vec<Recipient>)>,
    /// First reason for which messages are deferred.
    deferred: Option<Error>,
    /// Number of messages that could not be recorded, and the first reason.
    lost: Option<(usize, SpoolError)>,
    /// First other error.
    failed: Option<Error>,
}

/// Number of messages for an endpoint.
pub(crate) struct Share {
    pub(crate) endpoint: String,
    pub(crate) queue: Queue,
    pub(crate) wanted: usize,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(
        push: &'a Push,
        spool: &'a Spool,
        caller: &'a LazyCaller,
        ctx: &'a Context,
    ) -> Self {
        Self {
            push,
            spool,
            caller,
            ctx,
            recorded: Recorded::default(),
            met: HashSet::new(),
            claims: false,
            claim: None,
        }
    }

    /// Records the messages of the push. Updates whose messages cannot be made are deferred.
    pub(crate) fn record(
        mut self,
        batches: Peekable<impl Iterator<Item = Batch>>,
        composer: &mut Composer<'_>,
    ) -> Recorded {
        self.claims = true;
        self.each(batches, &mut |recorder, updates, ends| {
            let made = composer.made();
            let result = recorder.compose(updates, composer, ends);
            if result.as_ref().is_err_and(Error::is_too_large) {
                composer.rewind(made);
            }
            result
        })
    }

    /// Records the push as it came. Its messages are made once that can be done.
    pub(crate) fn defer(
        self,
        batches: Peekable<impl Iterator<Item = Batch>>,
        why: Error,
    ) -> Recorded {
        let mut why = Some(why);
        self.each(batches, &mut |recorder, updates, ends| {
            recorder.defer_batch(updates, ends)?;
            let deferred = &mut recorder.recorded.deferred;
            *deferred = deferred.take().or_else(|| why.take());
            Ok(())
        })
    }

    /// Settles the intents of a push that stays unannounced. Returns the number of refs that it
    /// moved, too.
    pub(crate) fn skip(self, batches: Peekable<impl Iterator<Item = Batch>>) -> (Recorded, usize) {
        let mut refs = 0;
        let recorded = self.each(batches, &mut |recorder, updates, ends| {
            refs += updates.len();
            recorder.forget(updates, ends)
        });
        (recorded, refs)
    }

    fn each(
        mut self,
        mut batches: Peekable<impl Iterator<Item = Batch>>,
        record: &mut Record<'_, 'a>,
    ) -> Recorded {
        let mut claim = self.claim(batches.peek(), None);
        while let Some(batch) = batches.next() {
            let ends = batches.peek().is_none();
            self.recorded.batches += 1;
            // The next batch has its place before this one is recorded, so that no later push comes
            // between.
            let next = match &claim {
                Some(claim) => self.claim(batches.peek(), Some(claim)),
                None => None,
            };
            self.claim = claim;
            match batch {
                Ok(updates) => self.batch(&updates, ends, record),
                Err(error) => self.fail(error),
            }
            self.unclaim();
            claim = next;
        }
        let lost = self.recorded.lost.as_ref();
        // A push that has intents is announced when they are settled.
        if self.met.is_empty() && lost.is_some_and(|(_, why)| why.is_no_room()) {
            // The pusher is told. Nothing can be done if there is no room for the count either.
            self.spool.count_lost(self.ctx.now()).ok();
        }
        self.recorded
    }

    /// Claims the place of a batch before its messages are made. Returns `None` if that fails, on a
    /// full disk for example: the batch gets its place when recorded.
    fn claim(&self, batch: Option<&Batch>, after: Option<&Claim>) -> Option<Claim> {
        let updates = batch.filter(|_| self.claims)?.as_ref().ok()?;
        // A batch that is not full is the last. Whether another follows is not waited for.
        let draft = self.claimed(updates, !git::is_full(updates));
        self.spool.claim(&draft, &self.ctx.id_parts(), after).ok()
    }

    /// Returns the draft of a claim; `ends` is true for the push's last refs. A claim stays if the
    /// hook dies, and settles the intents that its entry would.
    fn claimed(&self, updates: &[RefUpdate], ends: bool) -> Draft {
        let intents = self.push.intents(self.spool);
        let mut draft = self.push.draft(Content::Deferred(updates.to_vec()));
        let met = ends.then_some(&self.met);
        draft.confirms = consumed::settled_by(updates, &intents, self.caller, met).settled;
        draft
    }

    /// Gives up a claim that no entry has taken.
    fn unclaim(&mut self) {
        if let Some(unused) = self.claim.take() {
            // A claim that cannot be withdrawn is announced, rather than that nothing is.
            self.spool.withdraw_claim(&unused).ok();
        }
    }

    /// Records a batch, in parts if one entry cannot hold it.
    fn batch(&mut self, updates: &[RefUpdate], ends: bool, record: &mut Record<'_, 'a>) {
        match record(self, updates, ends) {
            Ok(()) => {}
            Err(error) if error.is_too_large() && updates.len() > 1 => {
                let (one, other) = updates.split_at(updates.len() / 2);
                // Both halves have their places before one has its entry: no later push comes
                // between.
                let draft = self.claimed(other, ends);
                let first = self.claim.as_mut();
                let second = first.and_then(|it| self.spool.split_claim(it, &draft).ok());
                self.batch(one, false, record);
                self.unclaim();
                self.claim = second;
                self.batch(other, ends, record);
            }
            Err(error) => self.fail(error),
        }
    }

    /// Keeps an error for the result. A batch that fails does not keep the next ones from being
    /// recorded.
    fn fail(&mut self, error: Error) {
        let recorded = &mut self.recorded;
        match (error, &mut recorded.lost) {
            (Error::Enqueue { messages, .. }, Some((lost, _))) => *lost += messages,
            (Error::Enqueue { messages, source }, lost) => *lost = Some((messages, source)),
            (error, _) => drop(recorded.failed.get_or_insert(error)),
        }
    }

    fn compose(
        &mut self,
        updates: &[RefUpdate],
        composer: &mut Composer<'_>,
        ends: bool,
    ) -> Result<(), Error> {
        if let Err(full) = self.room(composer.max_spool()) {
            self.defer_batch(updates, ends)?;
            self.recorded.deferred.get_or_insert(full);
            return Ok(());
        }
        let built = match composer.built(updates) {
            Ok(built) => built,
            Err(error) if error.is_too_large() && updates.len() > 1 => return Err(error),
            Err(error) => {
                self.defer_batch(updates, ends)?;
                self.recorded.deferred.get_or_insert(error);
                return Ok(());
            }
        };
        log_misfits(self.spool, &self.push.git_dir, composer, self.ctx);
        let messages = built.messages.len();
        if built.recipients.is_empty() {
            self.recorded.messages += messages;
            return self.forget(updates, ends);
        }
        // The push is recorded all the same: a flush adopts the rest.
        if let Err(error) = locate::adopt_former(&self.push.git_dir, self.spool) {
            self.ctx.tell_error(error);
        }
        let (recipients, bytes) = (built.recipients.clone(), built.size());
        if let Some(id) = self.enqueue(updates, Content::Built(built), messages, ends)? {
            self.spool.count_size(&self.push.git_dir, &id, bytes);
            self.recorded.add(id, recipients, messages);
        }
        Ok(())
    }

    /// Fails if as many bytes wait for the repository as may.
    fn room(&self, max_spool: Option<u64>) -> Result<(), Error> {
        max_spool.map_or(Ok(()), |most| {
            max_spool::ensure(self.spool, &self.push.git_dir, most, None)
        })
    }

    fn defer_batch(&mut self, updates: &[RefUpdate], ends: bool) -> Result<(), Error> {
        let (content, count) = (Content::Deferred(updates.to_vec()), updates.len());
        self.enqueue(updates, content, count, ends).map(drop)
    }

    /// Makes an entry durable, and withdraws the intents that it settles. Returns `None` if there
    /// was no room for it, and the updates were recorded as they came.
    fn enqueue(
        &mut self,
        updates: &[RefUpdate],
        content: Content<Message>,
        messages: usize,
        ends: bool,
    ) -> Result<Option<Id>, Error> {
        let intents = self.push.intents(self.spool);
        let mut draft = self.push.draft(content).of_moves(updates);
        draft.confirms = self.settled(updates, &intents, ends);
        let claim = self.claim.take();
        let enqueued = match &claim {
            Some(claim) => self.spool.enqueue_claimed(&draft, claim),
            None => self.spool.enqueue(&draft, &self.ctx.id_parts()),
        };
        let id = match enqueued {
            Ok(id) => Some(id),
            Err(source) => {
                let is_no_room = source.is_no_room();
                let why = Error::Enqueue { messages, source };
                draft.content = Content::Deferred(updates.to_vec());
                let parts = self.ctx.id_parts();
                let spare = || self.spool.enqueue_spare(&draft, &parts, claim.as_ref());
                if !is_no_room || spare().is_err() {
                    // The parts of a batch that is too large have its place.
                    self.claim = claim.filter(|_| why.is_too_large());
                    return Err(why);
                }
                self.recorded.deferred.get_or_insert(why);
                None
            }
        };
        intents::withdraw(self.spool, &intents, &draft.confirms, updates, self.caller)?;
        Ok(id)
    }

    /// Settles the intents of updates that no endpoint gets a message of.
    fn forget(&mut self, updates: &[RefUpdate], ends: bool) -> Result<(), Error> {
        if !self
            .spool
            .note_at_once(&self.push.git_dir, &self.push.namespace, updates)
        {
            return self.enqueue(updates, Content::nothing(), 0, ends).map(drop);
        }
        let intents = self.push.intents(self.spool);
        let settled = self.settled(updates, &intents, ends);
        intents::withdraw(self.spool, &intents, &settled, updates, self.caller)
    }

    /// Returns the intents that these updates settle; `ends` is true for the push's last ones. An
    /// intent that may yet be needed, since an earlier batch could not be recorded, is left out.
    fn settled(&mut self, updates: &[RefUpdate], intents: &[Intent], ends: bool) -> Vec<Id> {
        let recorded = &self.recorded;
        let ends = ends && recorded.lost.is_none() && recorded.failed.is_none();
        let judged = consumed::settled_by(updates, intents, self.caller, ends.then_some(&self.met));
        self.met.extend(judged.met);
        judged.settled
    }
}

impl Recorded {
    /// Returns the result for messages in one entry.
    pub(crate) fn one(id: Id, recipients: Vec<Recipient>, messages: usize) -> Self {
        let mut recorded = Self {
            batches: 1,
            ..Self::default()
        };
        recorded.add(id, recipients, messages);
        recorded
    }

    /// Adds an entry with this number of messages.
    fn add(&mut self, id: Id, recipients: Vec<Recipient>, messages: usize) {
        self.messages += messages;
        self.entries += 1;
        let shares = recipients.iter().flat_map(Recipient::shares);
        for (queue, one) in shares {
            let wanted = match &one.messages {
                Selection::All => messages,
                Selection::Only(numbers) => numbers.len(),
            };
            let mut shares = self.shares.iter_mut();
            match shares.find(|share| share.endpoint == one.endpoint) {
                Some(share) => share.wanted += wanted,
                None => self.shares.push(Share {
                    endpoint: one.endpoint.clone(),
                    queue: queue.clone(),
                    wanted,
                }),
            }
        }
        self.entry = Some((id, recipients));
    }

    /// Returns whether the push became one batch in one entry, as an ordinary push does.
    pub(crate) fn is_one_entry(&self) -> bool {
        self.batches == 1 && self.entries == 1
    }

    /// Returns the error that the pusher must be told. Of two, prints the one about deferred messages
    /// here.
    pub(crate) fn into_result(self) -> Result<(), Error> {
        let deferred = self.deferred.map(|why| Error::Deferred(Box::new(why)));
        let lost = self
            .lost
            .map(|(messages, source)| Error::Enqueue { messages, source });
        match (lost.or(self.failed), deferred) {
            (Some(error), deferred) => {
                if let Some(deferred) = deferred {
                    report::error(&deferred);
                }
                Err(error)
            }
            (None, Some(deferred)) => Err(deferred),
            (None, None) => Ok(()),
        }
    }
}
