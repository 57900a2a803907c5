//! Watches the processes that make messages for a flush (`build`).
//!
//! A process that dies of the data it reads counts against its entry; one that is killed by another
//! process or a person does not.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;

use super::git_process;
use crate::context::Context;
use crate::error::{Error, IoContext};
use crate::spool::{Build, Header, Id, Spool, Unbuilt};

/// Greatest number of processes at once.
const MOST: usize = 4;
/// Time after which an idle process is killed, which counts against its entry.
///
/// Root's flush, and those that it starts, last no longer than 55 seconds.
const PATIENCE: Duration = Duration::from_secs(40);
/// Time at one entry after which even a busy process is killed, which counts against the entry.
const LONGEST: Duration = Duration::from_mins(30);
/// Least time between two looks at the progress of a process.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Idle time from which a process that ends with its flush counts in part against its entry.
const PART: Duration = Duration::from_secs(10);
/// Number of processes that an entry may kill.
const DEATHS: u32 = 2;

/// `EX_TEMPFAIL` of sysexits.h: the messages cannot be made now.
const CANNOT: i32 = 75;
/// Exit code of a panic that does not abort.
const PANIC: i32 = 101;

/// Signals that end a process which reads data that it cannot handle.
const FATAL: [Signal; 5] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGABRT,
];

/// The building processes of a flush, and their results.
#[derive(Default)]
pub(crate) struct Builders {
    /// Running processes, by spool and repository.
    running: RefCell<HashMap<(PathBuf, PathBuf), Builder>>,
    /// Results of entries, by spool and id, until the whole spool was looked through.
    known: RefCell<HashMap<(PathBuf, Id), Known>>,
    /// Number of processes that each entry has killed, written down or not.
    deaths: RefCell<HashMap<Id, u32>>,
    /// Entries for which a process was started that ended without a failure.
    done: RefCell<HashSet<Id>>,
}

/// The result for an entry whose messages are not made.
#[derive(Clone)]
enum Known {
    Unbuilt(Unbuilt),
    Kills(String),
}

impl From<Known> for Build {
    fn from(known: Known) -> Self {
        match known {
            Known::Unbuilt(why) => Self::Unbuilt(why),
            Known::Kills(why) => Self::Kills(why),
        }
    }
}

struct Builder {
    process: Child,
    spool: Spool,
    /// The entry that the process was started for.
    first: Id,
    /// The entry whose messages the process makes now.
    id: Id,
    /// Entries whose messages the process could not make, not noted yet.
    unbuilt: Vec<(Id, Unbuilt)>,
    /// Output of which no line is complete yet.
    said: String,
    /// The progress at the last look.
    done: String,
    /// Time of the last look that found other progress than the look before.
    since: Instant,
    /// Time of the last look.
    looked: Instant,
    /// Time at which the process began with its entry.
    begun: Instant,
}

/// The end of a process.
enum Fate {
    /// It ended by itself, and has told all results.
    Over,
    /// It failed for this reason, or was killed by another process.
    Failed(String),
    /// The entry killed it, for this reason.
    Died(String),
}

impl Builders {
    /// Has the messages of an entry made, and returns the result if one is known.
    ///
    /// Returns `Build::Begun` as long as none is, also while other processes must end first.
    pub(crate) fn build(&self, spool: &Spool, id: &Id, header: &Header, ctx: &Context) -> Build {
        let mut builders = self.running.borrow_mut();
        // All processes are looked at, since an entry that is gone is not asked for again.
        builders.retain(|_, builder| {
            let fate = builder.fate();
            for (id, why) in std::mem::take(&mut builder.unbuilt) {
                self.know(builder, &id, Known::Unbuilt(why));
            }
            let goes_on = fate.is_none();
            if let Some(fate) = fate {
                self.note(builder, fate);
            }
            goes_on
        });
        let entry = (spool.root().to_owned(), id.clone());
        if let Some(known) = self.known.borrow().get(&entry) {
            return known.clone().into();
        }
        let key = (entry.0, header.repository.clone());
        if builders.len() < MOST && !builders.contains_key(&key) {
            if let Some(why) = spool.killed_by(id, DEATHS) {
                return Build::Kills(why);
            }
            match Builder::start(spool, id, ctx) {
                Ok(builder) => drop(builders.insert(key, builder)),
                Err(error) => {
                    return Build::Unbuilt(Unbuilt::All(crate::report::chain(&error)));
                }
            }
        }
        Build::Begun
    }

    /// Forgets the results for a spool's entries, so that they are tried again.
    pub(crate) fn forget(&self, spool: &Spool) {
        let mut known = self.known.borrow_mut();
        known.retain(|(root, _), _| root != spool.root());
    }

    /// Keeps the result of a process until its entry is asked for.
    fn note(&self, builder: &Builder, fate: Fate) {
        let all = |why| Known::Unbuilt(Unbuilt::All(why));
        let (mut id, spool) = (&builder.id, &builder.spool);
        let known = match fate {
            Fate::Over => {
                id = &builder.first;
                let entry = (spool.root().to_owned(), id.clone());
                // The flush read the entry before the process ended, and reads it again.
                if self.known.borrow().contains_key(&entry)
                    || self.done.borrow_mut().insert(id.clone())
                {
                    return;
                }
                all(format!("cannot build the messages of entry `{id}`"))
            }
            Fate::Failed(why) => all(why),
            Fate::Died(why) if self.count_death(spool, id, &why) < DEATHS => return,
            Fate::Died(why) => Known::Kills(why),
        };
        self.know(builder, id, known);
    }

    fn know(&self, builder: &Builder, id: &Id, known: Known) {
        let entry = (builder.spool.root().to_owned(), id.clone());
        self.known.borrow_mut().insert(entry, known);
    }

