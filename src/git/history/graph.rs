//! The graph of commits, walked as git walks it: rev-list and merge-base.
//!
//! libgit2's walks parse every commit in full, know nothing of the commit-graph as
//! git writes it today, and refuse a whole history for one malformed author line,
//! which git itself takes; so the two walks that a push needs are here.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::rc::Rc;

use crate::git::error::Error;
use crate::git::history::commits::Commits;
use crate::git::history::flags::{Flags, Next, Queue};
use crate::git::history::merge_base::MergeBases;
use crate::git::history::shallow::Shallow;
use crate::git::objects::id::Id;
use crate::git::repository::Repository;

/// Number of hidden commits after which git takes the rest to be hidden too, if the queue has no
/// others (revision.c, `SLOP`): clocks that were wrong put parents before their children.
const SLOP: usize = 5;

/// Reachable from the new tip.
const OURS: u8 = 1;
/// Reachable from the hidden tip.
const HIDDEN: u8 = 2;
/// In the queue of new commits.
const QUEUED: u8 = 4;
/// In one of the queues, or was. Hidden commits are marked one generation further than they are
/// followed, as in git (revision.c, `process_parents`).
const SEEN: u8 = 8;

/// A walk of new commits and hidden ones.
///
/// The hidden tip is mostly the same for all refs that a push creates. So hidden commits stay
/// marked from one ref to the next: a push costs the commits of its refs, and the way to the oldest
/// of them once.
#[derive(Default)]
struct Walk {
    hiding: Option<u32>,
    /// Whether the last walk came to its end.
    is_whole: bool,
    flags: Flags,
    hidden: Queue,
    ours: Queue,
    /// All commits that were ever in it.
    met: Vec<u32>,
    /// Number of new commits in their queue that are not hidden.
    waiting: usize,
    parents: Vec<u32>,
    stack: Vec<u32>,
    /// Whether an ancestor of a new commit is missing or damaged.
    is_cut: bool,
    /// Time of the newest hidden commit with such an ancestor.
    hidden_cut: Option<u64>,
    /// Number of hidden commits that may be followed for later refs: as many as the searches for
    /// merge bases visited. So the search is not made for each.
    credit: usize,
}

/// A merge base, if known without another walk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Unknown,
    Known(Option<u32>),
}

impl Walk {
    fn begin(&mut self, hiding: Option<u32>, commits: &mut Commits<'_>) -> Result<(), Error> {
        self.waiting = 0;
        self.is_cut = false;
        let goes_on = self.hiding == hiding && std::mem::take(&mut self.is_whole);
        if goes_on {
            for commit in self.met.drain(..) {
                // What is hidden is in its queue, or was followed.
                let is_hidden = self.flags.of(commit) & HIDDEN != 0;
                let seen = if is_hidden { 0 } else { SEEN };
                self.flags.remove(commit, OURS | QUEUED | seen);
            }
            for _ in 0..std::mem::take(&mut self.credit) {
                let Some(next) = self.hidden.pop().filter(|_| !commits.effort.is_spent()) else {
                    break;
                };
                self.hide_ancestors(next, commits)?;
            }
            self.is_whole = true;
            return Ok(());
        }
        self.hiding = hiding;
        self.credit = 0;
        self.hidden_cut = None;
        self.hidden.clear();
        self.ours.clear();
        self.met.clear();
        self.flags.clear();
        let Some(commit) = hiding else {
            return Ok(());
        };
        self.hide(commit, u64::MAX, commits)?;
        let mut parents = std::mem::take(&mut self.parents);
        commits.parents(commit, &mut parents)?;
        for &parent in &parents {
            self.mark_hidden(parent);
        }
        self.parents = parents;
        Ok(())
    }

    /// Puts a commit in the queue of new ones, unless it is hidden. `below`: the time of its child.
    fn meet(&mut self, commit: u32, below: u64, commits: &mut Commits<'_>) -> Result<(), Error> {
        let flags = self.flags.of(commit);
        if flags & SEEN != 0 {
            return Ok(());
        }
        if flags & HIDDEN != 0 {
            return self.hide(commit, below, commits);
        }
        let Some(time) = commits.time(commit)? else {
            self.is_cut = true;
            return Ok(());
        };
        self.flags.add(commit, OURS | QUEUED | SEEN);
        let next = self.flags.next(commit, time);
        self.ours.push(next);
        self.met.push(commit);
        self.waiting += 1;
        Ok(())
    }

