//! Folders of a spool and names in them, reached without following a link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat};

use super::error::Refused;

/// Flags that suffice to make, change and look at names in a folder.
const FOR_NAMES: OFlag = OFlag::O_PATH
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_CLOEXEC);

/// The other accounts that may make names in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writers {
    /// Not checked: the folder is above the spool.
    Any,
    /// Its owner and its group.
    Known,
}

/// A folder of a spool.
///
/// It is opened at its first use and stays open until the last clone is dropped; changes of its
/// path meanwhile have no effect.
///
/// The way down begins at a path, in which links are the administrator's, and goes on one
/// component at a time, none of which can be a link. (Not by openat2(2), which older kernels and
/// some containers' filters do not know.)
#[derive(Clone, Debug)]
pub(super) struct Folder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parent: Option<Folder>,
    /// One component, or a path if there is no parent.
    name: PathBuf,
    writers: Writers,
    fd: OnceLock<OwnedFd>,
}

impl Folder {
    /// Makes a handle to the folder at which the way down begins.
    pub(super) fn start(path: &Path, writers: Writers) -> Self {
        Self::new(None, path.to_owned(), writers)
    }

    /// Makes a handle to a folder in this one.
    pub(super) fn child(&self, name: impl AsRef<OsStr>) -> Self {
        let name = PathBuf::from(name.as_ref());
        Self::new(Some(self.clone()), name, Writers::Known)
    }

    fn new(parent: Option<Self>, name: PathBuf, writers: Writers) -> Self {
        Self(Arc::new(Inner {
            parent,
            name,
            writers,
            fd: OnceLock::new(),
        }))
    }

    /// Makes another handle, opened anew at its first use. Its path may lead to another folder by
    /// then.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.parent().cloned(), self.0.name.clone(), self.0.writers)
    }

    /// Makes a name in this folder, of one component.
    pub(super) fn entry(&self, name: impl AsRef<OsStr>) -> Name {
        Name {
            folder: self.clone(),
            name: name.as_ref().to_owned(),
        }
    }

    pub(super) fn parent(&self) -> Option<&Self> {
        self.0.parent.as_ref()
    }

    /// Returns the folder's own name, or its path if there is no parent.
    pub(super) fn name(&self) -> &Path {
        &self.0.name
    }

    /// Returns the folder's path, for messages.
    pub(super) fn path(&self) -> PathBuf {
        match self.parent() {
            Some(parent) => parent.path().join(&self.0.name),
            None => self.0.name.clone(),
        }
    }

    /// Returns the descriptor for calls on names in this folder.
    pub(super) fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        if let Some(fd) = self.0.fd.get() {
            return Ok(fd.as_fd());
        }
        let fd = match self.parent() {
            None => open(&self.0.name, FOR_NAMES, Mode::empty())?,
            Some(parent) => {
                let fd = parent.fd()?;
                let flags = FOR_NAMES | OFlag::O_NOFOLLOW;
                openat(fd, &self.0.name, flags, Mode::empty())
                    .map_err(|error| self.explain(fd, error))?
            }
        };
        self.ensure_guarded(fd.as_fd())?;
        Ok(self.0.fd.get_or_init(|| fd).as_fd())
    }

    /// Opens the folder itself, for reading, locking or flushing.
    pub(super) fn reopen(&self) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(File::from(openat(self.fd()?, ".", flags, Mode::empty())?))
    }

    fn explain(&self, parent: BorrowedFd<'_>, error: Errno) -> io::Error {
        if !matches!(error, Errno::ENOTDIR | Errno::ELOOP) {
            return error.into();
        }
        let found = fstatat(parent, &self.0.name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let is_link = |mode| mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits();
        match found {
            Ok(found) if is_link(found.st_mode) => io::Error::other(Refused::Link(self.path())),
            _ => error.into(),
        }
    }

    fn ensure_guarded(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        if self.0.writers == Writers::Any {
            return Ok(());
        }
        let mode = fstat(fd)?.st_mode & 0o7777;
        if mode & 0o002 == 0 {
            return Ok(());
        }
        let path = self.path();
        Err(io::Error::other(Refused::Writable { path, mode }))
    }
}

/// A name in a folder of a spool.
#[derive(Clone, Debug)]
pub(super) struct Name {
    folder: Folder,
    name: OsString,
}

impl Name {
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Returns the path, for messages.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }
}
