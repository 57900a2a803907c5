//! The table of `status`: a row for each receiver across all repositories, those that fail first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::observe::State;
use crate::report::table::{Table, Tone};
use crate::report::{self, age};
use crate::spool::{Attempt, QueueSurvey, Spool};

fn tone(state: State) -> Tone {
    match state {
        State::Healthy => Tone::Good,
        State::Waiting => Tone::Plain,
        State::Paused | State::Unconfigured => Tone::Doubtful,
        State::Late | State::Refusing | State::Failing | State::Down => Tone::Bad,
    }
}

/// The last attempts of an endpoint, as the log of a spool has them.
#[derive(Clone, Debug, Default)]
pub(super) struct Last {
    /// Time at which the last one ended, and its result.
    pub(super) answer: Option<(SystemTime, String)>,
    /// Time at which the last successful one ended.
    pub(super) success: Option<SystemTime>,
}

impl Last {
    /// Reads the log. One that cannot be read is told by `log`.
    pub(super) fn of(spool: &Spool, endpoint: &str) -> Self {
        let log = spool.log();
        let last = |is_wanted: &dyn Fn(&Attempt) -> bool| {
            let is_wanted = |one: &Attempt| one.endpoint == endpoint && is_wanted(one);
            log.last(1, is_wanted).ok()?.pop()
        };
        let is_success = |one: &Attempt| one.status.is_success();
        Self {
            answer: last(&|_| true).map(|one| (one.time, one.status.to_string())),
            success: last(&is_success).map(|one| one.time),
        }
    }

    fn merge(&mut self, other: Self) {
        self.answer = self.answer.take().max(other.answer);
        self.success = self.success.max(other.success);
    }
}

/// A receiver's row.
struct Row {
    state: State,
    since: Option<SystemTime>,
    attempts: u32,
    /// Numbers of its queues: those that are not healthy, and all.
    queues: (usize, usize),
    waiting: usize,
    refused: usize,
    failed: usize,
    oldest: Option<SystemTime>,
    next: Option<SystemTime>,
    last: Last,
}

/// All rows, by the name of the endpoint and its receiver.
#[derive(Default)]
pub(super) struct Rows {
    rows: BTreeMap<(String, String), Row>,
    /// Number of entries that have no queue yet.
    pub(super) arriving: usize,
}

/// Headings of the table.
const HEADS: [&str; 12] = [
    "STATE",
    "ENDPOINT",
    "RECEIVER",
    "QUEUES",
    "WAITING",
    "REFUSED",
    "GIVEN UP",
    "OLDEST",
    "SINCE",
    "LAST ANSWER",
    "LAST SUCCESS",
    "NEXT TRY",
];

impl Rows {
    /// Adds a queue.
    pub(super) fn add(
        &mut self,
        (name, receiver): (&str, &str),
        queue: &QueueSurvey,
        (state, since): (State, Option<SystemTime>),
        last: Last,
    ) {
        let row = self.rows.entry((name.to_owned(), receiver.to_owned()));
        let row = row.or_insert_with(|| Row {
            state: State::Healthy,
            since: None,
            attempts: 0,
            queues: (0, 0),
            waiting: 0,
            refused: 0,
            failed: 0,
            oldest: None,
            next: None,
            last: Last::default(),
        });
        let earliest = |one: Option<SystemTime>, other| one.into_iter().chain(other).min();
        row.state = row.state.max(state);
        row.since = earliest(row.since, since);
        let head = queue.head.as_ref();
        row.attempts = row.attempts.max(head.map_or(0, |head| head.attempts));
        let is_idle = state == State::Healthy && queue.failed == 0;
        row.queues.0 += usize::from(!is_idle);
        row.queues.1 += 1;
        row.waiting += queue.waiting;
        row.refused += queue.refused;
        row.failed += queue.failed;
        row.oldest = earliest(row.oldest, queue.oldest);
        // What is paused has no next attempt.
        let due = queue.due.filter(|_| state != State::Paused);
        row.next = earliest(row.next, due);
        row.last.merge(last);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.arriving == 0
    }

    /// Prints the table, and a line about all of it.
    pub(super) fn print(self, shows_healthy: bool, now: SystemTime) {
        let summary = self.summary(now);
        let mut rows: Vec<_> = self.rows.into_iter().collect();
        rows.sort_by_key(|(_, row)| Reverse((row.state, row.waiting + row.refused)));
        let mut table = Table::new(HEADS);
        for ((name, receiver), row) in rows {
            if row.queues.0 > 0 || shows_healthy {
                table.row(tone(row.state), row.cells(name, receiver, now));
            }
        }
        table.print();
        report::line(&summary);
    }

    /// Describes all rows: how many fail, and how much waits.
    fn summary(&self, now: SystemTime) -> String {
        let rows = || self.rows.values();
        let sum = |of: fn(&Row) -> usize| rows().map(of).sum::<usize>();
        let (all, bad) = (
            self.rows.len(),
            rows().filter(|row| row.state.is_bad()).count(),
        );
        let waiting = sum(|row| row.waiting + row.refused) + self.arriving;
        let mut parts = vec![match bad {
            0 if all == 0 => "no endpoint is known".to_owned(),
            0 => format!("none of {} fails", report::count(all, "endpoint")),
            1 => format!("1 of {} fails", report::count(all, "endpoint")),
            bad => format!("{bad} of {} fail", report::count(all, "endpoint")),
        }];
        parts.push(match waiting {
            0 => "nothing waits".to_owned(),
            1 => "1 entry waits".to_owned(),
            waiting => format!("{} wait", report::count(waiting, "entry")),
        });
        if let Some(oldest) = rows().filter_map(|row| row.oldest).min() {
            parts.push(format!("the oldest {}", since(oldest, now)));
        }
        let failed = sum(|row| row.failed);
        if failed > 0 {
            parts.push(format!("{} given up", report::count(failed, "entry")));
        }
        parts.join(", ")
    }
}

impl Row {
    fn cells(self, name: String, receiver: String, now: SystemTime) -> [String; 12] {
        let number = |number: usize| match number {
            0 => String::new(),
            number => report::number(number),
        };
        let ago = |time: SystemTime| format!("{} ago", since(time, now));
        let next = self.next.map(|due| match due.duration_since(now) {
            Ok(wait) => format!("in {}", age(wait)),
            Err(_) => "now".to_owned(),
        });
        let failures = match self.attempts {
            0 => String::new(),
            attempts => format!(" ({})", report::count(attempts as usize, "time")),
        };
        let began = self.since.map(|since| rfc3339(since) + &failures);
        let answer = self.last.answer;
        [
            self.state.word().to_owned(),
            name,
            receiver,
            format!("{}/{}", self.queues.0, self.queues.1),
            number(self.waiting),
            number(self.refused),
            number(self.failed),
            self.oldest
                .map(|oldest| since(oldest, now))
                .unwrap_or_default(),
            began.unwrap_or_default(),
            answer
                .map(|(time, answer)| format!("{answer} {}", ago(time)))
                .unwrap_or_default(),
            self.last.success.map(ago).unwrap_or_default(),
            next.unwrap_or_default(),
        ]
    }
}

/// Returns the time since then, zero for a time in the future.
pub(super) fn since(time: SystemTime, now: SystemTime) -> String {
    age(now.duration_since(time).unwrap_or_default())
}

pub(super) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
