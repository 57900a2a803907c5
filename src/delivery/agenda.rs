//! When each queue is looked into again, and whether it is tried then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::receivers::{Key, Receivers, has_come};
use crate::config::Retry;
use crate::spool::{Spool, Standing};

/// What is known of the queues that have no turn.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeMap<Key, Due>,
    /// Queues that something came for since they were last looked into.
    fresh: BTreeSet<Key>,
}

/// When a queue is looked into again.
#[derive(Debug)]
struct Due {
    spool: Spool,
    time: SystemTime,
    /// What comes for the queue before this waits too. `None`: it does not.
    probe_from: Option<SystemTime>,
}

/// What becomes of a queue that was looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has a turn: its schedule says so.
    Due,
    /// It has a turn though its schedule says nothing: something came, or the receiver is back.
    Probe,
    /// Its time comes, or it is empty.
    Waits,
}

impl Agenda {
    /// Whether a queue has something to be tried now. What the schedule of one repository
    /// says of a due time far ahead, its turn finds out.
    pub(super) fn is_due(standing: &Standing, now: SystemTime) -> bool {
        standing.is_due(now, Retry::default().longest_delay())
    }

    /// Something came for a queue. Returns whether it is to be looked into.
    pub(super) fn came(&mut self, key: &Key, now: SystemTime) -> bool {
        self.fresh.insert(key.clone());
        let from = self.due.get(key).and_then(|due| due.probe_from);
        from.is_none_or(|from| has_come(from, now))
    }

    /// Whether something came for a queue since it was last looked into.
    pub(super) fn is_fresh(&self, key: &Key) -> bool {
        self.fresh.contains(key)
    }

    /// Whether a queue waits, as far as is known without a look into it: its endpoint failed,
    /// its time has not come, and nothing is to be tried before. However much is in it, it
    /// costs nothing then.
    pub(super) fn waits(
        &mut self,
        spool: &Spool,
        key: &Key,
        receivers: &Receivers,
        now: SystemTime,
    ) -> bool {
        let Some((next, probe_from)) = receivers.held(key) else {
            return false;
        };
        let is_probed = self.fresh.contains(key) && has_come(probe_from, now);
        if has_come(next, now) || is_probed {
            return false;
        }
        self.wait(spool, key, next, Some(probe_from));
        true
    }

    /// Decides what becomes of a queue, by what is in it.
    pub(super) fn judge(
        &mut self,
        spool: &Spool,
        key: &Key,
        standing: &Standing,
        receivers: &Receivers,
        now: SystemTime,
    ) -> Verdict {
        self.due.remove(key);
        let is_fresh = self.fresh.remove(key);
        let Some(due) = standing.next_due() else {
            receivers.forget(key);
            return Verdict::Waits;
        };
        if Self::is_due(standing, now) {
            return Verdict::Due;
        }
        // What was refused waits for itself, whatever comes and whoever is back.
        if standing.head.is_none() {
            self.wait(spool, key, due, None);
            return Verdict::Waits;
        }
        let (next, probe_from) = receivers.held(key).unwrap_or((due, due));
        if has_come(probe_from, now) && (receivers.take_wake(key) || is_fresh) {
            return Verdict::Probe;
        }
        let time = if next > now { next.min(due) } else { due };
        self.wait(spool, key, time, Some(probe_from));
        Verdict::Waits
    }

    /// A queue is looked into at this time; earlier, if something comes from `probe_from` on.
    pub(super) fn wait(
        &mut self,
        spool: &Spool,
        key: &Key,
        time: SystemTime,
        probe_from: Option<SystemTime>,
    ) {
        let due = Due {
            spool: spool.clone(),
            time,
            probe_from,
        };
        self.due.insert(key.clone(), due);
    }

    /// Takes the queues whose time has come.
    pub(super) fn take_come(&mut self, now: SystemTime) -> Vec<(Spool, Key)> {
        let come = self.due.extract_if(.., |_, due| due.time <= now);
        come.map(|(key, due)| (due.spool, key)).collect()
    }

    /// When the next queue is to be looked into.
    pub(super) fn next(&self) -> Option<SystemTime> {
        self.due.values().map(|due| due.time).min()
    }
}
