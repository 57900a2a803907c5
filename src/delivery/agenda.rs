//! The times at which queues are read again, and the decision whether each is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::known::{Key, has_come};
use super::receivers::Receivers;
use crate::config::Retry;
use crate::spool::{Spool, Standing};

/// The queues that have no turn.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeMap<Key, Due>,
    /// Queues that got entries since they were last read.
    fresh: BTreeSet<Key>,
}

/// The time at which a queue is read again.
#[derive(Debug)]
struct Due {
    spool: Spool,
    time: SystemTime,
    /// Entries that come before this wait too. `None`: the queue is read when entries come.
    probe_from: Option<SystemTime>,
}

/// The decision about a queue that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The queue has a turn, as its schedule says.
    Due,
    /// The queue has a turn although nothing is due: entries came, or its receiver is back.
    Probe,
    /// The queue is empty, or has nothing that is due.
    Waits,
}

impl Agenda {
    /// Returns whether a queue has a due message.
    ///
    /// The schedule of one repository may be longer than the default one; the turn detects that.
    pub(super) fn is_due(standing: &Standing, now: SystemTime) -> bool {
        standing.is_due(now, Retry::default().longest_delay())
    }

    /// Notes that entries came for a queue. Returns whether the queue is to be read now.
    pub(super) fn came(&mut self, key: &Key, now: SystemTime) -> bool {
        self.fresh.insert(key.clone());
        let from = self.due.get(key).and_then(|due| due.probe_from);
        from.is_none_or(|from| has_come(from, now))
    }

    /// Returns whether entries came for a queue since it was last read.
    pub(super) fn is_fresh(&self, key: &Key) -> bool {
        self.fresh.contains(key)
    }

    /// Returns whether a queue waits, by the record of its last failure.
    ///
    /// Such a queue is not read, so it costs the same however many entries it has.
    pub(super) fn waits(
        &mut self,
        spool: &Spool,
        key: &Key,
        receivers: &Receivers,
        now: SystemTime,
    ) -> bool {
        let Some((next, probe_from)) = receivers.held(key, now) else {
            return false;
        };
        let is_probed = self.fresh.contains(key) && has_come(probe_from, now);
        if has_come(next, now) || is_probed {
            return false;
        }
        self.wait(spool, key, next, Some(probe_from));
        true
    }

    /// Decides about a queue that was read.
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
        let is_due = Self::is_due(standing, now);
        // A refused message waits for itself, even if entries come or its receiver is back.
        if standing.head.is_none() && !is_due {
            self.wait(spool, key, due, None);
            return Verdict::Waits;
        }
        let held = receivers.held(key, now).filter(|_| standing.head.is_some());
        if is_due && !held.is_some_and(|(_, from)| is_fresh && has_come(from, now)) {
            return Verdict::Due;
        }
        let (next, probe_from) = receivers.held(key, now).unwrap_or((due, due));
        if has_come(probe_from, now) && (receivers.take_wake(key) || is_fresh) {
            return Verdict::Probe;
        }
        let time = if next > now { next.min(due) } else { due };
        self.wait(spool, key, time, Some(probe_from));
        Verdict::Waits
    }

    /// Has a queue read at `time`, or earlier if entries come from `probe_from` on.
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

    /// Removes and returns the queues whose time has come.
    pub(super) fn take_come(&mut self, now: SystemTime) -> Vec<(Spool, Key)> {
        let come = self.due.extract_if(.., |_, due| due.time <= now);
        come.map(|(key, due)| (due.spool, key)).collect()
    }

    /// Returns the number of queues that have no turn until their time has come.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// Returns the time at which the next queue is to be read.
    pub(super) fn next(&self) -> Option<SystemTime> {
        self.due.values().map(|due| due.time).min()
    }
}
