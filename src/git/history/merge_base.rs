//! Merge bases, found by painting (commit-reach.c, `paint_down_to_common`).
//!
//! Always the newest first, by the clock: git does so too without a commit-graph,
//! and of several bases of one time the answer hangs on that. The levels that a
//! commit-graph knows only say where to stop.

use crate::git::error::Error;
use crate::git::history::commits::Commits;
use crate::git::history::flags::{Line, Marks};

/// Reachable from the one.
const ONE: u8 = 1;
/// Reachable from one of the others.
const OTHER: u8 = 2;
const BOTH: u8 = ONE | OTHER;
/// Below a common ancestor: nothing new comes of it.
const STALE: u8 = 4;
/// In line.
const WAITING: u8 = 8;
/// A common ancestor that was met.
const FOUND: u8 = 16;

/// Commits and their colours.
#[derive(Default)]
pub(in crate::git) struct Canvas {
    marks: Marks,
    line: Line,
    /// How many in line are not stale.
    fresh: usize,
    /// Whether an ancestor was missing or damaged.
    is_cut: bool,
    parents: Vec<u32>,
}

impl Canvas {
    /// The best common ancestor.
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
        let fresh = |&commit: &u32| self.marks.of(commit) & STALE == 0;
        let mut bases = Vec::new();
        for commit in found.into_iter().filter(fresh) {
            bases.push((commits.time(commit)?.unwrap_or_default(), commit));
        }
        // The newest first; of one time, the first found.
        bases.sort_by_key(|&(time, _)| std::cmp::Reverse(time));
        let bases = bases.into_iter().map(|(_, commit)| commit).collect();
        self.first_independent(bases, commits)
    }

    /// Whether an ancestor was found to be missing since this was last asked.
    pub(in crate::git) fn take_cut(&mut self) -> bool {
        std::mem::take(&mut self.is_cut)
    }

    /// How many commits were painted last.
    pub(in crate::git) fn painted(&self) -> usize {
        self.marks.count()
    }

    /// The first of these common ancestors that no other one leads to.
    pub(in crate::git) fn first_independent(
        &mut self,
        mut bases: Vec<u32>,
        commits: &mut Commits<'_>,
    ) -> Result<Option<u32>, Error> {
        while bases.len() > 1 && !commits.effort.is_spent() {
            let (first, others) = (bases[0], &bases[1..]);
            // What has no level is in no file, and what is leads to nothing outside it.
            let lowest = commits.level(first).unwrap_or(u32::MAX);
            self.common_ancestors(first, others, lowest, commits)?;
            if self.marks.of(first) & OTHER == 0 {
                break;
            }
            bases.remove(0);
        }
        Ok(bases.first().copied())
    }

    /// Paints the ancestors of one and of others, and gives the first ones that have
    /// both colours. Nothing below the level `lowest` is painted.
    fn common_ancestors(
        &mut self,
        one: u32,
        others: &[u32],
        lowest: u32,
        commits: &mut Commits<'_>,
    ) -> Result<Vec<u32>, Error> {
        self.marks.clear();
        self.line.clear();
        self.fresh = 0;
        self.paint(one, ONE, commits)?;
        for &other in others {
            self.paint(other, OTHER, commits)?;
        }
        let mut found = Vec::new();
        while self.fresh > 0
            && !commits.effort.is_spent()
            && let Some(commit) = self.next()
        {
            let marks = self.marks.of(commit);
            let mut colours = marks & (BOTH | STALE);
            if colours == BOTH {
                if marks & FOUND == 0 {
                    self.marks.add(commit, FOUND);
                    found.push(commit);
                }
                colours |= STALE;
            }
            if commits.level(commit).is_some_and(|level| level <= lowest) {
                continue;
            }
            let mut parents = std::mem::take(&mut self.parents);
            commits.parents(commit, &mut parents)?;
            for &parent in &parents {
                self.paint(parent, colours, commits)?;
            }
            self.parents = parents;
        }
        Ok(found)
    }

    /// Adds colours to a commit, which is visited again if they are new.
    fn paint(&mut self, commit: u32, colours: u8, commits: &mut Commits<'_>) -> Result<(), Error> {
        let marks = self.marks.of(commit);
        if marks & colours == colours {
            return Ok(());
        }
        if marks & WAITING == 0 {
            let Some(time) = commits.time(commit)? else {
                self.is_cut |= colours & STALE == 0;
                return Ok(());
            };
            let next = self.marks.next(commit, time);
            self.line.push(next);
            self.fresh += usize::from((marks | colours) & STALE == 0);
        } else if marks & STALE == 0 && colours & STALE != 0 {
            self.fresh -= 1;
        }
        self.marks.add(commit, colours | WAITING);
        Ok(())
    }

    fn next(&mut self) -> Option<u32> {
        let commit = self.line.pop()?.commit;
        self.marks.remove(commit, WAITING);
        self.fresh -= usize::from(self.marks.of(commit) & STALE == 0);
        Some(commit)
    }
}
