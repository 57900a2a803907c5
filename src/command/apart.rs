//! What root has every account do with its own: each is a process that runs as that account,
//! and what one of them does, or does not do, is nothing to the others.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

use super::become_account::PATH;
use super::forwarded::{Forwarded, Kind};
use super::found::{ByOwner, MOST_BYTES};
use super::surroundings::Surroundings;
use super::{Done, Error, IoContext};
use crate::delivery::{self, Instant};
use crate::report;

/// So many accounts are at work at once.
const PLACES: usize = 32;

/// A message that is on its way when the time is over ends within its timeout, which nobody sets
/// longer.
const ROOM_FOR_AN_ATTEMPT: Duration = Duration::from_secs(65);

/// Everything else ends at once.
const ROOM_TO_END: Duration = Duration::from_secs(5);

/// As long as looking at what waits takes at most.
const GLANCE: Duration = Duration::from_secs(55);

/// As long as a person waits for accounts that do not answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// What each account's refpost is to do.
pub(super) struct Job {
    /// Its arguments.
    pub(super) args: Vec<OsString>,
    /// Whether it takes a `--budget`.
    pub(super) has_budget: bool,
    /// When all of them should have ended.
    pub(super) deadline: Instant,
    /// Whether what it prints is for programs.
    pub(super) as_json: bool,
}

impl Job {
    /// Looking at what waits.
    pub(super) fn looking(args: Vec<OsString>, as_json: bool) -> Self {
        let deadline = Instant::now() + GLANCE;
        Self {
            deadline,
            as_json,
            ..Self::for_a_person(args)
        }
    }

    /// Something that a person waits for, and that ends.
    pub(super) fn for_a_person(args: Vec<OsString>) -> Self {
        Self {
            args,
            has_budget: false,
            deadline: Instant::now() + PATIENCE,
            as_json: false,
        }
    }
}

/// What came of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Whether something failed, and something is left.
    pub(super) is_any_no: bool,
    pub(super) is_any_left: bool,
    /// Whether what was asked for was nowhere.
    pub(super) is_nowhere: bool,
}

impl Ended {
    /// The same as one command's.
    pub(super) fn done(self) -> Done {
        match self {
            Self {
                is_any_no: true, ..
            } => Done::No,
            Self {
                is_any_left: true, ..
            } => Done::Deferred,
            _ => Done::Well,
        }
    }
}

/// One account, and what was found of it.
struct Part {
    account: u32,
    /// Paths, NUL-separated.
    found: Vec<u8>,
}

/// Has each account do its part, and tells what they say.
pub(super) fn run(found: ByOwner, job: &Job, around: &Surroundings) -> Result<Ended, Error> {
    // Three pipes for each, and those whose time is over keep theirs.
    around.descriptors();
    let parts = parts(found, around);
    let mut ended = Ended {
        is_any_no: false,
        is_any_left: false,
        is_nowhere: true,
    };
    delivery::run(async {
        let what = Path::new("signals");
        let mut terminate = signal(SignalKind::terminate()).doing("wait for", what)?;
        let mut interrupt = signal(SignalKind::interrupt()).doing("wait for", what)?;
        let (overdue, freed) = (Cell::new(0), Notify::new());
        let mut waiting = parts;
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < PLACES + overdue.get()
                && let Some(part) = waiting.pop_front()
            {
                let turns = (waiting.len() + 1).div_ceil(PLACES);
                let left = job.deadline.saturating_duration_since(Instant::now());
                let share = left / u32::try_from(turns).unwrap_or(u32::MAX);
                running.push(work(part, share, job, around, (&overdue, &freed)));
            }
            tokio::select! {
                one = running.next() => match one {
                    None => return Ok(ended),
                    Some(done) => {
                        ended.is_any_no |= done == Done::No;
                        ended.is_any_left |= done == Done::Deferred;
                        ended.is_nowhere &= done == Done::NotHere;
                    }
                },
                () = freed.notified() => {}
                // Those that run hear it too.
                _ = terminate.recv() => waiting.clear(),
                _ = interrupt.recv() => waiting.clear(),
            }
        }
    })
    .doing("wait for", Path::new("accounts"))?
}

