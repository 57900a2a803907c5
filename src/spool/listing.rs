//! Listing `new/` by names alone.

use std::path::Path;
use std::vec;

use super::claim::Claims;
use super::error::IoError;
use super::first::First;
use super::names::id::Id;
use super::spare::Settled;
use super::{Spool, disk};

/// Number of ids of `new/` that are in memory at once.
///
/// The folder is read anew for each window, hence more than of a queue: of those, eight are in
/// memory side by side.
const WINDOW: usize = 32_768;

/// The ids in `new/`, one after another, in push order.
#[derive(Debug, Default)]
pub(super) struct Listing {
    ids: vec::IntoIter<Id>,
    /// The last id that was returned. Entries that stay in `new/` come before those listed next.
    last: Option<Id>,
    /// True if there are ids after these.
    more: bool,
    claims: Claims,
    spare: Settled,
}

impl Listing {
    pub(super) fn next(&mut self, spool: &Spool) -> Result<Option<Id>, IoError> {
        if self.ids.as_slice().is_empty() && self.more {
            self.look_again(spool)?;
        }
        let next = self.ids.next();
        if let Some(id) = &next {
            self.last = Some(id.clone());
        }
        Ok(next)
    }

    /// Lists the ids after the last one that was returned. Other names are skipped.
    ///
    /// Ids newer than the newest entry that was there before the claims were read stay for the next
    /// time: an older push may have claimed its place after that, and a hook may have put its entry
    /// there before the second look. Ids are drawn in order, so neither is possible for the ids
    /// listed here.
    pub(super) fn look_again(&mut self, spool: &Spool) -> Result<(), IoError> {
        let mut newest = None;
        spool.each_in_new(&mut |id| newest = newest.take().max(Some(id)))?;
        self.claims = spool.settle_claims()?;
        // After the claims: a hook gives its claim up once its push is in `spare`.
        self.spare = spool.settle_spare()?;
        newest = newest.max(self.claims.newest_moved.take());
        newest = newest.max(self.spare.newest.take());
        let (mut ids, more) = spool.listed(self.last.as_ref(), WINDOW)?.into_sorted();
        ids.retain(|id| Some(id) <= newest.as_ref());
        self.ids = ids.into_iter();
        self.more = more;
        Ok(())
    }

    /// Records that a returned entry now has this id.
    pub(super) fn pass(&mut self, id: &Id) {
        if self.last.as_ref().is_some_and(|last| last < id) {
            self.last = Some(id.clone());
        }
    }

    /// Returns whether an entry waits for an older push of its repository, whose hook composes.
    pub(super) fn is_claimed(&self, id: &Id, repository: &Path) -> bool {
        self.claims.hold(id, repository)
    }

    /// Returns whether an entry waits for one of its repository for which there is no room.
    pub(super) fn is_spare(&self, id: &Id, repository: &Path) -> bool {
        self.spare.hold(id, repository)
    }

    /// Takes the error for which pushes are still in `spare`.
    pub(super) fn take_fault(&mut self) -> Option<IoError> {
        self.spare.stopped.take()
    }
}

impl Listing {
    /// Returns whether all listed ids have been returned and no others are known.
    pub(super) fn is_at_end(&self) -> bool {
        self.ids.as_slice().is_empty() && !self.more
    }
}

impl Spool {
    /// Returns all ids in `new/`, in push order, for display.
    pub fn ids_in_new(&self) -> Result<Vec<Id>, IoError> {
        Ok(self.listed(None, usize::MAX)?.into_sorted().0)
    }

    /// Passes the ids in `new/` to `take`, unsorted, and keeps none in memory.
    pub(super) fn each_in_new(&self, take: &mut dyn FnMut(Id)) -> Result<(), IoError> {
        disk::each_name(&self.new_dir(), &mut |name| {
            if let Some(id) = name.to_str().and_then(Id::parse) {
                take(id);
            }
        })
    }

    /// Returns the first `most` ids in `new/` that come after this one.
    fn listed(&self, after: Option<&Id>, most: usize) -> Result<First<Id>, IoError> {
        let mut ids = First::<Id>::new(most);
        disk::each_name(&self.new_dir(), &mut |name| {
            let text = name.to_str().unwrap_or_default();
            if after.is_some_and(|after| text <= after.as_str()) {
                return;
            }
            // Most names of many are not even read.
            if ids.last().is_some_and(|last| text > last.as_str()) {
                return ids.leave_out();
            }
            if let Some(id) = Id::parse(text) {
                ids.put(id);
            }
        })?;
        Ok(ids)
    }
}
