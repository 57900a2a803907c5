//! Recording a push as a file in `new/`.

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

use super::disk;
use super::entry;
use super::error::{IoContext, IoError, SpoolError};
use super::names::id::Id;
use super::record::Draft;
use super::{Access, FAILED, Folder, NEW, Name, RETRY, Spool, TMP};

/// The parts of an id: time, host, and 64 random bits.
#[derive(Clone, Copy, Debug)]
pub struct IdParts<'a> {
    /// The time now.
    pub now: SystemTime,
    /// The host's name.
    pub host: &'a str,
    /// Random bits, new for each id.
    pub random: u64,
}

impl Spool {
    /// Makes `draft` durable at its place in the order. Returns its id.
    ///
    /// After an error the entry may exist all the same: its name was made but could not be flushed.
    /// After success it exists.
    pub fn enqueue(&self, draft: &Draft, parts: &IdParts<'_>) -> Result<Id, SpoolError> {
        self.enqueue_in(NEW, draft, parts)
    }

    /// Makes `draft` durable in `new/` or in `intent/`.
    pub(super) fn enqueue_in(
        &self,
        dir: &str,
        draft: &Draft,
        parts: &IdParts<'_>,
    ) -> Result<Id, SpoolError> {
        let root = self.root_dir();
        let id = Self::next_id(&root, parts);
        let (tmp, new) = (root.child(TMP), root.child(dir));
        let (tmp, new) = (tmp.entry(id.as_str()), new.entry(id.as_str()));
        let file = match disk::create(&tmp, self.access) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                self.create_layout()?;
                disk::create(&tmp, self.access)?
            }
            other => other?,
        };
        disk::set_modified(&root, id.time());
        let recorded = self.record(draft, &file, &tmp, &new);
        // The name in `tmp/` is useless now, recorded or not, and takes room on a full disk. If it
        // cannot be removed here, the sweep removes it.
        let _ = disk::unlink(&tmp);
        recorded.map(|()| id)
    }

    /// Writes an entry and gives it its name.
    pub(super) fn record(
        &self,
        draft: &Draft,
        file: &File,
        tmp: &Name,
        new: &Name,
    ) -> Result<(), SpoolError> {
        // Crash before the link: a part of an entry in `tmp/`, which no process reads and the sweep
        // removes. The push was not recorded, and the pusher was not told that it was.
        entry::write(draft, file, tmp)?;
        self.publish(file, tmp, new)
    }

    /// Makes a written file durable and gives it its name, durably.
    pub(super) fn publish(&self, file: &File, tmp: &Name, new: &Name) -> Result<(), SpoolError> {
        self.publish_later(file, tmp, new)?;
        // Crash here: the entry is in `new/` whole, since its bytes were flushed
        // before it had that name; and in `tmp/`, for the sweep.
        Ok(disk::flush_dir(new.folder())?)
    }

    /// Makes a written file durable and gives it its name, which is not durable yet.
    pub(super) fn publish_later(
        &self,
        file: &File,
        tmp: &Name,
        new: &Name,
    ) -> Result<(), SpoolError> {
        disk::flush(file, tmp)?;
        // A link never overwrites, a rename would.
        let linked = match disk::link(tmp, new) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                self.make_anew(new.folder())?;
                disk::link(tmp, new)?
            }
            linked => linked?,
        };
        if !linked {
            let taken = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(taken)
                .context("link", || new.path())
                .map_err(SpoolError::from);
        }
        Ok(())
    }

    /// Returns an id later than all before it, even if the clock was set back.
    ///
    /// The time of modification of the spool's directory is that of the newest id. Two pushes at
    /// the same instant may read the same mark; their order is unknown. If the mark cannot be set
    /// because another member of the group owns the directory, the clock decides the order.
    pub(super) fn next_id(root: &Folder, parts: &IdParts<'_>) -> Id {
        let after_mark = disk::modified(root).map(|mark| mark + Duration::from_nanos(1));
        let time = after_mark.map_or(parts.now, |after| after.max(parts.now));
        Id::new(time, parts.host, parts.random)
    }

    /// Creates the spool's directories if they do not exist.
    pub fn ensure(&self) -> Result<(), IoError> {
        self.create_layout()
    }

    /// Creates the spool's directories.
    ///
    /// `tmp/` comes last: once it exists the others are durable, so a process that finds it need
    /// not look at them, unless one of them is not found.
    pub(super) fn create_layout(&self) -> Result<(), IoError> {
        let root = self.root_dir();
        for name in [FAILED, RETRY, NEW] {
            disk::ensure_dir(&root.child(name), self.access)?;
        }
        disk::flush_dir(&root)?;
        // The folders above, as far as they can be opened: most were there before.
        for above in self.root.ancestors().skip(1).take(2) {
            let _ = disk::flush_above(above);
        }
        disk::ensure_dir(&root.child(TMP), self.access)
    }

    /// Creates a folder of the spool that is not there: the first use needs it, or it was empty and
    /// a backup left it out.
    pub(super) fn make_anew(&self, folder: &Folder) -> Result<(), IoError> {
        disk::ensure_dir(folder, self.access)?;
        disk::flush_dir(&self.root_dir())
    }
}

/// Replaces the entry `new` with `draft` under the same name, by way of `tmp`.
pub(super) fn replace(
    draft: &Draft,
    tmp: &Name,
    new: &Name,
    access: Access,
) -> Result<(), IoError> {
    // A crash may have left this name in an earlier try.
    disk::unlink(tmp)?;
    let file = disk::create(tmp, access)?;
    // Crash before the rename: the old entry stands.
    entry::write(draft, &file, tmp)?;
    disk::flush(&file, tmp)?;
    disk::rename_open(&file, tmp, new)?;
    // Crash here: either of the two stands, whole.
    disk::flush_dir(new.folder())
}
