//! The log: one line for each attempt, for people.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::encoding;
use super::error::{IoContext, IoError};
use super::{Name, Spool, disk};
use crate::json;

/// Name of the log, and of a full one.
pub(super) const LOG: &str = "log";
pub(super) const OLD_LOG: &str = "log.1";

/// Size at which a log is rotated, in bytes.
const ROTATE_AT: u64 = 1024 * 1024;

/// One attempt, written as a line of JSON in pure ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Time at which the attempt ended.
    #[serde(with = "encoding::time")]
    pub time: SystemTime,
    /// The repository's directory.
    #[serde(with = "encoding::path")]
    pub repository: PathBuf,
    /// The endpoint's name.
    pub endpoint: String,
    /// The message's id.
    pub msg_id: String,
    /// The kind of event.
    pub topic: String,
    /// The ref that the message is about, if it is about one.
    #[serde(rename = "ref", default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// The entry's id.
    pub id: String,
    /// Number of this attempt of the message, from 1.
    pub attempt: u32,
    /// The result of the attempt.
    pub status: Status,
    /// Duration of the attempt, in milliseconds.
    pub ms: u64,
    /// A remark, such as that the message was given up or dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Status {
    /// An HTTP status.
    Http(u16),
    /// The error below HTTP, or the reason for which no attempt was made.
    Error(String),
}

impl Status {
    /// Returns whether the receiver took the message.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Http(200..300))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(status) => status.fmt(f),
            Self::Error(word) => f.write_str(word),
        }
    }
}

/// The spool's log: `log`, and the older `log.1`.
#[derive(Debug)]
pub struct Log {
    spool: Spool,
    rotate_at: u64,
    /// The log that the last line was written to.
    open: RefCell<Option<(Name, File)>>,
}

impl Log {
    pub(super) fn new(spool: Spool) -> Self {
        Self {
            spool,
            rotate_at: ROTATE_AT,
            open: RefCell::default(),
        }
    }

    /// Sets the size at which the log is rotated, in bytes.
    #[cfg(test)]
    pub(super) fn rotating_at(self, bytes: u64) -> Self {
        let rotate_at = bytes;
        Self { rotate_at, ..self }
    }

    /// Appends a line, in one write, so that lines of many writers do not mix.
    ///
    /// The file stays open for the next line.
    pub fn append(&self, attempt: &Attempt) -> Result<(), IoError> {
        let mut line = json::to_bytes(attempt);
        line.push(b'\n');
        let mut open = self.open.borrow_mut();
        let (log, file) = if let Some(known) = open.take() {
            known
        } else {
            let log = self.spool.root_dir().entry(LOG);
            let file = self.open(&log)?;
            (log, file)
        };
        (&file).write_all(&line).context("write", || log.path())?;
        let written = file.metadata().context("read", || log.path())?;
        if written.len() >= self.rotate_at {
            return Self::rotate_if_full(&log, &file, self.rotate_at)
                .context("rotate", || log.path());
        }
        // A log that was rotated is full, and one that was removed has no name. A file that was
        // given another name is not written to again.
        if written.nlink() == 1 {
            *open = Some((log, file));
        }
        Ok(())
    }

    /// Returns the last `count` lines that `wanted` accepts, oldest first.
    ///
    /// A line that cannot be parsed (a full disk cut it off) is skipped.
    pub fn last(
        &self,
        count: usize,
        wanted: impl Fn(&Attempt) -> bool,
    ) -> Result<Vec<Attempt>, IoError> {
        let mut found = vec![];
        let root = self.spool.root_dir();
        for name in [LOG, OLD_LOG] {
            let name = root.entry(name);
            let bytes = read(&name).context("read", || name.path())?;
            let lines = bytes.rsplit(|&byte| byte == b'\n');
            let attempts = lines.filter_map(|line| serde_json::from_slice(line).ok());
            found.extend(attempts.filter(&wanted).take(count - found.len()));
        }
        found.reverse();
        Ok(found)
    }

    fn open(&self, log: &Name) -> Result<File, IoError> {
        match disk::append(log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let access = self.spool.access;
                match disk::keeping_mark(log.folder(), || disk::create(log, access)) {
                    // Another writer was faster.
                    Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
                    made => drop(made?),
                }
                disk::append(log)
            }
            opened => opened,
        }
        .context("open", || log.path())
    }

    /// Rotates the log.
    ///
    /// The lock, and a check that the name still leads to the same file, ensure that only one of
    /// many writers does so. A process that opened the file before writes to it all the same: that
    /// line is in `log.1`.
    pub(super) fn rotate_if_full(log: &Name, file: &File, rotate_at: u64) -> io::Result<()> {
        let opened = file.metadata()?;
        if opened.len() < rotate_at || file.try_lock().is_err() {
            return Ok(());
        }
        let named = disk::stat(log);
        if named.is_ok_and(|named| (named.st_dev, named.st_ino) == (opened.dev(), opened.ino())) {
            let old = log.folder().entry(OLD_LOG);
            disk::keeping_mark(log.folder(), || disk::rename(log, &old))
                .map_err(|error| error.source)?;
        }
        Ok(())
    }
}

/// Reads a file. A file that does not exist is empty.
fn read(name: &Name) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    match disk::open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => drop(other?.read_to_end(&mut bytes)?),
    }
    Ok(bytes)
}
