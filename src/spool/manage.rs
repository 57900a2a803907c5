//! Retrying and dropping waiting items by hand.
//!
//! Neither waits for a delivery, which can last for hours with a slow receiver: names are changed
//! beside the process that delivers, and a lane that misses one looks at its queue again. A message
//! that is being sent by then arrives all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::error::IoError;
use super::names::id::Id;
use super::names::item::{Item, Part};
use super::names::queue::Queue;
use super::names::times;
use super::{Lock, Name, Spool, disk};

impl Spool {
    /// Makes the selected items due now and resets their attempt counts. Returns how many existed.
    pub fn retry_waiting(
        &self,
        queue: &Queue,
        chosen: &[Item],
        now: SystemTime,
    ) -> Result<usize, IoError> {
        // Due times are whole seconds, rounded up: "now" must not become later.
        let now = times::round_down(now);
        let count = self.each_chosen(queue, chosen, &mut |item, name| {
            if item.attempts == 0 && item.due <= now {
                return Ok(false);
            }
            let retried = Item {
                due: now,
                attempts: 0,
                ..item.clone()
            };
            let renamed = disk::rename(name, &name.folder().entry(retried.to_string()));
            Ok(disk::unless_gone(renamed)?.is_some())
        })?;
        if !chosen.is_empty() {
            self.forget_failure(queue);
        }
        Ok(count)
    }

    /// Drops the selected items. Returns how many existed.
    pub fn drop_waiting(&self, queue: &Queue, chosen: &[Item]) -> Result<usize, IoError> {
        let count = self.each_chosen(queue, chosen, &mut |_, name| disk::unlinked(name))?;
        if !chosen.is_empty() {
            self.forget_failure(queue);
        }
        Ok(count)
    }

    /// Drops entries in `new/`, or that have been brought to queues by now. Returns how many
    /// existed.
    pub fn drop_new(&self, ids: &[Id]) -> Result<usize, IoError> {
        if ids.is_empty() {
            return Ok(0);
        }
        // A process that holds `new/` frees it soon.
        let _held = disk::lock(&self.new_dir(), Lock::Wait)?;
        let (mut there, mut moved) = (0, BTreeSet::new());
        for id in ids {
            if disk::unlinked(&self.new_name(id))? {
                there += 1;
            } else {
                moved.insert(id);
            }
        }
        if moved.is_empty() {
            return Ok(there);
        }
        let mut dropped = BTreeSet::new();
        for queue in self.queues()? {
            let is_chosen = |item: &Item| moved.contains(&item.id);
            self.each_name_of(&queue, &is_chosen, &mut |item, name| {
                if disk::unlinked(name)? {
                    dropped.insert(item.id.clone());
                }
                Ok(())
            })?;
        }
        Ok(there + dropped.len())
    }

    /// Calls `act` for each name of the selected items, until it changes nothing more. Returns how
    /// many of them existed.
    ///
    /// One listing is not enough: a name can change while names are listed.
    fn each_chosen(
        &self,
        queue: &Queue,
        chosen: &[Item],
        act: &mut dyn FnMut(&Item, &Name) -> Result<bool, IoError>,
    ) -> Result<usize, IoError> {
        let mut parts: BTreeMap<&Id, Vec<(usize, Part)>> = BTreeMap::new();
        for (at, item) in chosen.iter().enumerate() {
            parts.entry(&item.id).or_default().push((at, item.part));
        }
        let chosen_as = |item: &Item| {
            let known = parts.get(&item.id).into_iter().flatten();
            let part = item.part;
            known.filter(move |(_, chosen)| came_of(*chosen, part))
        };
        let (mut found, mut tried) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let mut has_acted = false;
            let is_chosen = |item: &Item| chosen_as(item).next().is_some();
            self.each_name_of(queue, &is_chosen, &mut |item, name| {
                found.extend(chosen_as(item).map(|(at, _)| *at));
                // Once each: of two names of one file, which a crash may have left, rename(2)
                // leaves both.
                has_acted |= act(item, name)? && tried.insert(item.to_string());
                Ok(())
            })?;
            if !has_acted {
                return Ok(found.len());
            }
        }
    }

    fn each_name_of(
        &self,
        queue: &Queue,
        is_wanted: &dyn Fn(&Item) -> bool,
        take: &mut dyn FnMut(&Item, &Name) -> Result<(), IoError>,
    ) -> Result<(), IoError> {
        let dir = self.retry_dir(queue);
        let mut items = vec![];
        disk::each_name(&dir, &mut |name| {
            let item = name.to_str().and_then(Item::parse);
            items.extend(item.filter(|item| is_wanted(item)));
        })?;
        items
            .iter()
            .try_for_each(|item| take(item, &dir.entry(item.to_string())))
    }
}

/// Returns whether one part can have become the other since it was selected.
fn came_of(chosen: Part, part: Part) -> bool {
    match (chosen, part) {
        (Part::From(_), Part::From(_)) => true,
        (Part::From(first), Part::Only(n)) => n >= first,
        (Part::Only(n), part) => part == Part::Only(n),
    }
}
