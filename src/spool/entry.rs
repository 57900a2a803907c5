//! Entries: all messages of one push, in one file.
//!
//! ```text
//! refpost-entry 1 <length of the header> <SHA-256 of the header>\n
//! the header, JSON
//! the first message's body, the second's, …
//! ```
//!
//! The version is 2 if a message is of another format than Pagure's, so that a refpost that knows
//! no other leaves the entry to one that does.
//!
//! The header holds no URL, no key and no header value of an endpoint, only its name: addresses and
//! keys are looked up at each attempt.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{FileStat, fstat};
use sha2::{Digest, Sha256};

use super::disk;
use super::error::{EntryError, EntryFault, IoContext, IoError};
use super::folder::Name;
use super::record::{Built, Content, Draft, Frozen, Header};
use crate::payload::{Format, Message};

const MAGIC: &str = "refpost-entry";
/// Version of an entry whose messages are all Pagure's, or not built yet.
const PAGURE_ALONE: u32 = 1;
/// Version of an entry with messages of any format.
const ANY_FORMAT: u32 = 2;
/// Length of the longest first line: the word, a version, a length, a checksum.
const LONGEST_FIRST_LINE: usize = 128;
/// Length of the longest header.
///
/// Longer ones are never written, so none is believed: a file's own statement does not decide how
/// much memory is allocated.
const LONGEST_HEADER: u64 = 32 << 20;
const LONGEST_BODY: u64 = 256 << 20;
/// Number of bytes of a file that are in memory at once.
const PART: u64 = 1 << 16;

impl Header {
    /// Returns whether an entry can hold these messages in place of its content.
    #[must_use]
    pub fn can_hold(&self, built: &Built<Message>) -> bool {
        let messages = built.messages.iter();
        let (messages, bodies): (Vec<_>, Vec<_>) = messages
            .map(|message| (freeze_message(message), message.body.len()))
            .unzip();
        let recipients = built.recipients.clone();
        let header = header_bytes(&self.with(Content::Built(Built {
            messages,
            recipients,
        })));
        lengths_fit(header.len(), bodies).is_ok()
    }
}

pub(super) fn header_bytes(header: &Header) -> Vec<u8> {
    serde_json::to_vec(header).expect("text, numbers and lists always have a JSON form")
}

