//! Entries that many queues deliver at about the same time, opened once.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::closer::Closer;
use super::disk;
use super::entry::{Entry, Identity};
use super::error::EntryError;
use super::folder::Name;

/// How many files are kept open.
const MOST: usize = 128;
/// How much memory they may take.
const HEAVIEST: u64 = 4 << 20;

/// Entries that are open. Another name of the same file, which was not written since,
/// gives the same entry: its bytes never change.
#[derive(Debug, Default)]
pub struct Shared {
    open: RefCell<Open>,
    /// Who closes their files; `None`: whoever drops them.
    closer: Option<Rc<Closer>>,
}

#[derive(Debug, Default)]
struct Open {
    by_file: HashMap<Identity, Rc<Entry>>,
    /// In the order of their opening.
    oldest: VecDeque<Identity>,
    weight: u64,
}

impl Shared {
    /// For entries in great number: another thread closes their files, so that no delivery
    /// waits for what they had on the disk to be freed.
    #[must_use]
    pub fn closed_aside() -> Self {
        Self {
            closer: Some(Rc::default()),
            ..Self::default()
        }
    }

    pub(super) fn open(&self, name: &Name) -> Result<Rc<Entry>, EntryError> {
        let mut open = self.open.borrow_mut();
        let is_worth_it = !open.by_file.is_empty();
        let stat = is_worth_it.then(|| disk::stat(name).ok()).flatten();
        let known = stat.and_then(|stat| open.by_file.get(&Identity::of(&stat)));
        if let Some(entry) = known {
            return Ok(Rc::clone(entry));
        }
        let entry = self.closed_aside_too(Entry::open(name)?);
        if entry.header().recipients().len() > 1 && entry.weight() <= HEAVIEST {
            open.keep(&entry);
        }
        Ok(entry)
    }

    /// An entry that somebody else keeps track of, its file closed as those of the others.
    pub(super) fn closed_aside_too(&self, mut entry: Entry) -> Rc<Entry> {
        if let Some(closer) = &self.closer {
            entry.close_with(closer);
        }
        Rc::new(entry)
    }
}

impl Open {
    fn keep(&mut self, entry: &Rc<Entry>) {
        let identity = entry.identity();
        self.weight += entry.weight();
        self.oldest.push_back(identity);
        self.by_file.insert(identity, Rc::clone(entry));
        while self.oldest.len() > MOST || self.weight > HEAVIEST {
            let gone = self.oldest.pop_front();
            let gone = gone.and_then(|oldest| self.by_file.remove(&oldest));
            self.weight -= gone.map_or(0, |gone| gone.weight());
        }
    }
}
