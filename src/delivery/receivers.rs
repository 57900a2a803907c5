//! The requests under way to each receiver (a scheme, a host and a port), and the receivers
//! that cannot be reached.
//!
//! - While a receiver cannot be reached, all queues that lead to it have one attempt a minute
//!   between them. A queue makes it that is due or got entries.
//! - When the receiver takes or refuses a message, the queues that could not reach it are tried.
//!
//! Flushes hand this on to each other in the spool's `stats` file.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::known::{Key, Known, PROBED_AGAIN};
use super::origin::Origin;
use super::result::Left;
use super::retry::LONGEST_PROBE;
use crate::spool::{Failure, Lock, Queue, Sample, Spool, Stats};

/// Time in which another process has written a spool's `stats`.
const WRITTEN_WITHIN: Duration = Duration::from_millis(2);
/// Longest time after an attempt in which the attempt is counted.
const COUNTED_WITHIN: Duration = Duration::from_mins(1);

/// A failed attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) by_transport: bool,
    pub(super) now: SystemTime,
    /// Time of the next attempt in the schedule.
    pub(super) next: SystemTime,
    pub(super) retry_after: Option<Duration>,
}

/// The receivers, and the queues that lead to them. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Receivers(Rc<RefCell<Known>>);

/// A request under way to a receiver, until it is dropped.
#[derive(Debug)]
pub struct Visit {
    receivers: Receivers,
    pub(super) origin: Origin,
}

impl Receivers {
    /// Replaces the failures of a spool's queues with those in its `stats` file, except for unsaved
    /// ones.
    pub fn learn(&self, spool: &Spool, failures: BTreeMap<String, Failure>) {
        let known = &mut *self.0.borrow_mut();
        let root = spool.root();
        let changed = known.changed.get(root).cloned().unwrap_or_default();
        let ours = known.failures.get(root).into_iter().flatten();
        let gone: Vec<Key> = ours
            .filter(|(queue, _)| !changed.contains(queue))
            .map(|(queue, _)| (root.to_owned(), queue.clone()))
            .collect();
        for key in gone {
            known.take(&key);
        }
        for (queue, failure) in failures {
            let Ok(queue) = Queue::new(queue) else {
                continue;
            };
            if changed.contains(&queue) {
                continue;
            }
            let key = (root.to_owned(), queue);
            let up = known.up.get(&Origin::named(&failure.receiver)).copied();
            let is_back = failure.by_transport && up.is_some_and(|up| up > failure.last);
            known.put(&key, failure);
            if is_back {
                known.wake(key);
            }
        }
    }

