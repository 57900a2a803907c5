//! What can go wrong in the spool. No `Display` includes its source: whoever
//! prints the chain prints each link once.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use thiserror::Error;

use crate::report::chain;

/// A system call that failed: what was tried, and on which path.
#[derive(Debug, Error)]
#[error("cannot {operation} `{}`", path.display())]
pub struct IoError {
    /// A verb: `write`, `link`, …
    pub operation: &'static str,
    /// What it was tried on.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

impl IoError {
    /// What the spool refuses to use, if that is what is the matter.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        self.source.get_ref()?.downcast_ref()
    }

    /// Whether the disk, or the account's share of it, is full, or this process may write no
    /// larger file (`ulimit -f`).
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        let kind = self.source.kind();
        let is_full = matches!(
            kind,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        is_full || self.source.raw_os_error() == Some(Errno::EFBIG as i32)
    }

    /// Whether as many files are open as can be.
    #[must_use]
    pub fn is_want_of_files(&self) -> bool {
        is_want_of_files(&self.source)
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let cause = self.source.get_ref();
        if cause.is_some_and(<dyn std::error::Error + Send + Sync>::is::<NoLinks>) {
            let hint = Some(
                "name a folder on another file system in `spool`: docs/operations.md, \"File \
                 systems\"",
            );
            return hint.map(str::to_owned);
        }
        if self.source.kind() == io::ErrorKind::PermissionDenied {
            return give_back(&self.path);
        }
        self.refused().map(Refused::hint)
    }

    /// The error for a person who is told of several: of what is refused in a spool
    /// it does not matter which step met it first.
    #[must_use]
    pub fn told_once(&self) -> String {
        match self.refused() {
            Some(refused) => format!("cannot use the spool: {refused}"),
            None => chain(self),
        }
    }
}

/// Returns whether as many files are open as can be, in this process or on this machine.
#[must_use]
pub fn is_want_of_files(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::EMFILE, Errno::ENFILE]
        .iter()
        .any(|one| code == Some(*one as i32))
}

/// What is in a spool, and is not used as it is: somebody may have put it there to
/// lead us elsewhere. It travels inside an [`io::Error`].
#[derive(Debug, Error)]
pub enum Refused {
    /// Where a folder or the log should be.
    #[error("`{}` is a symbolic link", .0.display())]
    Link(PathBuf),
    /// Anybody can make names in this folder.
    #[error("mode {mode:04o} of `{}` lets others write it", path.display())]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is written there would be written elsewhere.
    #[error("`{}` is no file of its own", .0.display())]
    OtherNames(PathBuf),
}

impl Refused {
    fn hint(&self) -> String {
        match self {
            Self::Link(path) | Self::OtherNames(path) => {
                let path = path.display();
                format!("see whose it is (ls -l {path}), then remove it: rm {path}")
            }
            Self::Writable { path, .. } => {
                let has_entries = path.ends_with("new");
                let path = path.display();
                if has_entries {
                    format!(
                        "of an earlier mail drop: refpost work --drain; else see whose files \
                         are in it, then: chmod o-w {path}"
                    )
                } else {
                    format!("chmod o-w {path}")
                }
            }
        }
    }
}

/// The command that gives something to the account whose folder it lies in, if it is another's:
/// root has worked there.
fn give_back(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let (its, above) = (
        path.symlink_metadata().ok()?,
        folder.symlink_metadata().ok()?,
    );
    // In a mail drop everybody has his own.
    if its.uid() == above.uid() || above.mode() & 0o002 != 0 {
        return None;
    }
    let (folder, path) = (folder.display(), path.display());
    Some(format!(
        "it is another account's; as root: chown -h --reference={folder} {path}"
    ))
}

/// A second name for a file cannot be made. It travels inside an [`io::Error`].
#[derive(Debug, Error)]
#[error("the file system has no hard links, and a spool needs them")]
pub(super) struct NoLinks;

/// Gives an [`io::Error`] its operation and its path.
pub(super) trait IoContext<T> {
    fn context(self, operation: &'static str, path: impl FnOnce() -> PathBuf)
    -> Result<T, IoError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(
        self,
        operation: &'static str,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<T, IoError> {
        self.map_err(|source| IoError {
            operation,
            path: path(),
            source,
        })
    }
}

/// An entry that cannot be read.
#[derive(Debug, Error)]
#[error("cannot read entry `{}`", path.display())]
pub struct EntryError {
    /// Where it lies.
    pub path: PathBuf,
    /// What is the matter with it.
    #[source]
    pub fault: EntryFault,
}

/// What is the matter with an entry that cannot be read.
#[derive(Debug, Error)]
pub enum EntryFault {
    /// The kernel does not let us: nothing is known about the content.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A symbolic link, a directory, a fifo, …
    #[error("it is no regular file")]
    NotRegular,
    /// The first line is not that of an entry.
    #[error("its first line is not that of an entry")]
    NotAnEntry,
    /// Written by another refpost.
    #[error("its format version is {0}, and this refpost reads 1 and 2")]
    Version(u32),
    /// Its length is not what its header says.
    #[error("it is {found} bytes long and should be {expected}: cut off or changed")]
    Length {
        /// What first line and header say; `u64::MAX` for more than can be.
        expected: u64,
        /// What the file system says.
        found: u64,
    },
    /// A length is given that nothing has which is written here.
    #[error("its {what} is said to have {length} bytes, and none has more than {most}")]
    TooLong {
        /// What is said to be so long.
        what: &'static str,
        /// How long.
        length: u64,
        /// How long it can be.
        most: u64,
    },
    /// The header is not what was written.
    #[error("its header does not match its checksum")]
    HeaderChecksum,
    /// The header is what was written, but makes no sense to this refpost.
    #[error("its header makes no sense")]
    Header(#[from] serde_json::Error),
    /// A recipient is to get a message that is not there.
    #[error("it has no message {0}")]
    NoMessage(usize),
    /// A body is not what was written.
    #[error("the body of its message {0} does not match its checksum")]
    BodyChecksum(usize),
}

impl EntryError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match &self.fault {
            EntryFault::Io(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                give_back(&self.path)
            }
            _ => None,
        }
    }

    /// Whether the content is at fault, so that trying again cannot help.
    /// Otherwise the kernel is in the way, perhaps for a moment only.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        !matches!(self.fault, EntryFault::Io(_))
    }
}

/// What can go wrong in the spool.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// An entry cannot be read.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

impl SpoolError {
    /// Whether a name is gone that something was to be done to.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let cause = match self {
            Self::Io(error) => Some(&error.source),
            Self::Entry(EntryError { fault, .. }) => match fault {
                EntryFault::Io(error) => Some(error),
                _ => None,
            },
        };
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the disk, or the account's share of it, is full.
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        matches!(self, Self::Io(error) if error.is_no_room())
    }

    /// Whether as many files are open as can be.
    #[must_use]
    pub fn is_want_of_files(&self) -> bool {
        match self {
            Self::Io(error) => error.is_want_of_files(),
            Self::Entry(error) => {
                matches!(&error.fault, EntryFault::Io(error) if is_want_of_files(error))
            }
        }
    }

    /// Whether another process has a lock, and has had it for as long as it is waited for.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Io(error) if error.source.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether an entry would have been larger than any that can be read.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Io(error) if error.source.kind() == io::ErrorKind::FileTooLarge)
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io(error) => error.hint(),
            Self::Entry(error) => error.hint(),
        }
    }
}
