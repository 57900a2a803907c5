//! One line for each attempt, for people.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::encoding;
use super::error::{IoContext, IoError};
use super::{Access, disk};
use crate::json;

/// The size from which on a log is put away.
const ROTATE_AT: u64 = 1024 * 1024;

/// One attempt, as the log has it: a line of JSON in pure ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it ended.
    #[serde(with = "encoding::time")]
    pub time: SystemTime,
    /// The repository's directory.
    #[serde(with = "encoding::path")]
    pub repository: PathBuf,
    /// The endpoint's name.
    pub endpoint: String,
    /// The message.
    pub msg_id: String,
    /// The kind of event.
    pub topic: String,
    /// The entry.
    pub id: String,
    /// Which attempt of this message it was, from 1.
    pub attempt: u32,
    /// What it came to.
    pub status: Status,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What else there is to say: given up, dropped, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Status {
    /// An HTTP status.
    Http(u16),
    /// What broke below HTTP, or why there was no attempt.
    Error(String),
}

/// The spool's log: `log`, and `log.1` before it.
#[derive(Clone, Debug)]
pub struct Log {
    root: PathBuf,
    access: Access,
    rotate_at: u64,
}

impl Log {
    pub(super) fn new(root: &Path, access: Access) -> Self {
        Self {
            root: root.to_owned(),
            access,
            rotate_at: ROTATE_AT,
        }
    }

    /// The same log, put away from a size on that a test can reach.
    #[cfg(test)]
    pub(super) fn rotating_at(self, bytes: u64) -> Self {
        let rotate_at = bytes;
        Self { rotate_at, ..self }
    }

    /// Adds a line, in one write, so that lines of many writers do not mix.
    pub fn append(&self, attempt: &Attempt) -> Result<(), IoError> {
        let mut line = json::to_bytes(attempt);
        line.push(b'\n');
        let path = self.path();
        let file = self.open(&path)?;
        (&file).write_all(&line).context("write", &path)?;
        self.rotate_if_full(&file).context("rotate", &path)
    }

    /// The last `count` lines that `wanted` lets through, oldest first. A line that
    /// cannot be read (a full disk cut it off) is passed over.
    pub fn last(
        &self,
        count: usize,
        wanted: impl Fn(&Attempt) -> bool,
    ) -> Result<Vec<Attempt>, IoError> {
        let mut found = vec![];
        for path in [self.path(), self.old_path()] {
            let bytes = read(&path).context("read", &path)?;
            let lines = bytes.rsplit(|&byte| byte == b'\n');
            let attempts = lines.filter_map(|line| serde_json::from_slice(line).ok());
            found.extend(attempts.filter(&wanted).take(count - found.len()));
        }
        found.reverse();
        Ok(found)
    }

    fn open(&self, path: &Path) -> Result<File, IoError> {
        let mut options = OpenOptions::new();
        options.append(true).custom_flags(disk::SAFELY);
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.keeping_mark(|| disk::create(path, self.access)) {
                    // Another writer was faster.
                    Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
                    made => drop(made?),
                }
                options.open(path)
            }
            opened => opened,
        }
        .context("open", path)
    }

    /// Puts the log away. The lock, and a look at whether the name still leads to
    /// the same file, see to it that of many writers one does so. Whoever opened the
    /// file before writes to it all the same: that line is in `log.1`.
    pub(super) fn rotate_if_full(&self, file: &File) -> io::Result<()> {
        if file.metadata()?.len() < self.rotate_at || file.try_lock().is_err() {
            return Ok(());
        }
        let named = fs::symlink_metadata(self.path()).map(|meta| (meta.dev(), meta.ino()));
        let opened = file.metadata().map(|meta| (meta.dev(), meta.ino()))?;
        if named.is_ok_and(|named| named == opened) {
            self.keeping_mark(|| fs::rename(self.path(), self.old_path()))?;
        }
        Ok(())
    }

    /// The root's time of modification orders ids; a name made or changed in the
    /// root would set it to a clock that may have been set back.
    fn keeping_mark<T>(&self, act: impl FnOnce() -> T) -> T {
        let mark = disk::modified(&self.root);
        let result = act();
        if let Some(mark) = mark {
            disk::set_modified(&self.root, mark);
        }
        result
    }

    fn path(&self) -> PathBuf {
        self.root.join("log")
    }

    fn old_path(&self) -> PathBuf {
        self.root.join("log.1")
    }
}

/// What is in a file; nothing if there is none.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    let opened = options.read(true).custom_flags(disk::SAFELY).open(path);
    let mut bytes = vec![];
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => drop(other?.read_to_end(&mut bytes)?),
    }
    Ok(bytes)
}
