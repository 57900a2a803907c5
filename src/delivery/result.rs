//! The result of work on a queue, and the texts for people in it.

use std::time::SystemTime;

use super::origin::Origin;

/// A problem that a person must correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// For the administrator of the server.
    pub admin: Words,
    /// For the pusher: without addresses, and without names from a certificate.
    pub pusher: Words,
    /// The subject, by which a flush decides how it is told.
    pub about: About,
}

/// The subject of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A receiver, of which an alert tells.
    Receiver,
    /// A message that was given up.
    Message,
    /// The reason for which messages wait, which an alert repeats.
    Blocked,
}

/// A text for a person, with advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The problem.
    pub text: String,
    /// The advice.
    pub hint: Option<String>,
}

impl Notice {
    /// Makes a notice that the administrator and the pusher may both read.
    pub(super) fn open(text: String, hint: Option<String>) -> Self {
        let words = Words { text, hint };
        Self {
            admin: words.clone(),
            pusher: words,
            about: About::Message,
        }
    }
}

/// The result of work on a queue.
#[derive(Clone, Debug, Default)]
pub struct LaneReport {
    /// Number of messages that the endpoint accepted.
    pub delivered: usize,
    /// Number of messages that were refused, and are tried again later.
    pub refused: usize,
    /// Number of messages that were given up.
    pub failed: usize,
    /// The reason for which messages are left, if any are.
    pub left: Option<Left>,
    /// The receiver of the last message that was attempted, or could be when there is room.
    pub(super) receiver: Option<Origin>,
    /// Problems that a person must correct.
    pub notices: Vec<Notice>,
}

impl LaneReport {
    /// Returns the report of work that left all messages for this reason.
    #[must_use]
    pub fn of(left: Left) -> Self {
        Self {
            left: Some(left),
            ..Self::default()
        }
    }

    /// Returns whether messages were delivered, and no attempt failed.
    pub(super) fn has_only_delivered(&self) -> bool {
        self.delivered > 0 && !matches!(self.left, Some(Left::Failed { .. } | Left::Fault))
    }

    /// Returns whether the queue is to have another turn at once.
    pub(super) fn is_more_due(&self) -> bool {
        match self.left {
            Some(Left::Crowded) => true,
            Some(Left::OutOfTime) => self.has_progressed(),
            _ => false,
        }
    }

    /// Returns whether the run changed anything in its queue.
    pub(super) fn has_progressed(&self) -> bool {
        self.delivered + self.refused + self.failed > 0
    }
}

/// The reason for which a queue is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// Older messages wait, and are not overtaken.
    Older,
    /// The head failed before, and is not due.
    NotDue,
    /// The head failed now.
    Failed {
        /// The outcome, for the administrator.
        why: String,
        /// The outcome, as far as the pusher may know it.
        for_pusher: String,
    },
    /// A problem on this machine, which a notice describes.
    Fault,
    /// The time limit was reached.
    OutOfTime,
    /// The limit of requests at once to the receiver was reached.
    Crowded,
    /// The receiver cannot be reached, as another queue found.
    Down {
        /// Time at which the queue is read again, unless its receiver is back or entries come
        /// earlier.
        until: SystemTime,
    },
}

/// The end of taking entries from a queue of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drained {
    /// The queue is empty, or this process was told to end.
    All,
    /// There is no room for the rest.
    Full,
    /// The queue could not be reached.
    Failed,
}
