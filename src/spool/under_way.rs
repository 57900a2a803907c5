//! The entries of `new/` that are under way: for whom, and until when.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::rc::Rc;

use super::active::{Next, Turn};
use super::entry::Entry;
use super::error::{IoError, SpoolError};
use super::id::Id;
use super::intake::{Distributed, Intake};
use super::item::Item;
use super::links::Links;
use super::listing::Listing;
use super::queue::Queue;
use super::shared::Shared;
use super::{Lock, Spool, disk};

/// How many entries are under way at most, hence how far one recipient gets ahead of
/// another.
const UNDER_WAY: usize = if cfg!(test) { 4 } else { 64 };
/// How many entries share the flushes of the queues that they go to, where nothing is
/// delivered from `new/`: to eight endpoints, nine flushes, of some milliseconds each where
/// the disk is busy.
const BATCH: usize = if cfg!(test) { 256 } else { 4096 };

#[derive(Debug)]
pub(super) struct State<'a> {
    spool: Spool,
    shared: Rc<Shared>,
    intake: Intake<'a>,
    listing: Listing,
    hold: Hold,
    /// Those that deliver from here: their queues hold nothing that comes before.
    members: BTreeSet<Queue>,
    /// Those of them whose queues were given something that comes before, or may have been.
    behind: BTreeSet<Queue>,
    under_way: VecDeque<UnderWay>,
    links: Links,
    /// Whether an entry was taken since it was last looked for more.
    has_taken: bool,
    /// How many entries had left when this turn began.
    left_before: usize,
}

/// Whose `new/` is.
#[derive(Debug)]
pub(super) enum Hold {
    /// Ours, as long as this lock is open.
    Ours { _lock: File },
    /// Somebody else's, for the moment.
    Theirs,
    /// Ours no more.
    Over,
}

/// An entry that some members have yet to deliver.
#[derive(Debug)]
struct UnderWay {
    id: Id,
    entry: Rc<Entry>,
    claims: Vec<Queue>,
    /// Whether it has links that may not be durable yet.
    is_linked: bool,
}

impl<'a> State<'a> {
    pub(super) fn new(
        spool: Spool,
        shared: Rc<Shared>,
        intake: Intake<'a>,
        listing: Listing,
        hold: Hold,
    ) -> Self {
        Self {
            spool,
            shared,
            intake,
            listing,
            hold,
            members: BTreeSet::new(),
            behind: BTreeSet::new(),
            under_way: VecDeque::new(),
            links: Links::default(),
            has_taken: false,
            left_before: 0,
        }
    }

    pub(super) fn join(&mut self, queue: &Queue) {
        self.members.insert(queue.clone());
        self.behind.remove(queue);
    }

    pub(super) fn is_deserted(&self) -> bool {
        self.members.is_empty()
    }

    fn find(&self, queue: &Queue, id: &Id) -> Option<usize> {
        let mut under_way = self.under_way.iter();
        under_way.position(|one| one.id == *id && one.claims.contains(queue))
    }

    pub(super) fn next(&mut self, queue: &Queue, after: Option<&Id>) -> Next {
        loop {
            if !self.members.contains(queue) || self.behind.contains(queue) {
                return match self.hold {
                    Hold::Over => Next::Nothing,
                    _ => Next::Left,
                };
            }
            let is_next = |one: &&UnderWay| {
                after.is_none_or(|after| one.id > *after) && one.claims.contains(queue)
            };
            if let Some(next) = self.under_way.iter().find(is_next) {
                return Next::Item(Item::first(&next.id));
            }
            if let Hold::Theirs = self.hold {
                return Next::Later;
            }
            if self.under_way.len() >= UNDER_WAY {
                return Next::Full;
            }
            if !self.take_one() {
                return Next::Nothing;
            }
        }
    }

    pub(super) fn entry(&self, queue: &Queue, id: &Id) -> Option<Rc<Entry>> {
        let at = self.find(queue, id)?;
        Some(Rc::clone(&self.under_way[at].entry))
    }

    pub(super) fn done(&mut self, queue: &Queue, id: &Id) -> Result<bool, IoError> {
        let Some(at) = self.find(queue, id) else {
            return Ok(false);
        };
        self.under_way[at].claims.retain(|claim| claim != queue);
        // Crash before: delivered again, to each recipient that had it.
        self.let_go()?;
        Ok(true)
    }

    /// Takes the next entry in; false if there is none.
    pub(super) fn take_one(&mut self) -> bool {
        match self.try_take_one() {
            Ok(taken) => taken,
            // On a full disk, say. What has its links leaves `new/` all the same: it
            // would be linked, hence delivered, once more at each run.
            Err(error) => {
                self.stop(error);
                false
            }
        }
    }

