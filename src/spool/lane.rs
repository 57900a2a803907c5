//! The queue of one endpoint, locked for delivery.

use std::fs::File;
use std::ops::ControlFlow;
use std::time::SystemTime;

use super::entry::Entry;
use super::error::{EntryError, IoError, SpoolError};
use super::names::id::Id;
use super::names::item::{Failed, Item, Part};
use super::names::queue::Queue;
use super::names::times;
use super::waiting::{Names, Waiting};
use super::{Folder, Lock, Name, Spool, disk};

/// Number of bytes by which the name of an item can grow: by its attempts, and by two numbers of
/// messages.
const LONGER: usize = 24;
/// Number of names of a queue that are in memory at once.
const WINDOW: usize = 1024;

impl Spool {
    /// Returns the queues that have, or had, waiting items.
    pub fn queues(&self) -> Result<Vec<Queue>, IoError> {
        queues_in(&self.retry_root(), &|name| Queue::new(name).ok())
    }

    /// Returns all waiting items of a queue, by names alone.
    ///
    /// For display, not for delivery: another process may be delivering from it.
    pub fn peek(&self, queue: &Queue) -> Result<Waiting, IoError> {
        let mut names = Names::new(None, usize::MAX);
        disk::each_name(&self.retry_dir(queue), &mut |name| names.take(name))?;
        Ok(names.sorted().0)
    }

    /// Locks a queue for delivery. Returns `None` if another process holds it or it does not exist.
    pub fn lane(&self, queue: &Queue) -> Result<Option<Lane>, IoError> {
        self.lane_within(queue, Lock::Try)
    }

    /// Locks a queue for delivery, perhaps after waiting for the lock.
    pub(super) fn lane_within(&self, queue: &Queue, lock: Lock) -> Result<Option<Lane>, IoError> {
        let spool = self.clone().held_open();
        let Some((dir, held)) = spool.lock_queue(queue, lock)? else {
            return Ok(None);
        };
        // An item that cannot be crossed off would be delivered again at each run.
        disk::ensure_writable(&dir)?;
        Ok(Some(Lane {
            spool,
            queue: queue.clone(),
            dir,
            _held: held,
        }))
    }
}

/// Returns the folders in a folder that are queues, in the order of their names.
pub(super) fn queues_in(
    folder: &Folder,
    queue: &dyn Fn(&str) -> Option<Queue>,
) -> Result<Vec<Queue>, IoError> {
    let mut queues = vec![];
    disk::each_folder(folder, &mut |name| {
        queues.extend(name.to_str().and_then(queue));
    })?;
    queues.sort();
    Ok(queues)
}

/// One endpoint's queue, locked for delivery.
///
/// Dropping it, or the death of the process, frees the lock; dropping it also removes the queue's
/// folder if it has no names.
///
/// A person can drop a waiting item, or change its due time, at any moment. A step whose item has
/// lost its name by that fails ([`SpoolError::is_gone`]): the queue is to be looked at again.
///
/// Each step takes an [`Item`] as [`Lane::waiting`] or another step returned it. Only a step that
/// could lose something waits for the disk; after a power failure the others may not have happened,
/// which repeats an attempt.
///
/// `total` is the number of messages of the entry that this queue gets
/// ([`messages_for`](super::Header::messages_for)).
#[derive(Debug)]
#[must_use = "dropping it frees the queue"]
pub struct Lane {
    spool: Spool,
    queue: Queue,
    dir: Folder,
    _held: File,
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The lock is still held. After a crash before this, or an error, the folder stays, empty.
        let _ = disk::remove_if_empty(&self.dir);
    }
}

impl Lane {
    /// Returns the queue's name.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Returns the waiting items, by names alone, and removes names that crashes left.
    ///
    /// No entry is opened. Of a long queue only the beginning is returned: [`Waiting::rest_after`]
    /// says where to go on.
    pub fn waiting(&self) -> Result<Waiting, IoError> {
        self.waiting_after(None)
    }

    /// Returns the waiting items of entries after this one, as [`Lane::waiting`] does.
    pub fn waiting_after(&self, after: Option<&Id>) -> Result<Waiting, IoError> {
        self.sorted_out(Names::new(after, WINDOW))
    }

    /// Returns all waiting items, of a queue of any length.
    pub(super) fn all(&self) -> Result<Waiting, IoError> {
        self.sorted_out(Names::new(None, usize::MAX))
    }

    fn sorted_out(&self, mut names: Names<'_>) -> Result<Waiting, IoError> {
        disk::each_name(&self.dir, &mut |name| names.take(name))?;
        let (waiting, leftovers) = names.sorted();
        for item in leftovers {
            disk::unlink(&self.name(&item))?;
        }
        Ok(waiting)
    }

