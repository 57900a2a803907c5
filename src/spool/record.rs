//! What an entry holds, in memory.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::encoding;
use super::intent::Process;
use super::names::id::Id;
use super::names::queue::Queue;
use crate::event::RefUpdate;
use crate::payload::{Format, Message};

/// What is owed, with messages as `M`: a [`Draft`] or a [`Header`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<M> {
    /// The repository's directory.
    #[serde(with = "encoding::path")]
    pub repository: PathBuf,
    /// The namespace of the repository that its refs are in (gitnamespaces(7)), if any.
    #[serde(default, skip_serializing_if = "is_empty", with = "encoding::path")]
    pub namespace: PathBuf,
    /// When it happened.
    #[serde(with = "encoding::time")]
    pub time: SystemTime,
    /// Who pushed, if anybody is known to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<String>,
    /// What the pusher gave along (`git push -o`, git-push(1)).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "encoding::list"
    )]
    pub push_options: Vec<String>,
    /// Of an intent, the process whose death abandons it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// Of an intent, whether its push announces itself (pre-receive, update): then no transaction
    /// of refs within it does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub received: bool,
    /// The intents that this entry settles.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "encoding::ids")]
    pub confirms: Vec<Id>,
    /// Of a push whose messages are owed, the time of the first run that could open all that
    /// objects are in, and found one missing, of this push or of one that it waits for.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "encoding::optional_time"
    )]
    pub missing_since: Option<SystemTime>,
    /// The refs that the push moved, unless they are many; of what is owed, the content tells.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        with = "encoding::updates"
    )]
    pub moved: Vec<RefUpdate>,
    /// What is owed.
    pub content: Content<M>,
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// A push that moved more refs than this has its place in the order by its id alone.
const MOST_MOVED: usize = 100;

/// About how many bytes an entry holds of a message besides the body.
const BESIDE_BODY: u64 = 512;

/// An entry to be: its messages with their bodies.
pub type Draft = Record<Message>;
/// An entry without the bodies.
pub type Header = Record<Frozen>;

/// What is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content<M> {
    /// Messages.
    Built(Built<M>),
    /// The messages of these ref updates, which could not be built yet.
    Owed(#[serde(with = "encoding::updates")] Vec<RefUpdate>),
}

/// Messages, and who gets them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built<M> {
    /// In the order in which they are to arrive.
    #[serde(
        deserialize_with = "encoding::list",
        bound(deserialize = "M: Deserialize<'de>")
    )]
    pub messages: Vec<M>,
    /// Whoever gets one of them at least.
    #[serde(deserialize_with = "encoding::list")]
    pub recipients: Vec<Recipient>,
}

/// Who gets which messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The name of the queue's directory.
    pub queue: Queue,
    /// The endpoint's name, as people know it.
    pub endpoint: String,
    /// What it gets.
    pub messages: Selection,
}

/// Some of an entry's messages, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selection {
    /// Every one.
    All,
    /// Those with these numbers.
    Only(#[serde(deserialize_with = "encoding::list")] Vec<usize>),
}

/// All of a message but its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// See [`Message::format`].
    pub format: Format,
    /// See [`Message::topic`].
    pub topic: String,
    /// See [`Message::msg_id`].
    pub msg_id: String,
    /// See [`Message::project`].
    pub project: String,
    /// See [`Message::reference`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// See [`Message::headers`].
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "encoding::list"
    )]
    pub headers: Vec<(String, String)>,
    /// See [`Message::ends`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<[String; 2]>,
    /// The length of the body.
    pub length: u64,
    /// The SHA-256 of the body, in hex.
    pub sha256: String,
}

impl<M> Record<M> {
    /// The ref updates whose messages are owed.
    pub(super) fn updates(&self) -> &[RefUpdate] {
        match &self.content {
            Content::Owed(updates) => updates,
            Content::Built(_) => &[],
        }
    }

