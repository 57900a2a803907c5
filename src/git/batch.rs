//! `git cat-file`, kept open: a process that tells of one object after another.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};

use super::command::Git;
use super::object;
use super::store::{Cause, Kind};
use crate::event::Oid;

/// So many bytes of answers that were asked for too early are kept.
const MOST_KEPT: u64 = 2 << 20;

/// Room for so many bytes is made before they have come.
const MOST_ROOM: usize = 64 << 10;

/// No answer has a longer first line.
const LONGEST_LINE: u64 = 1024;

/// How it is asked (git-cat-file(1)).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// What an object is, or all of it; many at once, since it reads all questions before it
    /// answers them: `--batch-command`, since git 2.36.
    Either,
    /// Before that: what an object is,
    Kinds,
    /// and all of it.
    Contents,
}

impl Manner {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Either => &["--batch-command", "--buffer"],
            Self::Kinds => &["--batch-check"],
            Self::Contents => &["--batch"],
        }
    }

    /// So many objects are asked for ahead of reading the answers. One that answers at once is
    /// asked for no more than the smallest of pipes takes (pipe(7)), so that nobody waits to
    /// write while the other one does.
    fn most_asked(self) -> usize {
        match self {
            Self::Either => 1000,
            Self::Kinds | Self::Contents => 4096 / 65,
        }
    }
}

/// A process that is asked, and started again where it gives up: at an object that is
/// damaged git ends.
pub(super) struct Batch {
    git: Git,
    manner: Manner,
    running: Option<Running>,
    /// Answers that came before others that were wanted first.
    kept: HashMap<Oid, (Kind, Vec<u8>)>,
    kept_bytes: u64,
}

/// A process, and which objects it was asked for and has not told yet.
struct Running {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    asked: VecDeque<Oid>,
    line: Vec<u8>,
}

/// What it says of an object before the contents.
struct Answer {
    id: Oid,
    kind: Kind,
    size: u64,
}

/// Why there is no answer.
enum Refusal {
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
    pub(super) fn start(git: &Git, manner: Manner) -> io::Result<Self> {
        Ok(Self {
            git: git.clone(),
            manner,
            running: Some(Running::start(git, manner)?),
            kept: HashMap::new(),
            kept_bytes: 0,
        })
    }

    /// Where this ref is; `None` where it is not, or leads to nothing. `Err` is how the
    /// process ended instead of answering.
    pub(super) fn value(&mut self, name: &str) -> Result<Option<Oid>, Option<i32>> {
        self.settle();
        let question = self.question("info", &name);
        match self.ask(None, &question).and_then(Running::answer) {
            Ok(answer) => Ok(Some(answer.id)),
            Err(Refusal::Missing) => Ok(None),
            Err(Refusal::Ended(_)) => {
                let running = self.running.take();
                Err(running.and_then(|mut running| running.end()?.code()))
            }
        }
    }

    pub(super) fn kind(&mut self, id: Oid) -> Result<Kind, Cause> {
        self.settle();
        let question = self.question("info", &id);
        let answer = self.ask(Some(id), &question).and_then(Running::answer);
        Ok(self.said(answer)?.kind)
    }

    pub(super) fn read(&mut self, id: Oid) -> Result<(Kind, Vec<u8>), Cause> {
        if !self.is_next(id) {
            self.settle();
        }
        if !self.kept.is_empty()
            && let Some((kind, bytes)) = self.kept.remove(&id)
        {
            self.kept_bytes -= bytes.len() as u64;
            return Ok((kind, bytes));
        }
        let answer = if self.is_next(id) {
            self.ask(None, "")
        } else {
            let question = self.question("contents", &id);
            self.ask(Some(id), &question)
        };
        let answer = answer.and_then(|running| {
            let answer = running.answer()?;
            Ok((answer.kind, running.contents(answer.size)?))
        });
        self.said(answer)
    }

    /// So many objects at a time are worth expecting.
    pub(super) fn most_expected(&self) -> usize {
        self.manner.most_asked()
    }

    /// Asks for all of these objects ahead, as far as that goes.
    pub(super) fn expect(&mut self, ids: impl IntoIterator<Item = Oid>) {
        let ids: VecDeque<_> = ids.into_iter().take(self.most_expected()).collect();
        if ids.is_empty() {
            return;
        }
        self.settle();
        let mut questions = String::new();
        for id in &ids {
            self.write_question(&mut questions, "contents", id);
        }
        if self.manner == Manner::Either {
            questions.push_str("flush\n");
        }
        // Whoever reads them is told what is wrong.
        if let Ok(running) = self.ask(None, &questions) {
            running.asked = ids;
        }
    }

    /// What was expected and not read is not wanted any more.
    pub(super) fn forget(&mut self) {
        self.settle();
        self.kept.clear();
        self.kept_bytes = 0;
    }

