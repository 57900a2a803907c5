//! The name of an endpoint's queue.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Entries that cannot be read lie in `failed/` under this name.
const UNREADABLE: &str = "unreadable";
/// Entries that are for the service lie in `retry/` and `failed/` under this name, which no
/// endpoint has.
const SERVICE: &str = "@service";
/// Leaves room below `NAME_MAX`, which is 255 bytes.
const LONGEST: usize = 200;

/// The name of an endpoint's queue: what its directories in `retry/` and
/// `failed/` are called.
///
/// Always a single visible path component, so that a name from an altered entry
/// leads nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Queue(String);

/// A name that no queue can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no queue can be called `{}`", .0.escape_debug())]
pub struct QueueNameError(String);

impl Queue {
    /// Takes a name that can be a directory's: no `/`, no control character, no
    /// `.` in front, 200 bytes at most, and not `unreadable`.
    pub fn new(name: impl Into<String>) -> Result<Self, QueueNameError> {
        let name = name.into();
        let fits = (1..=LONGEST).contains(&name.len())
            && !name.starts_with('.')
            && !name.contains(|c: char| c == '/' || c.is_control())
            && name != UNREADABLE;
        if fits {
            Ok(Self(name))
        } else {
            Err(QueueNameError(name))
        }
    }

    /// Where entries are set aside that cannot be read. Only `failed/` has it.
    #[must_use]
    pub fn unreadable() -> Self {
        Self(UNREADABLE.to_owned())
    }

    /// The queue of entries that are submitted whole to the service behind `socket`.
    #[must_use]
    pub fn service() -> Self {
        Self(SERVICE.to_owned())
    }

    /// Whether this is [`Queue::service`].
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.0 == SERVICE
    }

    /// Whether this is [`Queue::unreadable`].
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.0 == UNREADABLE
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Queue {
    type Error = QueueNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<Queue> for String {
    fn from(queue: Queue) -> Self {
        queue.0
    }
}

impl AsRef<Path> for Queue {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
