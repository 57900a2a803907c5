//! Queues that wait for their turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use tokio::time::Instant;

use super::known::{Key, key};
use super::places::{Kind, Places};
use crate::spool::{Queue, Spool};

/// Queues of one kind.
///
/// Spools take turns, so that no repository with a spool of its own has more than its share,
/// however many endpoints it has.
#[derive(Default)]
struct Line {
    queues: BTreeMap<PathBuf, VecDeque<(Spool, Queue)>>,
    /// The spools that have queues here, the next one first.
    spools: VecDeque<PathBuf>,
}

impl Line {
    /// Adds a queue behind the others of its spool.
    fn push(&mut self, spool: Spool, queue: Queue) {
        let root = spool.root();
        if !self.queues.contains_key(root) {
            self.spools.push_back(root.to_owned());
        }
        let queues = self.queues.entry(root.to_owned()).or_default();
        queues.push_back((spool, queue));
    }

    /// Removes and returns the next queue of the next spool.
    fn pop(&mut self) -> Option<(Spool, Queue)> {
        let root = self.spools.pop_front()?;
        let queues = self.queues.get_mut(&root)?;
        let next = queues.pop_front();
        if queues.is_empty() {
            self.queues.remove(&root);
        } else {
            self.spools.push_back(root);
        }
        next
    }

    fn is_empty(&self) -> bool {
        self.spools.is_empty()
    }
}

/// The queues that are due, by kind, and the places for their turns.
pub(super) struct Lines {
    proven: Line,
    unproven: Line,
    failing: Line,
    places: Places,
    /// Queues whose last turn delivered messages without a failure.
    delivered: BTreeSet<Key>,
}

impl Lines {
    pub(super) fn new(places: Places) -> Self {
        Self {
            proven: Line::default(),
            unproven: Line::default(),
            failing: Line::default(),
            places,
            delivered: BTreeSet::new(),
        }
    }

    /// Adds a due queue. `is_failing` is true if its head has failed.
    pub(super) fn push(&mut self, spool: Spool, queue: Queue, is_failing: bool) {
        let line = match self.kind(&key(&spool, &queue), is_failing) {
            Kind::Proven => &mut self.proven,
            Kind::Unproven => &mut self.unproven,
            Kind::Failing => &mut self.failing,
        };
        line.push(spool, queue);
    }

    fn kind(&self, key: &Key, is_failing: bool) -> Kind {
        match is_failing {
            true => Kind::Failing,
            false if self.delivered.contains(key) => Kind::Proven,
            false => Kind::Unproven,
        }
    }

    /// Removes and returns the next queue for which there is a place, which it takes.
    pub(super) fn next(&mut self) -> Option<(Spool, Queue)> {
        let room = self.places.room(Instant::now());
        let lines = [
            (Kind::Proven, &mut self.proven),
            (Kind::Unproven, &mut self.unproven),
            (Kind::Failing, &mut self.failing),
        ];
        for (kind, line) in lines {
            if room.is_there_for(kind)
                && let Some((spool, queue)) = line.pop()
            {
                self.places.take(key(&spool, &queue), kind);
                return Some((spool, queue));
            }
        }
        None
    }

    /// Frees the place of a turn that did not begin.
    pub(super) fn give_back(&mut self, key: &Key) {
        self.places.leave(key);
    }

    /// Frees the place of a turn. `has_delivered` is true if it delivered messages without a
    /// failure.
    pub(super) fn leave(&mut self, key: &Key, has_delivered: bool) {
        self.places.leave(key);
        if has_delivered {
            self.delivered.insert(key.clone());
        } else {
            self.delivered.remove(key);
        }
    }

    /// Returns the time at which a turn becomes slow and leaves its place, if a queue waits for
    /// one.
    pub(super) fn next_room(&self) -> Option<Instant> {
        let waits = !(self.proven.is_empty() && self.unproven.is_empty());
        let slow = self.places.next_slow(Instant::now());
        slow.filter(|_| waits || !self.failing.is_empty())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use super::*;

    fn queue(name: &str) -> Queue {
        Queue::new(name.to_owned()).unwrap()
    }

    fn at(root: &str) -> Spool {
        Spool::new(root, crate::spool::Access::Owner)
    }

    #[test]
    fn a_repository_with_many_endpoints_took_all_places() {
        let mut lines = Lines::new(Places::new(64, 8192));
        for n in 0..1000 {
            lines.push(at("/srv/many"), queue(&format!("e{n}")), false);
        }
        lines.push(at("/srv/few"), queue("a"), false);
        let first: Vec<Queue> = std::iter::from_fn(|| lines.next().map(|(_, it)| it)).collect();
        assert_eq!(first.len(), 64);
        assert_eq!(first[1], queue("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn receivers_that_hang_from_the_start_took_the_places_of_those_that_answer() {
        let mut lines = Lines::new(Places::new(64, 8192));
        let (spool, good) = (at("/srv/one"), queue("good"));
        lines.push(spool.clone(), good.clone(), false);
        lines.next().unwrap();
        lines.leave(&key(&spool, &good), true);
        for n in 0..1000 {
            lines.push(spool.clone(), queue(&format!("hangs{n}")), false);
        }
        let mut started = 0;
        for _ in 0..20 {
            while lines.next().is_some() {
                started += 1;
            }
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
        }
        assert_eq!(started, 256);
        lines.push(spool, good.clone(), false);
        assert_eq!(lines.next().map(|(_, queue)| queue), Some(good));
    }
}
