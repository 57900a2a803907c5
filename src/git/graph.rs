//! The graph of commits: parents and times, read from the commits' own bytes.
//!
//! libgit2's walks parse every commit in full and refuse a whole history for one
//! malformed author line, which git itself takes; so the two walks that a push
//! needs are here, as git does them.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fs;
use std::rc::Rc;

use git2::{Odb, Oid};

use super::{Error, ReadContext, Repository, object};

/// After this many more commits on the hidden side with nothing of ours in
/// sight, git takes the rest to be hidden too (revision.c, `SLOP`): clocks that
/// were wrong put parents before their children.
const SLOP: usize = 5;

/// A commit, as far as walks care.
pub(super) struct Node {
    pub(super) parents: Vec<Oid>,
    /// When it was committed, in seconds since the epoch.
    time: i64,
}

/// A commit in line to be visited: the newest first, of one time the first come.
#[derive(PartialEq, Eq)]
struct Next {
    time: i64,
    arrival: usize,
    id: Oid,
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
#[derive(Default)]
struct Line {
    heap: BinaryHeap<Next>,
    arrivals: usize,
}

impl Line {
    fn push(&mut self, id: Oid, time: i64) {
        self.arrivals += 1;
        self.heap.push(Next {
            time,
            arrival: self.arrivals,
            id,
        });
    }
}

/// A walk under way, of what is ours and what is hidden.
#[derive(Default)]
struct Walk {
    /// Every commit that was met.
    is_hidden: HashMap<Oid, bool>,
    line: Line,
    /// What is in line.
    waiting: HashSet<Oid>,
    /// How many in line are ours.
    ours: usize,
}

impl Walk {
    /// Puts a commit in line, unless it was met before.
    fn meet(&mut self, id: Oid, hides: bool, time: i64) {
        if let Entry::Vacant(vacant) = self.is_hidden.entry(id) {
            vacant.insert(hides);
            self.line.push(id, time);
            self.waiting.insert(id);
            self.ours += usize::from(!hides);
        }
    }

    fn next(&mut self) -> Option<Next> {
        let next = self.line.heap.pop()?;
        self.waiting.remove(&next.id);
        self.ours -= usize::from(!self.is_hidden[&next.id]);
        Some(next)
    }
}

/// The commits of a repository, each read once.
pub(super) struct Graph<'repo> {
    odb: Odb<'repo>,
    nodes: RefCell<HashMap<Oid, Rc<Node>>>,
    /// Commits whose parents are not here (gitrepository-layout(5), `shallow`).
    shallow: HashSet<Oid>,
}

impl<'repo> Graph<'repo> {
    pub(super) fn new(repository: &'repo Repository) -> Result<Self, Error> {
        let odb = repository.inner.odb().reading(|| "objects".to_owned())?;
        let shallow = fs::read_to_string(repository.path().join("shallow")).unwrap_or_default();
        let format = repository.inner.object_format();
        Ok(Self {
            odb,
            nodes: RefCell::default(),
            shallow: shallow
                .lines()
                .filter_map(|line| Oid::from_str_ext(line, format).ok())
                .collect(),
        })
    }

    fn node(&self, id: Oid) -> Result<Rc<Node>, Error> {
        if let Some(node) = self.nodes.borrow().get(&id) {
            return Ok(node.clone());
        }
        let commit = self.odb.read(id).reading(|| format!("commit `{id}`"))?;
        let node = Rc::new(Node {
            parents: if self.shallow.contains(&id) {
                Vec::new()
            } else {
                object::parents(commit.data())
            },
            time: object::commit_time(commit.data()),
        });
        self.nodes.borrow_mut().insert(id, node.clone());
        Ok(node)
    }

