//! The waiting items of a queue, by names alone, as many as there is room for.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use super::names::id::Id;
use super::names::item::{Item, Part};

/// The waiting items of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Items that wait in order, in push order. The first holds up all others, and only its due
    /// time counts.
    pub in_order: Vec<Item>,
    /// Single messages that were refused, in order of their due times. Each waits for itself.
    pub refused: Vec<Item>,
    /// Set if there are items of entries after this one.
    pub rest_after: Option<Id>,
}

/// Collects and sorts names of a queue.
///
/// Names that a crash left over are told apart:
///
/// - Two items in order of one entry: one came from distributing it again. The one that is further
///   on knows more.
/// - Two refused items of one message: the same, after stepping aside again.
/// - A refused item that the item in order of its entry has yet to deliver: the crash came before
///   that one went past it, and that one keeps the order.
///
/// Room is for the names of the first entries. All names of one entry are taken or left out
/// together, so those that are taken are complete.
#[derive(Debug)]
pub(super) struct Names<'a> {
    after: Option<&'a Id>,
    most: usize,
    /// The furthest name of each item in order (`None`) and of each refused message.
    furthest: BTreeMap<(Id, Option<u32>), Item>,
    leftovers: Vec<Item>,
    /// The first entry that was left out for lack of room: it and all after it stay out.
    before: Option<Id>,
    more: bool,
}

impl<'a> Names<'a> {
    /// Makes room for `most` names, of entries after this one.
    pub(super) fn new(after: Option<&'a Id>, most: usize) -> Self {
        Self {
            after,
            most,
            furthest: BTreeMap::new(),
            leftovers: vec![],
            before: None,
            more: false,
        }
    }

    pub(super) fn take(&mut self, name: &OsStr) {
        let text = name.to_str().unwrap_or_default();
        let id = Item::id_in(text);
        if self.after.is_some_and(|after| id <= after.as_str()) {
            return;
        }
        if self
            .before
            .as_ref()
            .is_some_and(|before| id >= before.as_str())
        {
            return;
        }
        // Most names of a long queue are not even read.
        let last = self.furthest.last_key_value();
        if self.furthest.len() >= self.most && last.is_some_and(|((last, _), _)| id > last.as_str())
        {
            self.more = true;
            return;
        }
        let Some(item) = Item::parse(text) else {
            return;
        };
        self.put(item);
        if self.furthest.len() > self.most {
            self.leave_last_out();
        }
    }

    fn put(&mut self, item: Item) {
        let refused = match item.part {
            Part::From(_) => None,
            Part::Only(n) => Some(n),
        };
        let key = (item.id.clone(), refused);
        let leftover = match self.furthest.get_mut(&key) {
            None => return drop(self.furthest.insert(key, item)),
            Some(known) if is_further(&item, known) => std::mem::replace(known, item),
            Some(_) => item,
        };
        // Leftovers for which there is no room are found again the next time.
        if self.leftovers.len() < self.most {
            self.leftovers.push(leftover);
        }
    }

    /// Leaves out the last entry, unless there is no other.
    fn leave_last_out(&mut self) {
        let first = self.furthest.first_key_value().map(|((id, _), _)| id);
        let last = self.furthest.last_key_value().map(|((id, _), _)| id);
        if first == last {
            return;
        }
        if let Some(last) = last.cloned() {
            while let Some(entry) = self.furthest.last_entry()
                && entry.key().0 == last
            {
                entry.remove();
            }
            self.before = Some(last);
            self.more = true;
        }
    }

    /// Returns the waiting items, and apart from them the names that a crash left over.
    pub(super) fn sorted(self) -> (Waiting, Vec<Item>) {
        let mut waiting = Waiting::default();
        let mut leftovers = self.leftovers;
        if self.more {
            let last = self.furthest.last_key_value();
            waiting.rest_after = last.map(|((id, _), _)| id.clone());
        }
        // In order of ids, and the item in order before the refused ones of its entry.
        for item in self.furthest.into_values() {
            let last = waiting.in_order.last().filter(|last| last.id == item.id);
            match item.part {
                Part::From(_) => waiting.in_order.push(item),
                Part::Only(n) if last.is_some_and(|last| last.part.first() <= n) => {
                    leftovers.push(item);
                }
                Part::Only(_) => waiting.refused.push(item),
            }
        }
        waiting.refused.sort_by_key(|item| item.due);
        (waiting, leftovers)
    }
}

/// Returns whether the first of two names of one item or message is at least as far on as the
/// second.
pub(super) fn is_further(item: &Item, known: &Item) -> bool {
    let place = |item: &Item| (item.part.first(), item.attempts, item.due);
    place(item) >= place(known)
}
