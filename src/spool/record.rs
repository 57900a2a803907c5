//! The contents of an entry in memory.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::encoding;
use super::folder_id::FolderId;
use super::names::id::Id;
use super::names::item::Part;
use super::names::queue::Queue;
use super::recipient::{Forward, Recipient, Selection};
use crate::event::RefUpdate;
use crate::payload::{About, Format, Message, Templated};

/// A process, identified so that a later one with the same number is not taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The process id.
    pub pid: i32,
    /// Time of its start, in the kernel's ticks since boot (`proc_pid_stat(5)`).
    pub started: u64,
    /// The host, boot and pid namespace in which the process id is valid.
    pub place: String,
}

/// An entry with messages of type `M`: a [`Draft`] or a [`Header`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<M> {
    /// The repository's directory.
    #[serde(with = "encoding::path")]
    pub repository: PathBuf,
    /// The folder of the repository, independent of its path, if the file system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderId>,
    /// The namespace of the repository that its refs are in (gitnamespaces(7)), if any.
    #[serde(default, skip_serializing_if = "is_empty", with = "encoding::path")]
    pub namespace: PathBuf,
    /// Time of the push.
    #[serde(with = "encoding::time")]
    pub time: SystemTime,
    /// The pusher, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<String>,
    /// The push options (`git push -o`, git-push(1)).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "encoding::list"
    )]
    pub push_options: Vec<String>,
    /// Of an intent: the process whose death abandons it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// Of an intent: true if its push announces itself (pre-receive, update). Then no transaction
    /// of refs within the push does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub received: bool,
    /// Ids of the intents that this entry settles.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "encoding::ids")]
    pub confirms: Vec<Id>,
    /// Of a push whose messages are not built yet: the time of the first run that could open all
    /// folders of objects and found one object missing, of this push or of one that it waits for.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "encoding::optional_time"
    )]
    pub missing_since: Option<SystemTime>,
    /// The refs that the push moved, unless there are many. Empty if [`Content::Deferred`] has them.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        with = "encoding::updates"
    )]
    pub moved: Vec<RefUpdate>,
    /// The messages, or the ref updates that they are to be built from.
    pub content: Content<M>,
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// Number of moved refs above which a push has its place in the order by its id alone.
pub const MOST_MOVED: usize = 100;

/// Approximate number of bytes that an entry takes for a message besides the body.
pub const BESIDE_BODY: usize = 512;

/// An entry to be written: its messages with their bodies.
pub type Draft = Record<Message>;
/// An entry without the bodies.
pub type Header = Record<Frozen>;

/// The messages of an entry, built or to be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content<M> {
    /// Messages that are built.
    Built(Built<M>),
    /// Ref updates whose messages could not be built yet.
    #[serde(rename = "owed")]
    Deferred(#[serde(with = "encoding::updates")] Vec<RefUpdate>),
}

impl<M> Content<M> {
    /// Makes the content of a push of which nothing is sent.
    #[must_use]
    pub fn nothing() -> Self {
        Self::Built(Built {
            messages: Vec::new(),
            recipients: Vec::new(),
        })
    }

    /// Returns whether it is a push of which nothing is sent.
    fn has_no_message(&self) -> bool {
        matches!(self, Self::Built(built) if built.messages.is_empty())
    }
}

/// Messages and their recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built<M> {
    /// The messages, in the order in which they are to arrive.
    #[serde(
        deserialize_with = "encoding::list",
        bound(deserialize = "M: Deserialize<'de>")
    )]
    pub messages: Vec<M>,
    /// The endpoints that get at least one of them.
    #[serde(deserialize_with = "encoding::list")]
    pub recipients: Vec<Recipient>,
}

/// A message without its body.
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
    /// See [`Message::template`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Templated>,
    /// The length of the body, in bytes.
    pub length: u64,
    /// The SHA-256 of the body, in hex.
    pub sha256: String,
}

impl Frozen {
    /// Returns the properties by which endpoints choose.
    #[must_use]
    pub fn about(&self) -> About<'_> {
        About {
            format: self.format,
            topic: &self.topic,
            reference: &self.reference,
            endpoint: self.template.as_ref().map(|own| &*own.endpoint),
        }
    }
}

impl<M> Record<M> {
    /// Returns the ref updates whose messages are not built.
    pub(super) fn updates(&self) -> &[RefUpdate] {
        match &self.content {
            Content::Deferred(updates) => updates,
            Content::Built(_) => &[],
        }
    }

    /// Returns the refs that the push moved, if they are few. Its place in the order depends on
    /// them.
    pub(super) fn moves(&self) -> &[RefUpdate] {
        let moves = self.all_moves();
        if moves.len() > MOST_MOVED { &[] } else { moves }
    }

    /// Returns the refs that the push moved, as far as the entry lists them.
    pub(super) fn all_moves(&self) -> &[RefUpdate] {
        match &self.content {
            Content::Deferred(updates) => updates,
            Content::Built(_) => &self.moved,
        }
    }

