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
    /// Queues whose receiver is back, and from when on each is tried.
    woken: BTreeMap<Key, SystemTime>,
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

    /// A queue's receiver is back.
    pub(super) fn woken(&mut self, key: &Key, from: SystemTime) {
        self.woken.insert(key.clone(), from);
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
        let is_fresh = self.fresh.remove(key);
        let Some(due) = standing.next_due() else {
            self.woken.remove(key);
            return Verdict::Waits;
        };
        let wakes = self.woken.get(key).copied();
        let is_woken = wakes.is_some_and(|from| has_come(from, now));
        if is_woken {
            self.woken.remove(key);
        }
        if Self::is_due(standing, now) {
            return Verdict::Due;
        }
        // What was refused waits for itself, whatever comes and whoever is back.
        if standing.head.is_none() {
            self.wait(spool, key, due, None);
            return Verdict::Waits;
        }
        let probe_from = receivers.probe_from(key).unwrap_or(due);
        if is_woken || is_fresh && has_come(probe_from, now) {
            return Verdict::Probe;
        }
        let time = wakes.map_or(due, |from| from.min(due));
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
