//! What a person does to what waits: try it again, drop it.
//!
//! Both hold the queue, so that no delivery is under way while names change.

use std::time::SystemTime;

use super::error::{IoError, SpoolError};
use super::id::Id;
use super::item::Item;
use super::lane::Lane;
use super::queue::Queue;
use super::{Lock, Spool, disk, stamp};

impl Spool {
    /// Something that waits is due now, as if it had never failed.
    pub fn retry_waiting(
        &self,
        queue: &Queue,
        item: &Item,
        now: SystemTime,
    ) -> Result<(), SpoolError> {
        if let Some((lane, item)) = self.hold(queue, item)? {
            // Due times are whole seconds, rounded up: "now" must not become later.
            lane.defer(&item, stamp::round_down(now), 0)?;
        }
        Ok(())
    }

    /// Something that waits is not delivered.
    pub fn drop_waiting(&self, queue: &Queue, item: &Item) -> Result<(), SpoolError> {
        if let Some((lane, item)) = self.hold(queue, item)? {
            lane.remove(&item)?;
        }
        Ok(())
    }

    /// Something that was not yet brought to its queues is not delivered.
    pub fn drop_new(&self, id: &Id) -> Result<(), IoError> {
        let _held = disk::lock(&self.new_dir(), Lock::Wait)?;
        disk::unlink(&self.new_name(id))
    }

    /// Waits for the queue, and finds the item by the name that it has by then.
    /// `None`: it was delivered in the meantime.
    fn hold(&self, queue: &Queue, item: &Item) -> Result<Option<(Lane<'_>, Item)>, SpoolError> {
        let Some(lane) = self.lane_when_free(queue)? else {
            return Ok(None);
        };
        let waiting = lane.waiting()?;
        let is_it = |other: &Item| {
            other.id == item.id
                && std::mem::discriminant(&other.part) == std::mem::discriminant(&item.part)
        };
        let mut items = waiting.mains.into_iter().chain(waiting.asides);
        Ok(items.find(is_it).map(|found| (lane, found)))
    }
}
