//! Brings entries from `new/` to the queue of each endpoint.
//!
//! - Entries are taken in push order, some at a time: by id, except where moves of one ref show
//!   another order (`order`). The queues of a batch are flushed once, and only then do its entries
//!   leave `new/`.
//! - The caller decides how long a step lasts. `new/` is locked inside of steps only, so the process
//!   never waits while it holds the lock.
//! - After an error nothing more is taken: going on would break the order.
//!
//! Crash at any point: an entry is in `new/`, perhaps in some of its queues too. The next
//! run makes the same names, finds those that exist, and adds the others.

mod ahead;
pub(super) mod intake;
mod links;
pub(super) mod order;
mod rewrite;
pub(super) mod waiting_refs;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::ahead::Ahead;
use self::intake::{After, Build, Distributed, Intake};
use self::links::Links;
use crate::spool::disk::Locked;
use crate::spool::error::{IoError, SpoolError};
use crate::spool::listing::Listing;
use crate::spool::names::id::Id;
use crate::spool::names::queue::Queue;
use crate::spool::record::Header;
use crate::spool::{Lock, Spool, disk};

/// Entries that share the flushes of the queues that they go to.
const BATCH: usize = 256;

/// A distribution under way. Dropping it leaves the rest in `new/`.
#[derive(Debug)]
pub struct Distribution<'a> {
    spool: Spool,
    intake: Intake<'a>,
    listing: Listing,
    ahead: Ahead,
    links: Links,
    /// True if entries wait for an older push of their repository.
    patience: bool,
    /// The repository whose entries are distributed. `None`: those of all.
    only: Option<PathBuf>,
}

impl Spool {
    /// Lists the entries in `new/`, to distribute them. Returns `None` if another process has it.
    ///
    /// `build` makes the messages of an entry that only has ref updates. If it cannot,
    /// that entry and all later ones of its repository, or of its refs, stay, in their order.
    pub fn distribution<'a, B: Into<Build>>(
        &self,
        lock: Lock,
        build: impl FnMut(&Id, &Header) -> B + 'a,
    ) -> Result<Option<Distribution<'a>>, IoError> {
        let mut distribution = Distribution {
            spool: self.clone(),
            intake: Intake::new(build),
            listing: Listing::default(),
            ahead: Ahead::default(),
            links: Links::default(),
            patience: true,
            only: None,
        };
        let mut is_empty = true;
        disk::each_name(&self.new_dir(), &mut |_| is_empty = false)?;
        if is_empty && !self.has_claims()? && !self.has_spare_pushes() {
            return Ok(Some(distribution));
        }
        let mut locked = disk::lock(&self.new_dir(), lock)?;
        if matches!(locked, Locked::Gone) {
            self.make_anew(&self.new_dir())?;
            locked = disk::lock(&self.new_dir(), lock)?;
        }
        let Some(_lock) = locked.held() else {
            return Ok(None);
        };
        // An entry that cannot be removed from `new/` would be delivered again at each run.
        disk::ensure_writable(&self.new_dir())?;
        distribution.listing.look_again(self)?;
        Ok(Some(distribution))
    }

    #[cfg(test)]
    /// Distributes everything in `new/` at once. Otherwise as [`Spool::distribution`].
    pub fn distribute(
        &self,
        lock: Lock,
        build: impl FnMut(
            &Id,
            &Header,
        )
            -> Result<crate::spool::Built<crate::payload::Message>, intake::Unbuilt>,
    ) -> Result<Option<Distributed>, IoError> {
        let distribution = self.distribution(lock, build)?;
        Ok(distribution.map(|mut distribution| {
            while distribution
                .step(|| true)
                .is_ok_and(|more| more == Some(true))
            {}
            distribution.finish()
        }))
    }
}

