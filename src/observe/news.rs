//! What a flush prints of receivers: what the spools remember and what is true now → alerts.
//!
//! Each spool remembers what was told in its `stats`: an account may have no folder of its own, and
//! a flush of one repository knows nothing of others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::alerts::{Alert, Event};
use super::situation::Situation;
use super::told::Told;
use crate::spool::ToldReceiver;

/// What was told of receivers, by scheme, host and port.
pub type Memory = BTreeMap<String, ToldReceiver>;

/// A spool, as a flush found it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The receivers of this spool alone.
    pub situation: Situation,
    /// What the spool remembers.
    pub told: Memory,
}

/// Returns the alerts about receivers that are due in a situation, which is that of these spools.
#[must_use]
pub fn due(seen: &[Seen], all: &Situation, now: u64, after: Duration) -> Vec<Alert> {
    let mut told = Told::default();
    for one in seen {
        for (name, memory) in &one.told {
            // One for a receiver, not for each spool.
            let sum = told.receivers.entry(name.clone()).or_default();
            sum.failing = sum.failing.max(memory.failing);
            sum.given_up = sum.given_up.saturating_add(memory.given_up);
            sum.given_up_told = sum.given_up_told.max(memory.given_up_told);
        }
    }
    let mut due = told.due(all, now, after);
    // A flush says of each spool itself what stops there, as long as it does.
    due.retain(|alert| !matches!(alert.event, Event::Blocked | Event::Unrecorded));
    due
}

impl Seen {
    /// Returns what the spool is to remember once these alerts are told.
    #[must_use]
    pub fn after(&self, due: &[Alert], now: u64) -> Memory {
        let mut told = self.told.clone();
        for alert in due {
            let own = self.situation.receivers.get(&alert.about);
            let own = own.cloned().unwrap_or_default();
            let memory = told.entry(alert.about.clone()).or_default();
            match alert.event {
                Event::Failing | Event::StillFailing => {
                    if own.fails() || memory.failing.is_some() {
                        memory.failing = Some(now);
                    }
                }
                Event::Recovered => memory.failing = None,
                Event::GivenUp => {
                    if own.given_up > memory.given_up {
                        (memory.given_up, memory.given_up_told) = (own.given_up, now);
                    }
                }
                Event::Blocked | Event::Unrecorded => {}
            }
        }
        told.retain(|_, memory| *memory != ToldReceiver::default());
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::situation::Standing;

    const AFTER: Duration = Duration::from_mins(15);
    const NOON: u64 = 1_800_000_000;
    const DAY: u64 = 24 * 60 * 60;

    /// Spools of one receiver with so many refused messages and messages given up each, which
    /// took its last message if none is refused.
    struct Spools(Vec<Seen>);

    impl Spools {
        fn stand(&mut self, all: &[(u64, u64)]) {
            self.0.resize(all.len(), Seen::default());
            for (seen, (refused, given_up)) in self.0.iter_mut().zip(all) {
                let standing = Standing {
                    refused: *refused,
                    given_up: *given_up,
                    last: Some((NOON, "200".to_owned())),
                    delivered: (*refused == 0).then_some(NOON),
                    ..Standing::default()
                };
                seen.situation.receivers = [("https://ci:443".to_owned(), standing)].into();
            }
        }

        /// Tells what is due of these spools. Returns the names of events.
        fn tell(&mut self, which: &[usize], at: u64) -> Vec<&'static str> {
            let mut all = Situation::default();
            let seen: Vec<_> = which.iter().map(|one| self.0[*one].clone()).collect();
            let each = || {
                seen.iter()
                    .map(|one| &one.situation.receivers["https://ci:443"])
            };
            let standing = Standing {
                refused: each().map(|one| one.refused).sum(),
                given_up: each().map(|one| one.given_up).sum(),
                last: Some((NOON, "200".to_owned())),
                delivered: each().filter_map(|one| one.delivered).max(),
                ..Standing::default()
            };
            all.receivers.insert("https://ci:443".to_owned(), standing);
            let due = due(&seen, &all, NOON + at, AFTER);
            for one in which {
                self.0[*one].told = self.0[*one].after(&due, NOON + at);
            }
            due.iter().map(|alert| alert.event.name()).collect()
        }
    }

    /// A time, how the spools stand then, those that a flush looks at, and the events it tells.
    type Row = (
        u64,
        &'static [(u64, u64)],
        &'static [usize],
        &'static [&'static str],
    );

    #[test]
    fn a_receiver_was_told_once_for_each_spool() {
        let mut spools = Spools(Vec::new());
        let both: &[usize] = &[0, 1];
        let table: &[Row] = &[
            (0, &[(1, 0), (0, 0)], both, &["endpoint.failing"]),
            // Another spool has the same outage, and then it alone.
            (1, &[(1, 0), (1, 0)], both, &[]),
            (2, &[(0, 0), (1, 0)], both, &[]),
            (DAY, &[(0, 0), (1, 0)], both, &["endpoint.still_failing"]),
            (DAY + 1, &[(0, 0), (1, 0)], both, &[]),
            (DAY + 2, &[(0, 0), (0, 0)], both, &["endpoint.recovered"]),
            (DAY + 3, &[(0, 0), (0, 0)], both, &[]),
            // Given up in both, and told in the hour.
            (2 * DAY, &[(0, 1), (0, 2)], both, &["message.given_up"]),
            (2 * DAY + 1, &[(0, 1), (0, 3)], both, &[]),
            (3 * DAY, &[(0, 1), (0, 3)], both, &["message.given_up"]),
            (3 * DAY + 1, &[(0, 1), (0, 3)], both, &[]),
            // A flush of one of them knows nothing of the other.
            (4 * DAY, &[(1, 1), (1, 3)], &[1], &["endpoint.failing"]),
            (4 * DAY + 1, &[(1, 1), (1, 3)], &[1], &[]),
            (4 * DAY + 2, &[(1, 1), (1, 3)], both, &[]),
            (
                4 * DAY + 3,
                &[(1, 1), (0, 3)],
                &[1],
                &["endpoint.recovered"],
            ),
        ];
        for (at, standings, which, expected) in table {
            spools.stand(standings);
            assert_eq!(spools.tell(which, *at), *expected, "{at}");
        }
    }
}