    fn is_next(&self, id: Oid) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.asked.front() == Some(&id))
    }

    /// Takes all the answers that are still to come, and keeps what there is room for.
    fn settle(&mut self) {
        let Some(running) = &mut self.running else {
            return;
        };
        while !running.asked.is_empty() {
            let answer = running.answer().and_then(|answer| {
                let size = answer.size;
                if self.kept_bytes + size > MOST_KEPT {
                    return running.pass_over(size);
                }
                let bytes = running.contents(size)?;
                self.kept_bytes += size;
                if let Some((_, same)) = self.kept.insert(answer.id, (answer.kind, bytes)) {
                    self.kept_bytes -= same.len() as u64;
                }
                Ok(())
            });
            if let Err(Refusal::Ended(_)) = answer {
                self.running = None;
                return;
            }
        }
    }

    fn question(&self, what: &str, of: &dyn std::fmt::Display) -> String {
        let mut text = String::new();
        self.write_question(&mut text, what, of);
        if self.manner == Manner::Either {
            text.push_str("flush\n");
        }
        text
    }

    fn write_question(&self, text: &mut String, what: &str, of: &dyn std::fmt::Display) {
        let written = match self.manner {
            Manner::Either => writeln!(text, "{what} {of}"),
            Manner::Kinds | Manner::Contents => writeln!(text, "{of}"),
        };
        written.expect("memory takes all");
    }

    /// Asks the process, which is started if there is none.
    fn ask(&mut self, of: Option<Oid>, question: &str) -> Result<&mut Running, Refusal> {
        if self.running.is_none() {
            self.running = Some(Running::start(&self.git, self.manner)?);
        }
        let running = self.running.as_mut().expect("it was started");
        running.asked.extend(of);
        running.to.write_all(question.as_bytes())?;
        Ok(running)
    }

    fn said<T>(&mut self, answer: Result<T, Refusal>) -> Result<T, Cause> {
        answer.map_err(|refusal| match refusal {
            Refusal::Missing => "object not found".into(),
            Refusal::Ended(error) => {
                self.running = None;
                error
            }
        })
    }
}

impl Running {
    fn start(git: &Git, manner: Manner) -> io::Result<Self> {
        let mut process = git
            .command()
            .arg("cat-file")
            .args(manner.options())
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
            line: Vec::new(),
        })
    }

    /// `ID TYPE SIZE`, or `NAME missing` (git-cat-file(1), "BATCH OUTPUT").
    fn answer(&mut self) -> Result<Answer, Refusal> {
        let asked = self.asked.pop_front();
        self.line.clear();
        let line = self.from.by_ref().take(LONGEST_LINE);
        { line }.read_until(b'\n', &mut self.line)?;
        let mut words = self.line.trim_ascii_end().split(|&byte| byte == b' ');
        let named = words.next().and_then(object::oid);
        if asked.is_some() && named != asked {
            return Err(ended());
        }
        let kind = match words.next() {
            Some(b"commit") => Kind::Commit,
            Some(b"tree") => Kind::Tree,
            Some(b"blob") => Kind::Blob,
            Some(b"tag") => Kind::Tag,
            Some(b"missing") => return Err(Refusal::Missing),
            _ => return Err(ended()),
        };
        let size = words
            .next()
            .and_then(|size| std::str::from_utf8(size).ok()?.parse().ok());
        match named.zip(size) {
            Some((id, size)) => Ok(Answer { id, kind, size }),
            None => Err(ended()),
        }
    }

    /// The contents, which must be read where they are told.
    fn contents(&mut self, size: u64) -> Result<Vec<u8>, Refusal> {
        let length = usize::try_from(size).map_err(|_| ended())?;
        // Mostly it is there.
        if let Some(whole) = self.from.buffer().get(..=length) {
            let bytes = whole[..length].to_vec();
            self.from.consume(length + 1);
            return Ok(bytes);
        }
        // No more room than what comes needs.
        let mut bytes = Vec::with_capacity(length.min(MOST_ROOM));
        self.from.by_ref().take(size).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(ended());
        }
        self.from.read_exact(&mut [0])?;
        Ok(bytes)
    }

    fn pass_over(&mut self, size: u64) -> Result<(), Refusal> {
        io::copy(&mut self.from.by_ref().take(size + 1), &mut io::sink())?;
        Ok(())
    }

    /// How it has ended; killed, unless it has: it may be in the middle of an answer.
    fn end(&mut self) -> Option<ExitStatus> {
        self.process.kill().ok();
        self.process.wait().ok()
    }
}

fn ended() -> Refusal {
    // What it said goes nowhere: a pipe that nobody empties would stop it.
    Refusal::Ended("git cannot read it (`git fsck` says more)".into())
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