    /// Saves changed failures and counts, spool by spool, while `goes_on`.
    ///
    /// Counts alone are saved once a minute, and when a run ends (`ends`).
    /// A locked spool is tried twice. One still locked, or full, is saved the next time.
    pub fn save<'a>(
        &self,
        spool_at: impl Fn(&Path) -> Option<&'a Spool>,
        mut goes_on: impl FnMut() -> bool,
        ends: bool,
    ) {
        let since = self.0.borrow().counted_since;
        let is_time = ends || since.is_some_and(|since| since.elapsed() >= COUNTED_WITHIN);
        let mut changed = std::mem::take(&mut self.0.borrow_mut().changed);
        let mut counted = std::mem::take(&mut self.0.borrow_mut().counted);
        let counts = counted.keys().filter(|_| is_time);
        let roots: BTreeSet<_> = changed.keys().chain(counts).cloned().collect();
        for root in roots {
            let known = self.0.borrow();
            let Some(spool) = spool_at(&root) else {
                changed.remove(&root);
                counted.remove(&root);
                continue;
            };
            let change = |stats: &mut Stats| {
                for queue in changed.get(&root).into_iter().flatten() {
                    let key = (root.clone(), queue.clone());
                    match known.get(&key) {
                        Some(it) => drop(stats.failures.insert(queue.to_string(), it.clone())),
                        None => drop(stats.failures.remove(queue.as_str())),
                    }
                }
                if let Some(newer) = counted.get(&root) {
                    stats.count(newer);
                }
            };
            let save = || spool.update_stats(Lock::Try, change);
            // The process that has the lock only writes a small file.
            let again = || {
                thread::sleep(WRITTEN_WITHIN);
                save()
            };
            if goes_on() && (save() || again()) {
                changed.remove(&root);
                counted.remove(&root);
            }
        }
        let known = &mut *self.0.borrow_mut();
        if counted.is_empty() || is_time {
            known.counted_since = None;
        }
        (known.changed, known.counted) = (changed, counted);
    }

    /// Counts an attempt of an endpoint.
    pub(super) fn count_attempt(&self, key: &Key, receiver: &str, endpoint: &str, sample: &Sample) {
        let known = &mut *self.0.borrow_mut();
        known.counted_since.get_or_insert_with(Instant::now);
        let tallies = known.counted.entry(key.0.clone()).or_default();
        tallies.count(receiver, endpoint, sample);
    }

    /// Counts a request of a queue to its receiver. `counted` is that request if it was counted
    /// before the turn began.
    ///
    /// Returns an error if no request is to be made now.
    pub(super) fn visit(
        &self,
        origin: &Origin,
        key: &Key,
        now: SystemTime,
        counted: Option<Visit>,
    ) -> Result<Visit, Left> {
        let counted = counted.filter(|visit| visit.origin == *origin);
        if let Some(until) = self.stays(origin, key, now) {
            return Err(Left::Down { until });
        }
        counted.or_else(|| self.count(origin)).ok_or(Left::Crowded)
    }

    /// Counts a request. Returns `None` if the receiver has as many as allowed.
    pub(super) fn count(&self, origin: &Origin) -> Option<Visit> {
        let known = &mut *self.0.borrow_mut();
        if known.room(origin) == 0 {
            return None;
        }
        *known.under_way.entry(origin.clone()).or_default() += 1;
        Some(Visit {
            receivers: self.clone(),
            origin: origin.clone(),
        })
    }

    /// Puts a queue off if another one found its receiver down within the last minute.
    ///
    /// Returns the time of its next attempt.
    fn stays(&self, origin: &Origin, key: &Key, now: SystemTime) -> Option<SystemTime> {
        let known = &mut *self.0.borrow_mut();
        let others = known.down(origin).filter(|(other, _)| *other != key);
        let last = others.map(|(_, it)| it.last).max();
        let last = last.filter(|last| !has_come(*last + PROBED_AGAIN, now))?;
        Some(known.stay(origin, key, last, now))
    }

    /// Returns the number of further requests that a receiver may get at once.
    pub(super) fn room(&self, origin: &Origin) -> usize {
        self.0.borrow().room(origin)
    }

    /// Returns the number of queues whose last attempt failed.
    pub(super) fn failing(&self) -> usize {
        self.0.borrow().failures.values().map(BTreeMap::len).sum()
    }

    /// Returns the time of a queue's next attempt, and the time from which new entries may cause
    /// one earlier.
    ///
    /// Returns `None` if its last attempt did not fail.
    pub(super) fn held(&self, key: &Key) -> Option<(SystemTime, SystemTime)> {
        let known = self.0.borrow();
        let failure = known.get(key)?;
        let probe_from = failure.not_before.max(failure.last + PROBED_AGAIN);
        let next = if failure.is_woken {
            failure.next.min(probe_from)
        } else {
            failure.next
        };
        Some((next, probe_from))
    }

    /// Returns whether a queue's receiver is back and the queue was not tried since.
    ///
    /// Returns true once.
    pub(super) fn take_wake(&self, key: &Key) -> bool {
        let known = &mut *self.0.borrow_mut();
        let Some(failure) = known.get(key).filter(|it| it.is_woken) else {
            return false;
        };
        let tried = Failure {
            is_woken: false,
            ..failure.clone()
        };
        known.set(key, Some(tried));
        true
    }

    /// Removes the failure of an empty queue.
    pub(super) fn forget(&self, key: &Key) {
        let known = &mut *self.0.borrow_mut();
        if known.get(key).is_some() {
            known.set(key, None);
        }
    }

    /// Records that a receiver accepted or refused a message of a queue.
    pub(super) fn took(&self, key: &Key, origin: &Origin, now: SystemTime) {
        let known = &mut *self.0.borrow_mut();
        known.up.insert(origin.clone(), now);
        if known.get(key).is_some() {
            known.set(key, None);
        }
        for other in known.down.get(origin).cloned().unwrap_or_default() {
            known.wake(other);
        }
    }

    /// Records a failed attempt of a queue.
    pub(super) fn failed(&self, key: &Key, origin: &Origin, failed: Failed) {
        let known = &mut *self.0.borrow_mut();
        let failure = Failure {
            receiver: origin.to_string(),
            by_transport: failed.by_transport,
            is_woken: false,
            since: failed.now,
            last: failed.now,
            next: failed.next,
            not_before: failed.now + failed.retry_after.unwrap_or_default(),
            answers: BTreeMap::new(),
        };
        known.fails(key, failure);
    }

    /// Changes a queue's failure, if it has one.
    pub(super) fn change(&self, key: &Key, change: impl FnOnce(&mut Failure)) {
        let known = &mut *self.0.borrow_mut();
        let Some(own) = known.get(key) else { return };
        let mut changed = own.clone();
        change(&mut changed);
        if changed != *own {
            known.set(key, Some(changed));
        }
    }

    /// Removes and returns the queues whose receiver is back.
    pub(super) fn take_woken(&self) -> Vec<Key> {
        std::mem::take(&mut self.0.borrow_mut().woken)
    }
}

/// Returns whether a time has come.
///
/// A time further ahead than any probe was written by a clock that was wrong, and counts as come.
pub(super) fn has_come(time: SystemTime, now: SystemTime) -> bool {
    let ahead = time.duration_since(now).unwrap_or_default();
    ahead.is_zero() || ahead > LONGEST_PROBE * 2
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut known = self.receivers.0.borrow_mut();
        if let Some(count) = known.under_way.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                known.under_way.remove(&self.origin);
            }
        }
    }
}