/// The accounts, another one first each minute.
fn parts(found: ByOwner, around: &Surroundings) -> VecDeque<Part> {
    let mut parts = VecDeque::new();
    for (account, all) in found.0 {
        let mut part = Part {
            account,
            found: Vec::new(),
        };
        for one in all {
            let path = one.path().as_os_str().as_bytes();
            if part.found.len() + path.len() >= usize::try_from(MOST_BYTES).unwrap_or(usize::MAX) {
                let (name, _) = around.account(account);
                let text =
                    format!("`{name}` has more than is handed over: the rest is passed over");
                around.tell_once(&text, None);
                break;
            }
            part.found.extend(path);
            part.found.push(0);
        }
        parts.push_back(part);
    }
    let minutes = around.now().duration_since(UNIX_EPOCH);
    let minutes = minutes.map_or(0, |since| since.as_secs() / 60);
    let first = minutes % (parts.len().max(1) as u64);
    parts.rotate_left(usize::try_from(first).unwrap_or_default());
    parts
}

/// One account does its part. What goes wrong with it is told, and is nobody else's.
async fn work(
    part: Part,
    share: Duration,
    job: &Job,
    around: &Surroundings,
    overdue: (&Cell<usize>, &Notify),
) -> Done {
    let account = part.account;
    let name = || around.account(account).0;
    let ended = match Working::start(part, share, job, around) {
        Ok(working) => {
            let room = if job.has_budget {
                ROOM_FOR_AN_ATTEMPT
            } else {
                ROOM_TO_END
            };
            working.finish((share, room), &name, overdue).await
        }
        Err(error) => Err(error),
    };
    let status = match ended {
        Ok(status) => status,
        Err(error) => {
            report::say(&format!("{}: {}", name(), report::chain(&error)));
            return Done::No;
        }
    };
    match status.code() {
        Some(0) => Done::Well,
        Some(66) => Done::NotHere,
        Some(67) => {
            report::say(&format!(
                "what belongs to `{account}` is passed over: there is no such account"
            ));
            report::hint("chown it, or remove it");
            Done::Well
        }
        Some(75) => Done::Deferred,
        // It has said why.
        Some(_) => Done::No,
        None => {
            let name = name();
            report::say(&format!("{name}: its refpost was killed ({status})"));
            Done::No
        }
    }
}

/// The refpost of an account, at work.
struct Working {
    child: Child,
    input: Option<Sender>,
    found: Vec<u8>,
    written: usize,
    output: Forwarded,
    errors: Forwarded,
}

