//! Distributes the entries of many spools, a step at a time.
//!
//! A spool's `new/` is locked for the length of a step, and left alone for a moment after a
//! quarter of a second, so that a hook, another flush or a person waits no longer for it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::agent::Surveyor;
use super::shortage::Shortage;
use crate::spool::{Distributed, Distribution, Header, Id, IoError, Lock, Queue, Spool};

/// Longest time for which `new/` is locked again and again.
const HOLD: Duration = Duration::from_millis(250);
/// Time for which `new/` is left alone then: longer than a waiting process sleeps.
const GIVE_WAY: Duration = Duration::from_millis(3);
/// Interval at which a lock on `new/` that another process holds is tried again.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// Longest time for which an entry waits for an older push of its repository: less than the 55 s
/// that root's flush lasts, or no such flush would ever pass a hook that hangs. It is time of this
/// process, since the clock may be set while a hook composes.
const PATIENCE: Duration = Duration::from_secs(45);
/// Spools that are distributed side by side, at most, and the file descriptors that each takes:
/// folders, locks and an entry.
const SPOOLS: usize = 8;
const DESCRIPTORS: usize = 16;

/// The spools whose `new/` is being distributed.
pub(super) struct Distributor<'a> {
    host: &'a dyn Surveyor,
    spools: VecDeque<Distributing<'a>>,
    /// Spools that are open at once, at most.
    most: usize,
}

struct Distributing<'a> {
    spool: Spool,
    /// `None`: another process has had `new/` so far.
    distribution: Option<Distribution<'a>>,
    /// Time at which this distribution began.
    begun: Instant,
    /// Time at which `new/` was first locked after it was left alone.
    held_since: Option<Instant>,
    /// Time before which no step is made.
    ready: Instant,
    /// True if entries came that this distribution does not see.
    again: bool,
    /// True if messages are being built, or an older push composes: another run may do the rest.
    may_be_left: bool,
    /// Time since which entries have waited for an older push, whose hook composes.
    waits_since: Option<Instant>,
    shortage: Shortage,
}

impl<'a> Distributor<'a> {
    /// Makes a distributor that opens about an eighth of `descriptors` files at most.
    pub(super) fn new(host: &'a dyn Surveyor, descriptors: usize) -> Self {
        Self {
            host,
            spools: VecDeque::new(),
            most: (descriptors / 8 / DESCRIPTORS).clamp(1, SPOOLS),
        }
    }

    /// Distributes the entries in this spool's `new/`.
    pub(super) fn add(&mut self, spool: &Spool) {
        let mut known = self.spools.iter_mut();
        match known.find(|one| one.spool.root() == spool.root()) {
            Some(known) => known.again = true,
            None => self.spools.push_back(Distributing {
                spool: spool.clone(),
                distribution: None,
                begun: Instant::now(),
                held_since: None,
                ready: Instant::now(),
                again: false,
                may_be_left: false,
                waits_since: None,
                shortage: Shortage::default(),
            }),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.spools.len() < SPOOLS
    }

    pub(super) fn is_idle(&self) -> bool {
        self.spools.is_empty()
    }

    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.next_ready().is_some_and(|ready| ready <= now)
    }

    /// Returns the spools for which a step can be made: the open ones, and others as there is room.
    fn open_or_may_be(&self) -> impl Iterator<Item = (usize, &Distributing<'a>)> {
        let is_open = |one: &Distributing<'a>| one.distribution.is_some();
        let open = self.spools.iter().filter(|one| is_open(one)).count();
        let all = self.spools.iter().enumerate();
        all.filter(move |(_, one)| open < self.most || is_open(one))
    }

    /// Returns the time of the next step.
    pub(super) fn next_ready(&self) -> Option<Instant> {
        self.open_or_may_be().map(|(_, one)| one.ready).min()
    }

    /// Ends all distributions. Entries that were not distributed stay in `new/`.
    pub(super) fn end(&mut self) {
        for one in std::mem::take(&mut self.spools) {
            if let Some(distribution) = one.distribution {
                self.host.distributed(&one.spool, Ok(distribution.finish()));
            }
        }
    }

    /// Stops waiting for messages that are being built, and for older pushes that compose.
    pub(super) fn wait_no_longer(&mut self) {
        self.spools
            .retain(|one| !one.may_be_left || one.distribution.is_some());
    }

    /// Works until `end`. Returns the queues that got entries.
    pub(super) fn step(&mut self, end: Instant) -> Option<(Spool, BTreeSet<Queue>)> {
        let now = Instant::now();
        let (at, _) = self.open_or_may_be().find(|(_, one)| one.ready <= now)?;
        let mut one = self.spools.remove(at)?;
        let spool = one.spool.clone();
        let (queues, done) = match one.step(self.host, end) {
            Ok(Some(mut done)) if !done.is_over() => {
                let queues = std::mem::take(&mut done.queues);
                one.wait(&done);
                self.host.distributed(&spool, Ok(done));
                self.spools.push_back(one);
                return Some((spool, queues));
            }
            Ok(Some(mut done)) => (std::mem::take(&mut done.queues), Ok(done)),
            Ok(None) => {
                let touched = one.distribution.as_mut().map(Distribution::touched);
                self.spools.push_back(one);
                return Some((spool, touched.unwrap_or_default()));
            }
            Err(error) if one.shortage.begins(error.is_want_of_files()) => {
                one.distribution = None;
                one.held_since = None;
                one.ready = one.shortage.until().unwrap_or(now);
                self.spools.push_back(one);
                return None;
            }
            Err(error) => (BTreeSet::new(), Err(error)),
        };
        self.host.distributed(&spool, done);
        if one.again {
            self.add(&spool);
        }
        Some((spool, queues))
    }
}

impl<'a> Distributing<'a> {
    /// Prepares to begin anew in a moment, when an older push may have its entry, or messages may
    /// be built.
    fn wait(&mut self, done: &Distributed) {
        let now = Instant::now();
        self.distribution = None;
        self.held_since = None;
        self.may_be_left = done.builds || done.waits;
        let since = self.waits_since.unwrap_or(now);
        self.waits_since = done.waits.then_some(since);
        // Reading many entries again and again must leave time for other work.
        let looked = now.duration_since(self.begun);
        self.ready = now + ASK_AGAIN.max(looked * 4);
    }

    /// Makes a step. Returns the result of the distribution after the last one.
    fn step(
        &mut self,
        host: &'a dyn Surveyor,
        end: Instant,
    ) -> Result<Option<Distributed>, IoError> {
        if self.distribution.is_none() {
            self.begun = Instant::now();
            let spool = self.spool.clone();
            let build = move |id: &Id, header: &Header| host.build(&spool, id, header);
            let distribution = self.spool.distribution(Lock::Try, build)?;
            let waited = self.waits_since.map(|since| since.elapsed());
            self.distribution = if waited.is_some_and(|waited| waited >= PATIENCE) {
                distribution.map(Distribution::without_patience)
            } else {
                distribution
            };
        }
        let now = Instant::now();
        let Some(distribution) = &mut self.distribution else {
            self.ready = now + ASK_AGAIN;
            return Ok(None);
        };
        match distribution.step(|| Instant::now() < end)? {
            None => {
                self.held_since = None;
                self.ready = now + ASK_AGAIN;
                return Ok(None);
            }
            Some(false) => return Ok(self.distribution.take().map(Distribution::finish)),
            Some(true) => self.ready = Instant::now(),
        }
        let held_since = *self.held_since.get_or_insert(now);
        if self.ready.duration_since(held_since) >= HOLD {
            self.held_since = None;
            self.ready += GIVE_WAY;
        }
        Ok(None)
    }
}
