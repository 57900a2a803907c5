//! The name of an endpoint's queue.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Name of the directory in `failed/` for entries that cannot be read.
const UNREADABLE: &str = "unreadable";
/// Name of the directories in `retry/` and `failed/` for entries to the service. No endpoint has
/// it.
const SERVICE: &str = "@service";
/// Name of the directories for entries to the broker. No endpoint has it.
const BROKER: &str = "@broker";
/// Longest name, in bytes. It leaves room below `NAME_MAX`, which is 255.
const LONGEST: usize = 200;

/// The name of an endpoint's queue, and of its directories in `retry/` and `failed/`.
///
/// The name is always a single visible path component, so that a name from an altered entry leads
/// nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Queue(String);

/// A name that no queue can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no queue can be called `{}`", .0.escape_debug())]
pub struct QueueNameError(String);

impl Queue {
    /// Checks a name: no `/`, no control character, no `.` in front, 200 bytes at most, and not
    /// `unreadable`.
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

    /// Returns the queue of entries that cannot be read. Only `failed/` has it.
    #[must_use]
    pub fn unreadable() -> Self {
        Self(UNREADABLE.to_owned())
    }

    /// Returns the queue of entries that are submitted whole to the service behind `socket`.
    #[must_use]
    pub fn service() -> Self {
        Self(SERVICE.to_owned())
    }

    /// Returns whether this is [`Queue::service`].
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.0 == SERVICE
    }

    /// Returns the queue of entries that are handed whole to the broker.
    ///
    /// Where repositories share a spool, each has its own, named by these `digits` of a hash: a
    /// repository's entries leave one by one, and several repositories' side by side.
    #[must_use]
    pub fn broker(digits: Option<&str>) -> Self {
        match digits {
            Some(digits) => Self(format!("{BROKER}@{digits}")),
            None => Self(BROKER.to_owned()),
        }
    }

    /// Returns whether this is a [`Queue::broker`].
    #[must_use]
    pub fn is_broker(&self) -> bool {
        self.0
            .strip_prefix(BROKER)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    }

    /// Returns whether this is [`Queue::unreadable`].
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.0 == UNREADABLE
    }

    /// Returns the name.
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