impl Working {
    fn start(part: Part, share: Duration, job: &Job, around: &Surroundings) -> Result<Self, Error> {
        let mut args = job.args.clone();
        args.push("--found".into());
        if job.has_budget {
            let millis = u64::try_from(share.as_millis()).unwrap_or(u64::MAX);
            args.extend(["--budget".into(), format!("{millis}ms").into()]);
        }
        let is_root = part.account == 0;
        let mut command = if is_root {
            around.refpost()?
        } else {
            let mut command = Command::new(super::anew::own_binary()?);
            // Root's environment may hold what that account must not have.
            command.env_clear().env("PATH", PATH).current_dir("/");
            command.args(["as-account", &part.account.to_string(), "--"]);
            command.args(around.config_args());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        let child = command.args(args).stdin(Stdio::piped()).spawn();
        let mut child = child.doing("run", Path::new("refpost"))?;
        let pipes = Self::pipes(&mut child);
        let (input, output, errors) = pipes.doing("talk to", Path::new("refpost"))?;
        let kind = if job.as_json {
            Kind::Object
        } else {
            Kind::Answer
        };
        Ok(Self {
            child,
            input: Some(input),
            found: part.found,
            written: 0,
            output: Forwarded::new(output, kind),
            errors: Forwarded::new(errors, Kind::Complaint),
        })
    }

    fn pipes(child: &mut Child) -> io::Result<(Sender, Option<Receiver>, Option<Receiver>)> {
        let input = child.stdin.take().map(OwnedFd::from);
        let input = input.ok_or(io::ErrorKind::BrokenPipe)?;
        let receiver = |fd: Option<OwnedFd>| fd.map(Receiver::from_owned_fd).transpose();
        Ok((
            Sender::from_owned_fd(input)?,
            receiver(child.stdout.take().map(OwnedFd::from))?,
            receiver(child.stderr.take().map(OwnedFd::from))?,
        ))
    }

    /// Until it ends: told to when its time is over, and killed when it does not hear. From
    /// then on it keeps nobody's place.
    async fn finish(
        mut self,
        (share, room): (Duration, Duration),
        name: &dyn Fn() -> String,
        (overdue, freed): (&Cell<usize>, &Notify),
    ) -> Result<ExitStatus, Error> {
        let what = Path::new("signals");
        // It hears of a child that ends even where whoever started us ignores that.
        let mut ended = signal(SignalKind::child()).doing("wait for", what)?;
        let mut terminate = signal(SignalKind::terminate()).doing("wait for", what)?;
        let mut interrupt = signal(SignalKind::interrupt()).doing("wait for", what)?;
        let mut term_at = Instant::now() + share;
        let mut is_over = false;
        let ended = loop {
            match self.child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => break Ok(status),
                Err(error) => break Err(error).doing("wait for", Path::new("refpost")),
            }
            let kill_at = term_at + room;
            tokio::select! {
                _ = ended.recv() => {}
                () = self.output.readable() => self.output.tell(name),
                () = self.errors.readable() => self.errors.tell(name),
                () = writable(self.input.as_ref()) => self.feed(),
                _ = terminate.recv(), if !is_over => term_at = Instant::now(),
                _ = interrupt.recv(), if !is_over => term_at = Instant::now(),
                () = sleep_until(term_at), if !is_over => {
                    is_over = true;
                    self.signal(Signal::SIGTERM);
                    overdue.set(overdue.get() + 1);
                    freed.notify_one();
                }
                () = sleep_until(kill_at), if is_over => {
                    self.signal(Signal::SIGKILL);
                    // It ends at once, unless the kernel holds it.
                    let mut wait = pin!(sleep(Duration::from_secs(1)));
                    tokio::select! { _ = ended.recv() => {}, () = &mut wait => {} }
                    match self.child.try_wait() {
                        Ok(Some(status)) => break Ok(status),
                        _ => break Err(Error::failed("its refpost cannot be killed")),
                    }
                }
            }
        };
        if is_over {
            overdue.set(overdue.get() - 1);
        }
        self.output.end(name);
        self.errors.end(name);
        ended
    }

    fn feed(&mut self) {
        let Some(input) = &self.input else { return };
        match input.try_write(&self.found[self.written..]) {
            Ok(count) => self.written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // It reads no more, which is its own affair.
            Err(_) => self.written = self.found.len(),
        }
        if self.written == self.found.len() {
            self.input = None;
        }
    }

    /// Sends a signal to it and to what it started. Its number is its own until it was waited
    /// for.
    fn signal(&self, signal: Signal) {
        let Ok(pid) = i32::try_from(self.child.id()) else {
            return;
        };
        let pid = Pid::from_raw(pid);
        if signal == Signal::SIGKILL {
            killpg(pid, signal).ok();
        }
        kill(pid, signal).ok();
    }
}

async fn writable(input: Option<&Sender>) {
    match input {
        Some(input) => drop(input.writable().await),
        None => std::future::pending().await,
    }
}
