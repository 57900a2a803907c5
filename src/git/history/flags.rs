//! What a walk notes of commits, by their numbers: marks, and a line to be visited.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A commit in line to be visited: the newest first, of one time the first come.
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

/// Commits in line.
pub(in crate::git) type Line = BinaryHeap<Next>;

/// In the list of what has been marked.
const LISTED: u8 = 128;

/// A byte of marks for each commit.
#[derive(Default)]
pub(in crate::git) struct Marks {
    bytes: Vec<u8>,
    /// Which may have marks, for taking them off again.
    marked: Vec<u32>,
    arrivals: u64,
}

impl Marks {
    pub(in crate::git) fn of(&self, commit: u32) -> u8 {
        self.bytes
            .get(commit as usize)
            .map_or(0, |byte| byte & !LISTED)
    }

    /// Adds marks.
    pub(in crate::git) fn add(&mut self, commit: u32, marks: u8) {
        let at = commit as usize;
        if at >= self.bytes.len() {
            self.bytes.resize(at + at / 2 + 1, 0);
        }
        if self.bytes[at] == 0 {
            self.marked.push(commit);
        }
        self.bytes[at] |= marks | LISTED;
    }

    pub(in crate::git) fn remove(&mut self, commit: u32, marks: u8) {
        self.bytes[commit as usize] &= !marks;
    }

    /// How many have marks.
    pub(in crate::git) fn count(&self) -> usize {
        self.marked.len()
    }

    /// Takes all marks off all.
    pub(in crate::git) fn clear(&mut self) {
        for commit in self.marked.drain(..) {
            self.bytes[commit as usize] = 0;
        }
    }

    /// The next place in a line.
    pub(in crate::git) fn next(&mut self, commit: u32, time: u64) -> Next {
        self.arrivals += 1;
        Next {
            time,
            arrival: self.arrivals,
            commit,
        }
    }
}
