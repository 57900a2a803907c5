//! Merge bases (commit-reach.c, `paint_down_to_common`, whose names the flags have).
//!
//! Commits are visited by their time, the newest first: git does so too without a commit-graph,
//! and of several bases of one time the answer depends on that. The generations that a
//! commit-graph knows only tell where to stop.

use crate::git::error::Error;
use crate::git::history::commits::Commits;
use crate::git::history::flags::{Flags, Queue};

/// Reachable from the one commit.
const PARENT1: u8 = 1;
/// Reachable from one of the other commits.
const PARENT2: u8 = 2;
const BOTH: u8 = PARENT1 | PARENT2;
/// Below a common ancestor.
const STALE: u8 = 4;
/// In the queue.
const QUEUED: u8 = 8;
/// A common ancestor.
const RESULT: u8 = 16;

/// Flags of commits, and the queue of those to be visited.
#[derive(Default)]
pub(in crate::git) struct MergeBases {
    flags: Flags,
    queue: Queue,
    /// Number of commits in the queue that are not stale.
    fresh: usize,
    /// Whether an ancestor was missing or damaged.
    is_cut: bool,
    parents: Vec<u32>,
}

impl MergeBases {
    /// Returns the best common ancestor.
    pub(in crate::git) fn merge_base(
        &mut self,
        one: u32,
        other: u32,
        commits: &mut Commits<'_>,
    ) -> Result<Option<u32>, Error> {
        if one == other {
            return Ok(Some(one));
        }
        let found = self.common_ancestors(one, &[other], 0, commits)?;
        let fresh = |&commit: &u32| self.flags.of(commit) & STALE == 0;
        let mut bases = Vec::new();
        for commit in found.into_iter().filter(fresh) {
            bases.push((commits.time(commit)?.unwrap_or_default(), commit));
        }
        // The newest first; of one time, the first found.
        bases.sort_by_key(|&(time, _)| std::cmp::Reverse(time));
        let bases = bases.into_iter().map(|(_, commit)| commit).collect();
        self.first_independent(bases, commits)
    }

    /// Returns whether an ancestor was found to be missing since the last call.
    pub(in crate::git) fn take_cut(&mut self) -> bool {
        std::mem::take(&mut self.is_cut)
    }

    /// Returns the number of commits that the last search visited.
    pub(in crate::git) fn visited(&self) -> usize {
        self.flags.count()
    }

    /// Returns the first of these common ancestors that no other one has as ancestor.
    pub(in crate::git) fn first_independent(
        &mut self,
        mut bases: Vec<u32>,
        commits: &mut Commits<'_>,
    ) -> Result<Option<u32>, Error> {
        while bases.len() > 1 && !commits.effort.is_spent() {
            let (first, others) = (bases[0], &bases[1..]);
            // What has no generation is in no file, and what is leads to nothing outside it.
            let lowest = commits.generation(first).unwrap_or(u32::MAX);
            self.common_ancestors(first, others, lowest, commits)?;
            if self.flags.of(first) & PARENT2 == 0 {
                break;
            }
            bases.remove(0);
        }
        Ok(bases.first().copied())
    }

    /// Paints the ancestors of one and of others, and gives the first ones that have
    /// both added. Nothing below the generation `lowest` is visited.
    fn common_ancestors(
        &mut self,
        one: u32,
        others: &[u32],
        lowest: u32,
        commits: &mut Commits<'_>,
    ) -> Result<Vec<u32>, Error> {
        self.flags.clear();
        self.queue.clear();
        self.fresh = 0;
        self.visit(one, PARENT1, commits)?;
        for &other in others {
            self.visit(other, PARENT2, commits)?;
        }
        let mut found = Vec::new();
        while self.fresh > 0
            && !commits.effort.is_spent()
            && let Some(commit) = self.next()
        {
            let flags = self.flags.of(commit);
            let mut added = flags & (BOTH | STALE);
            if added == BOTH {
                if flags & RESULT == 0 {
                    self.flags.add(commit, RESULT);
                    found.push(commit);
                }
                added |= STALE;
            }
            if commits
                .generation(commit)
                .is_some_and(|generation| generation <= lowest)
            {
                continue;
            }
            let mut parents = std::mem::take(&mut self.parents);
            commits.parents(commit, &mut parents)?;
            for &parent in &parents {
                self.visit(parent, added, commits)?;
            }
            self.parents = parents;
        }
        Ok(found)
    }

    /// Adds flags to a commit. One that lacked any of them is visited again.
    fn visit(&mut self, commit: u32, added: u8, commits: &mut Commits<'_>) -> Result<(), Error> {
        let flags = self.flags.of(commit);
        if flags & added == added {
            return Ok(());
        }
        if flags & QUEUED == 0 {
            let Some(time) = commits.time(commit)? else {
                self.is_cut |= added & STALE == 0;
                return Ok(());
            };
            let next = self.flags.next(commit, time);
            self.queue.push(next);
            self.fresh += usize::from((flags | added) & STALE == 0);
        } else if flags & STALE == 0 && added & STALE != 0 {
            self.fresh -= 1;
        }
        self.flags.add(commit, added | QUEUED);
        Ok(())
    }

    fn next(&mut self) -> Option<u32> {
        let commit = self.queue.pop()?.commit;
        self.flags.remove(commit, QUEUED);
        self.fresh -= usize::from(self.flags.of(commit) & STALE == 0);
        Some(commit)
    }
}
