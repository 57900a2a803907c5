//! Looking at the next entries of `new/` before the first of them is taken.
//!
//! The hooks of two pushes to one ref can begin in the other order than git moved it. If both
//! are in `new/` by now, and no more than half of [`AHEAD`] others between them, the later move
//! gets an id right behind that of the earlier one: queues are in the order of ids. An entry that
//! another process has begun to distribute keeps its id, which queues know already.
//!
//! Crash after such a rename: the entry has its new id; or its old one, after a power failure, and
//! no queue has it.

use std::collections::{BTreeMap, VecDeque};

use super::order::by_moves;
use crate::spool::entry::Entry;
use crate::spool::error::IoError;
use crate::spool::listing::Listing;
use crate::spool::names::id::Id;
use crate::spool::record::{Content, Header};
use crate::spool::{Spool, disk};

/// Number of entries that are looked at, at most.
const AHEAD: usize = 64;
/// Number of messages and ref updates in the entries from which on no more are looked at.
const HELD: usize = 10_000;

/// The next entries, in their order.
#[derive(Debug, Default)]
pub(in crate::spool) struct Ahead {
    entries: VecDeque<Looked>,
}

/// One of the next entries.
#[derive(Debug)]
pub(in crate::spool) struct Looked {
    pub(in crate::spool) id: Id,
    /// The header. `None` if it could not be read: it will be when the entry is taken.
    pub(in crate::spool) header: Option<Header>,
}

impl Ahead {
    pub(in crate::spool) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets data that another process may have changed while `new/` was not locked.
    ///
    /// An entry may be gone, and the messages of an entry that had only ref updates may be built.
    pub(in crate::spool) fn look_again(&mut self, spool: &Spool) {
        let new = spool.new_dir();
        let is_there = |entry: &Looked| disk::stat(&new.entry(entry.id.as_str())).is_ok();
        self.entries.retain(is_there);
        for entry in &mut self.entries {
            let is_built = |header: &Header| matches!(header.content, Content::Built(_));
            entry.header = entry.header.take().filter(is_built);
        }
    }

    /// Removes and returns the entry that comes next.
    pub(in crate::spool) fn next(
        &mut self,
        spool: &Spool,
        listing: &mut Listing,
    ) -> Result<Option<Looked>, IoError> {
        if self.entries.len() <= AHEAD / 2 {
            self.look(spool, listing)?;
        }
        Ok(self.entries.pop_front())
    }

    fn look(&mut self, spool: &Spool, listing: &mut Listing) -> Result<(), IoError> {
        let size = |header: &Header| header.updates().len() + header.frozen().len();
        let headers = self.entries.iter().filter_map(|it| it.header.as_ref());
        let mut held: usize = headers.map(size).sum();
        let known = self.entries.len();
        while self.entries.len() < AHEAD && held < HELD {
            let Some(id) = listing.next(spool)? else {
                break;
            };
            // An error is reported when the entry is taken.
            let header = spool.open_new(&id).ok().map(Entry::into_header);
            held += header.as_ref().map_or(0, size);
            self.entries.push_back(Looked { id, header });
        }
        if self.entries.len() > known.max(1) {
            self.sort(spool, listing)?;
        }
        Ok(())
    }

    /// Gives new ids to entries whose ids are in another order than their moves.
    fn sort(&mut self, spool: &Spool, listing: &mut Listing) -> Result<(), IoError> {
        let mut renamed = vec![];
        for places in self.by_repository(listing) {
            let moves = places.iter().map(|&at| {
                let Looked { id, header } = &self.entries[at];
                (id, header.as_ref().map_or(&[][..], Header::moves))
            });
            let order = by_moves(&moves.collect::<Vec<_>>());
            let mut last: Option<Id> = None;
            for at in order.into_iter().map(|n| places[n]) {
                let id = self.entries[at].id.clone();
                let id = match last {
                    Some(last) if last > id && !is_linked(spool, &id) => {
                        let id = free_behind(spool, &last);
                        renamed.push((at, id.clone()));
                        id
                    }
                    _ => id,
                };
                last = Some(id);
            }
        }
        if renamed.is_empty() {
            return Ok(());
        }
        for (at, id) in renamed {
            let entry = &mut self.entries[at];
            let renamed = disk::rename(&spool.new_name(&entry.id), &spool.new_name(&id));
            disk::unless_gone(renamed)?;
            listing.pass(&id);
            entry.id = id;
        }
        let entries = self.entries.make_contiguous();
        entries.sort_by(|one, other| one.id.cmp(&other.id));
        disk::flush_dir(&spool.new_dir())
    }

    /// Groups the indexes of readable entries by repository and namespace.
    ///
    /// Entries that are in `spare` too are left out: they keep the ids by which they are known
    /// there.
    fn by_repository(&self, listing: &Listing) -> Vec<Vec<usize>> {
        let mut repositories: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, entry) in self.entries.iter().enumerate() {
            // The same name is another ref in another namespace.
            if let Some(header) = &entry.header
                && !listing.is_spare(&entry.id, &header.repository)
            {
                let refs_of = (&header.repository, &header.namespace);
                repositories.entry(refs_of).or_default().push(at);
            }
        }
        repositories.into_values().collect()
    }
}

/// Returns whether an entry has a name outside of `new/`.
fn is_linked(spool: &Spool, id: &Id) -> bool {
    disk::stat(&spool.new_name(id)).is_ok_and(|stat| stat.st_nlink > 1)
}

/// Returns the first id behind this one that no entry in `new/` has.
fn free_behind(spool: &Spool, id: &Id) -> Id {
    let mut free = id.behind(1);
    while disk::stat(&spool.new_name(&free)).is_ok() {
        free = free.behind(1);
    }
    free
}
