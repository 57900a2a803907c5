//! The `stats` file of a spool: a small JSON file that one flush writes for the next.
//!
//! ```text
//! clock     time since which the clock has gone on evenly, as far as flushes saw
//! failures  the queues whose endpoint failed at the last attempt
//! told      what a person was told of each receiver
//! deaths    the entries that killed the process that built their messages
//! ```
//!
//! Beside it, `counts` has the attempts of each endpoint, in all and by the hour. It is larger,
//! and written once a minute at most.
//!
//! Both can be deleted. Then an outage is told once more, nothing is given up or swept away for an
//! hour, and counts begin at zero. So they are not flushed to disk, and one that cannot be read
//! counts as empty.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::disk::Locked;
use super::error::IoError;
use super::failure::Failure;
use super::names::id::Id;
use super::names::queue::Queue;
use super::tally::Tallies;
use super::told::ToldReceiver;
use super::{Folder, Lock, Spool, disk, encoding};
use crate::json;

pub(super) const STATS: &str = "stats";
pub(super) const COUNTS: &str = "counts";
/// Size of the largest file read, in bytes.
const LARGEST: u64 = 16 << 20;
/// Number of deaths that are kept.
const MOST_DEATHS: usize = 256;
/// Time for which the clock must have gone on evenly before anything expires by it.
const SETTLED_AFTER: Duration = Duration::from_hours(1);
/// Longest time between two flushes after which the clock is still believed.
const LONGEST_GAP: Duration = Duration::from_hours(24);
/// Largest step back that keeping a clock right (NTP) makes.
const CORRECTION: Duration = Duration::from_mins(1);
/// Interval at which the clock is written down.
const WRITTEN_AGAIN: Duration = Duration::from_mins(10);

/// The contents of the `stats` file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// The clock, as flushes saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// By the queue's name: endpoints that failed at their last attempt.
    pub failures: BTreeMap<String, Failure>,
    /// By the receiver: what a person was told of it, as far as this spool goes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<String, ToldReceiver>,
    /// By the entry's id: entries that killed the process that built their messages.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub deaths: BTreeMap<String, Death>,
}

/// An entry that killed the process that built its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Number of deaths.
    pub count: u32,
    /// Seconds for which it has done nothing since, in flushes that ended before they counted it.
    #[serde(default, skip_serializing_if = "encoding::is_zero")]
    pub idle: u64,
    /// The way in which the last process died.
    pub why: String,
}

/// The clock, as flushes saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Time since which it has gone on evenly.
    #[serde(with = "encoding::time")]
    since: SystemTime,
    /// Time at which it was last seen.
    #[serde(with = "encoding::time")]
    last: SystemTime,
}

impl Clock {
    fn new(now: SystemTime) -> Self {
        let (since, last) = (now, now);
        Self { since, last }
    }

    /// Returns the clock as seen at `now`. A clock that jumped begins anew.
    #[must_use]
    fn seen(self, now: SystemTime) -> Self {
        let is_even = now + CORRECTION >= self.last && now <= self.last + LONGEST_GAP;
        if is_even {
            Self { last: now, ..self }
        } else {
            Self::new(now)
        }
    }

    fn is_settled(self, now: SystemTime) -> bool {
        let clock = self.seen(now);
        now.duration_since(clock.since)
            .is_ok_and(|even| even >= SETTLED_AFTER)
    }
}

impl Death {
    fn die(&mut self, why: &str) {
        self.count += 1;
        self.idle = 0;
        why.clone_into(&mut self.why);
    }
}

impl Stats {
    /// Returns the time at which a flush last wrote down that it was here, every ten minutes.
    #[must_use]
    pub fn flushed(&self) -> Option<SystemTime> {
        self.clock.map(|clock| clock.last)
    }

    /// Returns whether the clock has gone on evenly for an hour, as far as flushes saw.
    #[must_use]
    pub fn is_clock_settled(&self, now: SystemTime) -> bool {
        self.clock.is_some_and(|clock| clock.is_settled(now))
    }
}

