//! Queues whose receiver has as many requests under way as allowed.

use std::collections::{BTreeMap, VecDeque};

use super::known::{Key, key};
use super::origin::Origin;
use super::receivers::{Receivers, Visit};
use crate::spool::{Queue, Spool};

/// The queues that wait for their receivers, and the receivers that are known.
#[derive(Default)]
pub(super) struct Crowd {
    /// The receivers of queues that are to have another turn.
    origins: BTreeMap<Key, Origin>,
    waiting: BTreeMap<Origin, VecDeque<(Spool, Queue)>>,
}

/// The answer to a queue that asks for a turn.
#[derive(Debug)]
pub(super) enum Admitted {
    /// It has a turn. If its receiver is known, the request is counted.
    Turn(Option<Visit>),
    /// It waits for its receiver.
    Waits,
}

impl Crowd {
    /// Notes the receiver of a queue before its next turn.
    pub(super) fn note(&mut self, key: &Key, origin: Origin) {
        self.origins.insert(key.clone(), origin);
    }

    /// Decides whether a queue has a turn now.
    ///
    /// A turn reads its whole queue before it can find its receiver crowded, so this is checked first.
    pub(super) fn admit(
        &mut self,
        spool: &Spool,
        queue: &Queue,
        receivers: &Receivers,
    ) -> Admitted {
        let key = key(spool, queue);
        let Some(origin) = self.origins.get(&key) else {
            return Admitted::Turn(None);
        };
        if let Some(counted) = receivers.count(origin, queue) {
            self.origins.remove(&key);
            return Admitted::Turn(Some(counted));
        }
        let waiting = self.waiting.entry(origin.clone()).or_default();
        waiting.push_back((spool.clone(), queue.clone()));
        Admitted::Waits
    }

    /// Removes and returns the queues whose receiver has room again.
    pub(super) fn take_free(&mut self, receivers: &Receivers) -> Vec<(Spool, Queue)> {
        let mut free = vec![];
        for (origin, waiting) in &mut self.waiting {
            let room = waiting
                .front()
                .map(|(_, queue)| receivers.room(origin, queue));
            let count = room.unwrap_or_default().min(waiting.len());
            free.extend(waiting.drain(..count));
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        free
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use super::*;
    use crate::delivery::known::MOST;
    use crate::spool::Access;

    #[test]
    fn queues_of_one_crowded_receiver_read_their_names_at_each_try() {
        let (mut crowd, receivers) = (Crowd::default(), Receivers::default());
        let spool = Spool::new("/srv/one", Access::Owner);
        let queue = |n: usize| Queue::new(format!("e{n}")).unwrap();
        let origin = Origin::named("http://one.example:80");
        for n in 0..2 * MOST {
            crowd.note(&key(&spool, &queue(n)), origin.clone());
        }
        let mut visits = vec![];
        for n in 0..2 * MOST {
            if let Admitted::Turn(visit) = crowd.admit(&spool, &queue(n), &receivers) {
                visits.push(visit.unwrap());
            }
        }
        assert_eq!(visits.len(), MOST);
        assert!(crowd.take_free(&receivers).is_empty());
        visits.pop();
        let free = crowd.take_free(&receivers);
        let free: Vec<Queue> = free.into_iter().map(|(_, queue)| queue).collect();
        assert_eq!(free, [queue(MOST)]);
    }
}