    fn try_take_one(&mut self) -> Result<bool, SpoolError> {
        let Hold::Ours { .. } = self.hold else {
            return Ok(false);
        };
        let mut next = self.listing.next(&self.spool)?;
        // Who delivers from here takes along what comes in the meantime.
        if next.is_none() && !self.members.is_empty() && std::mem::take(&mut self.has_taken) {
            self.listing.look_again(&self.spool)?;
            next = self.listing.next(&self.spool)?;
        }
        let Some(id) = next else { return Ok(false) };
        self.has_taken = true;
        if let Some(entry) = self.intake.take(&self.spool, &id)? {
            self.assign(id, entry)?;
        }
        Ok(true)
    }

    fn assign(&mut self, id: Id, entry: Entry) -> Result<(), SpoolError> {
        let recipients = entry.header().recipients().iter().map(|one| &one.queue);
        let all: BTreeSet<&Queue> = recipients.collect();
        let (claims, others): (Vec<&Queue>, Vec<&Queue>) = all
            .into_iter()
            .partition(|queue| self.members.contains(*queue));
        let is_linked = !others.is_empty();
        match self.links.add(&self.spool, &id, others) {
            Err(error) if error.refused().is_some() => {
                self.intake.hold(&entry, error);
                return Ok(());
            }
            linked => linked?,
        }
        let claims = claims.into_iter().cloned().collect();
        self.under_way.push_back(UnderWay {
            id,
            entry: self.shared.closed_aside_too(entry),
            claims,
            is_linked,
        });
        Ok(self.let_go()?)
    }

    pub(super) fn leave(&mut self, queue: &Queue) -> Result<(), IoError> {
        self.members.remove(queue);
        let linked = self.link(queue);
        if linked.is_err() {
            self.take_no_more();
        }
        linked
    }

    pub(super) fn leave_behind(&mut self) -> Result<(), IoError> {
        let oldest = self.under_way.front().map(|one| one.claims.clone());
        let mut behind = oldest.into_iter().flatten();
        behind.try_for_each(|queue| self.leave(&queue))
    }

    /// Gives what a queue was to get from here a name in it.
    fn link(&mut self, queue: &Queue) -> Result<(), IoError> {
        for one in &mut self.under_way {
            if one.claims.contains(queue) {
                self.links.add(&self.spool, &one.id, [queue])?;
                one.claims.retain(|claim| claim != queue);
                one.is_linked = true;
                self.behind.insert(queue.clone());
            }
        }
        self.let_go()
    }

    fn link_all(&mut self) {
        for queue in self.members.clone() {
            if let Err(error) = self.link(&queue) {
                return self.stop(error.into());
            }
        }
        self.flush_links();
    }

    /// Lets go of entries that nobody has to deliver from here any more.
    fn let_go(&mut self) -> Result<(), IoError> {
        let is_done = |one: &UnderWay| one.claims.is_empty();
        while let Some(at) = self.under_way.iter().position(is_done) {
            let Some(UnderWay { id, is_linked, .. }) = self.under_way.remove(at) else {
                break;
            };
            if is_linked {
                self.links.complete(id);
            } else {
                disk::unlink(&self.spool.new_name(&id))?;
                self.intake.report.entries += 1;
            }
        }
        let most = if self.members.is_empty() {
            BATCH
        } else {
            UNDER_WAY
        };
        if self.links.are_many(most) {
            self.links.flush(&self.spool, &mut self.intake.report)?;
        }
        Ok(())
    }

    fn flush_links(&mut self) {
        if let Err(error) = self.links.flush(&self.spool, &mut self.intake.report) {
            self.stop(error.into());
        }
    }

    fn stop(&mut self, error: SpoolError) {
        self.intake.report.stopped.get_or_insert(error);
        self.take_no_more();
    }

    /// After an error, which would be met again, or the order be broken.
    fn take_no_more(&mut self) {
        self.listing = Listing::default();
        self.has_taken = false;
    }

    pub(super) fn end_turn(&mut self) -> Turn {
        self.link_all();
        if self.listing.is_at_end() || self.intake.report.entries == self.left_before {
            // Nobody who is here takes any, or nobody has to.
            return Turn::Over(self.distribute());
        }
        self.hold = Hold::Theirs;
        Turn::More
    }

    pub(super) fn begin_turn(&mut self) -> Result<bool, IoError> {
        self.left_before = self.intake.report.entries;
        let Some(lock) = disk::lock(&self.spool.new_dir(), Lock::Try)? else {
            return Ok(false);
        };
        self.hold = Hold::Ours { _lock: lock };
        // Whoever had `new/` meanwhile may have brought older entries to the queues.
        self.behind.clone_from(&self.members);
        Ok(true)
    }

    pub(super) fn distribute(&mut self) -> Distributed {
        self.link_all();
        self.members.clear();
        while self.take_one() {}
        self.flush_links();
        self.hold = Hold::Over;
        std::mem::take(&mut self.intake.report)
    }
}
