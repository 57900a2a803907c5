//! Delivering a queue: what that takes from outside, when it stops, what came of it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::http::client::Transport;
use super::lane::Work;
use super::origin::Origin;
use super::receivers::Receivers;
use crate::config::Settings;
use crate::spool::{Build, Distributed, Header, Id, IoError, Lane, Queue, Spool, SpoolError};

/// What a delivery takes from outside, as values.
pub trait Outside {
    /// The time.
    fn now(&self) -> SystemTime;
    /// Chance, from -1 to 1.
    fn jitter(&self) -> f64;
    /// The environment, for keys that are kept there.
    fn variable(&self, name: &str) -> Option<String>;
    /// The settings in force for a repository.
    fn settings(&self, repository: &Path) -> Result<Rc<Settings>, Unavailable>;
}

/// What a flush takes from outside, and whom it tells what happened.
pub trait Surveyor: Outside {
    /// Builds the messages of a push that could only be recorded, or has them built.
    fn build(&self, spool: &Spool, id: &Id, header: &Header) -> Build;
    /// A spool's entries were brought to their queues, or were not.
    fn distributed(&self, spool: &Spool, result: Result<Distributed, IoError>);
    /// Entries wait in a spool that are for the service behind `socket`: they are submitted
    /// whole, and are no queue of an endpoint's.
    fn waits_for_service(&self, spool: &Spool) {
        let _ = spool;
    }
    /// A queue was worked on.
    fn worked(&self, spool: &Spool, queue: &Queue, result: &Result<LaneReport, SpoolError>);
}

/// Why there are no settings for a repository.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    /// There is no such folder, at least not now.
    #[error("repository `{}` is gone", .0.display())]
    Gone(PathBuf),
    /// Its configuration cannot be loaded, or does not say where messages go, for this
    /// reason.
    #[error("{0}")]
    Broken(String),
}

impl Unavailable {
    /// The same for a person, and what to do.
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

/// Something that a person must see to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// For whoever looks after the server.
    pub admin: Words,
    /// For whoever pushes: no address, no name that a certificate tells.
    pub pusher: Words,
}

/// What a person is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What is the matter.
    pub text: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Notice {
    /// What everybody may know.
    pub(super) fn open(text: String, hint: Option<String>) -> Self {
        let words = Words { text, hint };
        Self {
            admin: words.clone(),
            pusher: words,
        }
    }
}

/// What became of a queue.
#[derive(Clone, Debug, Default)]
pub struct LaneReport {
    /// Messages that the endpoint took.
    pub delivered: usize,
    /// Messages that were refused, and are tried again later.
    pub refused: usize,
    /// Messages that were given up.
    pub failed: usize,
    /// Why something is left, if it is.
    pub left: Option<Left>,
    /// What a person must see to.
    pub notices: Vec<Notice>,
}

impl LaneReport {
    /// Returns whether something was delivered, and no attempt failed.
    pub(super) fn has_only_delivered(&self) -> bool {
        self.delivered > 0 && !matches!(self.left, Some(Left::Failed { .. } | Left::Fault))
    }

    /// Whether the run changed anything in its queue.
    pub(super) fn has_progressed(&self) -> bool {
        self.delivered + self.refused + self.failed > 0
    }
}

/// Why a queue is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// Older messages wait, and are not overtaken.
    Older,
    /// It failed before, and is not due.
    NotDue,
    /// It failed now.
    Failed {
        /// How.
        why: String,
        /// What whoever pushes may know of that.
        for_pusher: String,
    },
    /// A fault of ours, of which a notice tells.
    Fault,
    /// There was no time left.
    OutOfTime,
    /// As many requests as may be are under way to this receiver.
    Crowded(Origin),
    /// Its receiver cannot be reached, as another queue found.
    Down {
        /// When it is looked into again, unless it is woken or something comes.
        until: SystemTime,
    },
}

/// When to stop.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// No attempt begins after this.
    pub begin_before: Option<Instant>,
    /// Nothing lasts longer than this; an attempt that is cut off does not count.
    pub end_by: Option<Instant>,
}

impl Limits {
    /// Whether the attempt that is under way was cut off, rather than its receiver slow.
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
    /// What sends.
    pub(super) client: &'a dyn Transport,
    /// The world.
    pub(super) outside: &'a dyn Outside,
    /// When to stop.
    pub(super) limits: Limits,
    /// How long after the first attempt another one can begin; the queue's other messages
    /// wait for the next turn.
    pub(super) turn: Option<Duration>,
    /// What is known of receivers.
    pub(super) receivers: &'a Receivers,
    /// Attempt what waits in order though the schedule does not have it yet. Where that fails,
    /// the schedule stays as it is.
    pub(super) is_probe: bool,
    /// Whether a message can be given up because it is old.
    pub(super) may_expire: bool,
    /// Once it is set, no attempt begins: somebody wants us to end.
    pub(super) stop: &'a Cell<bool>,
    /// Deliver this entry alone, and only if nothing older waits.
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

    /// Delivers what is due in a queue, until it is empty or held or time is up.
    pub async fn run(&self, lane: &Lane) -> Result<LaneReport, SpoolError> {
        let mut work = Work::new(*self, lane);
        let done = self.work(&mut work).await;
        // Whatever ended it: what was delivered is crossed off, and the rest waits.
        let crossed_off = work.cross_off();
        done.and(crossed_off).map(|()| work.report)
    }

    async fn work(&self, work: &mut Work<'_>) -> Result<(), SpoolError> {
        work.mains().await?;
        // An endpoint that is down is not bothered with what it refused before.
        if self.only.is_none() && matches!(work.report.left, None | Some(Left::Fault)) {
            work.asides().await?;
        }
        Ok(())
    }
}
