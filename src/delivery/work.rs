//! The state of work on one queue.

use std::collections::HashSet;
use std::path::PathBuf;
use std::rc::Rc;

use tokio::time::Instant;

use super::courier::Courier;
use super::receivers::Visit;
use super::result::{LaneReport, Left};
use crate::config::{Endpoint, Settings};
use crate::spool::{Attempt, Entry, Item, Lane, Log};

/// An item whose last message was delivered.
pub(super) struct Delivered {
    pub(super) item: Item,
    pub(super) total: u32,
    pub(super) attempt: Attempt,
}

/// An entry and the data that its messages need to be sent.
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) settings: Rc<Settings>,
    /// Index of the endpoint in the settings.
    pub(super) at: usize,
    /// The numbers of the messages that this endpoint gets.
    pub(super) numbers: Vec<usize>,
}

impl Job {
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.settings.endpoints[self.at]
    }
}

/// The outcome of delivering one item.
pub(super) enum ItemOutcome {
    /// The item is settled. The next one follows.
    Settled,
    /// The item holds the queue.
    Held(Left),
    /// A problem on this machine stops this repository. Others go on.
    Blocked,
    /// A person has renamed or removed the item: the queue is to be looked at again.
    Changed,
}

/// One queue being worked on.
pub(super) struct Work<'a> {
    pub(super) courier: &'a Courier<'a>,
    pub(super) lane: &'a Lane,
    pub(super) report: LaneReport,
    /// Repositories whose messages are stopped by a problem on this machine.
    pub(super) blocked: HashSet<PathBuf>,
    pub(super) log: Log,
    /// The message that was delivered last, and is not crossed off yet.
    pub(super) delivered: Option<Delivered>,
    /// The next item, if known.
    pub(super) next: Option<Item>,
    /// The turn's place among the requests to its receiver.
    pub(super) visit: Option<Visit>,
    /// The request that was counted before the turn began, to the receiver of the turn before.
    pub(super) counted: Option<Visit>,
    /// Time at which the turn's first attempt began.
    pub(super) began: Option<Instant>,
    /// The next item's entry, opened while an answer was awaited.
    pub(super) ready: Option<(Item, Entry)>,
}

impl<'a> Work<'a> {
    pub(super) fn new(courier: &'a Courier<'a>, lane: &'a Lane, counted: Option<Visit>) -> Self {
        Self {
            courier,
            lane,
            report: LaneReport::default(),
            blocked: HashSet::new(),
            log: courier.spool.log(),
            delivered: None,
            next: None,
            visit: None,
            counted,
            began: None,
            ready: None,
        }
    }
}
