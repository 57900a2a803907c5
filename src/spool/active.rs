//! Entries that are delivered from where they lie, in `new/`: what Postfix calls the
//! active queue.
//!
//! A delivery that goes well leaves no trace on the disk but that its entry is gone: an
//! entry is unlinked once all its recipients have it. Whoever is not quick, or has trouble,
//! *leaves*: what was meant for it gets a name in its queue, and all that follows is what
//! is done for any queue.
//!
//! Entries are taken in order and a few at a time, so a crash repeats no more than those,
//! to those recipients that were ahead of others.

use std::cell::RefCell;
use std::rc::Rc;

use super::entry::Entry;
use super::error::IoError;
use super::id::Id;
use super::intake::{Distributed, Intake, Notice};
use super::item::Item;
use super::listing::Listing;
use super::mail_drop::Admission;
use super::queue::Queue;
use super::record::{Built, Header};
use super::shared::Shared;
use super::under_way::{Hold, State};
use super::{Lock, Spool, disk};
use crate::payload::Message;

/// The entries of a spool's `new/`, held so that nobody else takes them; and who delivers
/// from there. A clone is the same.
#[derive(Clone, Debug)]
pub struct Active<'a>(Rc<RefCell<State<'a>>>);

/// What a member is to deliver next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This.
    Item(Item),
    /// It is somebody else's turn: to be asked again in a moment.
    Later,
    /// As many are under way as may be: others are behind.
    Full,
    /// What comes next is in the queue: it has left, or a turn has ended. After that, it
    /// may join.
    Left,
    /// Nothing, from here.
    Nothing,
}

/// How a turn ended.
#[derive(Debug)]
pub enum Turn {
    /// More is left for another one.
    More,
    /// That was all.
    Over(Distributed),
}

impl Spool {
    /// Takes hold of what is in `new/`. `None`: somebody else has it right now.
    ///
    /// `build` makes the messages of an entry that only has ref updates. If it
    /// cannot, that entry and all later ones of its repository stay where they
    /// are, in their order.
    ///
    /// `admit` is asked only in a mail drop: whether the owner of an entry's file may
    /// announce what the entry says.
    pub fn activate<'a>(
        &self,
        lock: Lock,
        shared: &Rc<Shared>,
        build: impl FnMut(&Id, &Header) -> Result<Built<Message>, String> + 'a,
        admit: impl FnMut(u32, &Header) -> Admission + 'a,
    ) -> Result<Option<Active<'a>>, IoError> {
        let mut is_empty = true;
        disk::each_name(&self.new_dir(), &mut |_| is_empty = false)?;
        let mut intake = Intake::new(build, admit);
        let (mut hold, mut listing) = (Hold::Over, Listing::default());
        if !is_empty {
            let Some(lock) = disk::lock(&self.new_dir(), lock)? else {
                return Ok(None);
            };
            // What cannot be crossed off would be delivered again at each run.
            disk::ensure_writable(&self.new_dir())?;
            hold = Hold::Ours { _lock: lock };
            let strange = listing.look_again(self)?;
            intake.report.notices = strange.into_iter().map(Notice::Strange).collect();
        }
        let state = State::new(self.clone(), Rc::clone(shared), intake, listing, hold);
        Ok(Some(Active(Rc::new(RefCell::new(state)))))
    }

    /// Brings the entries of `new/`, oldest first, to `retry/<queue>/` for each of their
    /// recipients, and delivers none. Otherwise as [`Spool::activate`].
    pub fn distribute(
        &self,
        lock: Lock,
        build: impl FnMut(&Id, &Header) -> Result<Built<Message>, String>,
        admit: impl FnMut(u32, &Header) -> Admission,
    ) -> Result<Option<Distributed>, IoError> {
        let active = self.activate(lock, &Rc::default(), build, admit)?;
        Ok(active.map(|active| active.distribute()))
    }
}

impl Active<'_> {
    /// From now on this queue gets what comes from here. Only for one that holds nothing
    /// else, or delivers that first.
    pub fn join(&self, queue: &Queue) {
        self.0.borrow_mut().join(queue);
    }

    /// Brings an entry to its queues, which are made by that: where there are none yet,
    /// nobody could join.
    pub fn distribute_first(&self) {
        self.0.borrow_mut().take_one();
    }

    /// Whether nobody delivers from here.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        self.0.borrow().is_deserted()
    }

    /// What comes next for a queue, after this one.
    pub(super) fn next(&self, queue: &Queue, after: Option<&Id>) -> Next {
        self.0.borrow_mut().next(queue, after)
    }

    /// The entry of what a queue is to deliver from here.
    pub(super) fn entry(&self, queue: &Queue, id: &Id) -> Option<Rc<Entry>> {
        self.0.borrow().entry(queue, id)
    }

    /// A queue needs this entry no more; false if it was not to get it from here.
    pub(super) fn done(&self, queue: &Queue, id: &Id) -> Result<bool, IoError> {
        self.0.borrow_mut().done(queue, id)
    }

    /// Those who are furthest behind leave, so that nobody waits for them any longer.
    pub(super) fn leave_behind(&self) -> Result<(), IoError> {
        self.0.borrow_mut().leave_behind()
    }

    /// A queue gets what is left for it under names of its own, and nothing from here.
    pub(super) fn leave(&self, queue: &Queue) -> Result<(), IoError> {
        self.0.borrow_mut().leave(queue)
    }

    /// Lets others have `new/`: nothing is under way then. Members stay members.
    #[must_use]
    pub fn end_turn(&self) -> Turn {
        self.0.borrow_mut().end_turn()
    }

    /// Takes hold of `new/` again; false if somebody else has it.
    pub fn begin_turn(&self) -> Result<bool, IoError> {
        self.0.borrow_mut().begin_turn()
    }

    /// Brings all that is left to its queues, and lets go for good.
    #[must_use]
    pub fn distribute(&self) -> Distributed {
        self.0.borrow_mut().distribute()
    }
}