    /// Puts a commit in the queue of hidden ones.
    fn hide(&mut self, commit: u32, below: u64, commits: &mut Commits<'_>) -> Result<(), Error> {
        self.flags.add(commit, HIDDEN | SEEN);
        let Some(time) = commits.time(commit)? else {
            self.hidden_cut = self.hidden_cut.max(Some(below));
            return Ok(());
        };
        let next = self.flags.next(commit, time);
        self.hidden.push(next);
        Ok(())
    }

    /// Hides the parents of a hidden commit and their ancestors, as far as they were taken for new.
    fn hide_ancestors(
        &mut self,
        Next { commit, time, .. }: Next,
        commits: &mut Commits<'_>,
    ) -> Result<(), Error> {
        let mut parents = std::mem::take(&mut self.parents);
        let mut stack = std::mem::take(&mut self.stack);
        commits.parents(commit, &mut parents)?;
        for &parent in &parents {
            self.mark_hidden(parent);
            if self.flags.of(parent) & SEEN == 0 {
                self.hide(parent, time, commits)?;
            }
            commits.parents(parent, &mut stack)?;
            while let Some(ancestor) = stack.pop() {
                let is_known = self.flags.of(ancestor) & HIDDEN != 0;
                self.mark_hidden(ancestor);
                if !is_known && self.flags.of(ancestor) & SEEN != 0 {
                    commits.parents(ancestor, &mut self.parents)?;
                    stack.extend(&self.parents);
                }
            }
        }
        (self.parents, self.stack) = (parents, stack);
        Ok(())
    }

    fn mark_hidden(&mut self, commit: u32) {
        let flags = self.flags.of(commit);
        self.waiting -= usize::from(flags & (QUEUED | HIDDEN) == QUEUED);
        self.flags.add(commit, HIDDEN);
    }

    fn peek(&self) -> Option<&Next> {
        self.ours.peek().max(self.hidden.peek())
    }

    fn pop(&mut self) -> Option<Next> {
        if self.ours.peek() > self.hidden.peek() {
            let next = self.ours.pop()?;
            self.flags.remove(next.commit, QUEUED);
            self.waiting -= usize::from(self.flags.of(next.commit) & HIDDEN == 0);
            Some(next)
        } else {
            self.hidden.pop()
        }
    }

    /// Moves hidden commits from the queue of new ones to that of hidden ones, for later walks.
    fn end(&mut self) {
        for next in self.ours.drain() {
            if self.flags.of(next.commit) & HIDDEN != 0 {
                self.hidden.push(next);
            }
        }
        self.is_whole = true;
    }

    /// Lists new commits, and returns the merge base if the walk met it.
    fn list(&mut self, new: u32, commits: &mut Commits<'_>) -> Result<(Vec<u32>, Base), Error> {
        let (mut listed, mut base) = (Vec::new(), Base::Unknown);
        self.is_whole = false;
        if self.flags.of(new) & HIDDEN != 0 {
            self.end();
            return Ok((listed, Base::Known(Some(new))));
        }
        self.meet(new, u64::MAX, commits)?;
        let mut slop = SLOP;
        // The time of the last one listed, and of the oldest.
        let (mut last, mut oldest) = (u64::MAX, u64::MAX);
        while let Some(next) = self.pop() {
            if commits.effort.is_spent() {
                break;
            }
            let Next { commit, time, .. } = next;
            if self.flags.of(commit) & HIDDEN != 0 {
                self.hide_ancestors(next, commits)?;
                let is_older = self.peek().is_some_and(|next| last <= next.time);
                slop = if self.waiting > 0 || is_older {
                    SLOP
                } else {
                    slop - 1
                };
                if slop == 0 {
                    break;
                }
                continue;
            }
            last = time;
            oldest = oldest.min(time);
            listed.push(commit);
            let mut parents = std::mem::take(&mut self.parents);
            commits.parents(commit, &mut parents)?;
            for &parent in &parents {
                if Some(parent) == self.hiding {
                    base = Base::Known(self.hiding);
                }
                self.meet(parent, time, commits)?;
            }
            self.parents = parents;
        }
        self.end();
        // What is newer than that cannot be hidden by what is missing.
        self.is_cut |= self.hidden_cut.is_some_and(|cut| cut >= oldest);
        listed.retain(|&commit| self.flags.of(commit) & HIDDEN == 0);
        if listed.is_empty() {
            base = Base::Known(Some(new));
        }
        Ok((listed, base))
    }

