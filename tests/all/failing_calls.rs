//! System calls of the hook and of a flush, failing: each call that can fail in a way that matters
//! fails once with each of several errors (`strace -e inject`), in a fresh copy of a repository.
//! Calls that are made very often fail every other time ([`MANY`]). What the push owes then arrives
//! with a healthy flush, or the pusher was told.
//! `close` is not among them: strace would leave open what the kernel closes in any case (close(2)).
//!
//! `.ci/run --long` runs them, with `REFPOST_TEST_LONG=1`. They need strace.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{REFPOST, Ran, Request, Runner, Spooled, may_take_minutes};

/// System calls, and the errors that each of them fails with.
const ERRORS: [(&[&str], &[&str]); 12] = [
    (
        &["open", "openat", "openat2"],
        &["EIO", "EMFILE", "EACCES", "ENOSPC", "EINTR"],
    ),
    (
        &["read", "readv", "pread64", "recvfrom"],
        &["EIO", "EACCES", "EINTR"],
    ),
    (
        &[
            "write",
            "writev",
            "pwrite64",
            "sendto",
            "fsync",
            "fdatasync",
        ],
        &["EIO", "ENOSPC", "EINTR"],
    ),
    (&["ftruncate", "fallocate"], &["EIO", "ENOSPC", "EINTR"]),
    (
        &[
            "link",
            "linkat",
            "rename",
            "renameat",
            "renameat2",
            "mkdir",
            "mkdirat",
            "unlink",
            "unlinkat",
            "rmdir",
            "utimensat",
        ],
        &["EIO", "ENOSPC", "EACCES"],
    ),
    (
        &[
            "stat",
            "fstat",
            "lstat",
            "newfstatat",
            "statx",
            "fstatfs",
            "access",
            "faccessat2",
            "getdents64",
            "readlink",
            "getcwd",
            "lseek",
        ],
        &["EIO", "EACCES"],
    ),
    (&["flock", "fcntl"], &["EIO", "EACCES", "EINTR"]),
    (
        &["socket", "socketpair", "eventfd2", "epoll_create1"],
        &["EMFILE", "EACCES"],
    ),
    (
        &["connect", "getsockopt", "ioctl"],
        &["EIO", "EACCES", "EINTR"],
    ),
    (
        &["epoll_wait"],
        &["EIO", "EACCES", "EINTR", "EMFILE", "ENOSPC"],
    ),
    (&["epoll_ctl"], &["ENOSPC", "EIO"]),
    (&["poll", "clone3"], &["EINTR", "ENOMEM"]),
];

/// Of a call that would fail in more runs than these, every other number fails with every other error.
const MANY: usize = 500;

/// A run that lasts longer hangs, in seconds.
const LIMIT: &str = "60";

/// A message that does not come in this time never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many runs of one command go on at once.
const AT_ONCE: usize = 2;

/// A call that is to fail: the `number`th of this name, with this error.
#[derive(PartialEq)]
struct Failure {
    call: String,
    number: usize,
    error: &'static str,
}

/// What runs with a call that fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    /// post-receive, of a push of one commit.
    Hook,
    /// The same in mode `sync`, from where it delivers.
    SyncHook,
    /// A flush, with one message waiting.
    Flush,
}

/// What a run came to, where nothing went wrong.
#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    /// The message arrived, then or with the next flush.
    Delivered,
    /// The pusher was told that there is none.
    Told,
    /// The dynamic loader could not start the program, and said so.
    NotStarted,
}

/// A repository that each run gets anew, at the same path.
struct Scene {
    victim: Victim,
    site: Spooled,
    prepared: PathBuf,
    /// Standard input.
    line: String,
}

