//! Intents: refs that a push may move, recorded before any of them moves.
//!
//! An intent is an entry in `intent/` that holds ref updates, like one whose messages are not
//! built, and the process whose death abandons it. The process that learns which refs moved makes
//! an entry in `new/` that names the intents it settles; only then are those withdrawn. If no such
//! process lives, a flush settles the intent from the repository, under the intent's own id.

use std::collections::HashSet;
use std::fs::File;
use std::time::{Duration, SystemTime};

use super::disk;
use super::enqueue::IdParts;
use super::entry::Entry;
use super::error::{IoError, SpoolError};
use super::names::id::Id;
use super::record::{Content, Draft, Header};
use super::{Folder, INTENT, Lock, Name, Spool, enqueue};
use crate::event::RefUpdate;

/// Age at which an intent of a process that cannot be watched is settled.
const UNWATCHED_LIFE: Duration = Duration::from_hours(1);

/// The state of a process, as far as it can be determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The process exists.
    Alive,
    /// The process does not exist.
    Gone,
    /// The process runs, or ran, in a place where refpost cannot look.
    Unknown,
}

/// A push or another transaction of refs that is under way or was interrupted.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The intent's id, which becomes its entry's if a flush settles it.
    pub id: Id,
    /// The repository, pusher, time and process.
    pub header: Header,
}

impl Intent {
    /// Returns the ref updates that were to be made.
    #[must_use]
    pub fn updates(&self) -> &[RefUpdate] {
        self.header.updates()
    }

    /// Returns whether a process other than its own hooks may settle it.
    #[must_use]
    pub fn is_abandoned(&self, life: Life, now: SystemTime) -> bool {
        let age = now.duration_since(self.header.time).unwrap_or_default();
        match life {
            Life::Alive => false,
            Life::Gone => true,
            Life::Unknown => age > UNWATCHED_LIFE,
        }
    }
}

impl Spool {
    /// Records an intent durably.
    pub fn intend(&self, draft: &Draft, parts: &IdParts<'_>) -> Result<Id, SpoolError> {
        self.enqueue_in(INTENT, draft, parts)
    }

    /// Returns the intents that are not settled, in the order of their ids.
    ///
    /// A file that cannot be read is no intent.
    pub fn intents(&self) -> Result<Vec<Intent>, IoError> {
        let intents = self.intent_dir();
        let ids = disk::names(&intents)?;
        Ok(ids
            .iter()
            .filter_map(|name| Id::parse(name.to_str()?))
            .filter_map(|id| {
                let opened = Entry::open(&intents.entry(id.as_str()));
                let entry = self.at_home(opened).ok()?;
                let header = entry.header().clone();
                Some(Intent { id, header })
            })
            .collect())
    }

    /// Removes a settled intent.
    ///
    /// The entry that it led to is on disk, or it led to none.
    pub fn withdraw(&self, id: &Id) -> Result<(), IoError> {
        disk::unlink(&self.intent_name(id))
    }

    /// Removes `moved` from the ref updates of an intent.
    ///
    /// Another push moved these refs from the values that this one would have moved them from, so
    /// this one did not (git compares the old value when it moves a ref).
    pub fn strike(&self, intent: &Intent, moved: &[RefUpdate]) -> Result<(), SpoolError> {
        let from = |update: &RefUpdate| (update.name.clone(), update.old);
        let moved: HashSet<_> = moved.iter().map(from).collect();
        let mut rest = intent.updates().to_vec();
        rest.retain(|update| !moved.contains(&from(update)));
        if rest.len() == intent.updates().len() {
            return Ok(());
        }
        if rest.is_empty() {
            return Ok(self.withdraw(&intent.id)?);
        }
        let name = self.intent_name(&intent.id);
        let tmp = self.tmp_dir().entry(format!("{}.struck", intent.id));
        enqueue::replace(
            &intent.header.with(Content::Deferred(rest)),
            &tmp,
            &name,
            self.access,
        )?;
        Ok(())
    }

    /// Makes an entry for the refs that an abandoned intent moved, and removes the intent.
    ///
    /// The entry's messages are built later.
    pub fn settle(&self, intent: &Intent, moved: Vec<RefUpdate>) -> Result<(), SpoolError> {
        let new = self.new_name(&intent.id);
        // An entry of that id is there if a settling was killed half-way.
        if !moved.is_empty() && disk::stat(&new).is_err() {
            let mut draft = intent.header.with(Content::Deferred(moved));
            // Crash after this: the process that distributes the entry withdraws the intent first,
            // so it is not settled twice.
            draft.confirms.push(intent.id.clone());
            let tmp = self.tmp_dir().entry(format!("{}.settled", intent.id));
            disk::unlink(&tmp)?;
            let file = disk::create(&tmp, self.access)?;
            self.record(&draft, &file, &tmp, &new)?;
            disk::unlink(&tmp)?;
        }
        Ok(self.withdraw(&intent.id)?)
    }

    /// Returns the intents that entries in `new/` settle.
    ///
    /// The process that made such an entry may have died before it withdrew them.
    pub fn confirmed(&self) -> Result<HashSet<Id>, IoError> {
        let mut confirmed = HashSet::new();
        self.each_in_new(&mut |id| {
            let entry = self.open_new(&id).ok();
            confirmed.extend(
                entry
                    .into_iter()
                    .flat_map(|it| it.header().confirms.clone()),
            );
        })?;
        Ok(confirmed)
    }

    /// Returns the intents that hooks under way are about to settle.
    pub fn claimed(&self) -> Result<HashSet<Id>, IoError> {
        let mut claimed = HashSet::new();
        for claim in self.claims()? {
            claimed.extend(claim.into_header().confirms);
        }
        Ok(claimed)
    }

    /// Locks `new/` until the result is dropped, so that no process distributes its entries.
    ///
    /// Another process that holds `new/` for two seconds is an error. Claims of hooks that are gone
    /// are in `new/` then, and so are the pushes in the slots of `spare`, with the intents that
    /// they settle; it is an error if they cannot be moved there.
    pub fn hold_new(&self) -> Result<Option<File>, IoError> {
        let held = disk::lock(&self.new_dir(), Lock::Wait)?.held();
        if held.is_some() {
            self.settle_claims()?;
            if let Some(error) = self.settle_spare()?.stopped {
                return Err(error);
            }
        }
        Ok(held)
    }

    /// Removes the intents that an entry settles.
    ///
    /// This comes before the entry can be delivered and removed: else a crash could let them be
    /// settled once more.
    pub(super) fn withdraw_confirmed(&self, ids: &[Id]) -> Result<(), IoError> {
        ids.iter().try_for_each(|id| self.withdraw(id))?;
        if ids.is_empty() {
            return Ok(());
        }
        disk::flush_dir(&self.intent_dir())
    }

    fn intent_dir(&self) -> Folder {
        self.root_dir().child(INTENT)
    }

    fn intent_name(&self, id: &Id) -> Name {
        self.intent_dir().entry(id.as_str())
    }
}