    /// Returns whether an entry before this one waits in order. Of a long queue little is read.
    pub fn has_older(&self, id: &Id) -> Result<bool, IoError> {
        let mut has_older = false;
        disk::each_name_until(&self.dir, &mut |name| {
            let item = name.to_str().and_then(Item::parse);
            let is_older = |item: Item| matches!(item.part, Part::From(_)) && item.id < *id;
            has_older = item.is_some_and(is_older);
            if has_older {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(has_older)
    }

    /// Returns whether the entry of a waiting item is still in `new/`.
    ///
    /// Such an item must not be delivered yet: its name here may not be durable, and after a power
    /// failure the name of an older one may be missing.
    #[must_use]
    pub fn is_arriving(&self, item: &Item) -> bool {
        disk::stat(&self.spool.new_name(&item.id)).is_ok()
    }

    /// Returns the spool of the queue.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Opens the entry of a waiting item.
    pub fn open(&self, item: &Item) -> Result<Entry, EntryError> {
        self.spool.at_home(Entry::open(&self.name(item)))
    }

    /// Fails if there is no room for another name of this item.
    ///
    /// Without room the result of an attempt could not be kept, and the attempt would be made again
    /// at each run.
    pub fn ensure_room(&self, item: &Item) -> Result<(), IoError> {
        if !disk::is_scarce(&self.dir) {
            return Ok(());
        }
        // As long as the longest name that the item can get. With a dot in front it is not an item.
        let length = item.to_string().len() + LONGER;
        let probe = self.dir.entry(format!(".{:-<length$}", "room"));
        // A crash may have left this name in an earlier try.
        disk::unlink(&probe)?;
        disk::link(&self.name(item), &probe)?;
        disk::unlink(&probe)
    }

    /// Marks the item's next message as done. Returns the rest of the item, if any.
    pub fn advance(&self, item: &Item, total: u32) -> Result<Option<Item>, IoError> {
        if item.is_last(total) {
            self.remove(item)?;
            return Ok(None);
        }
        let next = item.part.first().saturating_add(1);
        // The endpoint takes messages: the rest is due at once.
        let rest = Item {
            part: Part::From(next),
            ..Item::first(&item.id)
        };
        // Crash before: the message, which may have been delivered, is delivered again.
        self.rename(item, rest).map(Some)
    }

    /// Postpones the item's next message until `due`, after this number of failed attempts.
    ///
    /// To try again at once as if it had never failed, pass the current time and 0.
    pub fn defer(&self, item: &Item, due: SystemTime, attempts: u32) -> Result<Item, IoError> {
        let later = Item {
            due: times::round_up(due),
            attempts,
            ..item.clone()
        };
        // Crash before: the attempt is repeated.
        self.rename(item, later)
    }

    /// Makes the item's next message one that was refused, so that the others can pass it. Returns the
    /// rest of the item, if any.
    ///
    /// A message that was refused before stays so.
    pub fn step_aside(
        &self,
        item: &Item,
        total: u32,
        due: SystemTime,
        attempts: u32,
    ) -> Result<Option<Item>, IoError> {
        if matches!(item.part, Part::Only(_)) {
            self.defer(item, due, attempts)?;
            return Ok(None);
        }
        let refused = Item {
            due: times::round_up(due),
            attempts,
            part: Part::Only(item.part.first()),
            ..item.clone()
        };
        disk::link(&self.name(item), &self.name(&refused))?;
        // The item in order is renamed only after the refused one is durable.
        disk::flush_dir(&self.dir)?;
        // Crash here: a refused item of a message that the item in order has yet to deliver. The
        // next listing removes the refused one, and the attempt is repeated.
        self.advance(item, total)
    }

    /// Moves the item's next message to `failed/`. Returns the rest of the item, if any.
    pub fn fail_one(&self, item: &Item, total: u32) -> Result<Option<Item>, SpoolError> {
        let n = item.part.first();
        // The only message that there is needs no number.
        let part = if total == 1 {
            Part::From(0)
        } else {
            Part::Only(n)
        };
        self.spool
            .link_to_failed(&self.name(item), &self.failed(item, part))?;
        // Crash here: the message is in `failed/` and is the item's next one. It is
        // tried again; if it is delivered, `failed/` keeps what could be dropped.
        Ok(self.advance(item, total)?)
    }

    /// Moves the rest of the item to `failed/`.
    pub fn fail_rest(&self, item: &Item) -> Result<(), SpoolError> {
        let failed = self.failed(item, item.part);
        self.spool.move_to_failed(&self.name(item), &failed)
    }

    /// Moves the item's entry, which cannot be read, to `failed/unreadable/`.
    pub fn set_aside(&self, item: &Item) -> Result<(), SpoolError> {
        self.spool.set_aside(&self.name(item), &item.id)
    }

    /// Removes the item, whose rest is done, or no longer wanted.
    pub fn remove(&self, item: &Item) -> Result<(), IoError> {
        // Crash before: delivered again, as with `advance`.
        if !disk::unlinked(&self.name(item))? {
            // A person has renamed it meanwhile: it is done all the same.
            self.spool
                .drop_waiting(&self.queue, std::slice::from_ref(item))?;
        }
        Ok(())
    }

    fn rename(&self, from: &Item, to: Item) -> Result<Item, IoError> {
        disk::rename(&self.name(from), &self.name(&to))?;
        Ok(to)
    }

    fn failed(&self, item: &Item, part: Part) -> Failed {
        Failed {
            queue: self.queue.clone(),
            id: item.id.clone(),
            part,
        }
    }

    fn name(&self, item: &Item) -> Name {
        self.dir.entry(item.to_string())
    }
}
