//! The processes that make messages for a flush (`build`), watched: who is killed by what it
//! reads counts against the entry, who is killed by somebody does not.

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

use super::surroundings::Surroundings;
use super::{Error, IoContext, process};
use crate::spool::{Build, Header, Id, Spool, Unbuilt};

/// So many at once.
const MOST: usize = 4;
/// One that does nothing for so long is killed, and that counts. Root's flush, and those that it
/// starts, last no longer than 55 seconds.
const PATIENCE: Duration = Duration::from_secs(40);
/// One that is at an entry for so long is killed whatever it does, and that counts.
const LONGEST: Duration = Duration::from_mins(30);
/// How often it is looked at what one does.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// One that a flush ends with itself counts by parts, if it has done nothing for so long.
const PART: Duration = Duration::from_secs(10);
/// So often an entry may kill.
const DEATHS: u32 = 2;

/// `EX_TEMPFAIL` of sysexits.h: the messages cannot be made now.
const CANNOT: i32 = 75;
/// A panic, where it does not abort.
const PANIC: i32 = 101;

/// Signals by which a process falls that reads what it cannot digest.
const FATAL: [Signal; 5] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGABRT,
];

/// The processes of a flush.
#[derive(Default)]
pub(super) struct Builders {
    /// By spool and repository.
    running: RefCell<HashMap<(PathBuf, PathBuf), Builder>>,
    /// What is known of entries, by spool, until all of it was looked through.
    known: RefCell<HashMap<(PathBuf, Id), Known>>,
    /// How often each entry killed, be that written down or not.
    deaths: RefCell<HashMap<Id, u32>>,
    /// Entries that were said to be done.
    done: RefCell<HashSet<Id>>,
}

/// What is known of an entry whose messages are not made.
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
    /// The entry that it was started for.
    first: Id,
    /// The entry whose messages it makes.
    id: Id,
    /// Entries whose messages it could not make, until that is noted.
    unbuilt: Vec<(Id, Unbuilt)>,
    /// Text that it said and that is no line yet.
    said: String,
    /// What it had done when it was last looked at, and since when it is no more.
    done: String,
    since: Instant,
    looked: Instant,
    /// Since when it is at that entry.
    begun: Instant,
}

/// What became of a process.
enum Fate {
    /// It has said all that there was to say.
    Over,
    /// It failed for this reason, or was killed.
    Failed(String),
    /// It died of the entry.
    Died(String),
}

impl Builders {
    /// Has the messages of an entry made.
    pub(super) fn build(
        &self,
        spool: &Spool,
        id: &Id,
        header: &Header,
        around: &Surroundings,
    ) -> Build {
        let mut builders = self.running.borrow_mut();
        // Of all of them: of an entry that is gone, nobody asks again.
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
            match Builder::start(spool, id, around) {
                Ok(builder) => drop(builders.insert(key, builder)),
                Err(error) => {
                    return Build::Unbuilt(Unbuilt::All(crate::report::chain(&error)));
                }
            }
        }
        Build::Begun
    }

    /// Forgets what is known of this spool's entries: they are tried again.
    pub(super) fn forget(&self, spool: &Spool) {
        let mut known = self.known.borrow_mut();
        known.retain(|(root, _), _| root != spool.root());
    }

    /// Keeps what became of a process, for when its entry is asked for.
    fn note(&self, builder: &Builder, fate: Fate) {
        let all = |why| Known::Unbuilt(Unbuilt::All(why));
        let (mut id, spool) = (&builder.id, &builder.spool);
        let known = match fate {
            Fate::Over => {
                id = &builder.first;
                let entry = (spool.root().to_owned(), id.clone());
                // It was read before that, and is read again.
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
    /// A flush may last for less time than a process is waited for, and never see it counted.
    fn drop(&mut self) {
        for builder in self.running.get_mut().values_mut() {
            // What it has done since it was last looked at counts.
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
    fn start(spool: &Spool, id: &Id, around: &Surroundings) -> Result<Self, Error> {
        let what = Path::new("refpost");
        // Not by its name: by now there may be another version.
        let mut command = around.refpost_at("/proc/self/exe".into());
        let process = command
            .args(arguments(spool, id))
            // What ends the flush by its process group is not told of this one too: it ends with
            // the flush.
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

    /// What became of it; `None`: it is at work.
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
            (Some(signal), _) => {
                Fate::Failed(format!("whoever built the messages was ended by {signal}"))
            }
            (None, _) => Fate::Failed(format!("whoever built the messages ended with {status}")),
        }
    }

    /// Reads what it says: ids, and why the messages of the last one could not be made.
    fn listen(&mut self) {
        let mut bytes = Vec::new();
        if let Some(stdout) = &mut self.process.stdout {
            // Until it says no more, for now.
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

    /// Why it is waited for no longer, if it is not: it has read nothing and touched no memory
    /// anew for too long, or it has been at one entry for too long.
    fn why_too_long(&mut self) -> Option<String> {
        if self.looked.elapsed() < LOOK_AGAIN {
            return None;
        }
        self.look();
        too_long(self.since.elapsed(), self.begun.elapsed())
    }

    fn look(&mut self) {
        self.looked = Instant::now();
        let done = format!("{} {}", self.id, process::progress(self.process.id()));
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

/// Why a process is waited for no longer that has done nothing for so long, and has been at one
/// entry for so long.
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
    /// What it is at is done by another flush.
    fn drop(&mut self) {
        self.end();
    }
}

/// The arguments of a process that makes messages for this one.
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