impl Distribution<'_> {
    /// Makes the distribution wait for no older push.
    #[must_use]
    pub fn without_patience(self) -> Self {
        Self {
            patience: false,
            ..self
        }
    }

    /// Makes the distribution leave the entries of other repositories in `new/`.
    ///
    /// Names in `new/` do not tell the repository, so headers of others are read all the same.
    #[must_use]
    pub fn of_repository(self, repository: &Path) -> Self {
        Self {
            only: Some(repository.to_owned()),
            ..self
        }
    }

    /// Distributes entries while `goes_on`, a batch at most.
    ///
    /// Returns whether more is to be done, or `None` if another process has locked `new/`. An entry
    /// with many queues is made durable in many steps.
    pub fn step(&mut self, mut goes_on: impl FnMut() -> bool) -> Result<Option<bool>, IoError> {
        if self.is_over() {
            return Ok(Some(false));
        }
        // Both until this call ends, and no longer.
        let spool = self.spool.clone().held_open();
        let _lock = match disk::lock(&spool.new_dir(), Lock::Try)? {
            Locked::Held(lock) => lock,
            Locked::Busy => return Ok(None),
            Locked::Gone => return Ok(Some(false)),
        };
        self.ahead.look_again(&spool);
        // At least one entry. Its links are flushed before another step takes the next one: no
        // queue is delivered from while its first entry is only linked.
        let mut is_first = true;
        while !self.links.is_being_flushed()
            && !self.links.are_many(BATCH)
            && !self.is_all_taken()
            && (std::mem::take(&mut is_first) || goes_on())
        {
            // The disk may be full. Entries that have their links leave `new/` all the same:
            // they would be linked, hence delivered, once more at each run.
            if let Err(error) = self.take(&spool) {
                self.stop(error);
            }
        }
        let report = &mut self.intake.report;
        if let Err(error) = self.links.flush(&spool, &mut goes_on, report) {
            self.stop(error.into());
        }
        Ok(Some(!self.is_over()))
    }

    /// Returns and clears the queues that got entries since the last call.
    pub fn touched(&mut self) -> BTreeSet<Queue> {
        std::mem::take(&mut self.intake.report.queues)
    }

    /// Returns whether all entries have been taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_all_taken() && self.links.is_empty()
    }

    fn is_all_taken(&self) -> bool {
        self.listing.is_at_end() && self.ahead.is_empty()
    }

    /// Ends the distribution. Returns its result.
    #[must_use]
    pub fn finish(mut self) -> Distributed {
        let fault = self.listing.take_fault().map(SpoolError::from);
        let report = &mut self.intake.report;
        report.stopped = report.stopped.take().or(fault);
        self.intake.report
    }

    /// Gives the next entry a name in each of its queues.
    fn take(&mut self, spool: &Spool) -> Result<(), SpoolError> {
        let Some(next) = self.ahead.next(spool, &mut self.listing)? else {
            return Ok(());
        };
        // Order is kept within a repository alone.
        if let (Some(only), Some(header)) = (&self.only, &next.header)
            && header.repository != *only
        {
            return Ok(());
        }
        let id = next.id.clone();
        let (listing, waits) = (&self.listing, self.patience);
        let comes_after = |repository: &Path| {
            if listing.is_spare(&id, repository) {
                Some(After::Spare)
            } else {
                let is_claimed = waits && listing.is_claimed(&id, repository);
                is_claimed.then_some(After::Claim)
            }
        };
        let Some(header) = self.intake.take(spool, next, comes_after)? else {
            return Ok(());
        };
        let recipients = header.recipients().iter().map(|one| &one.queue);
        match self.links.add(spool, &id, recipients) {
            Err(error) if error.refused().is_some() => self.intake.hold(&header, error),
            linked => {
                linked?;
                self.links.complete(id, &header);
            }
        }
        Ok(())
    }

    fn stop(&mut self, error: SpoolError) {
        self.intake.report.stopped.get_or_insert(error);
        self.listing = Listing::default();
        self.ahead = Ahead::default();
    }
}
