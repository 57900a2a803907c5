//! Failed items: moving them to `failed/`, retrying and dropping them.

use std::time::SystemTime;

use super::error::{IoError, SpoolError};
use super::lane::queues_in;
use super::names::id::Id;
use super::names::item::{Failed, Item, Part};
use super::names::queue::Queue;
use super::names::times;
use super::{Name, Spool, disk};

impl Spool {
    /// Returns the queues that have, or had, failed items.
    ///
    /// [`Queue::unreadable`] may be among them.
    pub fn failed_queues(&self) -> Result<Vec<Queue>, IoError> {
        queues_in(&self.failed_root(), &|name| match Queue::unreadable() {
            unreadable if unreadable.as_str() == name => Some(unreadable),
            _ => Queue::new(name).ok(),
        })
    }

    /// Returns the failed items of a queue, oldest first, the parts of one entry in their order.
    pub fn failed(&self, queue: &Queue) -> Result<Vec<Failed>, IoError> {
        let mut failed = vec![];
        self.each_failed(queue, &mut |one| failed.push(one))?;
        failed.sort_by(|a, b| (&a.id, a.part.first()).cmp(&(&b.id, b.part.first())));
        Ok(failed)
    }

    /// Returns the entries that were set aside because building their messages kills the process,
    /// with the way it died.
    pub fn killers(&self) -> Result<Vec<(Id, String)>, IoError> {
        let mut deaths = self.stats().deaths;
        let unreadable = self.failed(&Queue::unreadable())?;
        let known = unreadable.into_iter().filter_map(|failed| {
            let death = deaths.remove(failed.id.as_str())?;
            Some((failed.id, death.why))
        });
        Ok(known.collect())
    }

    /// Passes the failed items of a queue to `take`, unsorted, and keeps none in memory.
    pub(super) fn each_failed(
        &self,
        queue: &Queue,
        take: &mut dyn FnMut(Failed),
    ) -> Result<(), IoError> {
        disk::each_name(&self.failed_dir(queue), &mut |name| {
            if let Some(failed) = name.to_str().and_then(|name| Failed::parse(queue, name)) {
                take(failed);
            }
        })
    }

    /// Puts a failed item back into its queue, due at once and with no attempts.
    ///
    /// An unreadable entry goes back to `new/`: a newer refpost may know its format.
    pub fn retry_failed(&self, failed: &Failed, now: SystemTime) -> Result<(), SpoolError> {
        let from = self.failed_name(failed);
        if failed.queue.is_unreadable() {
            self.forget_deaths(&failed.id);
            let new = self.new_name(&failed.id);
            disk::link(&from, &new)?;
            disk::flush_dir(new.folder())?;
        } else {
            let dir = self.retry_dir(&failed.queue);
            let due = times::round_down(now);
            let item = Item::due_at(&failed.id, failed.part, due).to_string();
            self.link_into(&dir, |dir| disk::link(&from, &dir.entry(&item)))?;
            Self::flush_queue_dir(&dir)?;
        }
        // Crash here: it is in the queue and in `failed/`. It is delivered, and can
        // be retried or dropped once more.
        Ok(disk::unlink(&from)?)
    }

    /// Removes a failed item for good. Returns whether it existed.
    pub fn drop_failed(&self, failed: &Failed) -> Result<bool, IoError> {
        disk::unlinked(&self.failed_name(failed))
    }

    /// Moves a file of the spool to `failed/`.
    ///
    /// The directory is created, and the link is durable, before the old name is removed.
    pub(super) fn move_to_failed(&self, name: &Name, failed: &Failed) -> Result<(), SpoolError> {
        self.link_to_failed(name, failed)?;
        // Crash here: it is in both places. In a queue it is tried again, and if it
        // fails again it finds its name in `failed/` taken, by itself.
        Ok(disk::unlink(name)?)
    }

    /// Moves an entry that cannot be read to `failed/unreadable/`.
    pub(super) fn set_aside(&self, name: &Name, id: &Id) -> Result<(), SpoolError> {
        let failed = Failed {
            queue: Queue::unreadable(),
            id: id.clone(),
            part: Part::From(0),
        };
        self.move_to_failed(name, &failed)
    }

    /// Links a file into `failed/`, durably. The first half of [`Spool::move_to_failed`].
    pub(super) fn link_to_failed(&self, name: &Name, failed: &Failed) -> Result<(), SpoolError> {
        let dir = self.failed_dir(&failed.queue);
        self.link_into(&dir, |dir| disk::link(name, &dir.entry(failed.name())))?;
        Ok(Self::flush_queue_dir(&dir)?)
    }
}
