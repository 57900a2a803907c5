//! An entry: what one push owes, in one file.
//!
//! ```text
//! refpost-entry 1 <length of the header> <SHA-256 of the header>\n
//! the header, JSON
//! the first message's body, the second's, …
//! ```
//!
//! The header holds no URL, no key and no header value of an endpoint, only its
//! name: where and how to send is looked up at each attempt.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::SystemTime;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disk;
use super::encoding;
use super::error::{EntryError, EntryFault, IoError};
use super::folder::Name;
use super::id::Id;
use super::intent::Process;
use super::queue::Queue;
use crate::event::RefUpdate;
use crate::payload::{Format, Message};

const MAGIC: &str = "refpost-entry";
const VERSION: u32 = 1;
/// No first line is longer: the word, a version, a length, a checksum.
const LONGEST_FIRST_LINE: usize = 128;

/// What is owed, with messages as `M`: a [`Draft`] or a [`Header`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<M> {
    /// The repository's directory.
    #[serde(with = "encoding::path")]
    pub repository: PathBuf,
    /// When it happened.
    #[serde(with = "encoding::time")]
    pub time: SystemTime,
    /// Who pushed, if anybody is known to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<String>,
    /// What the pusher gave along (`git push -o`, git-push(1)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub push_options: Vec<String>,
    /// Of an intent, the process whose death abandons it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The intents that this entry settles.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "encoding::ids")]
    pub confirms: Vec<Id>,
    /// What is owed.
    pub content: Content<M>,
}

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
    pub messages: Vec<M>,
    /// Whoever gets one of them at least.
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
    Only(Vec<usize>),
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
    /// The length of the body.
    pub length: u64,
    /// The SHA-256 of the body, in hex.
    pub sha256: String,
}

impl<M> Record<M> {
    /// The same push with another content.
    pub(super) fn with<N>(&self, content: Content<N>) -> Record<N> {
        Record {
            repository: self.repository.clone(),
            time: self.time,
            pusher: self.pusher.clone(),
            push_options: self.push_options.clone(),
            process: self.process.clone(),
            confirms: self.confirms.clone(),
            content,
        }
    }
}

