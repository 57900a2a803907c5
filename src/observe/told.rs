//! What a person is to be told of: what was told before and what is true now → alerts.
//!
//! An alert is about a receiver, whatever the number of its queues, or about a spool. It stays due
//! until it is marked as told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::alerts::{Alert, Event};
use super::situation::{Situation, SpoolStanding, Standing};
use crate::report::printable;
use crate::spool::ToldReceiver;

/// Seconds after which a person is told again of what goes on.
const DAY: u64 = 24 * 60 * 60;
/// Least number of seconds between two alerts that a receiver's messages were given up.
const HOUR: u64 = 60 * 60;
/// Number of reasons that an alert has.
const MOST_REASONS: usize = 20;
/// The last second that a date can have.
const LAST_SECOND: u64 = 253_402_300_799;

/// What was told, as the account's state file has it. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// True once totals were looked at: those of before are no news.
    is_begun: bool,
    pub(super) receivers: BTreeMap<String, ToldReceiver>,
    spools: BTreeMap<String, ToldSpool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct ToldSpool {
    /// Time at which a person was last told that pushes wait there.
    blocked: Option<u64>,
    /// Number of unrecorded pushes that a person knows of.
    unrecorded: u64,
}

impl Told {
    /// Forgets what is not there any more, and takes notice of totals that were removed.
    pub fn settle(&mut self, situation: &Situation, now: u64, after: Duration) {
        if !situation.is_partial {
            self.receivers
                .retain(|name, _| situation.receivers.contains_key(name));
            self.spools
                .retain(|name, _| situation.spools.contains_key(name));
        }
        for (name, own) in &situation.receivers {
            let told = self.receivers.entry(name.clone()).or_default();
            if !self.is_begun || own.given_up < told.given_up {
                told.given_up = own.given_up;
            }
        }
        for (name, own) in &situation.spools {
            let told = self.spools.entry(name.clone()).or_default();
            told.unrecorded = told.unrecorded.min(own.unrecorded);
            if !own.is_blocked(now, after) {
                told.blocked = None;
            }
        }
        self.is_begun = true;
    }

    /// Returns the alerts that are due.
    #[must_use]
    pub fn due(&self, situation: &Situation, now: u64, after: Duration) -> Vec<Alert> {
        let mut all = Vec::new();
        for (name, own) in &situation.receivers {
            let told = self.receivers.get(name).cloned().unwrap_or_default();
            let alert = |event| Alert {
                event,
                about: name.clone(),
                total: own.given_up,
                facts: own.facts(),
            };
            let failing = own.fails();
            let event = match told.failing {
                None if own.is_failing(now, after) => Some(Event::Failing),
                Some(told) if failing && has_passed(told, DAY, now) => Some(Event::StillFailing),
                Some(_) if !failing && own.is_taking() && !situation.is_partial => {
                    Some(Event::Recovered)
                }
                _ => None,
            };
            all.extend(event.map(alert));
            if own.given_up > told.given_up && has_passed(told.given_up_told, HOUR, now) {
                let new = own.given_up - told.given_up;
                let mut alert = alert(Event::GivenUp);
                alert.facts = format!("messages given up: {new}\n{}", alert.facts);
                all.push(alert);
            }
        }
        for (name, own) in &situation.spools {
            let told = self.spools.get(name).cloned().unwrap_or_default();
            let alert = |event, facts| Alert {
                event,
                about: name.clone(),
                total: own.unrecorded,
                facts,
            };
            let is_news = told.blocked.is_none_or(|told| has_passed(told, DAY, now));
            if own.is_blocked(now, after) && is_news {
                all.push(alert(Event::Blocked, own.facts()));
            }
            if own.unrecorded > told.unrecorded {
                let facts = format!("pushes not recorded: {}\n", own.unrecorded);
                all.push(alert(Event::Unrecorded, facts));
            }
        }
        all
    }

    /// Marks an alert as told.
    pub fn mark(&mut self, alert: &Alert, now: u64) {
        let about = alert.about.clone();
        match alert.event {
            Event::Failing | Event::StillFailing => {
                self.receivers.entry(about).or_default().failing = Some(now);
            }
            Event::Recovered => self.receivers.entry(about).or_default().failing = None,
            Event::GivenUp => {
                let told = self.receivers.entry(about).or_default();
                (told.given_up, told.given_up_told) = (alert.total, now);
            }
            Event::Blocked => self.spools.entry(about).or_default().blocked = Some(now),
            Event::Unrecorded => {
                self.spools.entry(about).or_default().unrecorded = alert.total;
            }
        }
    }
}

