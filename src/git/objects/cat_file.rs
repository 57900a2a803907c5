//! `git cat-file`, kept open: a process that tells of one object after another. What it
//! says of an object is the truth, and what it cannot read is not there.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::git::command::{Answers, Git};
use crate::git::error::{Cause, missing};
use crate::git::objects::bytes::Kind;
use crate::git::objects::id::{HashKind, Id};

/// Most bytes that are allocated before they have come.
const MOST_ROOM: usize = 64 << 10;

/// No answer has a longer first line.
const LONGEST_LINE: u64 = 1024;

/// Reason for which git gives no answer about an object.
const SILENT: &str = "`git cat-file` does not answer";

/// Two processes, each started at its first use: the kind of a blob of gigabytes is told without
/// reading it.
pub(in crate::git) struct CatFile {
    git: Git,
    hash: HashKind,
    kinds: RefCell<Option<Running>>,
    contents: RefCell<Option<Running>>,
    /// Whether one of them did not answer.
    is_silent: Cell<bool>,
}

/// A process that waits for a question.
struct Running {
    process: Child,
    to: ChildStdin,
    from: BufReader<Answers<ChildStdout>>,
}

/// Reason for a missing answer.
enum Refusal {
    /// The object is damaged, as git says.
    Missing,
    /// The process ended, or its output makes no sense. No more questions go to it.
    Ended,
    /// It does not answer, and no other is asked.
    Silent,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Ended,
        }
    }
}

impl CatFile {
    pub(in crate::git) fn new(git: &Git, hash: HashKind) -> Self {
        Self {
            git: git.clone(),
            hash,
            kinds: RefCell::default(),
            contents: RefCell::default(),
            is_silent: Cell::default(),
        }
    }

    /// Returns the kind of an object.
    pub(in crate::git) fn kind(&self, id: Id) -> Result<Kind, Cause> {
        self.ask(&self.kinds, "--batch-check", |running| {
            Ok(running.answer(self.hash, id)?.0)
        })
    }

    /// Returns the kind and the bytes of an object.
    pub(in crate::git) fn read(&self, id: Id) -> Result<(Kind, Vec<u8>), Cause> {
        self.ask(&self.contents, "--batch", |running| {
            let (kind, size) = running.answer(self.hash, id)?;
            Ok((kind, running.contents(size)?))
        })
    }

    /// Asks a process. One that ends, as git does at a damaged object, is started again for the
    /// next question.
    fn ask<T>(
        &self,
        process: &RefCell<Option<Running>>,
        option: &str,
        ask: impl FnOnce(&mut Running) -> Result<T, Refusal>,
    ) -> Result<T, Cause> {
        if self.is_silent.get() {
            return Err(SILENT.into());
        }
        let mut process = process.borrow_mut();
        let running = match &mut *process {
            Some(running) => running,
            none => none.insert(Running::start(&self.git, option)?),
        };
        ask(running).map_err(|refusal| {
            if let Refusal::Ended | Refusal::Silent = refusal {
                *process = None;
            }
            if let Refusal::Silent = refusal {
                self.is_silent.set(true);
                return SILENT.into();
            }
            missing()
        })
    }
}

impl Running {
    fn start(git: &Git, option: &str) -> io::Result<Self> {
        let mut process = git
            .command()
            .args(["cat-file", option])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What it says else goes nowhere: a pipe that nobody empties would stop it.
            .spawn()?;
        let to = process.stdin.take().expect("it is piped");
        let from = process.stdout.take().expect("it is piped");
        Ok(Self {
            process,
            to,
            from: BufReader::with_capacity(64 << 10, Answers(from)),
        })
    }

    /// Asks of an object: `ID TYPE SIZE`, or `NAME missing` (git-cat-file(1), "BATCH
    /// OUTPUT").
    fn answer(&mut self, hash: HashKind, id: Id) -> Result<(Kind, u64), Refusal> {
        self.to.write_all(format!("{id}\n").as_bytes())?;
        let mut line = Vec::new();
        let from = self.from.by_ref().take(LONGEST_LINE);
        { from }.read_until(b'\n', &mut line)?;
        let mut words = line.trim_ascii_end().split(|&byte| byte == b' ');
        if words.next().and_then(|word| hash.id_of_digits(word)) != Some(id) {
            return Err(Refusal::Ended);
        }
        let kind = match words.next() {
            Some(b"missing") => return Err(Refusal::Missing),
            word => word.and_then(Kind::named).ok_or(Refusal::Ended)?,
        };
        let size = words
            .next()
            .and_then(|size| std::str::from_utf8(size).ok()?.parse().ok());
        Ok((kind, size.ok_or(Refusal::Ended)?))
    }

    /// The contents, which must be read where they are told.
    fn contents(&mut self, size: u64) -> Result<Vec<u8>, Refusal> {
        let length = usize::try_from(size).map_err(|_| Refusal::Ended)?;
        // No more room than what comes needs.
        let mut bytes = Vec::with_capacity(length.min(MOST_ROOM));
        self.from.by_ref().take(size).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(Refusal::Ended);
        }
        self.from.read_exact(&mut [0])?;
        Ok(bytes)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be in the middle of an answer.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