/// Fails unless a header and bodies of these lengths can be read back.
fn lengths_fit(header: usize, bodies: impl IntoIterator<Item = usize>) -> io::Result<()> {
    let bodies = bodies
        .into_iter()
        .map(|length| ("message", length, LONGEST_BODY));
    for (what, length, most) in bodies.chain([("header", header, LONGEST_HEADER)]) {
        if length as u64 > most {
            let why = format!("its {what} would have {length} bytes, {most} at most");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
    }
    Ok(())
}

/// Writes an entry to a file.
pub(super) fn write(draft: &Draft, file: &File, name: &Name) -> Result<(), IoError> {
    let bodies: Vec<&[u8]> = match &draft.content {
        Content::Built(built) => built.messages.iter().map(|m| &m.body[..]).collect(),
        Content::Deferred(_) => vec![],
    };
    let frozen = freeze(draft);
    let header = header_bytes(&frozen);
    lengths_fit(header.len(), bodies.iter().map(|body| body.len()))
        .context("write", || name.path())?;
    let head = head(version(&frozen), &header);
    let parts: Vec<&[u8]> = [&head[..]].into_iter().chain(bodies).collect();
    disk::write(file, name, &parts)
}

/// Writes an entry with another header for the same bodies.
pub(super) fn write_again(
    header: &Header,
    bodies: &Entry,
    file: &File,
    name: &Name,
) -> Result<(), IoError> {
    let version = version(header);
    let header = header_bytes(header);
    lengths_fit(header.len(), []).context("write", || name.path())?;
    disk::write(file, name, &[&head(version, &header)])?;
    let mut write = |part: &[u8]| disk::write(file, name, &[part]).map_err(|error| error.source);
    let copied = bodies.each_part(bodies.bodies, bodies.size, &mut write);
    copied.context("write", || name.path())
}

/// Returns the first line and the header.
fn head(version: u32, header: &[u8]) -> Vec<u8> {
    let (length, sum) = (header.len(), checksum(header));
    let mut head = format!("{MAGIC} {version} {length} {sum}\n").into_bytes();
    head.extend(header);
    head
}

/// Returns the version of an entry: the first that can represent it.
fn version(header: &Header) -> u32 {
    let mut messages = header.frozen().iter();
    if messages.all(|message| message.format == Format::Pagure) {
        PAGURE_ALONE
    } else {
        ANY_FORMAT
    }
}

fn freeze(draft: &Draft) -> Header {
    let content = match &draft.content {
        Content::Deferred(updates) => Content::Deferred(updates.clone()),
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
        headers: message.headers.clone(),
        ends: message.ends.clone(),
        template: message.template.clone(),
        length: message.body.len() as u64,
        sha256: checksum(&message.body),
    }
}

pub(super) fn checksum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// An entry on disk, its header read and verified. Bodies are verified when they are read.
///
/// The entry stays readable when its last name is unlinked.
#[derive(Debug)]
pub struct Entry {
    path: PathBuf,
    file: File,
    size: u64,
    owner: u32,
    header: Header,
    /// Offset of the first body.
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
        let (file, found) = open_regular(name)?;
        let size = u64::try_from(found.st_size).unwrap_or(0);
        let (start, length, sha256) = first_line(&file, size)?;
        believable("header", length, LONGEST_HEADER)?;
        // No memory is allocated for a length that the file does not have.
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
        for message in header.frozen() {
            believable("message", message.length, LONGEST_BODY)?;
        }
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
            owner: found.st_uid,
            header,
            bodies,
        })
    }

    /// Replaces the repository that the header names.
    pub(super) fn give_to(&mut self, repository: &Path) {
        repository.clone_into(&mut self.header.repository);
    }

    /// Returns the header and closes the file.
    pub(super) fn into_header(self) -> Header {
        self.header
    }

    /// Returns the file's size when it was opened, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the account that owns the file.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// Returns a reader of the whole file, up to its size when it was opened.
    pub fn bytes(&self) -> io::Result<impl Read> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file.take(self.size))
    }

    /// Reads and verifies the whole file.
    pub fn whole(&self) -> Result<Vec<u8>, EntryError> {
        self.read_whole().map_err(|fault| EntryError {
            path: self.path.clone(),
            fault,
        })
    }

    fn read_whole(&self) -> Result<Vec<u8>, EntryFault> {
        let bytes = read_at(&self.file, 0, self.size)?;
        let head = usize::try_from(self.bodies).map_err(io::Error::other)?;
        let mut bodies = &bytes[head..];
        for (number, frozen) in self.header.frozen().iter().enumerate() {
            let length = usize::try_from(frozen.length).map_err(io::Error::other)?;
            let (body, rest) = bodies.split_at(length);
            if checksum(body) != frozen.sha256 {
                return Err(EntryFault::BodyChecksum(number));
            }
            bodies = rest;
        }
        Ok(bytes)
    }

    /// Verifies every body, reading it in parts.
    pub(super) fn verify(&self) -> Result<(), EntryFault> {
        let mut at = self.bodies;
        for (number, frozen) in self.header.frozen().iter().enumerate() {
            let mut digest = Sha256::new();
            let end = at + frozen.length;
            self.each_part(at, end, &mut |part| {
                digest.update(part);
                Ok(())
            })?;
            if hex::encode(digest.finalize()) != frozen.sha256 {
                return Err(EntryFault::BodyChecksum(number));
            }
            at = end;
        }
        Ok(())
    }

    /// Passes the bytes between two offsets to `take`, in parts.
    fn each_part(
        &self,
        mut at: u64,
        end: u64,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while at < end {
            let part = read_at(&self.file, at, (end - at).min(PART))?;
            take(&part)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Returns everything but the bodies.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads and verifies the message with this number.
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
            headers: frozen.headers.clone(),
            ends: frozen.ends.clone(),
            template: frozen.template.clone(),
            body,
        })
    }
}

/// Fails if a length is more than refpost ever writes. A sparse file really has the length that it
/// states.
fn believable(what: &'static str, length: u64, most: u64) -> Result<(), EntryFault> {
    if length > most {
        return Err(EntryFault::TooLong { what, length, most });
    }
    Ok(())
}

fn open_regular(name: &Name) -> Result<(File, FileStat), EntryFault> {
    let file =
        disk::open(name).map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ELOOP | Errno::ENXIO) => EntryFault::NotRegular,
            _ => EntryFault::Io(error),
        })?;
    let stat = fstat(&file).map_err(io::Error::from)?;
    if disk::is_file(&stat) {
        Ok((file, stat))
    } else {
        Err(EntryFault::NotRegular)
    }
}

/// Reads the first line. Returns the offset of the header, its length and its checksum.
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
        PAGURE_ALONE | ANY_FORMAT => {}
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
