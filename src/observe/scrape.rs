//! The states of many spools, added up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::labels::{Detail, Labels};
use super::state::State;
use crate::spool::Totals;

/// Largest number that another account's refpost may say: larger ones are no counts.
pub(super) const MOST: u64 = 1 << 53;

/// All that is known of receivers and spools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scrape {
    /// A row for each receiver, or for each of its endpoints and spools.
    pub receivers: Vec<Receiver>,
    /// A row for each spool, or one for all.
    pub spools: Vec<SpoolRow>,
}

/// A receiver: its queues and its counts. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// Its names.
    pub labels: Labels,
    /// The worst state of its queues.
    pub state: State,
    /// Number of entries that wait in order.
    pub waiting: u64,
    /// Number of refused messages that wait for themselves.
    pub refused: u64,
    /// Number of entries, and parts of entries, that were given up.
    pub failed: u64,
    /// Failed attempts of the first message, the most of any queue.
    pub failed_attempts: u64,
    /// Time of the oldest waiting entry.
    pub oldest: Option<u64>,
    /// Time of the next attempt.
    pub next: Option<u64>,
    /// Time of the last delivery.
    pub delivered: Option<u64>,
    /// Counts that only grow.
    #[serde(default, skip_serializing_if = "Totals::is_empty")]
    pub totals: Totals,
}

/// A spool. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpoolRow {
    /// The account, if accounts are told apart.
    pub account: String,
    /// Its folder, if spools are told apart.
    pub spool: String,
    /// True if all of it could be read.
    pub is_read: bool,
    /// Number of entries that are in no queue yet.
    pub new: u64,
    /// Number of entries that cannot be read.
    pub unreadable: u64,
    /// Number of pushes under way.
    pub intent: u64,
    /// Number of pushes that could not be recorded.
    pub unrecorded: u64,
    /// Time of the oldest entry that is in no queue yet.
    pub oldest_new: Option<u64>,
    /// Number of free bytes on its disk.
    pub free: Option<u64>,
    /// Time at which a flush last wrote down that it was here.
    pub flushed: Option<u64>,
}

impl Receiver {
    pub(super) fn add(&mut self, other: &Self) {
        self.state = self.state.max(other.state);
        self.waiting = self.waiting.saturating_add(other.waiting);
        self.refused = self.refused.saturating_add(other.refused);
        self.failed = self.failed.saturating_add(other.failed);
        self.failed_attempts = self.failed_attempts.max(other.failed_attempts);
        self.oldest = least(self.oldest, other.oldest);
        self.next = least(self.next, other.next);
        self.delivered = self.delivered.max(other.delivered);
        self.totals.add(&other.totals);
    }

    pub(super) fn is_valid(&self, now: u64) -> bool {
        let Totals {
            counts,
            durations,
            delays,
            remade,
        } = &self.totals;
        let mut numbers = [
            self.waiting,
            self.refused,
            self.failed,
            self.failed_attempts,
        ]
        .into_iter()
        .chain(counts.0)
        .chain(durations.counts.into_iter().chain([durations.sum]))
        .chain(delays.counts.into_iter().chain([delays.sum]))
        .chain([*remade]);
        self.labels.are_valid()
            && numbers.all(|number| number <= MOST)
            && are_times([self.oldest, self.next, self.delivered], now)
    }
}

impl SpoolRow {
    fn add(&mut self, other: &Self) {
        self.is_read &= other.is_read;
        self.new = self.new.saturating_add(other.new);
        self.unreadable = self.unreadable.saturating_add(other.unreadable);
        self.intent = self.intent.saturating_add(other.intent);
        self.unrecorded = self.unrecorded.saturating_add(other.unrecorded);
        self.oldest_new = least(self.oldest_new, other.oldest_new);
        self.free = least(self.free, other.free);
        self.flushed = least(self.flushed, other.flushed);
    }

    fn is_valid(&self, now: u64) -> bool {
        let numbers = [self.new, self.unreadable, self.intent, self.unrecorded];
        self.account.is_empty()
            && self.spool.len() <= 4096
            && numbers.iter().all(|number| *number <= MOST)
            && are_times([self.oldest_new, self.flushed, None], now)
    }
}

