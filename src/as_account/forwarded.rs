//! The output of an account's refpost, printed by root's.
//!
//! Each line has the account's name, nothing is printed raw, and the amount is bounded.

use std::fs::File;
use std::io::{self, Read};

use serde_json::Value;
use tokio::net::unix::pipe::Receiver;

use crate::report;

/// Greatest number of bytes of a line for people. The rest is cut.
const LONGEST_LINE: usize = 4 << 10;
/// Greatest number of bytes of an object: one that shows an entry has its messages.
const LONGEST_OBJECT: usize = 4 << 20;

/// The use of a stream's lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Output of the command.
    Answer,
    /// Output for programs: JSON objects, to which the account is added.
    Object,
    /// Complaints that a person must see.
    Complaint,
    /// Output that root's refpost reads as a whole.
    Gathered,
}

impl Kind {
    fn longest(self) -> usize {
        match self {
            Self::Object | Self::Gathered => LONGEST_OBJECT,
            Self::Answer | Self::Complaint => LONGEST_LINE,
        }
    }

    /// Returns the greatest number of bytes that are printed of one account.
    fn most(self) -> usize {
        match self {
            Self::Answer | Self::Object => 16 << 20,
            Self::Complaint => 8 << 10,
            Self::Gathered => 4 << 20,
        }
    }
}

/// One stream of one account's refpost.
pub(crate) struct Forwarded {
    pipe: Option<Receiver>,
    kind: Kind,
    /// The last line, while incomplete; all of the output, if gathered.
    line: Vec<u8>,
    /// Number of bytes printed.
    told: usize,
    /// True if more was left out.
    is_cut: bool,
}

impl Forwarded {
    pub(crate) fn new(pipe: Option<Receiver>, kind: Kind) -> Self {
        Self {
            pipe,
            kind,
            line: Vec::new(),
            told: 0,
            is_cut: false,
        }
    }

    /// Waits until there is something to read. Never returns once the stream is over.
    pub(crate) async fn readable(&self) {
        match &self.pipe {
            Some(pipe) => drop(pipe.readable().await),
            None => std::future::pending().await,
        }
    }

    /// Prints the output written so far.
    ///
    /// This reads once, so that a process which never stops writing does not hold it up.
    pub(crate) fn tell(&mut self, account: &dyn Fn() -> String) {
        let mut bytes = [0; 16 << 10];
        let Some(pipe) = &self.pipe else { return };
        match pipe.try_read(&mut bytes) {
            Ok(0) => self.pipe = None,
            Ok(count) => self.take(&bytes[..count], account),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.pipe = None,
        }
    }

    /// Prints the rest once the account's refpost has ended. Returns what was gathered.
    ///
    /// Other processes that hold the pipe are not waited for.
    pub(crate) fn end(mut self, account: &dyn Fn() -> String) -> Option<Vec<u8>> {
        self.drain(account);
        if self.is_cut {
            let account = account();
            report::say(&format!("`{account}` says more than is told here"));
            return None;
        }
        (self.kind == Kind::Gathered).then_some(self.line)
    }

    /// Prints everything in the pipe.
    fn drain(&mut self, account: &dyn Fn() -> String) {
        // Without the runtime, which learns only when it waits that there is something to read.
        let pipe = self.pipe.take().map(Receiver::into_nonblocking_fd);
        let Some(Ok(pipe)) = pipe else { return };
        let (mut pipe, mut bytes) = (File::from(pipe), [0; 16 << 10]);
        while !self.is_cut {
            match pipe.read(&mut bytes) {
                Ok(count) if count > 0 => self.take(&bytes[..count], account),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        if !self.line.is_empty() && self.kind != Kind::Gathered {
            self.take(b"\n", account);
        }
    }

    fn take(&mut self, bytes: &[u8], account: &dyn Fn() -> String) {
        if self.kind == Kind::Gathered {
            self.line.extend_from_slice(bytes);
            if self.line.len() > self.kind.most() {
                self.is_cut = true;
                self.pipe = None;
            }
            return;
        }
        for &byte in bytes {
            if self.is_cut {
                return;
            }
            if byte != b'\n' {
                // An object that was cut is none, and is not printed.
                if self.line.len() < self.kind.longest() {
                    self.line.push(byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            self.told += line.len() + 1;
            if self.told > self.kind.most() {
                self.is_cut = true;
                // A process that writes on does not wait, and costs nothing.
                self.pipe = None;
            } else {
                self.tell_line(&String::from_utf8_lossy(&line), &account());
            }
        }
    }

    fn tell_line(&self, line: &str, account: &str) {
        match self.kind {
            Kind::Answer => report::line(&format!("{account}: {line}")),
            Kind::Object => {
                if let Ok(Value::Object(mut object)) = serde_json::from_str(line) {
                    object.insert("account".to_owned(), account.into());
                    report::json(&object);
                }
            }
            Kind::Complaint => {
                let line = line.strip_prefix("refpost: ").unwrap_or(line);
                report::say(&format!("{account}: {line}"));
            }
            Kind::Gathered => {}
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use std::io::Write;

    use super::*;

    /// A refpost that ended before the runtime looked at its pipe.
    #[tokio::test]
    async fn the_last_words_of_a_quick_process_were_lost() {
        let (from, to) = io::pipe().unwrap();
        let pipe = Receiver::from_owned_fd(from.into()).unwrap();
        let mut stream = Forwarded::new(Some(pipe), Kind::Answer);
        { to }.write_all(b"one\ntwo").unwrap();
        stream.drain(&|| "alice".to_owned());
        assert_eq!(stream.told, "one\ntwo\n".len());
    }
}
