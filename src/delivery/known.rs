//! The state of receivers and of the queues that lead to them, as values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::origin::Origin;
use super::retry::LONGEST_PROBE;
use crate::spool::{Failure, Queue, Spool, Tallies};

/// Limit of requests at once to one receiver, over all its endpoints and queues.
pub(super) const MOST: usize = 4;
/// Delay after an attempt before one outside the schedule.
pub(super) const PROBED_AGAIN: Duration = Duration::from_mins(1);

/// One queue of one spool.
pub(super) type Key = (PathBuf, Queue);

pub(super) fn key(spool: &Spool, queue: &Queue) -> Key {
    (spool.root().to_owned(), queue.clone())
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) under_way: BTreeMap<Origin, usize>,
    /// Queues whose endpoint failed at its last attempt.
    pub(super) failures: BTreeMap<PathBuf, BTreeMap<Queue, Failure>>,
    /// The queues among them whose receiver cannot be reached.
    pub(super) down: BTreeMap<Origin, BTreeSet<Key>>,
    /// Times at which receivers last answered.
    pub(super) up: BTreeMap<Origin, SystemTime>,
    /// Queues whose failures are not yet in the spools' `stats`.
    pub(super) changed: BTreeMap<PathBuf, BTreeSet<Queue>>,
    /// Attempts that are not yet counted there.
    pub(super) counted: BTreeMap<PathBuf, Tallies>,
    /// Time of the first of them.
    pub(super) counted_since: Option<Instant>,
    /// Queues whose receiver is back.
    pub(super) woken: Vec<Key>,
}

impl Known {
    pub(super) fn put(&mut self, key: &Key, failure: Failure) {
        self.take(key);
        if failure.by_transport {
            let origin = Origin::named(&failure.receiver);
            self.down.entry(origin).or_default().insert(key.clone());
        }
        let queues = self.failures.entry(key.0.clone()).or_default();
        queues.insert(key.1.clone(), failure);
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Failure> {
        self.failures.get(&key.0)?.get(&key.1)
    }

    pub(super) fn take(&mut self, key: &Key) -> Option<Failure> {
        let failure = self.failures.get_mut(&key.0)?.remove(&key.1)?;
        let origin = Origin::named(&failure.receiver);
        if let Some(down) = self.down.get_mut(&origin) {
            down.remove(key);
            if down.is_empty() {
                self.down.remove(&origin);
            }
        }
        Some(failure)
    }

    /// Sets or removes the failure of a queue, and marks it to be saved.
    pub(super) fn set(&mut self, key: &Key, failure: Option<Failure>) {
        match failure {
            Some(failure) => self.put(key, failure),
            None => drop(self.take(key)),
        }
        let queues = self.changed.entry(key.0.clone()).or_default();
        queues.insert(key.1.clone());
    }

    /// Sets a queue's failure. An outage that was recorded before continues.
    pub(super) fn fails(&mut self, key: &Key, failure: Failure) {
        let failure = match self.get(key) {
            Some(before) => Failure {
                since: before.since,
                answers: before.answers.clone(),
                ..failure
            },
            None => failure,
        };
        self.set(key, Some(failure));
    }

    /// Returns the queues whose receiver is `origin` and cannot be reached.
    pub(super) fn down(&self, origin: &Origin) -> impl Iterator<Item = (&Key, &Failure)> {
        let keys = self.down.get(origin).into_iter().flatten();
        keys.filter_map(|key| Some((key, self.get(key)?)))
    }

    pub(super) fn room(&self, origin: &Origin) -> usize {
        let under_way = self.under_way.get(origin).copied().unwrap_or_default();
        let is_down = self.down.contains_key(origin);
        let most = if is_down { 1 } else { MOST };
        most - under_way.min(most)
    }

    /// Has a queue tried, a minute after its last attempt, because its receiver is back.
    pub(super) fn wake(&mut self, key: Key) {
        if let Some(failure) = self.get(&key).cloned() {
            let woken = Failure {
                by_transport: false,
                is_woken: true,
                ..failure
            };
            self.set(&key, Some(woken));
            self.woken.push(key);
        }
    }
}

impl Known {
    /// Puts a queue off, because another one could not reach the same receiver within the last
    /// minute. Returns the time of its next attempt: the longer the outage, the later.
    pub(super) fn stay(
        &mut self,
        origin: &Origin,
        key: &Key,
        last: SystemTime,
        now: SystemTime,
    ) -> SystemTime {
        let since = self.down(origin).map(|(_, it)| it.since).min();
        let since = since.unwrap_or(now);
        let age = now.duration_since(since).unwrap_or_default();
        let until = now + age.clamp(PROBED_AGAIN, LONGEST_PROBE);
        let failure = Failure {
            receiver: origin.to_string(),
            by_transport: true,
            is_woken: false,
            since,
            last,
            next: until,
            not_before: SystemTime::UNIX_EPOCH,
            answers: BTreeMap::new(),
        };
        self.fails(key, failure);
        until
    }
}
