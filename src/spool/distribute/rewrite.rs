//! Rewriting an entry in `new/` under its id, with messages in the place of ref updates, or with
//! new data about it.

use std::time::SystemTime;

use crate::payload::Message;
use crate::spool::entry::Entry;
use crate::spool::error::SpoolError;
use crate::spool::names::id::Id;
use crate::spool::record::{Built, Content, Draft, Header};
use crate::spool::{Lock, Spool, disk, enqueue};

impl Spool {
    /// Replaces an entry under the same id: with its messages in place of the ref updates, or with
    /// new data about it.
    ///
    /// The caller has locked `new/`.
    pub(super) fn replace(&self, id: &Id, draft: &Draft) -> Result<Entry, SpoolError> {
        let new = self.new_name(id);
        // Not `tmp/<id>`: the hook that enqueued it may yet be unlinking that.
        let tmp = self.work_dir()?.entry(format!("{id}.built"));
        // Crash inside: its messages are to be built still, and are built anew; or they are built
        // for good.
        // Its messages go nowhere before that is durable, so their `msg_id` lasts.
        enqueue::replace(draft, &tmp, &new, self.access)?;
        Ok(Entry::open(&new)?)
    }

    /// Records in an entry, whose messages are not built, the time since when it misses an object
    /// or waits for an entry that does.
    ///
    /// The caller has locked `new/`.
    pub(super) fn note_missing(
        &self,
        id: &Id,
        header: &Header,
        since: Option<SystemTime>,
    ) -> Result<(), SpoolError> {
        if let Content::Deferred(updates) = &header.content
            && since != header.missing_since
        {
            let mut draft = header.with(Content::Deferred(updates.clone()));
            draft.missing_since = since;
            self.replace(id, &draft)?;
        }
        Ok(())
    }

    /// Replaces the ref updates of an entry with its messages, for a process that builds beside a
    /// flush.
    ///
    /// An entry that is gone, or built by now, stays as it is.
    pub fn put_built(
        &self,
        id: &Id,
        header: &Header,
        built: Built<Message>,
    ) -> Result<(), SpoolError> {
        let _held = disk::lock(&self.new_dir(), Lock::Wait)?;
        let is_owed = |entry: Entry| matches!(entry.header().content, Content::Deferred(_));
        if self.open_new(id).is_ok_and(is_owed) {
            let bytes = built.size();
            self.replace(id, &header.with(Content::Built(built)))?;
            self.count_size(&header.repository, id, bytes);
        }
        Ok(())
    }
}
