//! A spool as it stands: its queues, and its counts.

use std::collections::BTreeMap;
use std::time::SystemTime;

use nix::sys::statvfs::statvfs;

use super::carried::Counted;
use super::labels::{Labels, Route, SERVICE, UNKNOWN};
use super::scrape::{Receiver, SpoolRow};
use super::state::State;
use crate::spool::{Failure, IoError, Queue, QueueSurvey, Spool, Stats, Survey, Tallies};

/// A spool as it stands.
pub struct Look {
    /// The contents of its folders.
    pub survey: Survey,
    /// The notes of flushes.
    pub stats: Stats,
    /// The attempts of its endpoints.
    pub counts: Tallies,
    /// Number of pushes under way.
    intents: usize,
    /// The name of its folder.
    folder: String,
    /// Number of free bytes on its disk.
    free: Option<u64>,
}

impl Look {
    /// Looks at a spool. Takes no lock. Opens no entry, but intents.
    pub fn at(spool: &Spool) -> Result<Self, IoError> {
        let disk = statvfs(spool.root()).ok();
        let free = disk.map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()));
        Ok(Self {
            survey: spool.survey()?,
            stats: spool.stats(),
            counts: spool.counts(),
            intents: spool.intents()?.len(),
            folder: spool.root().display().to_string(),
            free,
        })
    }

    /// Returns the spool's own row.
    #[must_use]
    pub fn row(&self, is_read: bool) -> SpoolRow {
        let spare = self.survey.spare;
        let lost = spare.and_then(|spare| spare.lost);
        SpoolRow {
            account: String::new(),
            spool: self.folder.clone(),
            is_read,
            new: number(self.survey.new + spare.map_or(0, |spare| spare.used)),
            unreadable: number(self.survey.unreadable),
            intent: number(self.intents),
            unrecorded: lost.map_or(0, |lost| lost.pushes),
            oldest_new: self.survey.oldest_new.map(seconds),
            free: self.free,
            flushed: self.stats.flushed().map(seconds),
        }
    }

    /// Returns a row for each endpoint: those that are configured, those that have a queue, and
    /// those that messages were sent to. `marked` has the queues that are paused or of no endpoint.
    #[must_use]
    pub fn receivers(
        &self,
        now: SystemTime,
        routes: &BTreeMap<Queue, Route>,
        marked: &BTreeMap<Queue, State>,
    ) -> Vec<Receiver> {
        let mut rows = BTreeMap::new();
        for (queue, route) in routes {
            let row = self.row_of(&mut rows, route);
            row.state = row
                .state
                .max(marked.get(queue).copied().unwrap_or_default());
        }
        for queue in &self.survey.queues {
            let route = self.route(&queue.queue, routes);
            let failure = self.stats.failures.get(queue.queue.as_str());
            let row = self.row_of(&mut rows, &route);
            let mark = marked.get(&queue.queue).copied();
            let is_down = failure.is_some_and(|failure| failure.by_transport);
            let state = mark.unwrap_or_else(|| State::of(queue, is_down, now));
            row.state = row.state.max(state);
            row.waiting += number(queue.waiting);
            row.refused += number(queue.refused);
            row.failed += number(queue.failed);
            let attempts = queue.head.as_ref().map_or(0, |head| head.attempts);
            row.failed_attempts = row.failed_attempts.max(attempts.into());
            let earlier = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
            row.oldest = earlier(row.oldest, queue.oldest.map(seconds));
            // A queue that is paused has no next attempt, which nobody is late with.
            if mark != Some(State::Paused) {
                row.next = earlier(row.next, next(queue, failure).map(seconds));
            }
        }
        for (receiver, endpoint, tally) in self.counts.each() {
            let route = Route {
                endpoint: endpoint.to_owned(),
                receiver: receiver.to_owned(),
            };
            let row = self.row_of(&mut rows, &route);
            row.totals.add(&tally.totals);
            let delivered = tally.delivered.as_ref().map(|last| seconds(last.time));
            row.delivered = row.delivered.max(delivered);
        }
        rows.into_values().collect()
    }

    /// Returns the counts of its endpoints.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted> {
        let each = self.counts.each();
        each.map(|(receiver, endpoint, tally)| Counted {
            receiver: receiver.to_owned(),
            endpoint: endpoint.to_owned(),
            totals: tally.totals,
        })
        .collect()
    }

    fn row_of<'a>(
        &self,
        rows: &'a mut BTreeMap<Route, Receiver>,
        route: &Route,
    ) -> &'a mut Receiver {
        rows.entry(route.clone()).or_insert_with(|| Receiver {
            labels: Labels::new(&route.receiver, &route.endpoint, &self.folder),
            ..Receiver::default()
        })
    }

    /// Returns the endpoint of a queue. Where no configuration has it, its last failure or the
    /// last attempt of an endpoint of that name tells the receiver.
    #[must_use]
    pub fn route(&self, queue: &Queue, routes: &BTreeMap<Queue, Route>) -> Route {
        if let Some(route) = routes.get(queue) {
            return route.clone();
        }
        // A hash tells apart the queues of one name.
        let name = queue.as_str().split('@').next().unwrap_or_default();
        let failure = self.stats.failures.get(queue.as_str());
        let failed = failure.map(|failure| failure.receiver.clone());
        let tried = || {
            let own = self.counts.each().filter(|(_, own, _)| *own == name);
            let newest = own.max_by_key(|(_, _, tally)| tally.last.as_ref().map(|it| it.time));
            newest.map(|(receiver, _, _)| receiver.to_owned())
        };
        let receiver = match failed.or_else(tried) {
            Some(receiver) => receiver,
            None if queue.is_service() => SERVICE.to_owned(),
            None => UNKNOWN.to_owned(),
        };
        let endpoint = name.to_owned();
        Route { endpoint, receiver }
    }
}

/// Returns the time of a queue's next attempt. While its receiver is down, no earlier than
/// flushes agreed.
fn next(queue: &QueueSurvey, failure: Option<&Failure>) -> Option<SystemTime> {
    let held = failure.filter(|failure| !failure.is_woken);
    queue
        .due
        .map(|due| held.map_or(due, |failure| failure.next.max(due)))
}

/// Returns a time in seconds since 1970.
#[must_use]
pub fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
