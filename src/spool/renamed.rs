//! Moving the items of a renamed repository to its new path.
//!
//! An entry names its repository, and its bytes never change. So each entry is written anew, with
//! the same messages, and takes the place of the old one, under its id.
//!
//! Crash at any point: an entry names either path, or, if its queue has another name now, it is in
//! both queues. The next run goes on; the worst result is a repeat.

use std::path::Path;

use super::enqueue;
use super::entry::{self, Entry};
use super::error::SpoolError;
use super::handover::HandedOver;
use super::names::item::{Failed, Item};
use super::names::queue::Queue;
use super::recipient::Selection;
use super::record::{Built, Content, Draft};
use super::{Folder, Lock, Name, Spool, disk};

/// The old and new path of a repository, and the present queue of each of its endpoints.
pub struct Renaming<'a> {
    /// The path that no longer exists.
    pub old: &'a Path,
    /// The present path.
    pub new: &'a Path,
    /// The present path below `root`, by which workers know the repository.
    pub below_root: &'a Path,
    /// Returns the queue of the endpoint of this name, or `None` if there is no such endpoint.
    pub queue: &'a dyn Fn(&str) -> Option<Queue>,
}

impl std::fmt::Debug for Renaming<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renaming").finish_non_exhaustive()
    }
}

impl Spool {
    /// Gives the waiting and failed items of the old path of a repository to the new path.
    ///
    /// Items of an endpoint that no longer exists stay.
    pub fn rename_repository(&self, renaming: &Renaming<'_>) -> Result<HandedOver, SpoolError> {
        let mut done = HandedOver::default();
        let held = self.hold_new()?;
        for id in self.ids_in_new()? {
            let name = self.new_name(&id);
            if let Some(entry) = Self::of_old(renaming, self.open_new(&id), &mut done)
                && let Some(draft) = renamed(renaming, &entry, None)?
            {
                let tmp = self.tmp_dir().entry(format!("{id}.renamed"));
                enqueue::replace(&draft, &tmp, &name, self.access)?;
                done.entries += 1;
            }
        }
        drop(held);
        for queue in self.queues()? {
            let Some(lane) = self.lane_within(&queue, Lock::Wait)? else {
                continue;
            };
            let waiting = lane.all()?;
            for item in waiting.in_order.into_iter().chain(waiting.refused) {
                let entry = self.open_item(&queue, &item);
                let Some(entry) = Self::of_old(renaming, entry, &mut done) else {
                    continue;
                };
                let place = (&queue, |queue: &Queue| self.retry_dir(queue));
                self.give(renaming, &entry, place, &Item::to_string(&item), &mut done)?;
            }
        }
        for queue in self
            .failed_queues()?
            .into_iter()
            .filter(|it| !it.is_unreadable())
        {
            for failed in self.failed(&queue)? {
                let entry = self.open_failed(&failed);
                let Some(entry) = Self::of_old(renaming, entry, &mut done) else {
                    continue;
                };
                let place = (&queue, |queue: &Queue| self.failed_dir(queue));
                self.give(renaming, &entry, place, &Failed::name(&failed), &mut done)?;
            }
        }
        self.rename_announced(renaming.old, renaming.new)?;
        Ok(done)
    }

    fn of_old(
        renaming: &Renaming<'_>,
        opened: Result<Entry, super::EntryError>,
        done: &mut HandedOver,
    ) -> Option<Entry> {
        match opened {
            Ok(entry) => Some(entry).filter(|it| it.header().repository == renaming.old),
            Err(error) => {
                done.unread.push(error);
                None
            }
        }
    }

    /// Writes an entry of a queue anew, into the folder of the queue that has it now.
    fn give(
        &self,
        renaming: &Renaming<'_>,
        entry: &Entry,
        (from, folder): (&Queue, impl Fn(&Queue) -> Folder),
        name: &str,
        done: &mut HandedOver,
    ) -> Result<(), SpoolError> {
        let Some(draft) = renamed(renaming, entry, Some(from))? else {
            return Ok(());
        };
        let Content::Built(Built { recipients, .. }) = &draft.content else {
            return Ok(());
        };
        // A planted item may be of an entry that does not name its queue.
        let Some(to) = recipients.first().map(|one| &one.queue) else {
            return Ok(());
        };
        let old: Name = folder(from).entry(name);
        let tmp = self.tmp_dir().entry(format!("{name}.renamed"));
        done.entries += 1;
        if to == from {
            return Ok(enqueue::replace(&draft, &tmp, &old, self.access)?);
        }
        // A crash may have left this name in an earlier try.
        disk::unlink(&tmp)?;
        let file = disk::create(&tmp, self.access)?;
        entry::write(&draft, &file, &tmp)?;
        disk::flush(&file, &tmp)?;
        let dir = folder(to);
        self.link_into(&dir, |dir| disk::link(&tmp, &dir.entry(name)))?;
        Self::flush_queue_dir(&dir)?;
        // Crash here: it is in both queues.
        disk::unlink(&tmp)?;
        Ok(disk::unlink(&old)?)
    }
}

/// Returns the entry, or a queue's part of it, for the new path; `None` if an endpoint no longer
/// exists.
fn renamed(
    renaming: &Renaming<'_>,
    entry: &Entry,
    of: Option<&Queue>,
) -> Result<Option<Draft>, SpoolError> {
    let header = entry.header();
    let mut draft = match &header.content {
        Content::Deferred(updates) => header.with(Content::Deferred(updates.clone())),
        Content::Built(built) => {
            let all = || (0..built.messages.len()).collect();
            let numbers: Vec<usize> = of.map_or_else(all, |queue| header.messages_for(queue));
            let messages = numbers.iter().map(|&number| entry.message(number));
            let messages = messages.collect::<Result<_, _>>()?;
            let mut recipients = vec![];
            let all = built.recipients.iter();
            // What waited for a broker that is not configured any more is in endpoints' queues.
            let forwarded = header.forwarded().iter().filter(|_| of.is_some());
            for one in all
                .chain(forwarded)
                .filter(|one| of.is_none_or(|it| *it == one.queue))
            {
                let Some(queue) = (renaming.queue)(&one.endpoint) else {
                    return Ok(None);
                };
                let mut own = one.clone();
                own.queue = queue;
                if of.is_some() {
                    own.messages = Selection::All;
                }
                if let Some(forward) = &mut own.forward {
                    renaming.below_root.clone_into(&mut forward.path);
                    for to in &mut forward.to {
                        to.messages = renumbered(&to.messages, &numbers);
                    }
                }
                recipients.push(own);
            }
            header.with(Content::Built(Built {
                messages,
                recipients,
            }))
        }
    };
    renaming.new.clone_into(&mut draft.repository);
    Ok(Some(draft))
}

/// Returns the same messages, by their places among those that are left.
fn renumbered(messages: &Selection, left: &[usize]) -> Selection {
    match messages {
        Selection::All => Selection::All,
        Selection::Only(numbers) => {
            let places = numbers.iter();
            let places = places.filter_map(|number| left.iter().position(|own| own == number));
            Selection::Only(places.collect())
        }
    }
}
