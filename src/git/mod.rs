//! What a push means: ref updates in, facts out. The only user of git2, and of git.
//!
//! ```text
//! ref_lines   bytes of stdin → RefUpdate, a batch at a time
//! repository  peeling, the default branch
//! store       the seam: opening, and the two ways of reading
//! by_libgit2  the first way
//! loose       what it is not asked for: objects that lie by themselves
//! alternates  the folders that objects are in
//! by_git      the second way: git itself, for what libgit2 cannot open
//! command     running git
//! cat_file    git cat-file, kept open: the last word on an object
//! iconv       encodings, as git has them
//! id          ids, of the length of the repository's hash
//! irregular   files that are no files, which nobody must open
//! object      headers of commits and tags, read from their bytes
//! shallow     where the history of a shallow repository ends
//! commit_file the commit-graph file, and chains of them
//! authors     who wrote commits, each kept once
//! commits     commits by number, from that file or their own bytes
//! marks       what a walk notes of commits
//! graph       rev-list
//! paint       merge-base
//! walk        which commits a ref gained
//! tree_diff   which files differ
//! effort      how much work one push may be
//! changes     what became of a ref: RefUpdate → RefChange
//! refs        where refs are and were
//! replay      whether a ref moved as it was meant to (pure)
//! pusher      who pushed, from the host's environment
//! host        which software the repository lives under
//! hooks_dir   where hooks are looked for
//! ownership   whose a repository is, and whether git trusts that
//! facts       what a repository says of itself: path, owner, description
//! shown       what cgit and gitweb are told to show of it
//! ```

mod alternates;
mod authors;
mod by_git;
mod by_libgit2;
mod cat_file;
mod changes;
mod command;
mod commit_file;
mod commits;
mod effort;
mod everywhere;
mod facts;
mod graph;
mod hooks_dir;
mod host;
mod iconv;
mod id;
mod irregular;
mod loose;
mod marks;
mod object;
mod ownership;
mod paint;
mod pusher;
mod ref_lines;
mod refs;
mod replay;
mod repository;
mod shallow;
mod shown;
mod store;
mod tree_diff;
mod walk;

pub use changes::{Changes, Wants};
pub use everywhere::Everywhere;
pub use facts::Facts;
pub use host::{Host, HostKind};
pub use object::{commit_header, tag_header};
pub use ownership::{WHERE_CONFIG_IS, ensure_trusted};
pub use pusher::pusher;
pub use ref_lines::{BATCH_UPDATES, Malformed, RefLines, is_full};
pub use refs::LogLine;
pub use replay::{Verdict, replay};
pub use repository::Repository;
pub use shown::Shown;

use std::path::PathBuf;

use crate::event::Oid;
use store::{Absent, Cause};

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is no repository, or one that cannot be opened: git itself was asked,
    /// too.
    #[error("cannot open repository `{path}`")]
    Open {
        /// As it was asked for.
        path: String,
        /// What libgit2 says.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether there is no git to be asked.
        no_git: bool,
    },
    /// It belongs to somebody whom git does not trust either.
    #[error("cannot trust repository `{}`: it belongs to account {owner}, not to {account}, who runs this", path.display())]
    Dubious {
        /// The repository.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        account: u32,
    },
    /// An id that is no id of this repository, whatever is in it.
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
    /// An object is missing or damaged, or a ref cannot be resolved.
    #[error("cannot read {what}")]
    Read {
        /// Which thing: "commit `…`", "HEAD".
        what: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Whether it is an object that git itself cannot read: missing, or damaged.
    #[must_use]
    pub fn is_of_absent_object(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.is::<Absent>())
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            // git's own words.
            Self::Dubious { path, .. } => {
                let path = path.display();
                Some(format!("git config --global --add safe.directory {path}"))
            }
            Self::Open { no_git: true, .. } => Some(
                "git may be able to read it, and is not found: install it, or set PATH".to_owned(),
            ),
            _ => None,
        }
    }
}

/// What was read; `None`: it is missing or damaged.
fn present<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(error) if error.is_of_absent_object() => Ok(None),
        read => read.map(Some),
    }
}

/// Names what was being read when that failed.
trait ReadContext<T> {
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
