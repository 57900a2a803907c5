//! What is known of receivers (a scheme, a host and a port): how many requests are under
//! way to each, and which of them are down.
//!
//! - A receiver that cannot be reached is probed by one queue for all that lead to it, when
//!   that queue's schedule says so.
//! - A queue that something came for may probe too, a minute after the last attempt.
//! - Once the receiver takes a message, the other queues that could not reach it are woken.
//!
//! All of this is advice that flushes hand on in the spool's `stats`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::courier::Left;
use super::retry::LONGEST_PROBE;
use crate::config::EndpointUrl;
use crate::spool::{Failure, Queue, Spool, SpoolError};

/// Requests at once to one receiver, whatever the number of its endpoints and queues.
const MOST: usize = 4;
/// How long after an attempt one that the schedule does not have is made.
const PROBED_AGAIN: Duration = Duration::from_mins(1);
/// An outage is told again after this.
const TOLD_AGAIN: Duration = Duration::from_hours(24);

/// One queue of one spool.
pub(super) type Key = (PathBuf, Queue);

/// A receiver, as `https://ci.example.org:443`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

impl Origin {
    pub(super) fn of(url: &EndpointUrl) -> Self {
        let url = url.expose();
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        Self(format!("{}://{host}:{port}", url.scheme()))
    }
}

/// What a failed attempt says of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) by_transport: bool,
    pub(super) now: SystemTime,
    /// When the schedule has the next attempt.
    pub(super) next: SystemTime,
    pub(super) retry_after: Option<Duration>,
}

/// Receivers, and the queues that lead to them. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Receivers(Rc<RefCell<Known>>);

#[derive(Debug, Default)]
struct Known {
    under_way: BTreeMap<Origin, usize>,
    /// Queues whose endpoint failed at its last attempt.
    failures: BTreeMap<Key, Failure>,
    /// Whose failures the spools' `stats` do not have as they are.
    changed: BTreeSet<Key>,
    /// Queues whose receiver is back, and when each may be tried.
    woken: Vec<(Key, SystemTime)>,
}

/// A request under way to a receiver, until it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    receivers: Receivers,
    pub(super) origin: Origin,
}

/// An outage that is over, of which a person was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// How long it lasted.
    pub(super) after: Duration,
}

impl Known {
    /// The queues that could not reach a receiver.
    fn down(&self, origin: &Origin) -> impl Iterator<Item = (&Key, &Failure)> {
        let failures = self.failures.iter();
        failures.filter(|(_, it)| it.by_transport && it.receiver == origin.0)
    }

    fn room(&self, origin: &Origin) -> usize {
        let under_way = self.under_way.get(origin).copied().unwrap_or_default();
        let most = if self.down(origin).next().is_some() {
            1
        } else {
            MOST
        };
        most - under_way.min(most)
    }
}

impl Receivers {
    /// Learns what earlier flushes of a spool knew.
    pub fn learn(&self, spool: &Spool, failures: BTreeMap<String, Failure>) {
        let known = &mut *self.0.borrow_mut();
        for (queue, failure) in failures {
            let Ok(queue) = Queue::new(queue) else {
                continue;
            };
            let key = (spool.root().to_owned(), queue);
            if !known.changed.contains(&key) {
                known.failures.insert(key, failure);
            }
        }
    }

    /// Whether a spool's `stats` are behind.
    pub(super) fn has_changed(&self) -> bool {
        !self.0.borrow().changed.is_empty()
    }

    /// Hands on what changed in a spool.
    pub fn save(&self, spool: &Spool) -> Result<(), SpoolError> {
        let known = &mut *self.0.borrow_mut();
        let is_here = |key: &Key| key.0 == spool.root();
        let changed: Vec<Key> = known
            .changed
            .iter()
            .filter(|key| is_here(key))
            .cloned()
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        known.changed.retain(|key| !is_here(key));
        spool.update_stats(|stats| {
            for key in changed {
                let queue = key.1.to_string();
                match known.failures.get(&key) {
                    Some(failure) => drop(stats.failures.insert(queue, failure.clone())),
                    None => drop(stats.failures.remove(&queue)),
                }
            }
        })
    }

