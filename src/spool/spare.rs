//! The reserve for pushes on a full disk: one file, `spare`.
//!
//! ```text
//! block 0        number of pushes that did not fit even here, and the time of the last one
//! block 1 to 64  slots: an id, and the ref updates of a push, or some of them
//! ```
//!
//! - A flush reserves the room in advance (fallocate(2)), without changing the length of the file:
//!   the length tells how many slots are used. A new file would need room for its name, a slot
//!   needs none.
//! - A hook whose entry cannot be written for lack of room appends slots under `flock`, and flushes
//!   them. A process that locks `new/` makes entries of them once there is room, truncates the
//!   file, and reserves the room anew. Until then later entries of these repositories stay in
//!   `new/`.
//! - A block that a crash cut off does not match its checksum: git had not been told that the hook
//!   was done.

mod block;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::claim::Claim;
use super::enqueue::IdParts;
use super::error::{IoContext, IoError, SpoolError};
use super::names::id::Id;
use super::record::{Content, Draft, Header};
use super::{Name, Spool, TMP, disk, entry};
use block::{BLOCK, SIZE, SLOTS, Slot, fill, is_whole, read_lost, read_slots, used};

pub use block::Lost;

pub(super) const SPARE: &str = "spare";

/// The state of the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spare {
    /// True if all of the room is reserved.
    pub is_whole: bool,
    /// Number of used slots.
    pub used: usize,
    /// The pushes that could not be recorded.
    pub lost: Option<Lost>,
}

/// The result of making entries of the slots.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The newest entry that a slot became in this look.
    pub(super) newest: Option<Id>,
    /// The error for which the slots did not become entries.
    pub(super) stopped: Option<IoError>,
    /// The oldest push of each repository that is still in a slot after such an error.
    oldest: HashMap<PathBuf, Id>,
}

impl Settled {
    /// Returns whether this entry must wait for a push of its repository that is in a slot.
    pub(super) fn hold(&self, id: &Id, repository: &Path) -> bool {
        self.oldest
            .get(repository)
            .is_some_and(|oldest| oldest <= id)
    }
}

