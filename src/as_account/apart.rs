//! Has every account work on its own repositories and spools, for commands of root.
//!
//! Each account has a process of its own. Nothing that one of them does, or fails to do, affects
//! the others.

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

use super::become_account::PATH;
use super::ended::{Ended, exit_of};
use super::forwarded::{Forwarded, Kind};
use super::parts::{Part, parts};
use crate::context::Context;
use crate::context::found::ByOwner;
use crate::delivery::{self, Instant};
use crate::error::{Error, Exit, IoContext};
use crate::report;

/// Greatest number of accounts at work at once. Those whose time is over do not count.
const PLACES: usize = 32;

/// Time that a process which delivers has to end once its share of the time is over.
///
/// A message under way then ends within its timeout, which cannot be longer than 60 seconds.
const ROOM_FOR_AN_ATTEMPT: Duration = Duration::from_secs(65);

/// Time that any other process has to end once its share of the time is over.
const ROOM_TO_END: Duration = Duration::from_secs(5);

/// Longest time that an account has for an output that root's refpost reads.
const GATHERED_WITHIN: Duration = Duration::from_secs(10);

/// Time within which all accounts must have looked at their spools.
const GLANCE: Duration = Duration::from_secs(55);

/// Time that a person waits for accounts that do not answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// The task of each account's refpost.
pub(crate) struct Job {
    /// The arguments of the command line.
    pub(crate) args: Vec<OsString>,
    /// True if the command takes a `--budget`.
    pub(crate) has_budget: bool,
    /// Time by which all accounts should have ended.
    pub(crate) deadline: Instant,
    /// True if the output is for programs.
    pub(crate) as_json: bool,
}

impl Job {
    /// Makes a job that only looks at spools.
    pub(crate) fn looking(args: Vec<OsString>, as_json: bool) -> Self {
        let deadline = Instant::now() + GLANCE;
        Self {
            deadline,
            as_json,
            ..Self::for_a_person(args)
        }
    }

    /// Makes a job that a person waits for, and that ends by itself.
    pub(crate) fn for_a_person(args: Vec<OsString>) -> Self {
        Self {
            args,
            has_budget: false,
            deadline: Instant::now() + PATIENCE,
            as_json: false,
        }
    }
}

/// Has each account do its part, and prints their output. Returns the outcome that counts most.
pub(crate) fn run(found: ByOwner, job: &Job, ctx: &Context) -> Result<Exit, Error> {
    let mut ended = None;
    let kind = if job.as_json {
        Kind::Object
    } else {
        Kind::Answer
    };
    each(found, job, kind, ctx, &mut |one| {
        ended = ended.max(Some(one.exit));
    })?;
    let own = Some(ctx.outcome()).filter(|own| *own != Exit::Well);
    Ok(ended.max(own).unwrap_or(Exit::Well))
}

/// Has each account do its part, and hands on the end of each.
pub(super) fn each(
    found: ByOwner,
    job: &Job,
    kind: Kind,
    ctx: &Context,
    done: &mut dyn FnMut(Ended),
) -> Result<(), Error> {
    // Three pipes for each, and those whose time is over keep theirs.
    ctx.descriptors();
    let parts = parts(found, ctx);
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
                running.push(work(part, share, (job, kind), ctx, (&overdue, &freed)));
            }
            tokio::select! {
                one = running.next() => match one {
                    None => return Ok(()),
                    Some(ended) => done(ended),
                },
                () = freed.notified() => {}
                // `finish` gets the signal too, for those that run.
                _ = terminate.recv() => waiting.clear(),
                _ = interrupt.recv() => waiting.clear(),
            }
        }
    })
    .doing("wait for", Path::new("accounts"))?
}

/// Runs the part of one account. A failure is told, and does not affect the other accounts.
async fn work(
    part: Part,
    share: Duration,
    (job, kind): (&Job, Kind),
    ctx: &Context,
    overdue: (&Cell<usize>, &Notify),
) -> Ended {
    let account = part.account;
    let name = || ctx.account(account).0;
    let came = match Working::start(part, share, (job, kind), ctx) {
        Ok(working) => {
            let times = match kind {
                Kind::Gathered => (share.min(GATHERED_WITHIN), Duration::ZERO),
                _ if job.has_budget => (share, ROOM_FOR_AN_ATTEMPT),
                _ => (share, ROOM_TO_END),
            };
            working.finish(times, &name, overdue).await
        }
        Err(error) => Err(error),
    };
    let ended = |exit, output| Ended {
        account,
        exit,
        output,
    };
    match came {
        Ok((status, output)) => ended(exit_of(status, account, &name), output),
        Err(error) => {
            report::say(&format!("{}: {}", name(), report::chain(&error)));
            ended(Exit::No, None)
        }
    }
}

/// A running refpost of an account.
struct Working {
    child: Child,
    input: Option<Sender>,
    found: Vec<u8>,
    written: usize,
    output: Forwarded,
    errors: Forwarded,
}

impl Working {
    fn start(
        part: Part,
        share: Duration,
        (job, kind): (&Job, Kind),
        ctx: &Context,
    ) -> Result<Self, Error> {
        let mut args = job.args.clone();
        args.push("--found".into());
        if job.has_budget {
            let millis = u64::try_from(share.as_millis()).unwrap_or(u64::MAX);
            args.extend(["--budget".into(), format!("{millis}ms").into()]);
        }
        let is_root = part.account == 0;
        let mut command = if is_root {
            let mut command = ctx.refpost()?;
            if kind == Kind::Gathered {
                command.stdout(Stdio::piped());
            }
            command
        } else {
            let mut command = Command::new(crate::context::binary::own_binary()?);
            // Root's environment may hold what that account must not have.
            command.env_clear().env("PATH", PATH).current_dir("/");
            command.args(["as-account", &part.account.to_string(), "--"]);
            command.args(ctx.config_args());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        let child = command.args(args).stdin(Stdio::piped()).spawn();
        let mut child = child.doing("run", Path::new("refpost"))?;
        let pipes = Self::pipes(&mut child);
        let (input, output, errors) = pipes.doing("talk to", Path::new("refpost"))?;
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

    /// Waits until the process ends.
    ///
    /// It gets SIGTERM when its share of the time is over, and SIGKILL when `room` has passed since
    /// then. From SIGTERM on it does not count among `PLACES`.
    async fn finish(
        mut self,
        (share, room): (Duration, Duration),
        name: &dyn Fn() -> String,
        (overdue, freed): (&Cell<usize>, &Notify),
    ) -> Result<(ExitStatus, Option<Vec<u8>>), Error> {
        let what = Path::new("signals");
        // With a handler, ended children are noticed even where the process that started this one
        // had SIGCHLD ignored.
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
                    // The process ends at once, unless the kernel holds it.
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
        let output = self.output.end(name);
        self.errors.end(name);
        ended.map(|status| (status, output))
    }

    fn feed(&mut self) {
        let Some(input) = &self.input else { return };
        match input.try_write(&self.found[self.written..]) {
            Ok(count) => self.written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // The process reads no more, which is no error here.
            Err(_) => self.written = self.found.len(),
        }
        if self.written == self.found.len() {
            self.input = None;
        }
    }

    /// Sends a signal to the process, and SIGKILL to its process group too.
    ///
    /// Its process id is not reused before it was waited for.
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
