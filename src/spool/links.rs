//! Entries on their way from `new/` to queues, made durable some at a time.

use std::collections::BTreeMap;
use std::io;

use super::error::IoError;
use super::id::Id;
use super::intake::Distributed;
use super::item::Item;
use super::queue::Queue;
use super::{Folder, Name, Spool, disk};

/// How many queues are open, or a few more, before they are flushed.
const QUEUES: usize = 64;

/// Links into queues that are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The queues that were linked into, open.
    touched: BTreeMap<Queue, Folder>,
    /// Entries that have all their links, and can leave `new/` once those are durable.
    ready: Vec<Id>,
    /// A flush has failed. fsync(2) tells an error once, so no later one makes up for it, and
    /// what has links stays in `new/` too.
    has_failed: bool,
}

impl Links {
    /// Gives an entry a name in each of these queues, or in none of them.
    pub(super) fn add<'q>(
        &mut self,
        spool: &Spool,
        id: &Id,
        queues: impl IntoIterator<Item = &'q Queue>,
    ) -> Result<(), IoError> {
        let new = spool.new_name(id);
        let item = Item::first(id).to_string();
        let mut made = vec![];
        for queue in queues {
            let known = self.touched.get(queue).cloned();
            let dir = known.unwrap_or_else(|| spool.retry_dir(queue));
            let name = dir.entry(&item);
            match link_into(spool, &new, &name) {
                Ok(true) => made.push(name),
                Ok(false) => {}
                Err(error) => {
                    // It stays in `new/`: in no queue, rather than in some at each run.
                    for name in made {
                        let _ = disk::unlink(&name);
                    }
                    return Err(error);
                }
            }
            if !self.touched.contains_key(queue) {
                self.touched.insert(queue.clone(), dir);
            }
        }
        Ok(())
    }

    /// This entry needs no further link.
    pub(super) fn complete(&mut self, id: Id) {
        self.ready.push(id);
    }

    /// Whether it is time to flush, with so many entries ready at most.
    pub(super) fn are_many(&self, most: usize) -> bool {
        self.ready.len() >= most || self.touched.len() >= QUEUES
    }

    /// Makes the links durable, removes the entries that are ready from `new/`, and says so.
    pub(super) fn flush(&mut self, spool: &Spool, to: &mut Distributed) -> Result<(), IoError> {
        // Crash here: an entry is in some of its queues and in `new/`. The next run
        // makes the same names, finds those that are there, and adds the others.
        // What was delivered in between is delivered again.
        let touched = std::mem::take(&mut self.touched);
        let ready = std::mem::take(&mut self.ready);
        if std::mem::replace(&mut self.has_failed, true) {
            return Ok(());
        }
        for queue in touched.values() {
            disk::flush_dir(queue)?;
        }
        if !touched.is_empty() {
            // For queues whose directory is new, whoever made it.
            disk::flush_dir(&spool.retry_root())?;
        }
        self.has_failed = false;
        to.queues.extend(touched.into_keys());
        for id in ready {
            disk::unlink(&spool.new_name(&id))?;
            to.entries += 1;
        }
        Ok(())
    }
}

/// Links into a queue, which is made if need be; whether the name is new.
fn link_into(spool: &Spool, new: &Name, name: &Name) -> Result<bool, IoError> {
    match disk::link(new, name) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
            disk::ensure_dir(name.folder(), spool.own_access())?;
            disk::link(new, name)
        }
        other => other,
    }
}
