//! Errors that end a command, with their hints, and the exit codes.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{self, KeyError};
use crate::delivery::Fault;
use crate::json::SyntaxError;
use crate::spool::SpoolError;
use crate::{git, report};

/// Outcome of a command that met no error. Of several, the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Nothing that was asked for is in the spools that root's refpost found for this account.
    NotHere,
    /// Everything was done.
    Well,
    /// An endpoint fails or refuses messages, or messages are late (`status --exit-code`).
    Failing,
    /// Something is left for later.
    Deferred,
    /// The answer is no (a signature does not match, a check found something), or an error was told
    /// and the rest was done.
    No,
    /// The account does not exist.
    NoAccount,
}

impl Exit {
    /// Returns the exit code: those of sysexits.h, except 1 and 3.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::No => 1,
            Self::Failing => 3,
            Self::Deferred => 75,
            Self::NotHere => 66,
            Self::NoAccount => 67,
        }
    }
}

/// An error that ends a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Git(#[from] git::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("cannot read message `{}`", path.display())]
    Message { path: PathBuf, source: SyntaxError },
    #[error("cannot {operation} `{}`", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("cannot enqueue {}", report::count(*messages, "message"))]
    Enqueue { messages: usize, source: SpoolError },
    /// One entry cannot hold the messages. Of several updates, each half may fit.
    #[error("cannot build the messages: one entry cannot hold them all")]
    TooLarge,
    /// The push is only recorded; its messages are made later.
    #[error("{}: recorded, to be announced once that is mended", report::chain(.0.as_ref()))]
    Deferred(Box<Error>),
    #[error("{what}")]
    Failed { what: String, hint: Option<String> },
}

impl Error {
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::Failed {
            what: what.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Key(error) => error.hint(),
            Self::Fault(fault) => fault.hint(),
            Self::Failed { hint, .. } => hint.clone(),
            Self::Deferred(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::Spool(error) | Self::Enqueue { source: error, .. } => error.hint(),
            Self::Io { .. } | Self::Message { .. } => None,
            Self::TooLarge => Some("make `[project]` in the configuration smaller".to_owned()),
        }
    }

    /// Returns whether one entry cannot hold the messages.
    pub(crate) fn is_too_large(&self) -> bool {
        match self {
            Self::TooLarge => true,
            Self::Enqueue { source, .. } => source.is_too_large(),
            _ => false,
        }
    }

    /// Returns the exit code: 78 of sysexits.h for errors of the configuration, 1 for all others.
    /// clap ends with 2 by itself.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Key(_) => 78,
            _ => 1,
        }
    }
}

/// Names the operation and the path of an input or output error.
pub(crate) trait IoContext<T> {
    fn doing(self, operation: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn doing(self, operation: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            operation,
            path: path.to_owned(),
            source,
        })
    }
}
