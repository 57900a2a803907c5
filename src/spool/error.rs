//! What can go wrong in the spool. No `Display` includes its source: whoever
//! prints the chain prints each link once.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

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

/// Gives an [`io::Error`] its operation and its path.
pub(super) trait IoContext<T> {
    fn context(self, operation: &'static str, path: &Path) -> Result<T, IoError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, operation: &'static str, path: &Path) -> Result<T, IoError> {
        self.map_err(|source| IoError {
            operation,
            path: path.to_owned(),
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
    #[error("its format version is {0}, and this refpost reads version 1 only")]
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
