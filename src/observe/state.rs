//! The states of endpoints, as `status` and the page name them.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::spool::QueueSurvey;

/// Time after which a message that is due is late: no flush runs, or a problem on this machine,
/// which flushes tell, stops it. The rule for Prometheus has the same.
const LATE_AFTER: Duration = Duration::from_mins(10);

/// Returns whether something that was due then is late.
#[must_use]
pub fn is_late(due: Option<SystemTime>, now: SystemTime) -> bool {
    due.and_then(|due| now.duration_since(due).ok())
        .is_some_and(|waited| waited >= LATE_AFTER)
}

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
    /// The first message was due ten minutes ago, and was not tried.
    Late,
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
    pub fn of(queue: &QueueSurvey, is_down: bool, now: SystemTime) -> Self {
        match &queue.head {
            Some(_) if is_down => Self::Down,
            Some(head) if head.attempts > 0 => Self::Failing,
            _ if queue.refused > 0 => Self::Refusing,
            Some(head) if is_late(Some(head.due), now) => Self::Late,
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
            Self::Late => "late",
            Self::Refusing => "refusing",
            Self::Failing => "failing",
            Self::Down => "down",
        }
    }

    /// Returns whether the endpoint does not take messages, though it should.
    #[must_use]
    pub fn is_bad(self) -> bool {
        self >= Self::Late
    }
}
