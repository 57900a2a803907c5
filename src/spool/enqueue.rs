//! A push becomes a file in `new/`.

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

use super::disk;
use super::entry;
use super::error::{IoContext, IoError, SpoolError};
use super::names::id::Id;
use super::record::Draft;
use super::{Access, Folder, NEW, Name, Spool, TMP};

/// What makes an id: when, where, and 64 random bits.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The time now.
    pub now: SystemTime,
    /// The host's name.
    pub host: &'a str,
    /// Random bits, new for each id.
    pub random: u64,
}

impl Spool {
    /// Makes `draft` durable, in its place in the order, and gives it its id.
    ///
    /// When this returns an error, the entry may be there all the same (its name
    /// was made but could not be flushed); when it returns an id, it is.
    pub fn enqueue(&self, draft: &Draft, stamp: &Stamp<'_>) -> Result<Id, SpoolError> {
        self.enqueue_in(NEW, draft, stamp)
    }

    /// Makes `draft` durable in `new/` or in `intent/`.
    pub(super) fn enqueue_in(
        &self,
        dir: &str,
        draft: &Draft,
        stamp: &Stamp<'_>,
    ) -> Result<Id, SpoolError> {
        let root = self.root_dir();
        let id = Self::next_id(&root, stamp);
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
        let recorded = Self::record(draft, &file, &tmp, &new);
        // Recorded or not, its name in `tmp/` is of no more use: on a full disk least
        // of all. If it cannot be removed, the sweep will.
        let _ = disk::unlink(&tmp);
        recorded.map(|()| id)
    }

    /// Writes an entry and gives it its name.
    pub(super) fn record(
        draft: &Draft,
        file: &File,
        tmp: &Name,
        new: &Name,
    ) -> Result<(), SpoolError> {
        // Crash before the link: a part of an entry in `tmp/`, which nobody reads and
        // the sweep removes. The push was not recorded, and nobody was told it was.
        entry::write(draft, file, tmp)?;
        Self::publish(file, tmp, new)
    }

    /// Makes a file that is written durable, and gives it its name.
    pub(super) fn publish(file: &File, tmp: &Name, new: &Name) -> Result<(), SpoolError> {
        disk::flush(file, tmp)?;
        // A link never overwrites, a rename would.
        if !disk::link(tmp, new)? {
            let taken = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(taken)
                .context("link", || new.path())
                .map_err(SpoolError::from);
        }
        // Crash here: the entry is in `new/` whole, since its bytes were flushed
        // before it had that name; and in `tmp/`, for the sweep.
        Ok(disk::flush_dir(new.folder())?)
    }

    /// An id later than all before it, even if the clock was set back: the time of
    /// modification of the spool's directory is that of the newest id.
    ///
    /// Two pushes at the same instant may read the same mark; nobody can say which
    /// of them was first. Where the mark cannot be set (another member of the group
    /// owns the directory), the order is that of the clock.
    pub(super) fn next_id(root: &Folder, stamp: &Stamp<'_>) -> Id {
        let after_mark = disk::modified(root).map(|mark| mark + Duration::from_nanos(1));
        let time = after_mark.map_or(stamp.now, |after| after.max(stamp.now));
        Id::new(time, stamp.host, stamp.random)
    }

    /// Makes its folders, if they are not there.
    pub fn ensure(&self) -> Result<(), IoError> {
        self.create_layout()
    }

    /// Makes the spool's directories. `tmp/` comes last: once it is there the others
    /// are durable, so that whoever finds it need not look at them.
    pub(super) fn create_layout(&self) -> Result<(), IoError> {
        let root = self.root_dir();
        for name in ["failed", "retry", NEW] {
            disk::ensure_dir(&root.child(name), self.access)?;
        }
        disk::flush_dir(&root)?;
        // The folders above, as far as they can be opened: most were there before.
        for above in self.root.ancestors().skip(1).take(2) {
            let _ = disk::flush_above(above);
        }
        disk::ensure_dir(&root.child(TMP), self.access)
    }
}

/// Puts `draft` over the entry `new`, under the same name, by way of `tmp`.
pub(super) fn replace(
    draft: &Draft,
    tmp: &Name,
    new: &Name,
    access: Access,
) -> Result<(), IoError> {
    // What a crash left of the last try.
    disk::unlink(tmp)?;
    let file = disk::create(tmp, access)?;
    // Crash before the rename: the old entry stands.
    entry::write(draft, &file, tmp)?;
    disk::flush(&file, tmp)?;
    disk::rename_open(&file, tmp, new)?;
    // Crash here: either of the two stands, whole.
    disk::flush_dir(new.folder())
}
