//! One endpoint's queue, held while something is delivered from it.

use std::fs::File;
use std::time::SystemTime;

use super::entry::Entry;
use super::error::{EntryError, IoError, SpoolError};
use super::names::id::Id;
use super::names::item::{Failed, Item, Part};
use super::names::queue::Queue;
use super::names::stamp;
use super::waiting::{Names, Waiting};
use super::{Folder, Lock, NEW, Name, Spool, disk};

/// How much longer the name of an item can become: by its attempts, and by two numbers of messages.
const LONGER: usize = 24;
/// How many names of a queue are held at once.
const WINDOW: usize = 4096;

impl Spool {
    /// The queues that have something waiting, or had.
    pub fn queues(&self) -> Result<Vec<Queue>, IoError> {
        let names = disk::names(&self.retry_root())?;
        Ok(names
            .iter()
            .filter_map(|name| Queue::new(name.to_str()?).ok())
            .collect())
    }

    /// All that waits in a queue, by names alone. For looking, not for delivering:
    /// somebody else may be at it.
    pub fn peek(&self, queue: &Queue) -> Result<Waiting, IoError> {
        let mut names = Names::new(None, usize::MAX);
        disk::each_name(&self.retry_dir(queue), &mut |name| names.take(name))?;
        Ok(names.sorted().0)
    }

    /// Takes hold of a queue, so that nobody else delivers from it at the same time.
    /// `None`: somebody else has it, or it does not exist; there is nothing to do.
    pub fn lane(&self, queue: &Queue) -> Result<Option<Lane>, IoError> {
        self.lane_within(queue, Lock::Try)
    }

    /// The same, by a lock that may be waited for.
    pub(super) fn lane_within(&self, queue: &Queue, lock: Lock) -> Result<Option<Lane>, IoError> {
        let Some((dir, held)) = self.lock_queue(queue, lock)? else {
            return Ok(None);
        };
        // What cannot be crossed off would be delivered again at each run.
        disk::ensure_writable(&dir)?;
        Ok(Some(Lane {
            spool: self.clone(),
            queue: queue.clone(),
            dir,
            _held: held,
        }))
    }
}

/// One endpoint's queue, held. Dropping it, or dying, lets go; dropping it removes the queue's
/// folder if nothing is left in it.
///
/// A person can drop what waits, or change its due time, at any moment. A step whose item has
/// lost its name by that fails ([`SpoolError::is_gone`]): the queue is to be looked at again.
///
/// Each step takes an [`Item`] as [`Lane::waiting`] gave it, or as another step returned it.
/// Only a step that could lose something waits for the disk; after a power failure the
/// others may not have happened, which repeats an attempt.
///
/// `total` is how many of the entry's messages this queue gets
/// ([`messages_for`](super::Header::messages_for)).
#[derive(Debug)]
pub struct Lane {
    spool: Spool,
    queue: Queue,
    dir: Folder,
    _held: File,
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The lock is held still. Crash before, or an error: it stays, and is empty.
        let _ = disk::remove_if_empty(&self.dir);
    }
}

impl Lane {
    /// Whose it is.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What waits, by names alone; no entry is opened. Clears away what crashes left.
    /// Of a long queue, the beginning: [`Waiting::rest_after`] says where to go on.
    pub fn waiting(&self) -> Result<Waiting, IoError> {
        self.waiting_after(None)
    }

    /// The same, of entries after this one.
    pub fn waiting_after(&self, after: Option<&Id>) -> Result<Waiting, IoError> {
        self.sorted_out(Names::new(after, WINDOW))
    }

    /// All that waits, however long the queue is.
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

    /// Whether the entry of something that waits is in `new/` still. It is to be left alone until
    /// it is not: before that its name here may not be durable, and after a power cut the name
    /// of an older one may be missing.
    #[must_use]
    pub fn is_arriving(&self, item: &Item) -> bool {
        let root = self.dir.parent().and_then(Folder::parent);
        let new = root.map(|root| root.child(NEW));
        new.is_some_and(|new| disk::stat(&new.entry(item.id.as_str())).is_ok())
    }

    /// Opens the entry of something that waits.
    pub fn open(&self, item: &Item) -> Result<Entry, EntryError> {
        self.spool.at_home(Entry::open(&self.name(item)))
    }

    /// Fails if there is no room for another name of this item: what comes of an attempt could
    /// not be kept, and the attempt would be made again at each run.
    pub fn ensure_room(&self, item: &Item) -> Result<(), IoError> {
        if !disk::is_scarce(&self.dir) {
            return Ok(());
        }
        // As long as the longest name that the item can get. A dot: nobody takes it for an item.
        let length = item.to_string().len() + LONGER;
        let probe = self.dir.entry(format!(".{:-<length$}", "room"));
        // What a crash left of the last try.
        disk::unlink(&probe)?;
        disk::link(&self.name(item), &probe)?;
        disk::unlink(&probe)
    }

    /// The item's next message is done. What is left of the item, if anything.
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

    /// The item's next message is tried again when `due`, after so many failures.
    /// For trying again at once, whatever came before: now, and 0.
    pub fn defer(&self, item: &Item, due: SystemTime, attempts: u32) -> Result<Item, IoError> {
        let later = Item {
            due: stamp::round_up(due),
            attempts,
            ..item.clone()
        };
        // Crash before: the attempt is repeated.
        self.rename(item, later)
    }

    /// The item's next message waits for itself from now on, and lets the others
    /// pass. What is left of the item, if anything. One that is aside already stays so.
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
        let aside = Item {
            due: stamp::round_up(due),
            attempts,
            part: Part::Only(item.part.first()),
            ..item.clone()
        };
        disk::link(&self.name(item), &self.name(&aside))?;
        // The main's name is changed only after the aside's is durable.
        disk::flush_dir(&self.dir)?;
        // Crash here: an aside of a message that the main has yet to deliver. The
        // next listing removes the aside, and the main's attempt is repeated.
        self.advance(item, total)
    }

    /// The item's next message is given up. What is left of the item, if anything.
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

    /// All that is left of the item is given up.
    pub fn fail_rest(&self, item: &Item) -> Result<(), SpoolError> {
        let failed = self.failed(item, item.part);
        self.spool.move_to_failed(&self.name(item), &failed)
    }

    /// The item's entry cannot be read: it goes to `failed/unreadable/`.
    pub fn set_aside(&self, item: &Item) -> Result<(), SpoolError> {
        self.spool.set_aside(&self.name(item), &item.id)
    }

    /// All that is left of the item is done, or wanted no more.
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
