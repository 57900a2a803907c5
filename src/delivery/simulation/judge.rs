//! The invariants after a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tokio::time::Instant;

use super::script::{CHOKES, Script};
use super::simulated::ENDPOINTS;
use crate::config::Retry;
use crate::spool::Queue;

/// No endpoint waits longer because of others.
const QUICK: Duration = Duration::from_secs(1);
/// Longest time between two looks at the clock that agree.
const DAY: Duration = Duration::from_hours(24);
/// Nothing is given up for its age sooner after a jump of the clock.
const SETTLED: Duration = Duration::from_hours(1);

impl Script {
    pub(super) fn judge(&self) {
        let waiting = self.simulated.spool.count_waiting().unwrap();
        let survey = self.simulated.spool.survey().unwrap();
        assert_eq!(
            waiting, 0,
            "something waits for healthy receivers: {survey:#?}"
        );
        self.judge_losses();
        self.judge_order();
        self.judge_counts();
        self.judge_repeats();
        self.judge_delays();
        self.judge_expiry();
        for name in ENDPOINTS {
            let lane = self.simulated.spool.lane(&Queue::new(name).unwrap());
            drop(lane.expect("no lock is left"));
        }
        let new = File::open(self.simulated.spool.arrivals()).unwrap();
        let lock = Flock::lock(new, FlockArg::LockExclusiveNonblock);
        assert!(lock.is_ok(), "`new/` is locked");
    }

    /// Asserts that every message was accepted, or is in `failed/`.
    fn judge_losses(&self) {
        let sent = self.simulated.sent.borrow();
        let mut had: BTreeSet<(String, u64)> = sent
            .iter()
            .filter(|one| one.taken)
            .map(|one| (one.endpoint.clone(), one.number))
            .collect();
        had.extend(self.failed());
        had.extend(self.dropped.iter().cloned());
        for (n, push) in self.pushes.iter().enumerate() {
            let number = n as u64 + 1;
            for name in push.endpoints.iter().flatten() {
                let is_there = self.is_among(&had, name, number);
                assert!(is_there, "message {number} for {name} is lost");
            }
            let of_this = had.iter().filter(|(_, one)| *one == number);
            assert!(of_this.count() > 0, "push {number} is lost");
        }
    }

    /// Returns whether an endpoint, or the one that it was handed over to, had a message.
    fn is_among(&self, had: &BTreeSet<(String, u64)>, name: &str, number: u64) -> bool {
        let mut at = (name.to_owned(), number);
        // Queues can be handed over in a circle.
        for _ in ENDPOINTS {
            if had.contains(&at) {
                return true;
            }
            match self.moved.get(&at) {
                Some(to) => at.0.clone_from(to),
                None => return false,
            }
        }
        false
    }

    /// Asserts that no process gives a message up because it sees a clock that has jumped.
    fn judge_expiry(&self) {
        let give_up_after = Retry::default().give_up_after;
        let sent = self.simulated.sent.borrow();
        let refused = self.simulated.refused.borrow();
        for (name, number) in self.failed() {
            let attempts = sent
                .iter()
                .filter(|one| one.endpoint == name && one.number == number);
            let is_odd =
                refused.contains(&(name.clone(), number)) || self.disturbed.contains(&name);
            let Some(last) = attempts
                .map(|one| one.began)
                .next_back()
                .filter(|_| !is_odd)
            else {
                continue;
            };
            // A day more or less is no jump to the engine.
            let jumps = self.jumps.iter().filter(|(_, by)| *by > DAY);
            let jump = jumps.map(|(at, _)| *at).rfind(|at| *at <= last);
            let begun = self.begun.iter().rfind(|at| **at <= last).copied();
            let push = &self.pushes[usize::try_from(number).unwrap() - 1];
            // One whose repository is gone is given up without an attempt.
            if self.gone.contains(&push.repository) {
                continue;
            }
            let pushed = push.at;
            if let Some((jump, begun)) = jump.zip(begun)
                && begun > jump
                && last - pushed < give_up_after
            {
                let since = last - jump;
                assert!(
                    since >= SETTLED,
                    "{name}: {number} given up {since:?} after a jump"
                );
            }
        }
    }

    /// Returns the messages in `failed/`, by the name of their endpoint and their number.
    fn failed(&self) -> BTreeSet<(String, u64)> {
        let spool = &self.simulated.spool;
        let mut all = BTreeSet::new();
        for queue in spool.failed_queues().unwrap() {
            for failed in spool.failed(&queue).unwrap() {
                let entry = spool.open_failed(&failed).unwrap();
                let number = entry.message(0).unwrap().msg_id["2026-".len()..].parse();
                all.insert((queue.to_string(), number.unwrap()));
            }
        }
        all
    }

