//! The requests under way to each receiver (a scheme, a host and a port), and the receivers
//! that cannot be reached.
//!
//! - While a receiver cannot be reached, one of the queues that lead to it probes it, as its own
//!   schedule says: the one that was tried last. Another one is tried if it got entries, if its
//!   head is to be given up, or if it was not tried yet and its path may be another matter; they
//!   have one attempt a minute between them.
//! - If the probing queue is late by a minute, the next one that is due takes its place.
//! - When the receiver takes or refuses a message, the queues that could not reach it are tried.
//!
//! Flushes hand this on to each other in the spool's `stats` file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::known::{Failed, Key, Known, tried_again};
use super::origin::Origin;
use super::result::Left;
use crate::spool::{Failure, Lock, Queue, Sample, Spool, Stats};

/// Time in which another process has written a spool's `stats`.
const WRITTEN_WITHIN: Duration = Duration::from_millis(2);
/// Longest time after an attempt in which the attempt is counted.
const COUNTED_WITHIN: Duration = Duration::from_mins(1);

/// The receivers, and the queues that lead to them. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Receivers(Rc<RefCell<Known>>);

/// A request under way to a receiver, until it is dropped.
#[derive(Debug)]
pub struct Visit {
    receivers: Receivers,
    pub(super) origin: Origin,
}