impl Scene {
    fn new(victim: Victim) -> Self {
        let site = Spooled::new();
        let mode = match victim {
            Victim::SyncHook => "sync",
            Victim::Hook | Victim::Flush => "spool",
        };
        let mode = format!("mode = \"{mode}\"");
        site.configure(&mode, "[retry]\nschedule = [\"1s\"]");
        let old = site.bare_git(&["rev-parse", "main"]);
        let (hooks, aside) = (site.bare.join("hooks"), site.bare.join("aside"));
        let mut line = String::new();
        if victim == Victim::Flush {
            site.announce();
        } else {
            fs::rename(&hooks, &aside).unwrap();
            let new = site.commit("file");
            site.push(&["main"]);
            fs::rename(&aside, &hooks).unwrap();
            line = format!("{old} {new} refs/heads/main\n");
        }
        let prepared = site.path("prepared.git");
        fs::rename(&site.bare, &prepared).unwrap();
        Self {
            victim,
            site,
            prepared,
            line,
        }
    }

    fn begin_anew(&self) {
        fs::remove_dir_all(&self.site.bare).ok();
        let copy = self.site.run("cp").arg("-a").arg(&self.prepared);
        copy.arg(&self.site.bare).run().well();
        self.site.receiver.take();
    }

    fn trace(&self) -> PathBuf {
        self.site.path("trace")
    }

    /// Runs the victim below strace with these options.
    fn run(&self, options: &[String]) -> Ran {
        let strace = ["-s", "KILL", LIMIT, "strace", "-f", "-qq", "-o"];
        let run: Runner = self.site.run("timeout").args(strace).arg(self.trace());
        let run = run.args(options).arg(REFPOST).dir(&self.site.bare);
        let run = match self.victim {
            Victim::Hook | Victim::SyncHook => {
                run.args(["hook", "post-receive"]).env("GIT_DIR", ".")
            }
            Victim::Flush => run.args(["flush", "--budget", "10s", "."]),
        };
        run.stdin(&self.line).run()
    }

    /// The calls of a run in which nothing fails, and the message that comes of it.
    fn healthy(&self) -> (Vec<Failure>, Value) {
        self.begin_anew();
        assert_eq!(self.run(&[]).status, 0);
        let trace = fs::read_to_string(self.trace()).unwrap();
        let [message] = <[_; 1]>::try_from(self.arrived()).unwrap();
        (failures(&trace), self.content(&message))
    }

    /// Everything that arrived, and arrives with flushes in which nothing fails.
    fn arrived(&self) -> Vec<Request> {
        let end = Instant::now() + PATIENCE;
        let mut arrived = self.site.receiver.take();
        while arrived.is_empty() && Instant::now() < end {
            self.site.flush();
            arrived = self.site.receiver.take();
            if self.site.queue(&["list"]).stdout.is_empty() {
                break;
            }
            if arrived.is_empty() {
                self.site.queue(&["retry", "--all"]);
                thread::sleep(Duration::from_millis(200));
            }
        }
        arrived.extend(self.site.receiver.take());
        arrived
    }

    /// A message, without what another run makes differently.
    fn content(&self, request: &Request) -> Value {
        let mut body: Value = serde_json::from_slice(&request.body).unwrap();
        if self.victim != Victim::Flush {
            let fields = body.as_object_mut().unwrap();
            for field in ["msg_id", "timestamp"] {
                fields.remove(field).unwrap();
            }
            // Facts of the repository are empty where they cannot be read: none of them is worth
            // the loss of a message. A copy is younger, too.
            let message = fields["msg"].as_object_mut().unwrap();
            message.remove("repo").unwrap();
        }
        body
    }

    /// What a run with this failure comes to, or the fault; whether the call failed at all.
    fn survives(&self, failure: &Failure, expected: &Value) -> (bool, Result<Outcome, String>) {
        self.begin_anew();
        let Failure {
            call,
            number,
            error,
        } = failure;
        let ran = self.run(&[
            "--seccomp-bpf".to_owned(),
            format!("--trace={call}"),
            format!("--inject={call}:error={error}:when={number}"),
        ]);
        let trace = fs::read_to_string(self.trace()).unwrap_or_default();
        let injected = trace.lines().find(|line| line.ends_with("(INJECTED)"));
        let outcome = self.judge(&ran, expected).map_err(|fault| {
            let shown = injected.unwrap_or("no such call");
            let (status, said) = (ran.status, &ran.stderr);
            format!("{fault}: {call} {number} {error}: {shown}\n  exit code {status}: {said}")
        });
        (injected.is_some(), outcome)
    }

