//! The places for turns at once, for quick and slow ones.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::known::Key;

/// Number of slow turns at once.
const SLOW_PLACES: usize = 256;
/// File descriptors that a turn takes: folders, the lock, the log, entries, a connection.
const DESCRIPTORS: usize = 12;
/// Descriptors that are left to all else: distributions, connections that are kept, signals.
const LEFT: usize = 256;
/// Age from which a turn is slow.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// The kind of a queue, by the last result of its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The receiver accepted the last message.
    Proven,
    /// The receiver has no result yet. Until it answers the turn takes a slow place, too.
    Unproven,
    /// The head of its queue has failed.
    Failing,
}

/// The turns under way.
pub(super) struct Places {
    quick: usize,
    slow: usize,
    turns: BTreeMap<Key, Turn>,
}

/// A turn under way.
struct Turn {
    started: Instant,
    kind: Kind,
}

/// Places that are free at a moment.
pub(super) struct Room {
    quick: usize,
    slow: usize,
    all: usize,
}

impl Turn {
    fn is_slow(&self, now: Instant) -> bool {
        self.kind == Kind::Failing || now.duration_since(self.started) >= SLOW_AFTER
    }
}

impl Places {
    /// Allows `in_flight` turns that are not slow, and as many as `descriptors` open files allow.
    pub(super) fn new(in_flight: usize, descriptors: usize) -> Self {
        let ours = descriptors - LEFT.min(descriptors / 3);
        let half = (ours / DESCRIPTORS / 2).max(1);
        Self {
            quick: in_flight.min(half),
            slow: SLOW_PLACES.min(half),
            turns: BTreeMap::new(),
        }
    }

    pub(super) fn room(&self, now: Instant) -> Room {
        let count = |is: &dyn Fn(&Turn) -> bool| self.turns.values().filter(|it| is(it)).count();
        let quick = count(&|turn| !turn.is_slow(now));
        let slow = count(&|turn| turn.kind == Kind::Unproven || turn.is_slow(now));
        let all = self.quick + self.slow;
        Room {
            quick: self.quick.saturating_sub(quick),
            slow: self.slow.saturating_sub(slow),
            all: all.saturating_sub(self.turns.len()),
        }
    }

    pub(super) fn take(&mut self, key: Key, kind: Kind) {
        let started = Instant::now();
        self.turns.insert(key, Turn { started, kind });
    }

    pub(super) fn leave(&mut self, key: &Key) {
        self.turns.remove(key);
    }

    /// Returns the time at which the next turn becomes slow.
    pub(super) fn next_slow(&self, now: Instant) -> Option<Instant> {
        let turns = self.turns.values().filter(|turn| !turn.is_slow(now));
        turns.map(|turn| turn.started + SLOW_AFTER).min()
    }
}

impl Room {
    /// Returns whether a turn of this kind has a place.
    pub(super) fn is_there_for(&self, kind: Kind) -> bool {
        let (quick, slow) = (self.quick > 0, self.slow > 0);
        let has_place = match kind {
            Kind::Proven => quick,
            Kind::Unproven => quick && slow,
            Kind::Failing => slow,
        };
        has_place && self.all > 0
    }
}
