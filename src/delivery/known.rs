//! The state of receivers and of the queues that lead to them, as values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::origin::Origin;
use super::retry::LONGEST_PROBE;
use crate::spool::{Extent, Failure, Queue, Spool, Tallies};

/// Limit of requests at once to one receiver, over all its endpoints and queues.
pub(super) const MOST: usize = 4;
/// Number of entries that are handed to the broker at once, one of each repository.
pub(super) const MOST_ENTRIES: usize = 64;
/// Delay after an attempt before one outside the schedule.
pub(super) const PROBED_AGAIN: Duration = Duration::from_mins(1);

/// One queue of one spool.
pub(super) type Key = (PathBuf, Queue);

pub(super) fn key(spool: &Spool, queue: &Queue) -> Key {
    (spool.root().to_owned(), queue.clone())
}

/// A failed attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) by_transport: bool,
    pub(super) extent: Extent,
    pub(super) now: SystemTime,
    /// Time of the next attempt in the schedule.
    pub(super) next: SystemTime,
    pub(super) retry_after: Option<Duration>,
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
    /// Attempts that are not yet in their `counts`.
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

    /// Returns the number of further requests that a queue's receiver may get at once.
    pub(super) fn room(&self, origin: &Origin, queue: &Queue) -> usize {
        let under_way = self.under_way.get(origin).copied().unwrap_or_default();
        let most = match self.down.contains_key(origin) {
            true => 1,
            false if queue.is_broker() => MOST_ENTRIES,
            false => MOST,
        };
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
    /// Puts a queue off if its receiver is down, as another one found.
    ///
    /// With `waits`, until a minute after the probe of the probing queue; otherwise only within a
    /// minute after an attempt of another one. Returns the time of its next attempt.
    pub(super) fn put_off(
        &mut self,
        origin: &Origin,
        key: &Key,
        now: SystemTime,
        waits: bool,
    ) -> Option<SystemTime> {
        let until = self.awaited(origin, key).filter(|_| waits);
        let until = until.filter(|until| !has_come(*until, now));
        let others = self.down(origin).filter(|(other, _)| *other != key);
        let (last, since) = others
            .map(|(_, it)| (it.last, it.since))
            .reduce(|one, other| (one.0.max(other.0), one.1.min(other.1)))?;
        let until = match until {
            Some(until) => until,
            None if has_come(tried_again(last, now), now) => return None,
            // The longer the outage, the later.
            None => {
                let age = now.duration_since(since).unwrap_or_default();
                now + age.clamp(PROBED_AGAIN, LONGEST_PROBE)
            }
        };
        let own = self.get(key).filter(|own| own.by_transport);
        let failure = match own {
            Some(own) => Failure {
                next: until,
                // A failure by transport has no `Retry-After`, and the clock may have been ahead.
                not_before: SystemTime::UNIX_EPOCH,
                last: if own.extent == Extent::Untried {
                    last
                } else {
                    own.last
                },
                ..own.clone()
            },
            None => Failure {
                receiver: origin.to_string(),
                by_transport: true,
                is_woken: false,
                extent: Extent::Untried,
                since,
                last,
                next: until,
                not_before: SystemTime::UNIX_EPOCH,
                answers: BTreeMap::new(),
            },
        };
        self.fails(key, failure);
        Some(until)
    }

    /// Returns the time at which a queue makes the probe in place of the probing one: the one whose
    /// own attempt was the last.
    fn awaited(&self, origin: &Origin, key: &Key) -> Option<SystemTime> {
        let own = self.get(key).filter(|own| own.by_transport)?;
        let tried = self
            .down(origin)
            .filter(|(_, it)| it.extent != Extent::Untried);
        let (probing, failure) = tried.max_by_key(|(key, it)| (it.last, *key))?;
        // One path can hang where others answer.
        let is_for_this = failure.extent == Extent::Receiver || own.extent != Extent::Untried;
        (probing != key && is_for_this).then_some(failure.next + PROBED_AGAIN)
    }
}

/// Returns the time from which a queue whose last attempt was at `last` may be tried again.
///
/// An attempt that is yet to come was recorded by a clock that was ahead.
pub(super) fn tried_again(last: SystemTime, now: SystemTime) -> SystemTime {
    if last > now { now } else { last + PROBED_AGAIN }
}

/// Returns whether a time has come.
///
/// A time further ahead than any probe was written by a clock that was wrong, and counts as come.
pub(super) fn has_come(time: SystemTime, now: SystemTime) -> bool {
    let ahead = time.duration_since(now).unwrap_or_default();
    ahead.is_zero() || ahead > LONGEST_PROBE * 2
}