    /// What is reachable from `new` and not from `hidden`, in the order of
    /// `git rev-list`.
    pub(super) fn list(&self, new: Oid, hidden: Option<Oid>) -> Result<Vec<Oid>, Error> {
        if hidden == Some(new) {
            return Ok(Vec::new());
        }
        let mut walk = Walk::default();
        walk.meet(new, false, self.node(new)?.time);
        if let Some(hidden) = hidden {
            walk.meet(hidden, true, self.node(hidden)?.time);
        }
        let mut listed: Vec<Oid> = Vec::new();
        let mut slop = SLOP;
        // The time of the last one listed.
        let mut last = i64::MAX;
        while let Some(Next { id, time, .. }) = walk.next() {
            let node = self.node(id)?;
            if walk.is_hidden[&id] {
                self.hide_ancestors(&node, &mut walk)?;
                let is_older = walk.line.heap.peek().is_some_and(|next| last <= next.time);
                slop = if walk.ours > 0 || is_older {
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
            listed.push(id);
            for &parent in &node.parents {
                walk.meet(parent, false, self.node(parent)?.time);
            }
        }
        listed.retain(|id| !walk.is_hidden[id]);
        Ok(listed)
    }

    /// Hides the parents of a hidden commit, and what was taken for ours before
    /// that was known.
    fn hide_ancestors(&self, node: &Node, walk: &mut Walk) -> Result<(), Error> {
        let mut stack = node.parents.clone();
        while let Some(parent) = stack.pop() {
            match walk.is_hidden.get(&parent) {
                None => walk.meet(parent, true, self.node(parent)?.time),
                Some(true) => {}
                Some(false) => {
                    walk.is_hidden.insert(parent, true);
                    if walk.waiting.contains(&parent) {
                        walk.ours -= 1;
                    } else {
                        stack.extend(&self.node(parent)?.parents);
                    }
                }
            }
        }
        Ok(())
    }

    /// The best common ancestor, as `git merge-base` prints it; `None` for
    /// unrelated histories.
    pub(super) fn merge_base(&self, one: Oid, other: Oid) -> Result<Option<Oid>, Error> {
        let mut bases = self.common_ancestors(one, other)?;
        // Of those that a wrong clock let through, none is an ancestor of another.
        let mut at = 0;
        while bases.len() > 1 && at < bases.len() {
            let base = bases[at];
            let mut is_redundant = false;
            for &better in bases.iter().filter(|&&better| better != base) {
                is_redundant |= self.common_ancestors(base, better)?.contains(&base);
            }
            if is_redundant {
                bases.remove(at);
            } else {
                at += 1;
            }
        }
        Ok(bases.first().copied())
    }

    /// Paints the ancestors of both, and gives the first ones that have both
    /// colours, the newest first (commit-reach.c, `paint_down_to_common`).
    fn common_ancestors(&self, one: Oid, other: Oid) -> Result<Vec<Oid>, Error> {
        if one == other {
            return Ok(vec![one]);
        }
        let mut canvas = Canvas::default();
        canvas.paint(one, ONE, self.node(one)?.time);
        canvas.paint(other, OTHER, self.node(other)?.time);
        let mut found = Vec::new();
        while canvas.fresh > 0
            && let Some(id) = canvas.next()
        {
            let mut colours = canvas.paint[&id] & (BOTH | STALE);
            if colours == BOTH {
                found.push(id);
                colours |= STALE;
            }
            for &parent in &self.node(id)?.parents {
                canvas.paint(parent, colours, self.node(parent)?.time);
            }
        }
        found.retain(|id| canvas.paint[id] & STALE == 0);
        found.dedup();
        Ok(found)
    }
}

/// Reachable from the one.
const ONE: u8 = 1;
/// Reachable from the other.
const OTHER: u8 = 2;
const BOTH: u8 = ONE | OTHER;
/// Below a common ancestor: nothing new comes of it.
const STALE: u8 = 4;

/// Commits and their colours.
#[derive(Default)]
struct Canvas {
    paint: HashMap<Oid, u8>,
    line: Line,
    /// How often each is in line.
    waiting: HashMap<Oid, usize>,
    /// How many in line are not stale.
    fresh: usize,
}

impl Canvas {
    /// Adds colours to a commit, which is visited again if they are new.
    fn paint(&mut self, id: Oid, colours: u8, time: i64) {
        let has = self.paint.entry(id).or_default();
        if *has & colours == colours {
            return;
        }
        let waiting = self.waiting.entry(id).or_default();
        if *has & STALE == 0 && colours & STALE != 0 {
            self.fresh -= *waiting;
        }
        *has |= colours;
        *waiting += 1;
        self.fresh += usize::from(*has & STALE == 0);
        self.line.push(id, time);
    }

    fn next(&mut self) -> Option<Oid> {
        let Next { id, .. } = self.line.heap.pop()?;
        *self.waiting.entry(id).or_default() -= 1;
        self.fresh -= usize::from(self.paint[&id] & STALE == 0);
        Some(id)
    }
}