    fn judge(&self, ran: &Ran, expected: &Value) -> Result<Outcome, String> {
        let arrived = self.arrived();
        let is_told = ran.stderr.contains("refpost: cannot ") && !ran.stderr.contains("recorded,");
        let is_started = ran.status != 127 || ran.stderr.is_empty();
        // 101 is a panic; above 123 are an end by a signal, and the limit.
        if is_started && matches!(ran.status, -1 | 101 | 124..) {
            return Err("ended badly".to_owned());
        }
        let mut contents = arrived.iter().map(|request| self.content(request));
        if let Some(other) = contents.find(|content| content != expected) {
            return Err(format!("{other} is not {expected}"));
        }
        match (arrived.is_empty(), self.victim) {
            (true, Victim::Flush) => Err("lost".to_owned()),
            _ if !is_started => Ok(Outcome::NotStarted),
            (false, _) => Ok(Outcome::Delivered),
            (true, _) if is_told => Ok(Outcome::Told),
            (true, _) => Err("lost in silence".to_owned()),
        }
    }
}

/// Each call of this trace with each of its errors.
fn failures(trace: &str) -> Vec<Failure> {
    let processes = trace.lines().filter_map(|line| line.split(' ').next());
    let mut processes: Vec<&str> = processes.collect();
    processes.dedup();
    assert_eq!(
        processes.len(),
        1,
        "strace counts the calls of each process"
    );
    let mut found = Vec::new();
    for (names, errors) in ERRORS {
        for name in names {
            let is_it = |line: &&str| {
                let call = line.split_once(' ').map(|(_, call)| call.trim_start());
                call.and_then(|call| call.split_once('('))
                    .is_some_and(|(called, _)| called == *name)
            };
            let calls: Vec<&str> = trace.lines().filter(is_it).collect();
            let is_many = calls.len() * errors.len() > MANY;
            for (number, call) in (1..).zip(calls) {
                // Only assertions of the standard library ask that, in a build for tests.
                if call.contains("F_GETFD") {
                    continue;
                }
                for (at, error) in errors.iter().enumerate() {
                    if !is_many || (number + at) % 2 == 0 {
                        found.push(Failure {
                            call: (*name).to_owned(),
                            number,
                            error,
                        });
                    }
                }
            }
        }
    }
    found
}

/// Runs the victim once for each call and error.
fn sweep(victim: Victim) {
    let (mut failures, _) = Scene::new(victim).healthy();
    if victim == Victim::SyncHook {
        // It begins as the other one does.
        let (done, _) = Scene::new(Victim::Hook).healthy();
        failures.retain(|failure| !done.contains(failure));
    }
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let scene = Scene::new(victim);
                let (_, expected) = scene.healthy();
                while let Some(failure) = failures.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = scene.survives(failure, &expected);
                    if let Err(fault) = &result.1 {
                        eprintln!("{victim:?}: {fault}");
                    }
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let failed = results.iter().filter(|(failed, _)| *failed).count();
    let count = |outcome| {
        let is_it = |(_, result): &&(bool, Result<Outcome, String>)| *result == Ok(outcome);
        results.iter().filter(is_it).count()
    };
    let runs = results.len();
    let faults = results.iter().filter(|(_, result)| result.is_err()).count();
    let [delivered, told, not_started] =
        [Outcome::Delivered, Outcome::Told, Outcome::NotStarted].map(count);
    eprintln!(
        "{victim:?}: {runs} runs, a call failed in {failed}; {delivered} delivered, {told} told, \
         {not_started} not started, {faults} faults"
    );
    assert!(failed * 10 > runs * 9, "too few of the calls failed");
    assert_eq!(faults, 0, "{victim:?}");
}

#[test]
fn a_call_of_the_hook_that_fails_loses_no_push_in_silence() {
    if may_take_minutes() {
        sweep(Victim::Hook);
    }
}

#[test]
fn a_call_of_a_hook_that_delivers_fails_and_no_push_is_lost_in_silence() {
    if may_take_minutes() {
        sweep(Victim::SyncHook);
    }
}

#[test]
fn a_call_of_a_flush_that_fails_loses_no_message() {
    if may_take_minutes() {
        sweep(Victim::Flush);
    }
}
