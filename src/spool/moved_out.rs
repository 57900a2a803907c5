//! Distributing what waits for the broker to its endpoints, once no broker is configured any more.

use std::collections::BTreeSet;

use super::error::SpoolError;
use super::lane::Lane;
use super::names::item::Item;
use super::names::queue::Queue;
use super::{Spool, disk};

/// Entries that share the flushes of the queues that they go to.
const BATCH: usize = 64;

impl Spool {
    /// Returns the queues of entries that wait for the broker.
    pub fn broker_queues(&self) -> Result<Vec<Queue>, SpoolError> {
        let mut queues = self.queues()?;
        queues.retain(Queue::is_broker);
        Ok(queues)
    }

    /// Gives the entries of a queue for the broker to the endpoints that workers would deliver to.
    ///
    /// A queue that another process has is left for the next run. Crash at any point: an entry is in
    /// its old queue, perhaps in some of the new ones too. The next run makes the same names.
    pub fn deliver_here(&self, queue: &Queue) -> Result<(), SpoolError> {
        let Some(lane) = self.lane(queue)? else {
            return Ok(());
        };
        let waiting = lane.all()?;
        let items: Vec<Item> = waiting
            .in_order
            .into_iter()
            .chain(waiting.refused)
            .collect();
        for items in items.chunks(BATCH) {
            let mut touched = BTreeSet::new();
            for item in items {
                self.link_forward(&lane, item, &mut touched)?;
            }
            let retry = self.retry_root();
            for queue in &touched {
                Self::flush_queue_dir(&retry.child(queue.as_str()))?;
            }
            for item in items {
                lane.remove(item)?;
            }
        }
        Ok(())
    }

    fn link_forward(
        &self,
        lane: &Lane,
        item: &Item,
        touched: &mut BTreeSet<Queue>,
    ) -> Result<(), SpoolError> {
        let entry = match lane.open(item) {
            Ok(entry) => entry,
            Err(error) if error.is_corrupt() => return lane.set_aside(item),
            Err(error) => return Err(error.into()),
        };
        let name = Item::first(&item.id).to_string();
        let from = self.retry_dir(lane.queue()).entry(item.to_string());
        for one in entry.header().forwarded() {
            let dir = self.retry_dir(&one.queue);
            self.link_into(&dir, |dir| disk::link(&from, &dir.entry(&name)))?;
            touched.insert(one.queue.clone());
        }
        Ok(())
    }
}
