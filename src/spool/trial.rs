//! Testing a spool: the system calls of a push and a flush, on a file that is removed again.

use std::io;
use std::path::Path;

use super::error::{IoContext, IoError};
use super::folder::Writers;
use super::{Folder, Lock, Name, Spool, disk};

/// Optional abilities of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// True if one folder can be flushed. If not, all of the file system is flushed for it.
    pub flushes_folders: bool,
}

impl Spool {
    /// Tests the system calls that a spool needs.
    ///
    /// Creates a file, flushes and locks it, gives it a second name, flushes and locks the folder
    /// of that, and removes both names. `chance` makes the names unlike any other's. A spool that
    /// does not exist yet is tested in `above`, an existing folder above it.
    pub fn try_out(&self, above: &Path, chance: u64) -> Result<Trial, IoError> {
        // With a dot in front the name is skipped by a process that lists a folder of the spool.
        let name = format!(".refpost-check-{chance:016x}");
        let (tmp, new) = (self.tmp_dir(), self.new_dir());
        let opened = tmp.fd().map(drop).context("open", || tmp.path());
        if disk::unless_gone(opened)?.is_some() {
            return self.try_names(&tmp.entry(&name), &new.entry(&name));
        }
        let above = Folder::start(above, Writers::Any);
        let other = above.entry(format!("{name}.link"));
        disk::keeping_mark(&above, || self.try_names(&above.entry(name), &other))
    }

    fn try_names(&self, name: &Name, other: &Name) -> Result<Trial, IoError> {
        let tried = self.try_file(name, other);
        let _ = disk::unlink(other);
        let _ = disk::unlink(name);
        tried
    }

    fn try_file(&self, name: &Name, other: &Name) -> Result<Trial, IoError> {
        let file = disk::create(name, self.access)?;
        disk::write(&file, name, &[b"refpost check\n"])?;
        disk::flush(&file, name)?;
        disk::lock_file(&file, name)?;
        if !disk::link(name, other)? {
            let taken = Err(io::Error::from(io::ErrorKind::AlreadyExists));
            return taken.context("link", || other.path());
        }
        // One that another process holds can be locked too.
        let _ = disk::lock(other.folder(), Lock::Try)?;
        let flushes_folders = disk::flush_names(other.folder())?;
        Ok(Trial { flushes_folders })
    }
}