    /// Counts a request. Returns why it cannot be made now.
    pub(super) fn visit(
        &self,
        origin: Origin,
        now: SystemTime,
        is_probe: bool,
    ) -> Result<Visit, Left> {
        let known = &mut *self.0.borrow_mut();
        let next = known.down(&origin).map(|(_, it)| it.next).max();
        let last = known.down(&origin).map(|(_, it)| it.last).max();
        let probe_from = last.map(|last| last + PROBED_AGAIN);
        let from = if is_probe { probe_from } else { next };
        if let (Some(from), Some(probe_from)) = (from, probe_from)
            && !has_come(from, now)
        {
            return Err(Left::Down {
                until: from,
                probe_from,
            });
        }
        if known.room(&origin) == 0 {
            return Err(Left::Crowded(origin));
        }
        *known.under_way.entry(origin.clone()).or_default() += 1;
        let receivers = self.clone();
        Ok(Visit { receivers, origin })
    }

    /// How many more requests can be made to a receiver.
    pub(super) fn room(&self, origin: &Origin) -> usize {
        self.0.borrow().room(origin)
    }

    /// From when on a queue may be tried although its schedule has nothing: `None` if
    /// nothing is known of its last attempt.
    pub(super) fn probe_from(&self, key: &Key) -> Option<SystemTime> {
        let known = self.0.borrow();
        let failure = known.failures.get(key)?;
        Some(failure.not_before.max(failure.last + PROBED_AGAIN))
    }

    /// A receiver took a message of a queue: it is up, and so are the queues that could not
    /// reach it. Returns the outage that this ends, if a person was told of it.
    pub(super) fn took(&self, key: &Key, origin: &Origin, now: SystemTime) -> Option<Ended> {
        let known = &mut *self.0.borrow_mut();
        let own = known.failures.remove(key);
        if own.is_some() {
            known.changed.insert(key.clone());
        }
        let others: Vec<Key> = known.down(origin).map(|(key, _)| key.clone()).collect();
        let mut ended: Vec<Failure> = own.into_iter().collect();
        for other in others {
            if let Some(failure) = known.failures.remove(&other) {
                let from = failure.last + PROBED_AGAIN;
                known.woken.push((other.clone(), from));
                known.changed.insert(other);
                ended.push(failure);
            }
        }
        if ended.iter().all(|it| it.told == SystemTime::UNIX_EPOCH) {
            return None;
        }
        let since = ended.iter().map(|it| it.since).min()?;
        let after = now.duration_since(since).unwrap_or_default();
        Some(Ended { after })
    }

    /// An endpoint failed. `is_probe`: the schedule did not have the attempt.
    pub(super) fn failed(&self, key: &Key, origin: &Origin, failed: Failed) {
        let known = &mut *self.0.borrow_mut();
        let before = known.failures.get(key);
        let (since, told) = before.map_or((failed.now, SystemTime::UNIX_EPOCH), |before| {
            (before.since, before.told)
        });
        let wait = failed.retry_after.unwrap_or_default();
        let failure = Failure {
            receiver: origin.0.clone(),
            by_transport: failed.by_transport,
            since,
            last: failed.now,
            next: failed.next,
            not_before: failed.now + wait,
            told,
        };
        known.failures.insert(key.clone(), failure);
        known.changed.insert(key.clone());
    }

    /// Whether a person is to be told that an endpoint fails. Of a receiver that cannot be
    /// reached it is told once, not for each of its queues; of each outage once a day.
    pub(super) fn is_news(&self, key: &Key, origin: &Origin, now: SystemTime) -> bool {
        let known = &mut *self.0.borrow_mut();
        let Some(own) = known.failures.get(key) else {
            return true;
        };
        let told = if own.by_transport {
            known.down(origin).map(|(_, it)| it.told).max()
        } else {
            Some(own.told)
        };
        let told = told.unwrap_or(SystemTime::UNIX_EPOCH);
        // One in the future was told by a clock that was wrong.
        let is_known = now
            .duration_since(told)
            .is_ok_and(|since| since < TOLD_AGAIN);
        if is_known {
            return false;
        }
        if let Some(own) = known.failures.get_mut(key) {
            own.told = now;
            known.changed.insert(key.clone());
        }
        true
    }

    /// The queues whose receiver is back, and from when on each may be tried.
    pub(super) fn take_woken(&self) -> Vec<(Key, SystemTime)> {
        std::mem::take(&mut self.0.borrow_mut().woken)
    }
}

/// Whether a time has come, or lies further ahead than any probe: then the clock was wrong.
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
