//! The state of work on one queue.

use std::borrow::Cow;
use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::agent::DeliveryAgent;
use super::receivers::Visit;
use super::result::{LaneReport, Left};
use crate::config::{Endpoint, Retry, Settings};
use crate::payload::{Format, Message};
use crate::spool::{Attempt, Entry, EntryError, Id, Item, Lane, Log};

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
    /// The endpoint, or the broker, as the settings have it.
    pub(super) endpoint: Endpoint,
    /// The numbers of the messages that this endpoint gets.
    pub(super) numbers: Vec<usize>,
}

impl Job {
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the number of messages that this endpoint gets: an entry that is handed over whole
    /// is one.
    pub(super) fn total(&self) -> u32 {
        if self.endpoint.takes_entries() {
            return 1;
        }
        u32::try_from(self.numbers.len()).unwrap_or(u32::MAX)
    }

    /// Reads the message at this place among them. Returns `None` if there are no more.
    pub(super) fn message(&self, id: &Id, at: u32) -> Option<Result<Message, EntryError>> {
        if at >= self.total() {
            return None;
        }
        if self.endpoint.takes_entries() {
            return Some(self.entry.whole().map(|bytes| self.consignment(id, bytes)));
        }
        let number = self.numbers[at as usize];
        Some(self.entry.message(number))
    }

    /// Returns a whole entry as a message to the broker: its topic is the number of the queue.
    fn consignment(&self, id: &Id, body: Vec<u8>) -> Message {
        let path = self.entry.header().forward().map(|own| &own.path);
        let path = path.map_or(&b""[..], |path| path.as_os_str().as_bytes());
        let digest = Sha256::new()
            .chain_update(&self.settings.instance)
            .chain_update(path)
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        let shards = self.settings.broker.as_ref().map_or(1, |own| own.shards);
        Message {
            format: Format::Pagure,
            topic: (u64::from_be_bytes(first) % u64::from(shards)).to_string(),
            msg_id: id.to_string(),
            project: String::new(),
            reference: String::new(),
            headers: Vec::new(),
            ends: None,
            template: None,
            body,
        }
    }

    /// Returns the schedule of attempts. What waits for the broker is never given up: it is the
    /// administrator's own.
    pub(super) fn retry(&self) -> Cow<'_, Retry> {
        if self.endpoint.takes_entries() {
            Cow::Owned(Retry {
                schedule: [1, 5, 30, 60].map(Duration::from_secs).to_vec(),
                give_up_after: Duration::MAX,
                ..self.settings.retry.clone()
            })
        } else {
            Cow::Borrowed(&self.settings.retry)
        }
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
    pub(super) agent: &'a DeliveryAgent<'a>,
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
    pub(super) fn new(
        agent: &'a DeliveryAgent<'a>,
        lane: &'a Lane,
        counted: Option<Visit>,
    ) -> Self {
        Self {
            agent,
            lane,
            report: LaneReport::default(),
            blocked: HashSet::new(),
            log: agent.spool.log(),
            delivered: None,
            next: None,
            visit: None,
            counted,
            began: None,
            ready: None,
        }
    }
}