    /// Asserts that messages that were not refused arrive in push order in each repository.
    ///
    /// The order is the one in which the branch moved, whichever hook began first.
    fn judge_order(&self) {
        let mut last: BTreeMap<(String, usize), u64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let refused = self.simulated.refused.borrow();
        for one in self.simulated.sent.borrow().iter().filter(|one| one.taken) {
            let key = (one.endpoint.clone(), one.number);
            let is_odd = refused.contains(&key) || self.disturbed.contains(&one.endpoint);
            if !seen.insert(key) || is_odd {
                continue;
            }
            let push = &self.pushes[usize::try_from(one.number).unwrap() - 1];
            let last = last.entry((one.endpoint.clone(), push.repository));
            let last = last.or_default();
            let (number, name) = (one.number, &one.endpoint);
            assert!(number > *last, "{name}: {number} came after {last}");
            *last = number;
        }
    }

    /// Asserts that a message that a receiver chokes at delays no other.
    pub(super) fn judge_choking(&self) {
        let spool = &self.simulated.spool;
        for name in ENDPOINTS.iter().filter(|_| self.jumps.is_empty()) {
            let waiting = spool.peek(&Queue::new(*name).unwrap()).unwrap();
            for item in &waiting.in_order {
                let entry = spool.open_item(&Queue::new(*name).unwrap(), item).unwrap();
                let number = entry.message(0).unwrap().msg_id["2026-".len()..].parse();
                let number: u64 = number.unwrap();
                let is_choked_at = number.is_multiple_of(CHOKES);
                assert!(
                    is_choked_at,
                    "{name}: message {number} waits behind another"
                );
            }
        }
    }

    /// Asserts that each attempt on the wire has a line in the log, except for those of kills.
    fn judge_counts(&self) {
        let (sent, logged) = (self.simulated.sent.borrow().len(), self.logged());
        assert!(logged <= sent, "{logged} lines of {sent} attempts");
        let most = self.unlogged;
        assert!(
            sent <= logged + most,
            "{sent} attempts, {logged} lines, {most} by kills"
        );
    }

    /// Asserts that queues in which nothing waits have no folder.
    pub(super) fn judge_folders(&self) {
        let folders = self.simulated.spool.queues().unwrap();
        assert!(folders.is_empty(), "empty folders stay: {folders:?}");
    }

    /// Returns the number of attempts with a line in the log.
    pub(super) fn logged(&self) -> usize {
        self.lines(|_| true)
    }

    /// Returns the number of such attempts of these endpoints.
    pub(super) fn lines(&self, is_of: impl Fn(&str) -> bool) -> usize {
        let log = self.simulated.spool.log();
        let lines = log.last(usize::MAX / 2, |line| {
            !line.msg_id.is_empty() && is_of(&line.endpoint)
        });
        lines.unwrap().len()
    }

    /// Asserts that a message that is known to be accepted is not sent again, except after kills
    /// and on a full disk.
    fn judge_repeats(&self) {
        let mut known: BTreeMap<(&str, u64), Instant> = BTreeMap::new();
        for one in self.simulated.sent.borrow().iter() {
            let name = ENDPOINTS.into_iter().find(|name| *name == one.endpoint);
            let key = (name.unwrap(), one.number);
            if let Some(first) = known.get(&key).copied() {
                let is_odd = |(from, to): &(Instant, Option<Instant>)| {
                    *from <= one.began && to.is_none_or(|to| to >= first)
                };
                let is_excused =
                    self.disturbed.contains(&one.endpoint) || self.lapses.iter().any(is_odd);
                assert!(is_excused, "{key:?} is sent again, though accepted");
            }
            if one.is_known {
                known.insert(key, one.began);
            }
        }
    }

    /// Asserts that no outage is remembered of an endpoint that accepted its last message.
    pub(super) fn judge_outages(&self, since: Instant) {
        let failures = self.simulated.spool.stats().failures;
        let sent = self.simulated.sent.borrow();
        for name in failures.keys() {
            let last = sent.iter().rfind(|one| one.endpoint == *name);
            let is_over = last.is_some_and(|last| last.began >= since && last.is_known);
            assert!(!is_over, "{name} is back, and called down: {failures:#?}");
        }
    }

    /// Asserts that a quick receiver is served quickly, whatever the others do.
    fn judge_delays(&self) {
        let sent = self.simulated.sent.borrow();
        for (n, push) in self.pushes.iter().enumerate() {
            let number = n as u64 + 1;
            let end = push.at + QUICK;
            if self.events.iter().any(|at| (push.at..end).contains(at)) {
                continue;
            }
            for name in &push.quick {
                let first = sent
                    .iter()
                    .find(|one| one.endpoint == *name && one.number == number);
                let waited = first.map(|one| one.began.duration_since(push.at));
                let is_quick = waited.is_some_and(|waited| waited <= QUICK);
                assert!(is_quick, "message {number} waited {waited:?} for {name}");
            }
        }
    }
}
