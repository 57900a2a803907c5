//! Reasons for which a configuration cannot be loaded.

use std::io;
use std::path::PathBuf;

use super::file::Refusal;
use crate::report;

/// Reason for which there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there and cannot be read.
    #[error("cannot read config `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause of that.
        source: io::Error,
    },
    /// Another account could have written it, or its bytes are no text.
    #[error("cannot load config `{}`: {why}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Cause of that.
        why: Refusal,
    },
    /// A key is misspelt or a value is not what its key takes.
    #[error("cannot load config `{}`: line {line}: {why}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key and the error, without the text of a secret.
        why: String,
    },
    /// A section's pattern is a path below a root, and there is no root.
    #[error("cannot load config `{}`: line {line}: `{pattern}` is a path below `root`, which is not set", path.display())]
    NoRoot {
        /// The file.
        path: PathBuf,
        /// Line of the section's header, counted from 1.
        line: usize,
        /// The pattern.
        pattern: String,
    },
    /// The file holds a key or another secret, and all accounts can read it.
    #[error("cannot load config `{}`: it holds a secret, and mode {mode:04o} lets others read it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds nothing, as after a save on a full disk, and no other names an
    /// endpoint. To send nothing, a configuration says `urls = []`.
    #[error("cannot load config `{}`: it is empty", .0.display())]
    Empty(PathBuf),
    /// There is a URL, and nothing to sign with.
    #[error("cannot load config `{}`: endpoint `{endpoint}` has no key", path.display())]
    NoKey {
        /// The file that was read last.
        path: PathBuf,
        /// The endpoint.
        endpoint: String,
    },
}

impl Error {
    /// Returns advice, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { path, why } => why.hint(path),
            Self::Exposed { path, .. } => Some(format!("chmod o= {}", report::shell(path))),
            Self::NoKey { .. } => Some(
                "make one with `refpost keygen`, and name its file as `key_file`; \
                 or say `unsigned = true`"
                    .to_owned(),
            ),
            Self::Empty(_) => {
                Some("name URLs in `urls`, or say `urls = []` to send nothing".to_owned())
            }
            Self::NoRoot { .. } => Some(
                "set `root` in this file; or begin the pattern with `/`, for a repository's whole \
                 path"
                    .to_owned(),
            ),
            Self::Read { .. } | Self::Invalid { .. } => None,
        }
    }

    /// Returns whether the file does not exist.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
