//! `git cat-file --batch`, kept open: a process that tells of one object after another.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::command::Git;
use super::store::{Cause, Kind};
use crate::event::Oid;

/// So much is asked ahead of reading the answers: what the smallest of pipes takes
/// (pipe(7)), so that nobody waits to write while the other one does.
const MOST_ASKED: usize = 4096;

/// No answer has a longer first line.
const LONGEST_LINE: u64 = 1024;

/// A process, and what it was asked and has not answered yet.
pub(super) struct Batch {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    asked: VecDeque<Oid>,
    /// Whether it tells the contents, too.
    tells_contents: bool,
    line: Vec<u8>,
}

/// What it says of an object first.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    size: u64,
}

/// Why there is no answer.
pub(super) enum Refusal {
    Missing,
    /// The process has ended, or makes no sense: it is of no more use.
    Ended(Cause),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Ended(error.into())
    }
}

impl Batch {
    pub(super) fn start(git: &Git, args: &[&str]) -> io::Result<Self> {
        let mut process = git
            .command()
            // What stands in for an object is ours to know (`replaced`).
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = process.stdin.take().expect("it is piped");
        let from = process.stdout.take().expect("it is piped");
        Ok(Self {
            process,
            to,
            from: BufReader::with_capacity(64 << 10, from),
            asked: VecDeque::new(),
            tells_contents: args.contains(&"--batch"),
            line: Vec::new(),
        })
    }

    /// Asks ahead, as far as that goes.
    pub(super) fn expect(&mut self, ids: impl IntoIterator<Item = Oid>) -> Result<(), Refusal> {
        self.forget()?;
        let mut lines = Vec::new();
        for id in ids {
            let line = format!("{id}\n");
            if lines.len() + line.len() > MOST_ASKED {
                break;
            }
            lines.extend_from_slice(line.as_bytes());
            self.asked.push_back(id);
        }
        Ok(self.to.write_all(&lines)?)
    }

    /// What it says of this object before its contents.
    pub(super) fn header(&mut self, id: Oid) -> Result<Answer, Refusal> {
        if self.asked.front() != Some(&id) {
            self.expect([id])?;
        }
        self.next()
    }

    /// The contents, which must be read where they are told.
    pub(super) fn contents(&mut self, answer: &Answer) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        let read = self
            .from
            .by_ref()
            .take(answer.size)
            .read_to_end(&mut bytes)?;
        if (read as u64) < answer.size {
            return Err(ended());
        }
        self.from.read_exact(&mut [0])?;
        Ok(bytes)
    }

    /// Passes over what it was asked and nobody wants to know any more.
    fn forget(&mut self) -> Result<(), Refusal> {
        while !self.asked.is_empty() {
            match self.next() {
                Ok(answer) if self.tells_contents => {
                    let rest = answer.size + 1;
                    io::copy(&mut self.from.by_ref().take(rest), &mut io::sink())?;
                }
                Ok(_) | Err(Refusal::Missing) => {}
                Err(ended) => return Err(ended),
            }
        }
        Ok(())
    }

    /// `ID TYPE SIZE`, or `ID missing` (git-cat-file(1), "BATCH OUTPUT").
    fn next(&mut self) -> Result<Answer, Refusal> {
        let id = self.asked.pop_front();
        self.line.clear();
        let line = self.from.by_ref().take(LONGEST_LINE);
        { line }.read_until(b'\n', &mut self.line)?;
        let text = std::str::from_utf8(&self.line).map_err(|_| ended())?;
        let mut words = text.split_ascii_whitespace();
        let named = words.next().ok_or_else(ended)?;
        if id.is_none_or(|id| id.to_string() != named) {
            return Err(ended());
        }
        let kind = match words.next() {
            Some("commit") => Kind::Commit,
            Some("tree") => Kind::Tree,
            Some("blob") => Kind::Blob,
            Some("tag") => Kind::Tag,
            Some("missing") => return Err(Refusal::Missing),
            _ => return Err(ended()),
        };
        let size = words.next().and_then(|size| size.parse().ok());
        let size = size.ok_or_else(ended)?;
        Ok(Answer { kind, size })
    }
}

fn ended() -> Refusal {
    // What it said goes nowhere: a pipe that nobody empties would stop it.
    Refusal::Ended("git cannot read it (`git fsck` says more)".into())
}

impl Drop for Batch {
    fn drop(&mut self) {
        // It may be in the middle of an answer.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