impl Standing {
    /// Returns whether something waits because the receiver did not take it.
    pub(super) fn fails(&self) -> bool {
        self.down_since.is_some() || self.refused > 0
    }

    fn is_failing(&self, now: u64, after: Duration) -> bool {
        self.refused > 0 || is_long(self.down_since, now, after)
    }

    fn facts(&self) -> String {
        let mut facts = String::new();
        let mut fact = |name: &str, value: &str| {
            writeln!(facts, "{name}: {}", printable(value)).expect("a text grows");
        };
        let names: Vec<_> = self.endpoints.iter().map(String::as_str).collect();
        if !names.is_empty() {
            fact("endpoints", &names.join(", "));
        }
        if let Some(since) = self.down_since {
            fact("down since", &time(since));
        }
        fact("entries that wait", &self.waiting.to_string());
        fact("refused messages", &self.refused.to_string());
        if let Some((last, answer)) = &self.last {
            fact("last answer", &format!("{answer} at {}", time(*last)));
        }
        if let Some(delivered) = self.delivered {
            fact("last delivery", &time(delivered));
        }
        facts
    }
}

impl SpoolStanding {
    fn is_blocked(&self, now: u64, after: Duration) -> bool {
        is_long(self.waits_since, now, after)
    }

    fn facts(&self) -> String {
        let mut facts = String::new();
        if let Some(oldest) = self.waits_since {
            facts = format!("oldest push that waits: {}\n", time(oldest));
        }
        for why in self.why.iter().take(MOST_REASONS) {
            facts = format!("{facts}{}\n", printable(why));
        }
        facts
    }
}

/// Returns whether a state has lasted for so long.
fn is_long(since: Option<u64>, now: u64, after: Duration) -> bool {
    since.is_some_and(|since| now.saturating_sub(since) >= after.as_secs())
}

/// Returns whether so many seconds have passed. A time in the future was written by a clock that
/// was wrong.
fn has_passed(since: u64, seconds: u64, now: u64) -> bool {
    since > now || now - since >= seconds
}