    /// Returns the hidden parents of listed commits, the newest first. The merge bases are among
    /// them. `None`: some hidden commits are unknown, or two have the same time, and their order
    /// would count.
    fn forks(
        &mut self,
        listed: &[u32],
        commits: &mut Commits<'_>,
    ) -> Result<Option<Vec<u32>>, Error> {
        if self.hiding.is_none() || !self.hidden.is_empty() {
            return Ok(None);
        }
        let mut forks = Vec::new();
        for &commit in listed {
            commits.parents(commit, &mut self.parents)?;
            for &parent in &self.parents {
                if self.flags.of(parent) & HIDDEN != 0
                    && let Some(time) = commits.time(parent)?
                {
                    forks.push((Reverse(time), parent));
                }
            }
        }
        forks.sort_unstable();
        forks.dedup();
        let is_clear = forks.windows(2).all(|two| two[0].0 != two[1].0);
        Ok(is_clear.then(|| forks.into_iter().map(|(_, commit)| commit).collect()))
    }
}

/// The commits of a repository, and what the walks of one push know of them.
pub(in crate::git) struct Graph<'repo> {
    state: RefCell<State<'repo>>,
}

struct State<'repo> {
    commits: Commits<'repo>,
    walk: Walk,
    merge_base: MergeBases,
    /// Ends of the last walk, and the merge base that it found.
    base: Option<(Id, Id, Base)>,
}

impl<'repo> Graph<'repo> {
    pub(in crate::git) fn new(repository: &'repo Repository, shallow: Rc<Shallow>) -> Self {
        Self {
            state: RefCell::new(State {
                commits: Commits::new(repository, shallow),
                walk: Walk::default(),
                merge_base: MergeBases::default(),
                base: None,
            }),
        }
    }

    /// Lists the commits that are reachable from `new` and not from `hidden`, in the order of `git
    /// rev-list`, for `tell`, with whether an ancestor is missing.
    pub(in crate::git) fn list<T>(
        &self,
        new: Id,
        hidden: Option<Id>,
        tell: impl FnOnce(&[u32], bool, &mut Commits<'repo>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let State {
            commits,
            walk,
            merge_base,
            base,
        } = &mut *self.state.borrow_mut();
        let number = commits.number(new);
        let hiding = hidden.map(|hidden| commits.number(hidden));
        walk.begin(hiding, commits)?;
        let (listed, mut known) = walk.list(number, commits)?;
        if known == Base::Unknown
            && let Some(forks) = walk.forks(&listed, commits)?
        {
            known = Base::Known(merge_base.first_independent(forks, commits)?);
        }
        if let Some(hidden) = hidden {
            *base = Some((hidden, new, known));
        }
        let is_cut = walk.is_cut || merge_base.take_cut();
        tell(&listed, is_cut, commits)
    }

    /// Adds the visits of another ref.
    pub(in crate::git) fn begin_ref(&self) {
        self.state.borrow_mut().commits.effort.begin_ref();
    }

    /// Returns whether walks end early because they have cost too much.
    pub(in crate::git) fn is_spent(&self) -> bool {
        self.state.borrow().commits.effort.is_spent()
    }

    /// Returns the best common ancestor, as `git merge-base` prints it, `None` for unrelated
    /// histories, and whether an ancestor is missing.
    pub(in crate::git) fn merge_base(
        &self,
        one: Id,
        other: Id,
    ) -> Result<(Option<Id>, bool), Error> {
        let State {
            commits,
            walk,
            merge_base,
            base,
        } = &mut *self.state.borrow_mut();
        let found = match *base {
            Some((hidden, new, Base::Known(found))) if (hidden, new) == (one, other) => found,
            _ => {
                let (one, other) = (commits.number(one), commits.number(other));
                let found = merge_base.merge_base(one, other, commits)?;
                walk.credit += merge_base.visited();
                found
            }
        };
        Ok((found.map(|found| commits.id(found)), merge_base.take_cut()))
    }
}