impl Spool {
    /// Reserves the room, unless already reserved. A spool that was never used gets none.
    pub fn keep_spare(&self) -> Result<(), IoError> {
        let (root, name) = (self.root_dir(), self.spare_name());
        match disk::stat(&name) {
            Ok(stat) if is_whole(stat.st_blocks) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if disk::stat(&root.entry(TMP)).is_err() {
                    return Ok(());
                }
                match disk::keeping_mark(&root, || disk::create(&name, self.access)) {
                    // Another flush was faster.
                    Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
                    made => drop(made?),
                }
            }
            found => drop(found.context("read", || name.path())?),
        }
        // Crash here: a file without room, which the next flush takes.
        let Some(file) = Self::lock_spare(&name)? else {
            return Ok(());
        };
        take_room(&file, &name)?;
        disk::flush(&file, &name)?;
        disk::flush_dir(&root)
    }

    /// Returns the state of the reserve, or `None` if there is none.
    pub fn spare(&self) -> Result<Option<Spare>, IoError> {
        let name = self.spare_name();
        let look = |file: File| {
            let meta = file.metadata()?;
            Ok(Spare {
                is_whole: is_whole(i64::try_from(meta.blocks()).unwrap_or(0)),
                used: match used(meta.len()) {
                    0 => 0,
                    // Slots that were dropped do not count.
                    _ => read_slots(&file)?.len(),
                },
                lost: read_lost(&file)?,
            })
        };
        match disk::open(&name).and_then(look) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            looked => looked.context("read", || name.path()).map(Some),
        }
    }

    /// Records ref updates for which there is no other room.
    ///
    /// Their claim becomes the entry, if it holds them all; else slots are used. If there is no room
    /// there either, the claim is given up.
    pub fn enqueue_spare(
        &self,
        deferred: &Draft,
        parts: &IdParts<'_>,
        claim: Option<&Claim>,
    ) -> Result<Id, SpoolError> {
        if let Some(claim) = claim
            && matches!(self.keep_claim(claim, deferred), Ok(true))
        {
            return Ok(claim.id.clone());
        }
        let recorded = self.use_slots(deferred, parts, claim);
        // Crash before: the claim becomes an entry, and its slot is found to be that entry.
        claim.map(|claim| self.withdraw_claim(claim).ok());
        recorded
    }

    fn use_slots(
        &self,
        deferred: &Draft,
        parts: &IdParts<'_>,
        claim: Option<&Claim>,
    ) -> Result<Id, SpoolError> {
        let (root, name) = (self.root_dir(), self.spare_name());
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let file = Self::lock_spare(&name)?.ok_or_else(gone);
        let file = file.context("open", || name.path())?;
        let id = match claim {
            Some(claim) => claim.id.clone(),
            None => Self::next_id(&root, parts),
        };
        let length = file.metadata().context("read", || name.path())?.len();
        let used = used(length);
        let mut blocks = vec![];
        if !fill(deferred, deferred.updates(), true, &id, &mut blocks)
            || used + blocks.len() > SLOTS
        {
            let full = Err(io::ErrorKind::StorageFull.into());
            return Ok(full.context("write", || name.path())?);
        }
        disk::set_modified(&root, id.time());
        let at = (BLOCK * (1 + used)) as u64;
        disk::write_at(&file, &name, at, &blocks.concat())?;
        // Crash before: some of the slots may be there. The pusher was told nothing.
        disk::flush(&file, &name)?;
        Ok(id)
    }

    /// Returns the pushes in slots, or parts of them, in their order.
    pub fn in_spare(&self) -> Result<Vec<(Id, Header)>, IoError> {
        let name = self.spare_name();
        match disk::open(&name).and_then(|file| read_slots(&file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
            read => {
                let slots = read.context("read", || name.path())?.into_iter();
                Ok(slots.map(|slot| (slot.id, slot.header)).collect())
            }
        }
    }

    /// Drops pushes in slots, or that became entries by now. Returns how many existed.
    pub fn drop_spare(&self, ids: &[Id]) -> Result<usize, IoError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let name = self.spare_name();
        let Some(file) = Self::lock_spare(&name)? else {
            return self.drop_new(ids);
        };
        let slots = read_slots(&file).context("read", || name.path())?;
        let (dropped, kept): (Vec<_>, Vec<_>) =
            slots.into_iter().partition(|slot| ids.contains(&slot.id));
        for slot in &dropped {
            self.withdraw_confirmed(&slot.header.confirms)?;
            // A block that does not match its checksum is no slot.
            disk::write_at(&file, &name, slot.at, &[0; BLOCK])?;
        }
        disk::flush(&file, &name)?;
        if kept.is_empty() {
            // Crash before: the next flush clears them.
            let lost = read_lost(&file).context("read", || name.path())?;
            clear(&file, &name, lost.map_or(0, |_| BLOCK as u64))?;
        }
        drop(file);
        let is_in = |id: &&Id| dropped.iter().any(|slot| slot.id == **id);
        let moved: Vec<Id> = ids.iter().filter(|id| !is_in(id)).cloned().collect();
        Ok(dropped.len() + self.drop_new(&moved)?)
    }

    /// Counts a push that could not be recorded.
    pub fn count_lost(&self, now: SystemTime) -> Result<(), IoError> {
        let name = self.spare_name();
        let Some(file) = Self::lock_spare(&name)? else {
            return Ok(());
        };
        let lost = read_lost(&file).context("read", || name.path())?;
        let pushes = lost.map_or(0, |lost| lost.pushes).saturating_add(1);
        let lost = Lost { pushes, last: now };
        disk::write_at(&file, &name, 0, &lost.to_block())?;
        disk::flush(&file, &name)
    }

    /// Forgets the pushes that could not be recorded, if the last one was at `before` or earlier.
    pub(super) fn forget_lost(&self, before: SystemTime) -> Result<(), IoError> {
        let name = self.spare_name();
        if disk::stat(&name).map_or(0, |stat| stat.st_size) == 0 {
            return Ok(());
        }
        let Some(file) = Self::lock_spare(&name)? else {
            return Ok(());
        };
        let lost = read_lost(&file).context("read", || name.path())?;
        let length = file.metadata().context("read", || name.path())?.len();
        if used(length) > 0 || lost.is_none_or(|lost| lost.last > before) {
            return Ok(());
        }
        clear(&file, &name, 0)
    }

    /// Makes entries of the slots, if there is room for all of them.
    ///
    /// The caller has locked `new/`.
    pub(super) fn settle_spare(&self) -> Result<Settled, IoError> {
        let mut settled = Settled::default();
        if !self.has_spare_pushes() {
            return Ok(settled);
        }
        let name = self.spare_name();
        let Some(file) = Self::lock_spare(&name)? else {
            return Ok(settled);
        };
        let slots = read_slots(&file).context("read", || name.path())?;
        let mut written = vec![];
        let done = self.write_entries(&slots, &mut written);
        let done = done.and_then(|()| {
            for (tmp, slot) in &written {
                disk::rename(tmp, &self.new_name(&slot.id))?;
            }
            disk::flush_dir(&self.new_dir())?;
            // Crash here: they are in both. None leaves `new/` before the slots are cleared.
            let lost = read_lost(&file).context("read", || name.path())?;
            clear(&file, &name, lost.map_or(0, |_| BLOCK as u64))
        });
        match done {
            Ok(()) => settled.newest = slots.into_iter().map(|slot| slot.id).max(),
            Err(error) => {
                for (tmp, _) in &written {
                    let _ = disk::unlink(tmp);
                }
                settled.stopped = Some(error);
                for Slot { id, header, .. } in slots {
                    let oldest = settled.oldest.entry(header.repository);
                    let oldest = oldest.or_insert_with(|| id.clone());
                    *oldest = id.min(oldest.clone());
                }
            }
        }
        Ok(settled)
    }

    /// Writes entries into `tmp/`, except for those that a crash has left in `new/`.
    fn write_entries<'s>(
        &self,
        slots: &'s [Slot],
        written: &mut Vec<(Name, &'s Slot)>,
    ) -> Result<(), IoError> {
        for slot in slots {
            if disk::stat(&self.new_name(&slot.id)).is_ok() {
                continue;
            }
            let tmp = self.tmp_dir().entry(format!("{}.spare", slot.id));
            // A crash may have left this name in an earlier try.
            disk::unlink(&tmp)?;
            let file = disk::create(&tmp, self.access)?;
            written.push((tmp.clone(), slot));
            let deferred = Content::Deferred(slot.header.updates().to_vec());
            entry::write(&slot.header.with(deferred), &file, &tmp)?;
            disk::flush(&file, &tmp)?;
        }
        Ok(())
    }

    /// Returns whether slots are used.
    pub(super) fn has_spare_pushes(&self) -> bool {
        let length = disk::stat(&self.spare_name()).map_or(0, |stat| stat.st_size);
        used(u64::try_from(length).unwrap_or(0)) > 0
    }

    fn spare_name(&self) -> Name {
        self.root_dir().entry(SPARE)
    }

    /// Opens and locks the file. Returns `None` if it does not exist.
    fn lock_spare(name: &Name) -> Result<Option<File>, IoError> {
        match disk::open_both(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                let file = opened.context("open", || name.path())?;
                disk::lock_file(&file, name)?;
                Ok(Some(file))
            }
        }
    }
}

/// Gives up all slots and reserves their room anew.
///
/// A file system that never writes in place needs that. Room that cannot be reserved now is
/// reserved by the next flush.
fn clear(file: &File, name: &Name, kept: u64) -> Result<(), IoError> {
    disk::truncate(file, name, kept)?;
    let _ = take_room(file, name);
    disk::flush(file, name)
}

/// Reserves all of the room, or none: entries need the last of it more.
fn take_room(file: &File, name: &Name) -> Result<(), IoError> {
    let taken = disk::reserve(file, name, SIZE);
    if taken.is_err() {
        let length = file.metadata().context("read", || name.path())?.len();
        disk::truncate(file, name, length)?;
    }
    taken
}