/// Saves, a second time if the spool is locked: the process that has the lock only writes a small
/// file.
fn twice(save: impl Fn() -> bool) -> bool {
    save() || {
        thread::sleep(WRITTEN_WITHIN);
        save()
    }
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
    /// Counts are saved before failures, of which an alert tells the last answer; else once a minute,
    /// and when a run ends (`ends`).
    /// A locked spool is tried twice. One still locked, or full, is saved the next time.
    pub fn save<'a>(
        &self,
        spool_at: impl Fn(&Path) -> Option<&'a Spool>,
        mut goes_on: impl FnMut() -> bool,
        ends: bool,
    ) {
        let known = &mut *self.0.borrow_mut();
        let since = known.counted_since;
        let is_time = ends || since.is_some_and(|since| since.elapsed() >= COUNTED_WITHIN);
        known.counted.retain(|root, newer| {
            if !is_time && !known.changed.contains_key(root) {
                return true;
            }
            let spool = spool_at(root);
            spool.is_some_and(|spool| !(goes_on() && twice(|| spool.add_counts(Lock::Try, newer))))
        });
        if is_time || known.counted.is_empty() {
            known.counted_since = None;
        }
        let mut changed = std::mem::take(&mut known.changed);
        changed.retain(|root, queues| {
            let Some(spool) = spool_at(root) else {
                return false;
            };
            let change = |stats: &mut Stats| {
                for queue in queues.iter() {
                    let key = (root.clone(), queue.clone());
                    match known.get(&key) {
                        Some(it) => drop(stats.failures.insert(queue.to_string(), it.clone())),
                        None => drop(stats.failures.remove(queue.as_str())),
                    }
                }
            };
            !(goes_on() && twice(|| spool.update_stats(Lock::Try, change)))
        });
        known.changed = changed;
    }

    /// Counts an attempt of an endpoint.
    pub(super) fn count_attempt(&self, key: &Key, receiver: &str, endpoint: &str, sample: &Sample) {
        let known = &mut *self.0.borrow_mut();
        known.counted_since.get_or_insert_with(Instant::now);
        let tallies = known.counted.entry(key.0.clone()).or_default();
        tallies.count(receiver, endpoint, sample);
    }

    /// Counts a request of a queue to its receiver. `counted` is that request if it was counted
    /// before the turn began. `waits` is true if the queue leaves probing to another one.
    ///
    /// Returns an error if no request is to be made now.
    pub(super) fn visit(
        &self,
        origin: &Origin,
        key: &Key,
        (now, waits): (SystemTime, bool),
        counted: Option<Visit>,
    ) -> Result<Visit, Left> {
        let counted = counted.filter(|visit| visit.origin == *origin);
        let until = self.0.borrow_mut().put_off(origin, key, now, waits);
        if let Some(until) = until {
            return Err(Left::Down { until });
        }
        let counted = counted.or_else(|| self.count(origin, &key.1));
        counted.ok_or(Left::Crowded)
    }

    /// Counts a request. Returns `None` if the receiver has as many as allowed.
    pub(super) fn count(&self, origin: &Origin, queue: &Queue) -> Option<Visit> {
        let known = &mut *self.0.borrow_mut();
        if known.room(origin, queue) == 0 {
            return None;
        }
        *known.under_way.entry(origin.clone()).or_default() += 1;
        Some(Visit {
            receivers: self.clone(),
            origin: origin.clone(),
        })
    }

    /// Returns the number of further requests that a queue's receiver may get at once.
    pub(super) fn room(&self, origin: &Origin, queue: &Queue) -> usize {
        self.0.borrow().room(origin, queue)
    }

    /// Returns the number of queues whose last attempt failed.
    pub(super) fn failing(&self) -> usize {
        self.0.borrow().failures.values().map(BTreeMap::len).sum()
    }

    /// Returns the time of a queue's next attempt, and the time from which new entries may cause
    /// one earlier.
    ///
    /// Returns `None` if its last attempt did not fail.
    pub(super) fn held(&self, key: &Key, now: SystemTime) -> Option<(SystemTime, SystemTime)> {
        let known = self.0.borrow();
        let failure = known.get(key)?;
        let probe_from = failure.not_before.max(tried_again(failure.last, now));
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
            extent: failed.extent,
            since: failed.now,
            last: failed.now,
            next: failed.next,
            not_before: failed
                .retry_after
                .map_or(SystemTime::UNIX_EPOCH, |it| failed.now + it),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{Access, Extent};

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(minutes: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(300_000) + MINUTE * minutes
    }

    /// Queues whose attempts fail at once, the next one after an hour.
    struct Host {
        receivers: Receivers,
        origin: Origin,
        extent: Extent,
    }

    impl Host {
        fn new(extent: Extent) -> Self {
            Self {
                receivers: Receivers::default(),
                origin: Origin::named("http://ci.example:80"),
                extent,
            }
        }

        fn key(name: &str) -> Key {
            let spool = Spool::new("/srv/one", Access::Owner);
            (
                spool.root().to_owned(),
                Queue::new(name).expect("a queue's name"),
            )
        }

        /// Has a due queue tried. Returns the minute at which it is due again if it is put off.
        fn is_put_off(&self, name: &str, minute: u32, waits: bool) -> Option<u32> {
            let (key, now) = (Self::key(name), at(minute));
            match self.receivers.visit(&self.origin, &key, (now, waits), None) {
                Ok(_) => {}
                Err(Left::Down { until }) => {
                    let after = until.duration_since(at(0)).expect("it is later");
                    return u32::try_from(after.as_secs() / 60).ok();
                }
                Err(left) => panic!("{left:?}"),
            }
            let failed = Failed {
                by_transport: true,
                extent: self.extent,
                now,
                next: at(minute + 60),
                retry_after: None,
            };
            self.receivers.failed(&key, &self.origin, failed);
            None
        }
    }

    #[test]
    fn each_queue_of_an_unreachable_host_probed_it_hourly() {
        let host = Host::new(Extent::Receiver);
        assert_eq!(host.is_put_off("a", 0, true), None);
        // It was not tried yet.
        assert_eq!(host.is_put_off("b", 0, true), Some(1));
        assert_eq!(host.is_put_off("b", 1, true), Some(61));
        assert_eq!(host.is_put_off("b", 59, true), Some(61));
        assert_eq!(host.is_put_off("a", 60, true), None);
        assert_eq!(host.is_put_off("b", 61, true), Some(121));
        // A push probes, and its queue goes on with it.
        assert_eq!(host.is_put_off("b", 70, false), None);
        assert_eq!(host.is_put_off("c", 70, false), Some(130));
        assert_eq!(host.is_put_off("a", 120, true), Some(131));
        assert_eq!(host.is_put_off("b", 130, true), None);
        // Its queue is gone.
        host.receivers.forget(&Host::key("b"));
        assert_eq!(host.is_put_off("a", 191, true), None);
    }

    #[test]
    fn a_probe_that_does_not_come_is_made_by_another_queue() {
        let host = Host::new(Extent::Receiver);
        assert_eq!(host.is_put_off("a", 0, true), None);
        assert_eq!(host.is_put_off("b", 0, true), Some(1));
        assert_eq!(host.is_put_off("b", 1, true), Some(61));
        assert_eq!(host.is_put_off("b", 61, true), None);
        assert_eq!(host.is_put_off("a", 62, true), Some(122));
    }

    #[test]
    fn a_queue_that_failed_while_the_clock_was_ahead_was_woken_an_hour_late() {
        let host = Host::new(Extent::Path);
        assert_eq!(host.is_put_off("b", 31 * 24 * 60, true), None);
        // A person dropped a message of another queue.
        let forget = |failure: &mut Failure| failure.last = SystemTime::UNIX_EPOCH;
        host.receivers.change(&Host::key("b"), forget);
        assert_eq!(host.is_put_off("a", 0, true), None);
        assert_eq!(host.is_put_off("b", 1, true), Some(61));
        host.receivers.took(&Host::key("a"), &host.origin, at(30));
        let held = host.receivers.held(&Host::key("b"), at(30));
        let next = held.map(|(next, _)| next);
        assert!(next.is_some_and(|next| next <= at(30)), "{next:?}");
    }

    #[test]
    fn a_push_did_not_probe_after_the_clock_was_half_an_hour_ahead() {
        let host = Host::new(Extent::Receiver);
        assert_eq!(host.is_put_off("a", 30, true), None);
        let probe_from = |name| host.receivers.held(&Host::key(name), at(0));
        assert_eq!(probe_from("a").map(|(_, from)| from), Some(at(0)));
        assert_eq!(host.is_put_off("b", 0, false), None);
    }

    #[test]
    fn a_path_that_hangs_leaves_each_other_one_an_attempt_of_its_own() {
        let host = Host::new(Extent::Path);
        assert_eq!(host.is_put_off("a", 0, true), None);
        assert_eq!(host.is_put_off("b", 0, true), Some(1));
        assert_eq!(host.is_put_off("b", 1, true), None);
        assert_eq!(host.is_put_off("a", 60, true), Some(62));
    }
}
