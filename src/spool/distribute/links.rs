//! Linking entries from `new/` into queues, and making the links durable some at a time.

use std::collections::BTreeSet;

use super::intake::Distributed;
use crate::spool::announced::Moves;
use crate::spool::error::IoError;
use crate::spool::names::id::Id;
use crate::spool::names::item::Item;
use crate::spool::names::queue::Queue;
use crate::spool::record::Header;
use crate::spool::{Spool, disk};

/// Number of queues that are linked into before they are flushed. One entry can make it more.
const QUEUES: usize = 64;

/// Links into queues that are not durable yet.
#[derive(Debug, Default)]
pub(in crate::spool) struct Links {
    /// The queues that were linked into. None of them is kept open: an entry can have more
    /// endpoints than a process can have files.
    touched: BTreeSet<Queue>,
    /// The queues that were flushed since entries last left `new/`.
    flushed: BTreeSet<Queue>,
    /// Entries that have all their links, and can leave `new/` once those are durable.
    ready: Vec<Id>,
    /// The moves of these entries.
    moves: Moves,
}

impl Links {
    /// Gives an entry a name in each of these queues, or in none of them.
    pub(in crate::spool) fn add<'q>(
        &mut self,
        spool: &Spool,
        id: &Id,
        queues: impl IntoIterator<Item = &'q Queue>,
    ) -> Result<(), IoError> {
        let new = spool.new_name(id);
        let item = Item::first(id).to_string();
        let retry = spool.retry_root();
        let mut made = vec![];
        for queue in queues {
            let dir = retry.child(queue.as_str());
            match spool.link_into(&dir, |dir| disk::link(&new, &dir.entry(&item))) {
                Ok(true) => made.push(queue),
                Ok(false) => {}
                Err(error) => {
                    // It stays in `new/`: in no queue, rather than in some at each run.
                    for queue in made {
                        let _ = disk::unlink(&retry.child(queue.as_str()).entry(&item));
                    }
                    return Err(error);
                }
            }
            self.touched.insert(queue.clone());
        }
        Ok(())
    }

    /// Marks an entry that needs no further link.
    pub(in crate::spool) fn complete(&mut self, id: Id, header: &Header) {
        self.ready.push(id);
        self.moves.add(header);
    }

    /// Returns whether it is time to flush: `most` entries are ready, or many queues were linked
    /// into.
    pub(in crate::spool) fn are_many(&self, most: usize) -> bool {
        self.ready.len() >= most || self.touched.len() >= QUEUES
    }

    /// Returns whether no entry is on its way.
    pub(in crate::spool) fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.ready.is_empty()
    }

    /// Returns whether a flush has begun and is not over.
    pub(in crate::spool) fn is_being_flushed(&self) -> bool {
        !self.flushed.is_empty()
    }

    /// Makes links durable while `goes_on`, at least those of 64 queues.
    ///
    /// Once all of them are, the entries that are ready leave `new/`, and are counted in `to`.
    /// `new/` is not locked between two calls. Another process that distributes the same entries
    /// meanwhile makes the same names.
    pub(in crate::spool) fn flush(
        &mut self,
        spool: &Spool,
        goes_on: &mut dyn FnMut() -> bool,
        to: &mut Distributed,
    ) -> Result<(), IoError> {
        let flushed = self.flush_some(spool, goes_on, to);
        if flushed.is_err() {
            // fsync(2) tells an error once, so no later one makes up for it, and entries that have
            // links stay in `new/` too.
            *self = Self::default();
        }
        flushed
    }

    fn flush_some(
        &mut self,
        spool: &Spool,
        goes_on: &mut dyn FnMut() -> bool,
        to: &mut Distributed,
    ) -> Result<(), IoError> {
        // Crash here: an entry is in some of its queues and in `new/`. The next run
        // makes the same names, finds those that are there, and adds the others.
        // What was delivered in between is delivered again.
        let retry = spool.retry_root();
        while let Some(queue) = self.touched.pop_first() {
            // If its folder is gone, all items that were linked there have been taken.
            disk::unless_gone(disk::flush_dir(&retry.child(queue.as_str())))?;
            self.flushed.insert(queue);
            if self.flushed.len().is_multiple_of(QUEUES) && !goes_on() {
                return Ok(());
            }
        }
        if !self.flushed.is_empty() {
            // For queues whose directory is new, made by any process.
            disk::flush_dir(&retry)?;
        }
        to.queues.append(&mut self.flushed);
        // Crash here: the entries are in `new/`, and their moves are noted once more.
        spool.note_announced(&std::mem::take(&mut self.moves));
        for id in self.ready.drain(..) {
            if disk::unlinked(&spool.new_name(&id))? {
                to.entries += 1;
            }
        }
        Ok(())
    }
}
