//! Endpoints and recent deliveries, as the page shows them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::labels::Labels;
use super::recent::{Delivery, LONGEST, RECENT, last};
use super::scrape::{MOST, Receiver};
use super::state::State;
use crate::spool::Counts;

/// Upper bounds of the ages of waiting messages, in minutes; qshape(1) has the same.
pub const AGES: [u64; 9] = [5, 10, 20, 40, 80, 160, 320, 640, 1280];
/// Number of endpoints that take messages, of those that are shown.
pub const MOST_WELL: usize = 200;
/// Number of rows that another account's refpost may say.
const MOST_ROWS: usize = 20_000;

/// All that the page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// A row for each endpoint.
    pub endpoints: Vec<EndpointRow>,
    /// The last deliveries.
    pub recent: Vec<Delivery>,
    /// Names of accounts that could not be examined.
    pub unread: Vec<String>,
    /// Number of entries in no queue yet.
    pub new: u64,
    /// Number of entries that cannot be read.
    pub unreadable: u64,
    /// Number of pushes that could not be recorded.
    pub unrecorded: u64,
    /// True if not everything could be read.
    pub is_partial: bool,
}

/// An endpoint, of one or more repositories. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointRow {
    /// The same row as in the metrics, without totals.
    pub receiver: Receiver,
    /// Time and answer of the last attempt.
    pub last: Option<(u64, String)>,
    /// Attempts of the last hour, day and week.
    pub counts: [Counts; 3],
    /// Number of waiting messages by age.
    pub ages: [u64; 10],
}

impl EndpointRow {
    /// Returns whether the endpoint does not take messages.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.receiver.state.is_bad()
    }

    fn add(&mut self, other: &Self) {
        self.receiver.add(&other.receiver);
        self.last = self.last.take().max(other.last.clone());
        for (own, other) in self.counts.iter_mut().zip(&other.counts) {
            own.add(other);
        }
        for (own, other) in self.ages.iter_mut().zip(other.ages) {
            *own = own.saturating_add(other);
        }
    }

    fn is_valid(&self, now: u64) -> bool {
        let counts = self.counts.iter().flat_map(|it| it.0);
        self.receiver.is_valid(now)
            && counts.chain(self.ages).all(|number| number <= MOST)
            && self
                .last
                .as_ref()
                .is_none_or(|(time, answer)| *time <= MOST && answer.len() <= LONGEST)
    }
}

impl Board {
    /// Returns whether this may be what another account's refpost found, at the time `now`.
    #[must_use]
    pub fn is_valid(&self, now: u64) -> bool {
        self.endpoints.len() <= MOST_ROWS
            && self.recent.len() <= 4 * RECENT
            && self.unread.is_empty()
            && [self.new, self.unreadable, self.unrecorded]
                .iter()
                .all(|number| *number <= MOST)
            && self.endpoints.iter().all(|row| row.is_valid(now))
            && self.recent.iter().all(Delivery::is_valid)
    }

    /// Adds what another spool or account has.
    pub fn add(&mut self, other: Self) {
        self.endpoints.extend(other.endpoints);
        self.recent.extend(other.recent);
        self.unread.extend(other.unread);
        self.new = self.new.saturating_add(other.new);
        self.unreadable = self.unreadable.saturating_add(other.unreadable);
        self.unrecorded = self.unrecorded.saturating_add(other.unrecorded);
        self.is_partial |= other.is_partial;
    }

    /// Adds up the endpoints of one name and receiver, sorts them, the worst first, and keeps the
    /// last deliveries and failures, the newest first.
    #[must_use]
    pub fn settled(self) -> Self {
        let mut endpoints: BTreeMap<Labels, EndpointRow> = BTreeMap::new();
        for row in self.endpoints {
            match endpoints.get_mut(&row.receiver.labels) {
                Some(known) => known.add(&row),
                None => drop(endpoints.insert(row.receiver.labels.clone(), row)),
            }
        }
        let mut endpoints: Vec<_> = endpoints.into_values().collect();
        endpoints.sort_by_key(|row| {
            let own = &row.receiver;
            let worst = (Reverse(row.is_failing()), own.oldest.unwrap_or(u64::MAX));
            (
                worst,
                Reverse(own.waiting + own.refused),
                Reverse(own.failed),
            )
        });
        Self {
            endpoints,
            recent: last(self.recent),
            ..self
        }
    }

