//! The states of endpoints, as `status` and the page name them.

use serde::{Deserialize, Serialize};

use crate::spool::QueueSurvey;

/// The state of an endpoint's queue, from the best to the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing waits.
    #[default]
    Healthy,
    /// Messages wait, and none has failed.
    Waiting,
    /// Messages wait until a person ends that.
    Paused,
    /// No configuration has the endpoint.
    Unconfigured,
    /// Only messages that it refused wait.
    Refusing,
    /// The first message has failed.
    Failing,
    /// It cannot be reached, or does not answer.
    Down,
}

impl State {
    /// Returns the state of a queue. `is_down` says that the last attempt found no receiver.
    #[must_use]
    pub fn of(queue: &QueueSurvey, is_down: bool) -> Self {
        match &queue.head {
            Some(_) if is_down => Self::Down,
            Some(head) if head.attempts > 0 => Self::Failing,
            _ if queue.refused > 0 => Self::Refusing,
            Some(_) => Self::Waiting,
            None => Self::Healthy,
        }
    }

    /// Returns its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Unconfigured => "unconfigured",
            Self::Refusing => "refusing",
            Self::Failing => "failing",
            Self::Down => "down",
        }
    }

    /// Returns whether the endpoint does not take messages, though it should.
    #[must_use]
    pub fn is_bad(self) -> bool {
        self >= Self::Refusing
    }
}