    /// The refs that the push moved, if they are few: what its place in the order hangs on.
    pub(super) fn moves(&self) -> &[RefUpdate] {
        let moves = match &self.content {
            Content::Owed(updates) => updates,
            Content::Built(_) => &self.moved,
        };
        if moves.len() > MOST_MOVED { &[] } else { moves }
    }

    /// The same push with another content.
    pub(super) fn with<N>(&self, content: Content<N>) -> Record<N> {
        Record {
            repository: self.repository.clone(),
            namespace: self.namespace.clone(),
            time: self.time,
            pusher: self.pusher.clone(),
            push_options: self.push_options.clone(),
            process: self.process.clone(),
            received: self.received,
            confirms: self.confirms.clone(),
            missing_since: self.missing_since,
            moved: match content {
                Content::Owed(_) => vec![],
                Content::Built(_) => self.moves().to_vec(),
            },
            content,
        }
    }
}

impl Built<Message> {
    /// Returns about how many bytes an entry has that holds it.
    #[must_use]
    pub fn size(&self) -> u64 {
        let bodies = self
            .messages
            .iter()
            .map(|message| message.body.len() as u64);
        bodies.map(|length| length + BESIDE_BODY).sum()
    }
}

impl Draft {
    /// The same, of a push that moved these refs.
    #[must_use]
    pub fn of_moves(mut self, moved: &[RefUpdate]) -> Self {
        if moved.len() <= MOST_MOVED {
            self.moved = moved.to_vec();
        }
        self
    }
}

impl Header {
    /// The endpoint whose queue this is, by the name that people know.
    #[must_use]
    pub fn endpoint(&self, queue: &Queue) -> Option<&str> {
        self.recipient(queue).map(|one| one.endpoint.as_str())
    }

    /// Whether this endpoint gets something of it.
    #[must_use]
    pub fn names(&self, endpoint: &str) -> bool {
        self.recipients().iter().any(|one| one.endpoint == endpoint)
    }

    /// What this queue gets of the entry: the messages' numbers in the entry, in
    /// order. An item's part counts in this list.
    #[must_use]
    pub fn messages_for(&self, queue: &Queue) -> Vec<usize> {
        match self.recipient(queue).map(|one| &one.messages) {
            None => vec![],
            Some(Selection::All) => (0..self.frozen().len()).collect(),
            Some(Selection::Only(numbers)) => numbers.clone(),
        }
    }

    /// Whoever gets something of it.
    pub(super) fn recipients(&self) -> &[Recipient] {
        match &self.content {
            Content::Built(built) => &built.recipients,
            Content::Owed(_) => &[],
        }
    }

    fn recipient(&self, queue: &Queue) -> Option<&Recipient> {
        self.recipients().iter().find(|one| one.queue == *queue)
    }

    /// The full names, as text, of the refs that it is about.
    pub(super) fn references(&self) -> impl Iterator<Item = String> {
        let owed = self.updates().iter().map(|update| update.name.full());
        let built = self.frozen().iter().map(|frozen| frozen.reference.clone());
        owed.chain(built).filter(|name| !name.is_empty())
    }

    pub(super) fn frozen(&self) -> &[Frozen] {
        match &self.content {
            Content::Built(built) => &built.messages,
            Content::Owed(_) => &[],
        }
    }

    /// The length of all bodies; `None` for more than a number holds.
    pub(super) fn bodies_length(&self) -> Option<u64> {
        let mut lengths = self.frozen().iter().map(|message| message.length);
        lengths.try_fold(0, u64::checked_add)
    }

    /// The first message that a recipient is to get and that is not there.
    pub(super) fn missing_message(&self) -> Option<usize> {
        let Content::Built(built) = &self.content else {
            return None;
        };
        let mut numbers = built.recipients.iter().flat_map(|one| match &one.messages {
            Selection::All => [].iter(),
            Selection::Only(numbers) => numbers.iter(),
        });
        numbers.find(|&&n| n >= built.messages.len()).copied()
    }
}
