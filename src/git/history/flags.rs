//! What a walk notes of commits, by their numbers: flags, and the queue of those to be visited.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A commit that waits to be visited: the newest first, of one time the first come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::git) struct Next {
    pub(in crate::git) time: u64,
    arrival: u64,
    pub(in crate::git) commit: u32,
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, other.arrival).cmp(&(other.time, self.arrival))
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Commits that wait to be visited.
pub(in crate::git) type Queue = BinaryHeap<Next>;

/// In the list of what has been flagged.
const LISTED: u8 = 128;

/// A byte of flags for each commit.
#[derive(Default)]
pub(in crate::git) struct Flags {
    bytes: Vec<u8>,
    /// Commits that may have flags, for `clear`.
    flagged: Vec<u32>,
    arrivals: u64,
}

impl Flags {
    pub(in crate::git) fn of(&self, commit: u32) -> u8 {
        self.bytes
            .get(commit as usize)
            .map_or(0, |byte| byte & !LISTED)
    }

    /// Adds flags.
    pub(in crate::git) fn add(&mut self, commit: u32, flags: u8) {
        let at = commit as usize;
        if at >= self.bytes.len() {
            self.bytes.resize(at + at / 2 + 1, 0);
        }
        if self.bytes[at] == 0 {
            self.flagged.push(commit);
        }
        self.bytes[at] |= flags | LISTED;
    }

    pub(in crate::git) fn remove(&mut self, commit: u32, flags: u8) {
        self.bytes[commit as usize] &= !flags;
    }

    /// Returns the number of commits with flags.
    pub(in crate::git) fn count(&self) -> usize {
        self.flagged.len()
    }

    /// Removes all flags.
    pub(in crate::git) fn clear(&mut self) {
        for commit in self.flagged.drain(..) {
            self.bytes[commit as usize] = 0;
        }
    }

    /// Returns the next place in a queue.
    pub(in crate::git) fn next(&mut self, commit: u32, time: u64) -> Next {
        self.arrivals += 1;
        Next {
            time,
            arrival: self.arrivals,
            commit,
        }
    }
}