fn time(seconds: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND));
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::alerts::letters;

    const AFTER: Duration = Duration::from_mins(15);
    const NOON: u64 = 1_800_000_000;

    /// Settles, and tells what is due at so many seconds after noon. Returns the names of events.
    fn tell(told: &mut Told, situation: &Situation, at: u64) -> Vec<&'static str> {
        let now = NOON + at;
        told.settle(situation, now, AFTER);
        let due = told.due(situation, now, AFTER);
        for alert in &due {
            told.mark(alert, now);
        }
        due.iter().map(|alert| alert.event.name()).collect()
    }

    fn with(change: impl FnOnce(&mut Standing, &mut SpoolStanding)) -> Situation {
        let (mut receiver, mut spool) = (Standing::default(), SpoolStanding::default());
        change(&mut receiver, &mut spool);
        Situation {
            receivers: [("https://ci:443".to_owned(), receiver)].into(),
            spools: [("/srv/spool".to_owned(), spool)].into(),
            is_partial: false,
        }
    }

    fn last(own: &mut Standing, attempt: u64, delivered: u64) {
        own.last = Some((NOON + attempt, "200".to_owned()));
        own.delivered = Some(NOON + delivered);
    }

    #[test]
    fn an_outage_is_told_once_then_daily_and_so_is_its_end() {
        let down = with(|own, _| {
            own.down_since = Some(NOON);
            last(own, 5, 0);
        });
        let emptied = with(|own, _| last(own, 5, 0));
        let well = with(|own, _| last(own, 7, 7));
        let partial = Situation {
            is_partial: true,
            ..well.clone()
        };
        let mut told = Told::default();
        let table: &[(u64, &Situation, &[&str])] = &[
            (899, &down, &[]),
            (900, &down, &["endpoint.failing"]),
            (901, &down, &[]),
            (900 + DAY - 1, &down, &[]),
            (900 + DAY, &down, &["endpoint.still_failing"]),
            (901 + DAY, &down, &[]),
            (900 + 2 * DAY, &down, &["endpoint.still_failing"]),
            // Nothing waits, and nothing was delivered.
            (900 + 3 * DAY, &emptied, &[]),
            (900 + 3 * DAY, &partial, &[]),
            (900 + 3 * DAY, &well, &["endpoint.recovered"]),
            (901 + 3 * DAY, &well, &[]),
        ];
        for (at, situation, expected) in table {
            assert_eq!(tell(&mut told, situation, *at), *expected, "{at}");
        }
        // A short outage is none.
        assert!(
            tell(
                &mut told,
                &with(|own, _| own.down_since = Some(NOON + 3 * DAY)),
                3 * DAY + 899
            )
            .is_empty()
        );
        assert!(tell(&mut told, &well, 3 * DAY + 900).is_empty());
    }

    #[test]
    fn the_first_refusal_is_told_at_once() {
        let refused = with(|own, _| own.refused = 1);
        let well = with(|own, _| last(own, 2, 2));
        let mut told = Told::default();
        assert_eq!(tell(&mut told, &refused, 0), ["endpoint.failing"]);
        assert!(tell(&mut told, &refused, 60).is_empty());
        assert_eq!(tell(&mut told, &well, 120), ["endpoint.recovered"]);
        assert_eq!(tell(&mut told, &refused, 180), ["endpoint.failing"]);
        // A clock that was ahead does not silence anyone.
        assert_eq!(tell(&mut told, &refused, 100), ["endpoint.still_failing"]);
    }

    #[test]
    fn messages_that_were_given_up_before_are_no_news() {
        let given_up = |total| with(|own, _| own.given_up = total);
        let mut told = Told::default();
        let table: &[(u64, u64, &[&str])] = &[
            (0, 7, &[]),
            (60, 8, &["message.given_up"]),
            (120, 9, &[]),
            (60 + HOUR, 9, &["message.given_up"]),
            // Counts began anew.
            (3 * HOUR, 1, &[]),
            (4 * HOUR, 2, &["message.given_up"]),
        ];
        for (at, total, expected) in table {
            assert_eq!(tell(&mut told, &given_up(*total), *at), *expected, "{at}");
        }
    }

    #[test]
    fn a_spool_that_is_blocked_or_lost_pushes_is_told() {
        let blocked = with(|_, own| {
            own.waits_since = Some(NOON);
            own.why.insert("a \u{1b}[31m reason".to_owned());
        });
        let lost = |count| with(|_, own| own.unrecorded = count);
        let mut told = Told::default();
        assert!(tell(&mut told, &blocked, 899).is_empty());
        let due = told.due(&blocked, NOON + 900, AFTER);
        let text = "spool.blocked /srv/spool\noldest push that waits: 2027-01-15T08:00:00Z\n\
                    a \\u{1b}[31m reason\n";
        assert_eq!(due[0].text(), text);
        assert_eq!(tell(&mut told, &blocked, 900), ["spool.blocked"]);
        assert!(tell(&mut told, &blocked, 901).is_empty());
        assert_eq!(tell(&mut told, &blocked, 900 + DAY), ["spool.blocked"]);
        assert_eq!(tell(&mut told, &lost(1), 0), ["spool.unrecorded"]);
        assert!(tell(&mut told, &lost(1), 1).is_empty());
        assert_eq!(tell(&mut told, &lost(3), 2), ["spool.unrecorded"]);
        assert!(tell(&mut told, &lost(0), 3).is_empty());
        assert_eq!(tell(&mut told, &lost(1), 4), ["spool.unrecorded"]);
    }

    #[test]
    fn an_alert_that_was_not_handed_over_stays_due() {
        let refused = with(|own, _| own.refused = 1);
        let mut told = Told::default();
        told.settle(&refused, NOON, AFTER);
        let due = told.due(&refused, NOON, AFTER);
        let written = serde_json::to_vec(&told).expect("JSON");
        let told: Told = serde_json::from_slice(&written).expect("what was written");
        assert_eq!(told.due(&refused, NOON + 60, AFTER), due);
    }

    #[test]
    fn an_outage_of_all_receivers_is_one_letter() {
        let mut all = Situation::default();
        for number in 0..1000 {
            let own = Standing {
                refused: 1,
                ..Standing::default()
            };
            all.receivers.insert(format!("https://{number}\n:443"), own);
        }
        let due = Told::default().due(&all, NOON, AFTER);
        let all = letters(&due);
        let [one] = &all[..] else {
            panic!("{}", all.len())
        };
        assert_eq!(
            (one.subject.as_str(), one.alerts.len()),
            ("1000 alerts", 1000)
        );
        assert!(one.text.len() <= 33 * 1024 && one.text.ends_with("\n…\n"));
        let few = letters(&due[..5]);
        assert_eq!(few.len(), 5);
        assert_eq!(few[0].subject, "endpoint.failing https://0\\u{a}:443");
    }
}