    /// Returns the same push with another content.
    pub(super) fn with<N>(&self, content: Content<N>) -> Record<N> {
        Record {
            repository: self.repository.clone(),
            folder: self.folder.clone(),
            namespace: self.namespace.clone(),
            time: self.time,
            pusher: self.pusher.clone(),
            push_options: self.push_options.clone(),
            process: self.process.clone(),
            received: self.received,
            confirms: self.confirms.clone(),
            missing_since: self.missing_since,
            moved: match content {
                Content::Deferred(_) => vec![],
                // Nothing else says which refs it is about.
                Content::Built(_) if content.has_no_message() => self.all_moves().to_vec(),
                Content::Built(_) => self.moves().to_vec(),
            },
            content,
        }
    }
}

impl Built<Message> {
    /// Returns the approximate size of an entry that holds these messages, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        let bodies = self
            .messages
            .iter()
            .map(|message| message.body.len() as u64);
        bodies.map(|length| length + BESIDE_BODY as u64).sum()
    }
}

impl Draft {
    /// Sets the refs that the push moved.
    #[must_use]
    pub fn of_moves(mut self, moved: &[RefUpdate]) -> Self {
        if moved.len() <= MOST_MOVED || self.content.has_no_message() {
            self.moved = moved.to_vec();
        }
        self
    }
}

impl Header {
    /// Returns the name of the endpoint whose queue this is.
    #[must_use]
    pub fn endpoint(&self, queue: &Queue) -> Option<&str> {
        self.recipient(queue).map(|one| one.endpoint.as_str())
    }

    /// Returns whether this endpoint gets any of the entry's messages.
    #[must_use]
    pub fn names(&self, endpoint: &str) -> bool {
        self.recipients().iter().any(|one| one.endpoint == endpoint)
    }

    /// Returns the numbers, in the entry, of the messages that this queue gets, in order.
    ///
    /// An item's part is an index into this list.
    #[must_use]
    pub fn messages_for(&self, queue: &Queue) -> Vec<usize> {
        match self.recipient(queue).map(|one| &one.messages) {
            None => vec![],
            Some(Selection::All) => (0..self.frozen().len()).collect(),
            Some(Selection::Only(numbers)) => numbers.clone(),
        }
    }

    /// Returns the formats of the messages that this queue gets.
    pub fn formats_for(&self, queue: &Queue) -> impl Iterator<Item = Format> {
        let numbers = self.messages_for(queue).into_iter();
        numbers.filter_map(|number| Some(self.frozen().get(number)?.format))
    }

    /// Returns whether a part of a queue's messages has one whose template could not be rendered.
    #[must_use]
    pub fn is_unrendered(&self, queue: &Queue, part: Part) -> bool {
        let numbers = self.messages_for(queue);
        let (first, all) = (part.first() as usize, self.frozen());
        let numbers = match part {
            Part::From(_) => numbers.get(first..),
            Part::Only(_) => numbers.get(first..=first),
        };
        let mut messages = numbers.unwrap_or_default().iter();
        messages.any(|&number| {
            let template = all.get(number).and_then(|frozen| frozen.template.as_ref());
            template.is_some_and(|template| template.fault.is_some())
        })
    }

    /// Returns the endpoints that get any of the entry's messages.
    pub(super) fn recipients(&self) -> &[Recipient] {
        match &self.content {
            Content::Built(built) => &built.recipients,
            Content::Deferred(_) => &[],
        }
    }

    fn recipient(&self, queue: &Queue) -> Option<&Recipient> {
        let mut all = self.recipients().iter().chain(self.forwarded());
        all.find(|one| one.queue == *queue)
    }

    /// Returns the broker's part of the entry.
    #[must_use]
    pub fn forward(&self) -> Option<&Forward> {
        self.recipients()
            .iter()
            .find_map(|one| one.forward.as_ref())
    }

    /// Returns the endpoints that workers deliver to.
    pub(super) fn forwarded(&self) -> &[Recipient] {
        self.forward().map_or(&[], |forward| &forward.to)
    }

    /// Returns the full names, as text, of the refs that the entry is about.
    pub(super) fn references(&self) -> impl Iterator<Item = String> {
        let deferred = self.updates().iter().map(|update| update.name.full());
        let built = self.frozen().iter().map(|frozen| frozen.reference.clone());
        deferred.chain(built).filter(|name| !name.is_empty())
    }

    pub(super) fn frozen(&self) -> &[Frozen] {
        match &self.content {
            Content::Built(built) => &built.messages,
            Content::Deferred(_) => &[],
        }
    }

    /// Returns the length of all bodies in bytes; `None` if it overflows.
    pub(super) fn bodies_length(&self) -> Option<u64> {
        let mut lengths = self.frozen().iter().map(|message| message.length);
        lengths.try_fold(0, u64::checked_add)
    }

    /// Returns the first number of a recipient's list that no message has.
    pub(super) fn missing_message(&self) -> Option<usize> {
        let Content::Built(built) = &self.content else {
            return None;
        };
        let all = built.recipients.iter().chain(self.forwarded());
        let mut numbers = all.flat_map(|one| match &one.messages {
            Selection::All => [].iter(),
            Selection::Only(numbers) => numbers.iter(),
        });
        numbers.find(|&&n| n >= built.messages.len()).copied()
    }
}
