//! Distributing what waits for the broker to its endpoints, once no broker is configured any more.

use std::collections::BTreeSet;

use super::error::SpoolError;
use super::lane::Lane;
use super::names::item::Item;
use super::names::queue::Queue;
use super::record::Header;
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

    /// Gives the entries of a queue for the broker that are left to this machine to the endpoints
    /// that workers would deliver to, as long as it goes on. Returns whether there were any.
    ///
    /// A queue that another process has is left for the next run. Crash at any point: an entry is in
    /// its old queue, perhaps in some of the new ones too. The next run makes the same names.
    pub fn deliver_here(
        &self,
        queue: &Queue,
        is_left: &dyn Fn(&Header) -> bool,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<bool, SpoolError> {
        let Some(lane) = self.lane(queue)? else {
            return Ok(false);
        };
        let waiting = lane.all()?;
        let items = waiting.in_order.into_iter().chain(waiting.refused);
        let items: Vec<Item> = items.collect();
        let mut is_any = false;
        for items in items.chunks(BATCH).take_while(|_| goes_on()) {
            let (mut given, mut touched) = (vec![], BTreeSet::new());
            let mut stopped = Ok(());
            for item in items {
                match self.link_forward(&lane, item, is_left, &mut touched) {
                    Ok(true) => given.push(item),
                    Ok(false) => {}
                    // The disk may be full. Items that have their new names leave their old place
                    // all the same: they would be delivered again.
                    Err(error) => {
                        stopped = Err(error);
                        break;
                    }
                }
            }
            let retry = self.retry_root();
            for queue in &touched {
                Self::flush_queue_dir(&retry.child(queue.as_str()))?;
            }
            for item in given {
                lane.remove(item)?;
                is_any = true;
            }
            stopped?;
        }
        Ok(is_any)
    }

    /// Gives an item its names in the queues of its endpoints: in all of them or in none. Returns
    /// whether it is left to this machine.
    fn link_forward(
        &self,
        lane: &Lane,
        item: &Item,
        is_left: &dyn Fn(&Header) -> bool,
        touched: &mut BTreeSet<Queue>,
    ) -> Result<bool, SpoolError> {
        let entry = match lane.open(item) {
            Ok(entry) => entry,
            Err(error) if error.is_corrupt() => return lane.set_aside(item).map(|()| false),
            Err(error) => return Err(error.into()),
        };
        let header = entry.header();
        if !is_left(header) {
            return Ok(false);
        }
        let name = Item::first(&item.id).to_string();
        let from = self.retry_dir(lane.queue()).entry(item.to_string());
        let mut made = vec![];
        for one in header.forwarded() {
            let dir = self.retry_dir(&one.queue);
            let linked = self.link_into(&dir, |dir| disk::link(&from, &dir.entry(&name)));
            if let Err(error) = linked {
                for name in made {
                    disk::unlink(&name)?;
                }
                return Err(error.into());
            }
            made.push(dir.entry(&name));
            touched.insert(one.queue.clone());
        }
        Ok(true)
    }
}
