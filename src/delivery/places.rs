//! How many turns there are at once, and which of them are slow.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::receivers::Key;

/// Number of slow turns at once.
const SLOW_PLACES: usize = 256;
/// File descriptors that a turn takes: folders, the lock, the log, entries, a connection.
const DESCRIPTORS: usize = 12;
/// From this age on a turn is slow.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// The turns under way.
pub(super) struct Places {
    quick: usize,
    slow: usize,
    turns: BTreeMap<Key, Turn>,
}

/// A turn under way.
struct Turn {
    started: Instant,
    /// Whether the queue's head had failed when it began.
    is_failing: bool,
}

/// Places that are free at a moment.
pub(super) struct Room {
    quick: usize,
    slow: usize,
    all: usize,
}

impl Turn {
    fn is_slow(&self, now: Instant) -> bool {
        self.is_failing || now.duration_since(self.started) >= SLOW_AFTER
    }
}

impl Places {
    /// Allows `in_flight` turns that are not slow, and as many as `descriptors` open files allow.
    pub(super) fn new(in_flight: usize, descriptors: usize) -> Self {
        let half = (descriptors / DESCRIPTORS / 2).max(1);
        Self {
            quick: in_flight.min(half),
            slow: SLOW_PLACES.min(half),
            turns: BTreeMap::new(),
        }
    }

    pub(super) fn room(&self, now: Instant) -> Room {
        let slow = self.turns.values().filter(|turn| turn.is_slow(now)).count();
        let quick = self.turns.len() - slow;
        let all = self.quick + self.slow;
        Room {
            quick: self.quick.saturating_sub(quick),
            slow: self.slow.saturating_sub(slow),
            all: all.saturating_sub(self.turns.len()),
        }
    }

    pub(super) fn take(&mut self, key: Key, is_failing: bool) {
        let started = Instant::now();
        let turn = Turn {
            started,
            is_failing,
        };
        self.turns.insert(key, turn);
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
    /// Takes a place for a turn that is not slow. Returns whether there was one.
    pub(super) fn takes_quick(&mut self) -> bool {
        Self::takes(&mut self.quick, &mut self.all)
    }

    /// Takes a place for a slow turn. Returns whether there was one.
    pub(super) fn takes_slow(&mut self) -> bool {
        Self::takes(&mut self.slow, &mut self.all)
    }

    fn takes(places: &mut usize, all: &mut usize) -> bool {
        let has_room = *places > 0 && *all > 0;
        if has_room {
            *places -= 1;
            *all -= 1;
        }
        has_room
    }
}