    /// Returns the sentence on top of the page.
    #[must_use]
    pub fn sentence(&self, now: u64) -> String {
        let total = self.endpoints.len();
        let count = |is: fn(State) -> bool| {
            let states = self.endpoints.iter().map(|row| row.receiver.state);
            states.filter(|state| is(*state)).count()
        };
        let failing = count(State::is_bad);
        let paused = count(|state| state == State::Paused);
        let gone = count(|state| state == State::Unconfigured);
        let rows = || self.endpoints.iter().map(|one| &one.receiver);
        let sum = |of: fn(&Receiver) -> u64| rows().map(of).fold(0, u64::saturating_add);
        let waiting = sum(|row| row.waiting.saturating_add(row.refused)).saturating_add(self.new);
        let first = match (failing, total) {
            (_, 0) => "No endpoint is configured".to_owned(),
            (0, 1) if paused == 1 => "The endpoint is paused".to_owned(),
            (0, 1) if gone == 1 => "The endpoint is not configured any more".to_owned(),
            (0, 1) => "The endpoint takes messages".to_owned(),
            (0, _) if paused + gone > 0 => {
                format!(
                    "{} of {total} endpoints take messages",
                    total - paused - gone
                )
            }
            (0, _) => format!("All {total} endpoints take messages"),
            (1, 1) => "The endpoint fails".to_owned(),
            (1, _) => format!("1 of {total} endpoints fails"),
            _ => format!("{failing} of {total} endpoints fail"),
        };
        let also = [(paused, "paused"), (gone, "not configured any more")];
        let also = also.map(|(count, what)| match count {
            1.. if total > 1 => format!(", {count} {what}"),
            _ => String::new(),
        });
        let oldest = rows().filter_map(|row| row.oldest).min();
        let oldest = oldest.map_or(String::new(), |oldest| {
            format!(", the oldest {}", age(now.saturating_sub(oldest)))
        });
        let second = match waiting {
            0 => "nothing waits".to_owned(),
            1 => format!("1 message waits{}", oldest.replace(", the oldest", ",")),
            _ => format!("{waiting} messages wait{oldest}"),
        };
        let given_up = match sum(|row| row.failed) {
            0 => String::new(),
            1 => "; 1 was given up".to_owned(),
            failed => format!("; {failed} were given up"),
        };
        format!("{first}{}; {second}{given_up}.", also.concat())
    }
}

/// Returns the place of an age among [`AGES`].
#[must_use]
pub fn place(seconds: u64) -> usize {
    let is_up_to = |bound: &u64| seconds <= bound * 60;
    AGES.iter().position(is_up_to).unwrap_or(AGES.len())
}

/// Writes a time span in its largest unit, as `42 min`.
#[must_use]
pub fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, waiting: u64, attempts: u64, oldest: Option<u64>) -> EndpointRow {
        EndpointRow {
            receiver: Receiver {
                labels: Labels::new("https://ci:443", name, ""),
                waiting,
                failed_attempts: attempts,
                state: match (waiting, attempts) {
                    (_, 1..) => State::Failing,
                    (1.., 0) => State::Waiting,
                    (0, 0) => State::Healthy,
                },
                oldest,
                ..Receiver::default()
            },
            ..EndpointRow::default()
        }
    }

    #[test]
    fn the_sentence_says_how_many_fail_and_wait() {
        let now = 10_000;
        let cases: [(Vec<EndpointRow>, &str); 5] = [
            (vec![], "No endpoint is configured; nothing waits."),
            (
                vec![row("a", 0, 0, None), row("b", 0, 0, None)],
                "All 2 endpoints take messages; nothing waits.",
            ),
            (
                vec![
                    row("a", 10, 3, Some(now - 2520)),
                    row("b", 4, 1, Some(now - 60)),
                    row("c", 0, 0, None),
                ],
                "2 of 3 endpoints fail; 14 messages wait, the oldest 42 min.",
            ),
            (
                vec![row("a", 1, 1, Some(now - 5))],
                "The endpoint fails; 1 message waits, 5 s.",
            ),
            (
                {
                    let mut one = row("a", 0, 0, None);
                    one.receiver.failed = 2;
                    vec![one]
                },
                "The endpoint takes messages; nothing waits; 2 were given up.",
            ),
        ];
        let paused = |name| {
            let mut one = row(name, 1, 0, Some(now - 60));
            one.receiver.state = State::Paused;
            one
        };
        let with_paused = [
            (
                vec![paused("a")],
                "The endpoint is paused; 1 message waits, 1 min.",
            ),
            (
                vec![paused("a"), row("b", 0, 0, None), row("c", 0, 0, None)],
                "2 of 3 endpoints take messages, 1 paused; 1 message waits, 1 min.",
            ),
            (
                vec![paused("a"), row("b", 1, 1, Some(now - 60))],
                "1 of 2 endpoints fails, 1 paused; 2 messages wait, the oldest 1 min.",
            ),
        ];
        for (endpoints, sentence) in cases.into_iter().chain(with_paused) {
            let board = Board {
                endpoints,
                ..Board::default()
            };
            assert_eq!(board.settled().sentence(now), sentence);
        }
    }

    #[test]
    fn the_worst_endpoint_is_first_and_failures_outlast_deliveries() {
        let delivery = |time, is_delivered| Delivery {
            time,
            is_delivered,
            ..Delivery::default()
        };
        let mut board = Board {
            endpoints: vec![
                row("well", 0, 0, None),
                row("late", 1, 2, Some(500)),
                row("later", 1, 2, Some(400)),
                row("late", 2, 1, Some(600)),
            ],
            recent: (100..300).map(|time| delivery(time, true)).collect(),
            ..Board::default()
        };
        board.recent.push(delivery(7, false));
        let board = board.settled();
        let names: Vec<_> = board
            .endpoints
            .iter()
            .map(|it| &*it.receiver.labels.endpoint)
            .collect();
        assert_eq!(names, ["later", "late", "well"]);
        assert_eq!(board.endpoints[1].receiver.waiting, 3);
        assert_eq!(
            (board.recent.len(), board.recent[0].time),
            (RECENT + 1, 299)
        );
        assert_eq!(board.recent[RECENT].time, 7);
        assert!(
            [(0, 0), (300, 0), (301, 1), (u64::MAX / 60, 9)]
                .iter()
                .all(|(seconds, at)| place(*seconds) == *at)
        );
    }
}
