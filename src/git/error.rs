//! Why a repository, or something in it, cannot be read.

use std::path::PathBuf;

use crate::event::Oid;
use crate::report;

/// Reason for which a repository could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is no repository, or one that cannot be opened: git itself was asked,
    /// too.
    #[error("cannot open repository `{path}`")]
    Open {
        /// As it was asked for.
        path: String,
        /// Error of libgit2.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether there is no git to be asked.
        no_git: bool,
    },
    /// It belongs to an account that git does not trust either.
    #[error("cannot trust repository `{}`: it belongs to account {owner}, not to {account}, who runs this", path.display())]
    Dubious {
        /// The repository.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The account that runs this process.
        account: u32,
    },
    /// An id with the length of another hash.
    #[error("object id `{id}` has the length of another hash")]
    Length {
        /// As it was given.
        id: Oid,
    },
    /// git itself was asked, and did not answer.
    #[error("cannot ask `git {command}`: {why}")]
    Git {
        /// The subcommand.
        command: String,
        /// The first line of what it said.
        why: String,
    },
    /// A revision leads to no object.
    #[error("`{name}` names no object in `{}`", path.display())]
    NoObject {
        /// As it was given.
        name: String,
        /// The repository.
        path: PathBuf,
    },
    /// An object is missing or damaged, or a ref cannot be resolved.
    #[error("cannot read {what}")]
    Read {
        /// Name of the thing: "commit `…`", "HEAD".
        what: String,
        /// Cause of that.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Returns whether an object is missing or damaged, so that git itself cannot read it either.
    #[must_use]
    pub fn is_of_absent_object(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.is::<Absent>())
    }

    /// Returns advice, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            // git's own words.
            Self::Dubious { path, .. } => {
                let path = report::shell(path);
                Some(format!("git config --global --add safe.directory {path}"))
            }
            Self::Open { no_git: true, .. } => Some(
                "git may be able to read it, and is not found: install it, or set PATH".to_owned(),
            ),
            _ => None,
        }
    }
}

/// Turns an absent object into `None`.
pub(in crate::git) fn present<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(error) if error.is_of_absent_object() => Ok(None),
        read => read.map(Some),
    }
}

/// Names what was being read when that failed.
pub(in crate::git) trait ReadContext<T> {
    fn reading(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<Cause>> ReadContext<T> for Result<T, E> {
    fn reading(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Read {
            what: what(),
            source: source.into(),
        })
    }
}

/// Cause of a failed read: libgit2's error, or words.
pub(in crate::git) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Error for a missing or damaged object, which git itself cannot read either.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::git) struct Absent(&'static str);

/// Returns the error for an object that git does not find.
pub(in crate::git) fn missing() -> Cause {
    Absent("it is missing or damaged (`git fsck` says more)").into()
}

/// Returns the error for an object that exists and cannot be read.
pub(in crate::git) fn damaged() -> Cause {
    Absent("it is damaged (`git fsck` says more)").into()
}