    fn count_death(&self, spool: &Spool, id: &Id, why: &str) -> u32 {
        let mut deaths = self.deaths.borrow_mut();
        let here = deaths.entry(id.clone()).or_default();
        *here += 1;
        spool.count_death(id, why).max(*here)
    }
}

impl Drop for Builders {
    /// Counts the idle time of processes that end with the flush.
    ///
    /// A flush may last less than `PATIENCE`, and would never count it.
    fn drop(&mut self) {
        for builder in self.running.get_mut().values_mut() {
            // Progress since the last look counts.
            builder.look();
            let idle = builder.since.elapsed();
            if idle >= PART {
                let why = done_nothing();
                builder.spool.count_idle(&builder.id, idle, PATIENCE, &why);
            }
        }
    }
}

impl Builder {
    fn start(spool: &Spool, id: &Id, ctx: &Context) -> Result<Self, Error> {
        let what = Path::new("refpost");
        // Not by its path, where another version may be installed by now.
        let mut command = ctx.refpost_at("/proc/self/exe".into());
        let process = command
            .args(arguments(spool, id))
            // A signal to the flush's process group must not reach this process: it ends with the
            // flush.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .doing("run", what)?;
        if let Some(stdout) = &process.stdout {
            let flags = FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
            fcntl(stdout, flags)
                .map_err(io::Error::from)
                .doing("run", what)?;
        }
        let now = Instant::now();
        Ok(Self {
            process,
            spool: spool.clone(),
            first: id.clone(),
            id: id.clone(),
            unbuilt: Vec::new(),
            said: String::new(),
            done: String::new(),
            since: now,
            looked: now,
            begun: now,
        })
    }

    /// Returns the end of the process, or `None` while it works.
    fn fate(&mut self) -> Option<Fate> {
        let ended = self.process.try_wait();
        self.listen();
        let why = match ended {
            Ok(Some(status)) => return Some(self.fate_of(status)),
            Ok(None) => {
                let why = self.why_too_long()?;
                self.end();
                why
            }
            Err(error) => return Some(Fate::Failed(error.to_string())),
        };
        Some(Fate::Died(why))
    }

    fn fate_of(&self, status: ExitStatus) -> Fate {
        let signal = status.signal().and_then(|it| Signal::try_from(it).ok());
        match (signal, status.code()) {
            (_, Some(0)) => Fate::Over,
            (_, Some(CANNOT)) => match self.said.trim_end() {
                "" => Fate::Over,
                said => Fate::Failed(said.to_owned()),
            },
            (_, Some(PANIC)) => Fate::Died("it panicked".to_owned()),
            (Some(signal), _) if FATAL.contains(&signal) => {
                Fate::Died(format!("it ended by {signal}"))
            }
            (Some(signal), _) => Fate::Failed(format!(
                "the process that builds messages was ended by {signal}"
            )),
            (None, _) => Fate::Failed(format!(
                "the process that builds messages ended with {status}"
            )),
        }
    }

    /// Reads the output: ids, and the reason if the messages of the last one could not be made.
    fn listen(&mut self) {
        let mut bytes = Vec::new();
        if let Some(stdout) = &mut self.process.stdout {
            // The pipe does not block: this ends when there is no more output for now.
            stdout.read_to_end(&mut bytes).ok();
        }
        self.said += &String::from_utf8_lossy(&bytes);
        while let Some((line, rest)) = self.said.split_once('\n') {
            if let Some(id) = Id::parse(line) {
                self.id = id;
                self.begun = Instant::now();
            } else if let Ok(why) = serde_json::from_str(line) {
                self.unbuilt.push((self.id.clone(), why));
            } else {
                break;
            }
            self.said = rest.to_owned();
        }
    }

    /// Returns the reason to wait for the process no longer, if there is one.
    ///
    /// Either it has read nothing and touched no new memory for too long, or it has been at one
    /// entry for too long.
    fn why_too_long(&mut self) -> Option<String> {
        if self.looked.elapsed() < LOOK_AGAIN {
            return None;
        }
        self.look();
        too_long(self.since.elapsed(), self.begun.elapsed())
    }

    fn look(&mut self) {
        self.looked = Instant::now();
        let done = format!("{} {}", self.id, git_process::progress(self.process.id()));
        if done != self.done {
            self.done = done;
            self.since = Instant::now();
        }
    }

    fn end(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Returns the reason to wait no longer for a process that was idle, and at one entry, for these
/// times.
fn too_long(idle: Duration, at_entry: Duration) -> Option<String> {
    if idle >= PATIENCE {
        return Some(done_nothing());
    }
    let longest = humantime::format_duration(LONGEST);
    let why = format!("it has not ended within {longest}");
    (at_entry >= LONGEST).then_some(why)
}

fn done_nothing() -> String {
    let patience = humantime::format_duration(PATIENCE);
    format!("it has done nothing for {patience}")
}

impl Drop for Builder {
    /// Ends the process. Another flush makes the messages.
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the arguments of a process that makes messages for this one.
fn arguments(spool: &Spool, id: &Id) -> [OsString; 4] {
    let (root, flush) = (spool.root().as_os_str(), std::process::id().to_string());
    [
        "build".into(),
        root.into(),
        id.as_str().into(),
        flush.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_goes_on_for_ever_is_ended_too() {
        let why =
            |idle, at_entry| too_long(Duration::from_secs(idle), Duration::from_secs(at_entry));
        assert_eq!(why(0, 0), None);
        assert_eq!(why(39, 1799), None);
        assert_eq!(why(40, 40).as_deref(), Some("it has done nothing for 40s"));
        assert_eq!(why(0, 1800).as_deref(), Some("it has not ended within 30m"));
    }
}
