//! Delivering a queue: its inputs, its time limits and its result.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::http::client::Transport;
use super::lane::Work;
use super::origin::Origin;
use super::receivers::{Receivers, Visit};
use crate::config::Settings;
use crate::spool::{Build, Distributed, Header, Id, IoError, Lane, Queue, Spool, SpoolError};

/// The inputs of a delivery from outside, as values.
pub trait Outside {
    /// Returns the current time.
    fn now(&self) -> SystemTime;
    /// Returns a random number from -1 to 1.
    fn jitter(&self) -> f64;
    /// Returns an environment variable, which may hold a key.
    fn variable(&self, name: &str) -> Option<String>;
    /// Returns the settings in force for a repository.
    fn settings(&self, repository: &Path) -> Result<Rc<Settings>, Unavailable>;
    /// Whether the repository of an entry has another path now, to which all that waits in this
    /// queue is moved once the queue is let go of.
    fn will_move(&self, spool: &Spool, header: &Header, queue: &Queue) -> bool {
        let _ = (spool, header, queue);
        false
    }
}

/// The inputs of a flush from outside, and the receiver of its results.
pub trait Surveyor: Outside {
    /// Builds the messages of a push that could only be recorded, or has another process build
    /// them.
    fn build(&self, spool: &Spool, id: &Id, header: &Header) -> Build;
    /// Reports a distribution of a spool's entries to their queues, or its error.
    fn distributed(&self, spool: &Spool, result: Result<Distributed, IoError>);
    /// Reports that entries wait in a spool for the service behind `socket`.
    ///
    /// They are submitted whole, and are in no endpoint's queue.
    fn waits_for_service(&self, spool: &Spool) {
        let _ = spool;
    }
    /// Reports the result of work on a queue.
    fn worked(&self, spool: &Spool, queue: &Queue, result: &Result<LaneReport, SpoolError>);
}

/// The reason for which there are no settings for a repository.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    /// The repository's folder does not exist, at least not now.
    #[error("repository `{}` is gone", .0.display())]
    Gone(PathBuf),
    /// The configuration cannot be loaded, or names no endpoints, for this reason.
    #[error("{0}")]
    Broken(String),
}

impl Unavailable {
    /// Returns the reason as a notice, with advice.
    #[must_use]
    pub fn notice(&self) -> Notice {
        let hint = match self {
            Self::Broken(_) => None,
            Self::Gone(old) => {
                let old = old.display();
                Some(format!(
                    "if it was moved: refpost queue move --repository {old} NEW"
                ))
            }
        };
        Notice::open(self.to_string(), hint)
    }
}

/// A problem that a person must correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// For the administrator of the server.
    pub admin: Words,
    /// For the pusher: without addresses, and without names from a certificate.
    pub pusher: Words,
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
    pub receiver: Option<Origin>,
    /// Problems that a person must correct.
    pub notices: Vec<Notice>,
}

impl LaneReport {
    /// Returns the report of a turn that a problem on this machine ended.
    pub(super) fn of_fault() -> Self {
        Self {
            left: Some(Left::Fault),
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

/// Time limits of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// No attempt begins after this.
    pub begin_before: Option<Instant>,
    /// No attempt lasts longer than this. One cut off by it does not count.
    pub end_by: Option<Instant>,
}

impl Limits {
    /// Returns whether this limit, rather than the receiver's timeout, ended the attempt.
    pub(super) fn has_cut_off(&self) -> bool {
        self.end_by.is_some_and(|end| Instant::now() >= end)
    }

    pub(super) fn is_over(&self) -> bool {
        let over = |limit: Option<Instant>| limit.is_some_and(|limit| Instant::now() >= limit);
        over(self.begin_before) || over(self.end_by)
    }

    pub(super) fn cut(&self, timeout: Duration) -> Duration {
        let left = self
            .end_by
            .map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(timeout, |left| left.min(timeout))
    }
}

/// Delivers from the queues of one spool.
#[derive(Clone, Copy)]
pub struct Courier<'a> {
    /// The spool.
    pub(super) spool: &'a Spool,
    /// The client that sends requests.
    pub(super) client: &'a dyn Transport,
    /// The inputs from outside.
    pub(super) outside: &'a dyn Outside,
    /// The time limits.
    pub(super) limits: Limits,
    /// Time after the first attempt from which on no other one begins. The queue's other messages
    /// wait for the next turn.
    pub(super) turn: Option<Duration>,
    /// The state of receivers.
    pub(super) receivers: &'a Receivers,
    /// True if messages in order are attempted before they are due. A failure then leaves their
    /// schedule unchanged.
    pub(super) is_probe: bool,
    /// True if a message can be given up because of its age.
    pub(super) may_expire: bool,
    /// Once this is set, no attempt begins: the run is to end.
    pub(super) stop: &'a Cell<bool>,
    /// Delivers this entry alone, and only if nothing older waits.
    pub(super) only: Option<&'a Id>,
}

impl<'a> Courier<'a> {
    /// Delivers one entry alone while a pusher waits.
    #[must_use]
    pub fn of_push(
        spool: &'a Spool,
        id: &'a Id,
        client: &'a dyn Transport,
        outside: &'a dyn Outside,
        receivers: &'a Receivers,
        limits: Limits,
        stop: &'a Cell<bool>,
    ) -> Self {
        Self {
            spool,
            client,
            outside,
            limits,
            turn: None,
            receivers,
            is_probe: true,
            may_expire: false,
            stop,
            only: Some(id),
        }
    }

    /// Delivers the due messages of a queue, until it is empty, held, or out of time.
    ///
    /// `counted` is a request that is counted already, if its receiver is the one of the queue.
    pub async fn run(&self, lane: &Lane, counted: Option<Visit>) -> Result<LaneReport, SpoolError> {
        let mut work = Work::new(*self, lane, counted);
        let done = self.work(&mut work).await;
        // After any end a delivered message is crossed off, and the rest waits.
        let crossed_off = work.cross_off();
        done.and(crossed_off).map(|()| work.report)
    }

    async fn work(&self, work: &mut Work<'_>) -> Result<(), SpoolError> {
        work.deliver_in_order().await?;
        // An endpoint that is down does not get the messages again that it refused before.
        if self.only.is_none() && matches!(work.report.left, None | Some(Left::Fault)) {
            work.retry_refused().await?;
        }
        Ok(())
    }
}
