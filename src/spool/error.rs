//! The errors of the spool. No `Display` includes its source: a caller that prints the chain prints
//! each link once.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use thiserror::Error;

use crate::report::{chain, shell};

/// A system call that failed, with its operation and path.
#[derive(Debug, Error)]
#[error("cannot {operation} `{}`", path.display())]
pub struct IoError {
    /// A verb: `write`, `link`, …
    pub operation: &'static str,
    /// The path that the call was made on.
    pub path: PathBuf,
    /// The kernel's error.
    #[source]
    pub source: io::Error,
}

impl IoError {
    /// Returns the refused object, if the error is a refusal of the spool's.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        self.source.get_ref()?.downcast_ref()
    }

    /// Returns whether there is no room to write.
    ///
    /// The disk or the account's quota is full, or this process may write no larger file (`ulimit
    /// -f`).
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        let kind = self.source.kind();
        let is_full = matches!(
            kind,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        is_full || self.source.raw_os_error() == Some(Errno::EFBIG as i32)
    }

    /// Returns whether the limit of open files is reached.
    #[must_use]
    pub fn is_want_of_files(&self) -> bool {
        is_want_of_files(&self.source)
    }

    /// Returns advice, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let cause = self.source.get_ref();
        if cause.is_some_and(<dyn std::error::Error + Send + Sync>::is::<NoLinks>) {
            let hint = Some(
                "name a folder on another file system in `spool`: docs/reference/spool.md, \"File \
                 systems\"",
            );
            return hint.map(str::to_owned);
        }
        if self.source.kind() == io::ErrorKind::PermissionDenied {
            return give_back(&self.path);
        }
        self.refused().map(Refused::hint)
    }

    /// Formats the error for a person who sees several.
    ///
    /// For a refusal the text does not name the operation: it does not matter which step met it
    /// first.
    #[must_use]
    pub fn told_once(&self) -> String {
        match self.refused() {
            Some(refused) => format!("cannot use the spool: {refused}"),
            None => chain(self),
        }
    }
}

/// Returns whether the limit of open files is reached, of this process or of the machine.
#[must_use]
pub fn is_want_of_files(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::EMFILE, Errno::ENFILE]
        .iter()
        .any(|one| code == Some(*one as i32))
}

/// An object in a spool that refpost does not use, because it may have been planted to lead refpost
/// elsewhere.
///
/// Carried inside an [`io::Error`].
#[derive(Debug, Error)]
pub enum Refused {
    /// A symbolic link in the place of a folder or of the log.
    #[error("`{}` is a symbolic link", .0.display())]
    Link(PathBuf),
    /// A folder in which every account can make names.
    #[error("mode {mode:04o} of `{}` lets others write it", path.display())]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file with other names: writing to it would write elsewhere.
    #[error("`{}` is no file of its own", .0.display())]
    OtherNames(PathBuf),
}

impl Refused {
    fn hint(&self) -> String {
        match self {
            Self::Link(path) | Self::OtherNames(path) => {
                let path = shell(path);
                format!("see whose it is (ls -l {path}), then remove it: rm {path}")
            }
            Self::Writable { path, .. } => {
                let has_entries = path.ends_with("new");
                let path = shell(path);
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

/// Returns the command that gives a path back to the account that owns its folder, if another owns
/// the path.
///
/// This happens after root has worked there.
fn give_back(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let (its, above) = (
        path.symlink_metadata().ok()?,
        folder.symlink_metadata().ok()?,
    );
    // In a mail drop each account has its own files.
    if its.uid() == above.uid() || above.mode() & 0o002 != 0 {
        return None;
    }
    let (folder, path) = (shell(folder), shell(path));
    Some(format!(
        "it is another account's; as root: chown -h --reference={folder} {path}"
    ))
}

/// The error of a file system that cannot make a second name for a file.
///
/// Carried inside an [`io::Error`].
#[derive(Debug, Error)]
#[error("the file system has no hard links, and a spool needs them")]
pub(super) struct NoLinks;

/// Adds the operation and the path to an [`io::Error`].
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
    /// The entry's path.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub fault: EntryFault,
}

/// The cause for which an entry cannot be read.
#[derive(Debug, Error)]
pub enum EntryFault {
    /// The kernel refuses access. Nothing is known about the content.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A symbolic link, a directory, a fifo or another special file.
    #[error("it is no regular file")]
    NotRegular,
    /// The first line does not begin an entry.
    #[error("its first line is not that of an entry")]
    NotAnEntry,
    /// The format version is another refpost's.
    #[error("its format version is {0}, and this refpost reads 1 and 2")]
    Version(u32),
    /// The length is not the one that the header states.
    #[error("it is {found} bytes long and should be {expected}: cut off or changed")]
    Length {
        /// The length by first line and header; `u64::MAX` if it overflows.
        expected: u64,
        /// The length by the file system.
        found: u64,
    },
    /// A stated length is more than refpost ever writes.
    #[error("its {what} is said to have {length} bytes, and none has more than {most}")]
    TooLong {
        /// The part whose length is stated.
        what: &'static str,
        /// The stated length, in bytes.
        length: u64,
        /// The longest permitted length, in bytes.
        most: u64,
    },
    /// The header does not match its checksum.
    #[error("its header does not match its checksum")]
    HeaderChecksum,
    /// The header matches its checksum, but this refpost cannot interpret it.
    #[error("its header makes no sense")]
    Header(#[from] serde_json::Error),
    /// A recipient is to get a message that does not exist.
    #[error("it has no message {0}")]
    NoMessage(usize),
    /// A body does not match its checksum.
    #[error("the body of its message {0} does not match its checksum")]
    BodyChecksum(usize),
}

impl EntryError {
    /// Returns advice, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match &self.fault {
            EntryFault::Io(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                give_back(&self.path)
            }
            _ => None,
        }
    }

    /// Returns whether the content is at fault, so that trying again cannot help.
    ///
    /// Otherwise the kernel prevents reading, perhaps only for a moment.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        !matches!(self.fault, EntryFault::Io(_))
    }
}

/// An error of the spool.
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
    /// Returns whether the operation failed because a name is gone.
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

    /// Returns whether there is no room to write: see [`IoError::is_no_room`].
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        matches!(self, Self::Io(error) if error.is_no_room())
    }

    /// Returns whether the limit of open files is reached.
    #[must_use]
    pub fn is_want_of_files(&self) -> bool {
        match self {
            Self::Io(error) => error.is_want_of_files(),
            Self::Entry(error) => {
                matches!(&error.fault, EntryFault::Io(error) if is_want_of_files(error))
            }
        }
    }

    /// Returns whether another process has held a lock for the whole time that refpost waits.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Io(error) if error.source.kind() == io::ErrorKind::WouldBlock)
    }

    /// Returns whether the entry would have been larger than any that can be read.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Io(error) if error.source.kind() == io::ErrorKind::FileTooLarge)
    }

    /// Returns advice, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io(error) => error.hint(),
            Self::Entry(error) => error.hint(),
        }
    }
}