impl Spool {
    /// Reads the `stats` file. A missing or unreadable one counts as empty.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.read_json(STATS)
    }

    /// Reads the `counts` file. A missing or unreadable one counts as empty.
    #[must_use]
    pub fn counts(&self) -> Tallies {
        self.read_json(COUNTS)
    }

    /// Changes the `stats` file. Returns false if that was not possible: another process holds
    /// the lock, the disk is full, or there is no spool.
    pub fn update_stats(&self, lock: Lock, change: impl FnOnce(&mut Stats)) -> bool {
        self.update_json(STATS, lock, change)
    }

    /// Adds attempts to the `counts` file. Returns false if that was not possible, as
    /// [`Spool::update_stats`] does.
    #[must_use]
    pub fn add_counts(&self, lock: Lock, newer: &Tallies) -> bool {
        self.update_json(COUNTS, lock, |counts: &mut Tallies| counts.add(newer))
    }

    fn read_json<T: DeserializeOwned + Default>(&self, name: &str) -> T {
        let name = self.root_dir().entry(name);
        let mut bytes = vec![];
        match disk::open(&name).map(|file| file.take(LARGEST).read_to_end(&mut bytes)) {
            Ok(Ok(_)) => serde_json::from_slice(&bytes).unwrap_or_default(),
            _ => T::default(),
        }
    }

    fn update_json<T>(&self, name: &str, lock: Lock, change: impl FnOnce(&mut T)) -> bool
    where
        T: Clone + Default + DeserializeOwned + PartialEq + Serialize,
    {
        let root = self.root_dir();
        let Ok(Locked::Held(_lock)) = disk::lock(&root, lock) else {
            return false;
        };
        let known: T = self.read_json(name);
        let mut changed = known.clone();
        change(&mut changed);
        changed == known || self.write_json(&root, name, &changed).is_ok()
    }

    fn write_json(&self, root: &Folder, name: &str, value: &impl Serialize) -> Result<(), IoError> {
        // Under the lock no other process has this name.
        let tmp = self.work_dir()?.entry(name);
        disk::unlink(&tmp)?;
        let file = disk::create(&tmp, self.access)?;
        let written = disk::write(&file, &tmp, &[&json::to_bytes(value), b"\n"]);
        let named = written
            .and_then(|()| disk::keeping_mark(root, || disk::rename(&tmp, &root.entry(name))));
        if named.is_err() {
            let _ = disk::unlink(&tmp);
        }
        named
    }

    /// Removes the failure of a queue whose messages a person retried or dropped.
    pub(super) fn forget_failure(&self, queue: &Queue) {
        let _ = self.update_stats(Lock::Wait, |stats| {
            stats.failures.remove(queue.as_str());
            // Nor does one of another queue: it may lead to the same receiver.
            for other in stats.failures.values_mut() {
                other.last = SystemTime::UNIX_EPOCH;
            }
        });
    }

    /// Counts a death of the process that built this entry's messages. Returns the number of
    /// deaths.
    #[must_use]
    pub fn count_death(&self, id: &Id, why: &str) -> u32 {
        let mut count = 0;
        self.update_death(id, |death| {
            death.die(why);
            count = death.count;
        });
        count
    }

    /// Counts time for which the process that built this entry's messages did nothing.
    ///
    /// A death is counted once that comes to `most`.
    pub fn count_idle(&self, id: &Id, idle: Duration, most: Duration, why: &str) {
        self.update_death(id, |death| {
            death.idle += idle.as_secs();
            if death.idle >= most.as_secs() {
                death.die(why);
            }
        });
    }

    fn update_death(&self, id: &Id, change: impl FnOnce(&mut Death)) {
        self.update_stats(Lock::Wait, |stats| {
            change(stats.deaths.entry(id.to_string()).or_default());
            while stats.deaths.len() > MOST_DEATHS {
                stats.deaths.pop_first();
            }
        });
    }

    /// Returns how the last process died of those that an entry killed, if there were `most`.
    #[must_use]
    pub fn killed_by(&self, id: &Id, most: u32) -> Option<String> {
        let death = self.stats().deaths.remove(id.as_str())?;
        (death.count >= most).then_some(death.why)
    }

    /// Forgets the deaths by an entry that is built, or that a person wants tried again.
    pub fn forget_deaths(&self, id: &Id) {
        if self.stats().deaths.contains_key(id.as_str()) {
            self.update_stats(Lock::Wait, |stats| drop(stats.deaths.remove(id.as_str())));
        }
    }

    /// Returns the time of the newest push, by the clock of that time. `None`: there was none.
    #[must_use]
    pub fn newest_push(&self) -> Option<SystemTime> {
        disk::modified(&self.root_dir())
    }

    /// Notes the time for later flushes. Returns whether the clock is settled
    /// ([`Stats::is_clock_settled`]).
    #[must_use]
    pub fn see_clock(&self, now: SystemTime) -> bool {
        let stats = self.stats();
        let seen = stats.clock.map_or(Clock::new(now), |clock| clock.seen(now));
        let is_new = stats.clock.is_none_or(|clock| {
            let is_old = |since| {
                now.duration_since(since)
                    .is_ok_and(|it| it >= WRITTEN_AGAIN)
            };
            clock.since != seen.since || is_old(clock.last)
        });
        if is_new {
            // After an error old data stays a while longer.
            let _ = self.update_stats(Lock::Try, |stats| stats.clock = Some(seen));
        }
        stats.is_clock_settled(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> SystemTime {
        let base = SystemTime::UNIX_EPOCH + Duration::from_hours(1_000_000);
        let apart = Duration::from_mins(minutes.unsigned_abs());
        if minutes < 0 {
            base - apart
        } else {
            base + apart
        }
    }

    #[test]
    fn a_clock_is_settled_once_two_looks_an_hour_apart_agree() {
        const DAY: i64 = 24 * 60;
        let cases: [(&[i64], i64, bool); 9] = [
            (&[0], 0, false),
            (&[0], 59, false),
            (&[0], 60, true),
            (&[0, 30], 60, true),
            // Further apart than a day: it may have jumped.
            (&[0], DAY + 1, false),
            (&[0, 60, 31 * DAY], 31 * DAY + 59, false),
            (&[0, 60, 31 * DAY], 31 * DAY + 60, true),
            // Set back.
            (&[0, 60, -31 * DAY], -31 * DAY + 10, false),
            (&[0, 60], 59, false),
        ];
        for (looks, now, settled) in cases {
            let first = Clock::new(at(looks[0]));
            let looks = looks.iter();
            let clock = looks.fold(first, |clock, look| clock.seen(at(*look)));
            assert_eq!(clock.is_settled(at(now)), settled, "{now}");
        }
    }
}
