//! Counts of attempts in the `counts` file, by receiver and endpoint: what the log forgets.
//!
//! Totals only grow. Beside them are the counts of each hour of the last eight days. A spool has
//! places for [`MOST`] endpoints; those that come later are counted for their receiver, and past
//! [`MOST`] receivers for none.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::encoding;

/// Number of endpoints with counts of their own, and number of receivers for all others.
const MOST: usize = 256;
/// Number of hours that are kept.
const HOURS: u64 = 8 * 24;
/// Length of the longest answer kept, in characters.
const LONGEST_ANSWER: usize = 40;
/// The receiver of attempts for which there is no place.
const OTHER: &str = "other";

/// Upper bounds of the durations of attempts, in milliseconds.
pub const DURATIONS: [u64; 8] = [10, 50, 100, 500, 1000, 5000, 10_000, 30_000];
/// Upper bounds of the times from push to delivery, in milliseconds.
pub const DELAYS: [u64; 8] = [
    1000, 5000, 15_000, 60_000, 300_000, 3_600_000, 21_600_000, 86_400_000,
];

/// The result of an attempt, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedOutcome {
    /// The receiver took the message.
    Delivered,
    /// The receiver does not want this message.
    Refused,
    /// The receiver answers that it takes nothing now.
    Unavailable,
    /// There was no answer.
    Unreachable,
}

impl CountedOutcome {
    /// Every result, in the order of [`Counts`].
    pub const ALL: [Self; 4] = [
        Self::Delivered,
        Self::Refused,
        Self::Unavailable,
        Self::Unreachable,
    ];

    /// Returns its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Number of attempts by result, then number of messages given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(pub [u64; 5]);

impl Counts {
    /// Returns the number of attempts with a result.
    #[must_use]
    pub fn of(&self, outcome: CountedOutcome) -> u64 {
        self.0[outcome as usize]
    }

    /// Returns the number of messages that were given up.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.0[4]
    }

    /// Returns the number of attempts that did not deliver.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.0[1..4]
            .iter()
            .fold(0, |sum, it| sum.saturating_add(*it))
    }

    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own = own.saturating_add(other);
        }
    }
}

/// Values sorted by eight upper bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Number of values up to each bound and above the one before it. The last is above all.
    pub counts: [u64; 9],
    /// Sum of the values, in milliseconds.
    pub sum: u64,
}

impl Histogram {
    fn count(&mut self, value: Duration, bounds: &[u64; 8]) {
        let ms = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        let at = bounds.iter().position(|bound| ms <= *bound).unwrap_or(8);
        self.counts[at] = self.counts[at].saturating_add(1);
        self.sum = self.sum.saturating_add(ms);
    }

    /// Adds other values.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.counts.iter_mut().zip(other.counts) {
            *own = own.saturating_add(other);
        }
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// Counts that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Attempts, and messages given up.
    pub counts: Counts,
    /// Durations of attempts.
    pub durations: Histogram,
    /// Times from push to delivery.
    pub delays: Histogram,
    /// Requests that were repeated at once, since a kept connection broke before any answer. They
    /// are part of an attempt. An older version does not read them.
    #[serde(default, skip_serializing_if = "encoding::is_zero")]
    pub remade: u64,
}

impl Totals {
    /// Returns whether nothing is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds other totals.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.durations.add(&other.durations);
        self.delays.add(&other.delays);
        self.remade = self.remade.saturating_add(other.remade);
    }

    /// Returns whether none of these is less than in `before`.
    #[must_use]
    pub fn have_grown_from(&self, before: &Self) -> bool {
        let all = |one: &Self| {
            let counts = one.counts.0.into_iter();
            let durations = one.durations.counts.into_iter().chain([one.durations.sum]);
            let delays = one.delays.counts.into_iter().chain([one.delays.sum]);
            counts.chain(durations).chain(delays).chain([one.remade])
        };
        all(self)
            .zip(all(before))
            .all(|(now, before)| now >= before)
    }
}

/// The last attempt of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Its time.
    #[serde(with = "encoding::time")]
    pub time: SystemTime,
    /// The status, or the log's word for its absence.
    pub answer: String,
}

/// The counts of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Since the spool exists.
    pub totals: Totals,
    /// By the number of hours since 1970.
    pub hours: BTreeMap<u64, Counts>,
    /// The last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
    /// The last attempt that delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Last>,
}

/// One attempt, to be counted.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its time.
    pub time: SystemTime,
    /// Its result.
    pub outcome: CountedOutcome,
    /// The status, or the log's word for its absence.
    pub answer: String,
    /// Its duration.
    pub took: Duration,
    /// True if its request was repeated, since a kept connection broke.
    pub is_remade: bool,
    /// Number of messages that were given up by it.
    pub given_up: u64,
    /// Time since the push.
    pub delay: Duration,
}

impl Tally {
    fn count(&mut self, sample: &Sample) {
        let mut counts = Counts::default();
        counts.0[sample.outcome as usize] = 1;
        counts.0[4] = sample.given_up;
        self.totals.counts.add(&counts);
        self.totals.remade += u64::from(sample.is_remade);
        self.totals.durations.count(sample.took, &DURATIONS);
        self.hours
            .entry(hour(sample.time))
            .or_default()
            .add(&counts);
        let last = Last {
            time: sample.time,
            answer: sample.answer.chars().take(LONGEST_ANSWER).collect(),
        };
        if sample.outcome == CountedOutcome::Delivered {
            self.totals.delays.count(sample.delay, &DELAYS);
            self.delivered = Some(last.clone());
        }
        self.last = Some(last);
    }

