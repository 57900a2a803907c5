//! The receivers and spools of an account, as they stand, for alerts.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::Route;
use super::look::{Look, seconds};
use super::state::State;
use crate::spool::Queue;

/// The receivers and spools of an account, as they stand. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// By scheme, host and port.
    pub receivers: BTreeMap<String, Standing>,
    /// By their folders.
    pub spools: BTreeMap<String, SpoolStanding>,
    /// True if a spool could not be read.
    pub is_partial: bool,
}

/// A receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The names of its endpoints for which something waits.
    pub endpoints: BTreeSet<String>,
    /// Time since which it takes nothing.
    pub down_since: Option<u64>,
    /// Number of entries that wait in order.
    pub waiting: u64,
    /// Number of refused messages.
    pub refused: u64,
    /// Number of messages that were ever given up.
    pub given_up: u64,
    /// Time and result of the last attempt.
    pub last: Option<(u64, String)>,
    /// Time of the last delivery.
    pub delivered: Option<u64>,
}

impl Standing {
    /// Returns whether the last attempt delivered.
    #[must_use]
    pub fn is_taking(&self) -> bool {
        self.delivered >= self.last.as_ref().map(|(time, _)| *time) && self.delivered.is_some()
    }
}

/// A spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolStanding {
    /// Time since which a push waits that is in no queue yet, or that is not tried for a reason.
    pub waits_since: Option<u64>,
    /// The reasons for that, as far as they are known.
    pub why: BTreeSet<String>,
    /// Number of pushes that could not be recorded.
    pub unrecorded: u64,
}

impl Situation {
    /// Adds a spool. Queues that are paused do not count, nor does an endpoint unless it `counts`.
    pub fn add(
        &mut self,
        look: &Look,
        routes: &BTreeMap<Queue, Route>,
        paused: &BTreeMap<Queue, State>,
        counts: &dyn Fn(&str) -> bool,
        why: BTreeSet<String>,
    ) {
        let row = look.row(true);
        let mut spool = SpoolStanding {
            waits_since: row.oldest_new,
            why,
            unrecorded: row.unrecorded,
        };
        self.is_partial |= !look.survey.unseen.is_empty();
        let queues = look.survey.queues.iter();
        for queue in queues.filter(|one| !paused.contains_key(&one.queue)) {
            let route = look.route(&queue.queue, routes);
            if !counts(&route.endpoint) {
                continue;
            }
            let own = self.receivers.entry(route.receiver).or_default();
            own.waiting += count(queue.waiting);
            own.refused += count(queue.refused);
            if queue.waiting + queue.refused > 0 {
                own.endpoints.insert(route.endpoint);
            }
            if let Some(head) = &queue.head
                && head.attempts == 0
                && !spool.why.is_empty()
            {
                spool.waits_since = spool
                    .waits_since
                    .into_iter()
                    .chain([seconds(head.due)])
                    .min();
            }
            let failure = look.stats.failures.get(queue.queue.as_str());
            let failure = failure.filter(|_| queue.waiting > 0);
            let since = failure.map(|failure| seconds(failure.since));
            own.down_since = own.down_since.into_iter().chain(since).min();
        }
        self.spools.insert(row.spool, spool);
        let tallies = look.counts.each();
        for (receiver, _, tally) in tallies.filter(|(_, name, _)| counts(name)) {
            let own = self.receivers.entry(receiver.to_owned()).or_default();
            own.given_up = own.given_up.saturating_add(tally.totals.counts.given_up());
            let last = tally.last.as_ref();
            let last = last.map(|last| (seconds(last.time), last.answer.clone()));
            own.last = own.last.take().max(last);
            let delivered = tally.delivered.as_ref().map(|last| seconds(last.time));
            own.delivered = own.delivered.max(delivered);
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
