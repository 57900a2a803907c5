//! Commits that git lists while we walk them: no question and answer for each.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use super::command::Git;
use super::object;
use crate::event::Oid;

/// `git rev-list`, which tells what some commits lead to, the newest first, and whole: the
/// order in which walks meet them. It is never far ahead of its reader, and ends with it.
pub(super) struct Ahead {
    process: Child,
    from: BufReader<ChildStdout>,
    /// How much of what is buffered was told.
    told: usize,
    /// A commit that does not lie in the buffer whole.
    commit: Vec<u8>,
}

impl Ahead {
    /// Lists these and what they lead to; `None` where that is nothing.
    pub(super) fn start(git: &Git, tips: &[Oid]) -> Option<Self> {
        if tips.is_empty() {
            return None;
        }
        let mut process = git
            .command()
            .args(["rev-list", "--header", "--encoding=none"])
            .args(tips.iter().map(Oid::to_string))
            .arg("--")
            // A write for each commit would cost as much as to list it (git(1)).
            .env("GIT_FLUSH", "0")
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let from = process.stdout.take().expect("it is piped");
        Some(Self {
            process,
            from: BufReader::with_capacity(64 << 10, from),
            told: 0,
            commit: Vec::new(),
        })
    }

    /// The next commit: its id, and its bytes as far as its message; `None` at the end, and
    /// where git finds something wrong.
    pub(super) fn next(&mut self) -> Option<(Oid, &[u8])> {
        self.from.consume(std::mem::take(&mut self.told));
        let buffered = self.from.fill_buf().ok()?;
        let listed = if let Some(end) = memchr::memchr(0, buffered) {
            self.told = end + 1;
            &self.from.buffer()[..end]
        } else {
            self.commit.clear();
            self.from.read_until(0, &mut self.commit).ok()?;
            self.commit.strip_suffix(&[0])?
        };
        let line = memchr::memchr(b'\n', listed)?;
        let (id, commit) = listed.split_at(line);
        Some((object::oid(id)?, &commit[1..]))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