impl Scrape {
    /// Adds up the rows whose names are the same, once those that are not to be given are left out.
    #[must_use]
    pub fn reduced(self, detail: Detail) -> Self {
        let mut receivers: BTreeMap<Labels, Receiver> = BTreeMap::new();
        for mut row in self.receivers {
            row.labels = row.labels.reduced(detail);
            match receivers.get_mut(&row.labels) {
                Some(known) => known.add(&row),
                None => drop(receivers.insert(row.labels.clone(), row)),
            }
        }
        let mut spools: BTreeMap<(String, String), SpoolRow> = BTreeMap::new();
        for mut row in self.spools {
            if !detail.per_spool {
                row.spool.clear();
            }
            let names = (row.account.clone(), row.spool.clone());
            match spools.get_mut(&names) {
                Some(known) => known.add(&row),
                None => drop(spools.insert(names, row)),
            }
        }
        Self {
            receivers: receivers.into_values().collect(),
            spools: spools.into_values().collect(),
        }
    }

    /// Returns whether this may be what another account's refpost found, at the time `now`.
    #[must_use]
    pub fn is_valid(&self, now: u64) -> bool {
        self.receivers.iter().all(|row| row.is_valid(now))
            && self.spools.iter().all(|row| row.is_valid(now))
    }
}

/// Returns the smaller of two numbers that are there.
fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// Returns whether these can be times of spools: a retry is at most a hundred years ahead.
fn are_times(times: [Option<u64>; 3], now: u64) -> bool {
    let latest = now.saturating_add(101 * 366 * 86400);
    times.iter().flatten().all(|time| *time <= latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(spool: &str, numbers: [u64; 4], times: [Option<u64>; 3]) -> Receiver {
        Receiver {
            labels: Labels::new("https://ci:443", "ci", spool),
            state: State::default(),
            waiting: numbers[0],
            refused: numbers[1],
            failed: numbers[2],
            failed_attempts: numbers[3],
            oldest: times[0],
            next: times[1],
            delivered: times[2],
            totals: Totals::default(),
        }
    }

    #[test]
    fn queues_are_added_up_and_times_are_the_first_or_the_last() {
        let scrape = Scrape {
            receivers: vec![
                row("/a", [1, 2, 3, 4], [Some(50), None, Some(7)]),
                row("/b", [10, 20, 30, 3], [Some(40), Some(90), None]),
                row("/c", [0, 0, 0, 0], [None, Some(95), Some(9)]),
            ],
            spools: Vec::new(),
        };
        let all = scrape.clone().reduced(Detail::default());
        let mut sum = row("", [11, 22, 33, 4], [Some(40), Some(90), Some(9)]);
        sum.labels.endpoint.clear();
        assert_eq!(all.receivers, [sum]);
        let detail = Detail {
            per_endpoint: true,
            per_spool: true,
        };
        assert_eq!(scrape.clone().reduced(detail), scrape);
    }

    #[test]
    fn what_an_account_says_is_believed_within_bounds_alone() {
        let scrape = |change: &dyn Fn(&mut Receiver)| {
            let mut one = row("/a", [1, 2, 3, 4], [Some(50), Some(2_000), Some(7)]);
            change(&mut one);
            let receivers = vec![one];
            let spools = vec![SpoolRow::default()];
            Scrape { receivers, spools }
        };
        assert!(scrape(&|_| ()).is_valid(1000));
        let wrong: [&dyn Fn(&mut Receiver); 6] = [
            &|one| one.waiting = u64::MAX,
            &|one| one.totals.counts.0[4] = u64::MAX,
            &|one| one.totals.delays.sum = u64::MAX,
            &|one| one.totals.remade = u64::MAX,
            &|one| one.oldest = Some(u64::MAX),
            &|one| one.labels.receiver = "https://ci:443/path".to_owned(),
        ];
        for change in wrong {
            assert!(!scrape(change).is_valid(1000));
        }
        let mut named = scrape(&|_| ());
        named.spools[0].account = "root".to_owned();
        assert!(!named.is_valid(1000));
    }
}