    fn add(&mut self, newer: &Self) {
        self.totals.add(&newer.totals);
        for (hour, counts) in &newer.hours {
            self.hours.entry(*hour).or_default().add(counts);
        }
        if let Some((newest, _)) = newer.hours.last_key_value() {
            // Those of a clock that was ahead go too.
            self.hours
                .retain(|hour, _| *hour <= *newest && newest - hour < HOURS);
        }
        for (own, newer) in [
            (&mut self.last, &newer.last),
            (&mut self.delivered, &newer.delivered),
        ] {
            if newer.is_some() {
                own.clone_from(newer);
            }
        }
    }

    /// Returns the counts of the last `hours`, the one under way among them.
    #[must_use]
    pub fn within(&self, hours: u64, now: SystemTime) -> Counts {
        let now = hour(now);
        let mut sum = Counts::default();
        for (_, counts) in self.hours.range(now.saturating_sub(hours - 1)..=now) {
            sum.add(counts);
        }
        sum
    }
}

/// The counts of a spool, by receiver and then by endpoint. An endpoint without a name stands for
/// those that have no place of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tallies(pub BTreeMap<String, BTreeMap<String, Tally>>);

impl Tallies {
    /// Counts an attempt.
    pub fn count(&mut self, receiver: &str, endpoint: &str, sample: &Sample) {
        self.place(receiver, endpoint).count(sample);
    }

    /// Adds the counts of another process, or of a later time.
    pub(super) fn add(&mut self, newer: &Self) {
        for (receiver, endpoint, tally) in newer.each() {
            self.place(receiver, endpoint).add(tally);
        }
    }

    /// Returns each receiver and endpoint with its counts.
    pub fn each(&self) -> impl Iterator<Item = (&str, &str, &Tally)> {
        self.0.iter().flat_map(|(receiver, endpoints)| {
            let named = endpoints.iter();
            named.map(move |(name, tally)| (&**receiver, &**name, tally))
        })
    }

    /// Returns whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&mut self, receiver: &str, endpoint: &str) -> &mut Tally {
        let has = |receiver, endpoint| {
            self.0
                .get(receiver)
                .is_some_and(|own| own.contains_key(endpoint))
        };
        let places = |named: bool| {
            let each = self.each().filter(|(_, name, _)| name.is_empty() != named);
            each.count()
        };
        let (receiver, endpoint) = if has(receiver, endpoint) || places(true) < MOST {
            (receiver, endpoint)
        } else if has(receiver, "") || places(false) < MOST {
            (receiver, "")
        } else {
            (OTHER, "")
        };
        let own = self.0.entry(receiver.to_owned()).or_default();
        own.entry(endpoint.to_owned()).or_default()
    }
}

fn hour(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs() / 3600
}

#[cfg(test)]
mod tests {
    use super::CountedOutcome::{Delivered, Refused};
    use super::*;

    fn sample(hours: u64, outcome: CountedOutcome) -> Sample {
        Sample {
            time: SystemTime::UNIX_EPOCH + Duration::from_hours(hours),
            outcome,
            answer: "200".to_owned(),
            took: Duration::from_millis(60),
            is_remade: false,
            given_up: 0,
            delay: Duration::from_secs(2),
        }
    }

    fn at(hours: u64) -> SystemTime {
        sample(hours, Delivered).time
    }

    #[test]
    fn counts_of_an_hour_a_day_and_a_week_are_kept_for_eight_days() {
        let mut kept = Tally::default();
        for hours in 1000..1000 + 20 * 24 {
            let mut newer = Tally::default();
            newer.count(&sample(hours, Delivered));
            newer.count(&sample(hours, Refused));
            kept.add(&newer);
        }
        let now = at(1000 + 20 * 24 - 1);
        for hours in [1, 24, 168] {
            let counts = kept.within(hours, now);
            assert_eq!((counts.of(Delivered), counts.failed()), (hours, hours));
        }
        assert_eq!(kept.hours.len(), 192);
        assert_eq!(kept.totals.counts.0, [480, 480, 0, 0, 0]);
        assert_eq!(kept.totals.durations.counts[2], 960);
        assert_eq!(kept.totals.delays.counts[1], 480);
        assert_eq!(kept.totals.delays.sum, 480 * 2000);
    }

    #[test]
    fn hours_of_a_clock_that_was_ahead_do_not_stay() {
        let mut kept = Tally::default();
        for hours in [1000, 900_000, 1001] {
            let mut newer = Tally::default();
            newer.count(&sample(hours, Delivered));
            kept.add(&newer);
        }
        assert_eq!(kept.hours.keys().collect::<Vec<_>>(), [&1001]);
        assert_eq!(kept.totals.counts.of(Delivered), 3);
    }

    #[test]
    fn totals_of_any_number_of_endpoints_have_bounded_room_and_lose_nothing() {
        let mut kept = Tallies::default();
        for number in 0..1000 {
            let mut newer = Tallies::default();
            let receiver = format!("https://{}:443", number % 400);
            newer.count(&receiver, &number.to_string(), &sample(1, Delivered));
            kept.add(&newer);
        }
        assert!(kept.each().count() <= 2 * MOST + 1);
        let sum: u64 = kept.each().map(|it| it.2.totals.counts.0[0]).sum();
        assert_eq!(sum, 1000);
        // Those that have a place keep it.
        kept.count("https://0:443", "0", &sample(1, Delivered));
        assert_eq!(kept.0["https://0:443"]["0"].totals.counts.0[0], 2);
    }
}
