//! Delivering a queue: its inputs, its time limits and its result.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::receivers::Receivers;
use super::result::{LaneReport, Notice};
use super::transport::Transport;
use crate::config::Settings;
use crate::spool::{Build, Distributed, Header, Id, IoError, Queue, Spool, SpoolError};

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
                let old = crate::report::shell(old);
                Some(format!(
                    "if it was moved: refpost queue move --renamed {old} NEW"
                ))
            }
        };
        Notice::open(self.to_string(), hint)
    }
}

/// Time limits of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// No attempt begins after this.
    pub begin_before: Option<Instant>,
    /// No attempt lasts longer than this. One that it cuts off is logged and counted, and changes
    /// no schedule.
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
pub struct DeliveryAgent<'a> {
    /// The spool.
    pub(super) spool: Spool,
    /// The client that sends requests.
    pub(super) client: &'a dyn Transport,
    /// The inputs from outside.
    pub(super) outside: &'a dyn Outside,
    /// The time limits.
    pub(super) limits: Limits,
    /// The state of receivers.
    pub(super) receivers: Receivers,
    /// True if messages in order are attempted before they are due. A failure then leaves their
    /// schedule unchanged.
    pub(super) is_probe: bool,
    /// True if a message can be given up because of its age.
    pub(super) may_expire: bool,
    /// Once this is set, no attempt begins: the run is to end.
    pub(super) stop: &'a Cell<bool>,
    /// Delivers this entry alone, and only if nothing older waits. `None`: delivers all, for a
    /// turn.
    pub(super) only: Option<&'a Id>,
}

impl<'a> DeliveryAgent<'a> {
    /// Delivers one entry alone while a pusher waits.
    #[must_use]
    pub fn of_push(
        spool: &Spool,
        id: &'a Id,
        client: &'a dyn Transport,
        outside: &'a dyn Outside,
        receivers: &Receivers,
        limits: Limits,
        stop: &'a Cell<bool>,
    ) -> Self {
        Self {
            spool: spool.clone(),
            client,
            outside,
            limits,
            receivers: receivers.clone(),
            is_probe: true,
            may_expire: false,
            stop,
            only: Some(id),
        }
    }
}
