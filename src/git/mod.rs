//! What a push means: ref updates in, events out. The only user of git2.
//!
//! ```text
//! ref_lines   bytes of stdin → RefUpdate, a batch at a time
//! repository  opening, peeling, the default branch
//! object      headers of commits and tags, read from their bytes
//! replaced    what stands in for objects and parents: replace refs, grafts, shallow
//! commit_file the commit-graph file, and chains of them
//! commits     commits by number, from that file or their own bytes
//! graph       rev-list
//! paint       merge-base
//! walk        which commits a ref gained
//! tree_diff   which files differ
//! events      the table of the contract: RefUpdate → Event
//! refs        where refs are and were
//! replay      whether a ref moved as it was meant to (pure)
//! pusher      who pushed, from the host's environment
//! host        which software the repository lives under
//! hooks_dir   where hooks are looked for
//! ownership   whose a repository is, and whether git trusts that
//! facts       what a repository says of itself: path, owner, description
//! shown       what cgit and gitweb are told to show of it
//! ```

mod commit_file;
mod commits;
mod events;
mod everywhere;
mod facts;
mod graph;
mod hooks_dir;
mod host;
mod object;
mod ownership;
mod paint;
mod pusher;
mod ref_lines;
mod refs;
mod replaced;
mod replay;
mod repository;
mod shown;
mod tree_diff;
mod walk;

pub use events::{Events, Limits};
pub use everywhere::Everywhere;
pub use facts::Facts;
pub use host::{Host, HostKind};
pub use ownership::{WHERE_CONFIG_IS, ensure_trusted};
pub use pusher::pusher;
pub use ref_lines::{BATCH_UPDATES, Malformed, RefLines};
pub use refs::LogLine;
pub use replay::{Verdict, replay};
pub use repository::Repository;
pub use shown::Shown;

use std::path::PathBuf;

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is no repository, or one that cannot be opened.
    #[error("cannot open repository `{path}`")]
    Open {
        /// As it was asked for.
        path: String,
        /// What libgit2 says.
        source: git2::Error,
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
        /// What libgit2 says.
        source: git2::Error,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let Self::Dubious { path, .. } = self else {
            return None;
        };
        let path = path.display();
        // git's own words.
        Some(format!("git config --global --add safe.directory {path}"))
    }
}

/// Names what was being read when libgit2 failed.
trait ReadContext<T> {
    fn reading(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> ReadContext<T> for Result<T, git2::Error> {
    fn reading(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Read {
            what: what(),
            source,
        })
    }
}