impl Header {
    /// The endpoint whose queue this is, by the name that people know.
    #[must_use]
    pub fn endpoint(&self, queue: &Queue) -> Option<&str> {
        self.recipient(queue).map(|one| one.endpoint.as_str())
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

    fn recipient(&self, queue: &Queue) -> Option<&Recipient> {
        let Content::Built(built) = &self.content else {
            return None;
        };
        built.recipients.iter().find(|one| one.queue == *queue)
    }

    fn frozen(&self) -> &[Frozen] {
        match &self.content {
            Content::Built(built) => &built.messages,
            Content::Owed(_) => &[],
        }
    }

    /// The length of all bodies; `None` for more than a number holds.
    fn bodies_length(&self) -> Option<u64> {
        let mut lengths = self.frozen().iter().map(|message| message.length);
        lengths.try_fold(0, u64::checked_add)
    }

    /// The first message that a recipient is to get and that is not there.
    fn missing_message(&self) -> Option<usize> {
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

/// Writes an entry to a file.
pub(super) fn write(draft: &Draft, file: &File, name: &Name) -> Result<(), IoError> {
    let bodies: Vec<&[u8]> = match &draft.content {
        Content::Built(built) => built.messages.iter().map(|m| &m.body[..]).collect(),
        Content::Owed(_) => vec![],
    };
    let header = serde_json::to_vec(&freeze(draft))
        .expect("text, numbers and lists always have a JSON form");
    let length = header.len();
    let mut head = format!("{MAGIC} {VERSION} {length} {}\n", checksum(&header)).into_bytes();
    head.extend(header);
    let parts: Vec<&[u8]> = [&head[..]].into_iter().chain(bodies).collect();
    disk::write(file, name, &parts)
}

fn freeze(draft: &Draft) -> Header {
    let content = match &draft.content {
        Content::Owed(updates) => Content::Owed(updates.clone()),
        Content::Built(built) => Content::Built(Built {
            recipients: built.recipients.clone(),
            messages: built.messages.iter().map(freeze_message).collect(),
        }),
    };
    draft.with(content)
}

fn freeze_message(message: &Message) -> Frozen {
    Frozen {
        format: message.format,
        topic: message.topic.clone(),
        msg_id: message.msg_id.clone(),
        project: message.project.clone(),
        reference: message.reference.clone(),
        length: message.body.len() as u64,
        sha256: checksum(&message.body),
    }
}

fn checksum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// An entry on disk: its header read and verified, its bodies not yet.
///
/// It stays readable when its last name is unlinked.
#[derive(Debug)]
pub struct Entry {
    path: PathBuf,
    file: File,
    size: u64,
    /// Whose the file is.
    owner: u32,
    header: Header,
    /// Where the first body begins.
    bodies: u64,
}

impl Entry {
    pub(super) fn open(name: &Name) -> Result<Self, EntryError> {
        Self::read(name).map_err(|fault| EntryError {
            path: name.path(),
            fault,
        })
    }

    fn read(name: &Name) -> Result<Self, EntryFault> {
        let (file, size, owner) = open_regular(name)?;
        let (start, length, sha256) = first_line(&file, size)?;
        // Nothing is allocated on the word of a file that is not that long.
        let bodies = start.saturating_add(length);
        if bodies > size {
            return Err(EntryFault::Length {
                expected: bodies,
                found: size,
            });
        }
        let header = read_at(&file, start, length)?;
        if checksum(&header) != sha256 {
            return Err(EntryFault::HeaderChecksum);
        }
        let header: Header = serde_json::from_slice(&header)?;
        let end = header
            .bodies_length()
            .and_then(|length| length.checked_add(bodies))
            .unwrap_or(u64::MAX);
        if end != size {
            return Err(EntryFault::Length {
                expected: end,
                found: size,
            });
        }
        if let Some(number) = header.missing_message() {
            return Err(EntryFault::NoMessage(number));
        }
        Ok(Self {
            path: name.path(),
            file,
            size,
            owner,
            header,
            bodies,
        })
    }

    /// Whose the file is.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }

    /// How long it was when it was opened.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Copies the whole file, and no more than was there when it was opened.
    pub(super) fn copy_to(&self, mut to: &File) -> io::Result<()> {
        let mut from = &self.file;
        from.seek(SeekFrom::Start(0))?;
        io::copy(&mut from.take(self.size), &mut to).map(drop)
    }

    /// Reads every body, one at a time.
    pub(super) fn verify(&self) -> Result<(), EntryError> {
        (0..self.header.frozen().len()).try_for_each(|number| self.message(number).map(drop))
    }

    /// Everything but the bodies.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The message with this number, its body read and verified now.
    pub fn message(&self, number: usize) -> Result<Message, EntryError> {
        self.read_message(number).map_err(|fault| EntryError {
            path: self.path.clone(),
            fault,
        })
    }

    fn read_message(&self, number: usize) -> Result<Message, EntryFault> {
        let all = self.header.frozen();
        let frozen = all.get(number).ok_or(EntryFault::NoMessage(number))?;
        // The sum of all lengths was found to fit when the entry was opened.
        let before: u64 = all[..number].iter().map(|message| message.length).sum();
        let body = read_at(&self.file, self.bodies + before, frozen.length)?;
        if checksum(&body) != frozen.sha256 {
            return Err(EntryFault::BodyChecksum(number));
        }
        Ok(Message {
            format: frozen.format,
            topic: frozen.topic.clone(),
            msg_id: frozen.msg_id.clone(),
            project: frozen.project.clone(),
            reference: frozen.reference.clone(),
            body,
        })
    }
}

fn open_regular(name: &Name) -> Result<(File, u64, u32), EntryFault> {
    let file =
        disk::open(name).map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ELOOP | Errno::ENXIO) => EntryFault::NotRegular,
            _ => EntryFault::Io(error),
        })?;
    let meta = file.metadata()?;
    if meta.is_file() {
        Ok((file, meta.len(), meta.uid()))
    } else {
        Err(EntryFault::NotRegular)
    }
}

/// Reads the first line: where the header begins, its length and its checksum.
fn first_line(file: &File, size: u64) -> Result<(u64, u64, String), EntryFault> {
    let start = read_at(file, 0, size.min(LONGEST_FIRST_LINE as u64))?;
    let end = start.iter().position(|&byte| byte == b'\n');
    let line = end.and_then(|end| std::str::from_utf8(&start[..end]).ok());
    let mut words = line.unwrap_or_default().split(' ');
    if words.next() != Some(MAGIC) {
        return Err(EntryFault::NotAnEntry);
    }
    let version = words.next().and_then(|word| word.parse().ok());
    match version.ok_or(EntryFault::NotAnEntry)? {
        VERSION => {}
        other => return Err(EntryFault::Version(other)),
    }
    let length = words.next().and_then(|word| word.parse().ok());
    match (length, words.next(), words.next(), end) {
        (Some(length), Some(sha256), None, Some(end)) => {
            Ok((end as u64 + 1, length, sha256.to_owned()))
        }
        _ => Err(EntryFault::NotAnEntry),
    }
}

fn read_at(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}
