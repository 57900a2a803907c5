//! The inputs of the engine from outside: receivers, repositories and configurations.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::LocalBoxFuture;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::super::agent::{Outside, Surveyor, Unavailable};
use super::super::http::answer::{Answer, Broken};
use super::super::http::fault::Fault;
use super::super::http::request::Request;
use super::super::outcome::Outcome;
use super::super::result::LaneReport;
use super::super::transport::Transport;
use super::chance::Chance;
use crate::config::{self, Endpoint, Network, Settings};
use crate::spool::{
    Access, Build, Content, Distributed, Header, Id, IoError, Queue, Spool, SpoolError, Unbuilt,
};

/// The first two lead to one receiver, and the next two.
pub(super) const ENDPOINTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
pub(super) const REPOSITORIES: usize = 3;

/// The behaviour of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Accepts each message, after this time.
    Takes(Duration),
    /// Answers with a status, after this time.
    Answers(u16, Duration),
    /// Refuses each message whose number this divides, and accepts the others.
    Refuses(u64),
    /// Answers 500 to each message whose number this divides, and accepts the others.
    Chokes(u64),
    /// Takes the request, and does not answer.
    Hangs,
    /// Breaks the connection, after this time.
    Breaks(Duration),
    /// Takes every other message, and breaks the connection before the answer is whole.
    Halves(Duration),
    /// Takes no connection.
    Absent,
}

impl Manner {
    /// Returns whether the receiver cannot be reached, or gives no answer.
    pub(super) fn is_down(self) -> bool {
        matches!(
            self,
            Self::Hangs | Self::Breaks(_) | Self::Halves(_) | Self::Absent
        )
    }
}

/// A request that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) endpoint: String,
    pub(super) number: u64,
    pub(super) began: Instant,
    /// True if the receiver accepted it, though it may not have been able to say so.
    pub(super) taken: bool,
    /// True if the engine was told so.
    pub(super) is_known: bool,
}

pub(super) struct Simulated {
    pub(super) dir: TempDir,
    pub(super) spool: Spool,
    pub(super) chance: RefCell<Chance>,
    pub(super) manners: RefCell<BTreeMap<String, Manner>>,
    pub(super) sent: RefCell<Vec<Sent>>,
    /// Messages that were refused or broke once: they may arrive out of order.
    pub(super) refused: RefCell<BTreeSet<(String, u64)>>,
    pub(super) under_way: Cell<usize>,
    /// Number of turns that were reported.
    pub(super) turns: Cell<usize>,
    /// True while the disk is full.
    pub(super) is_full: Cell<bool>,
    /// Seconds by which the clock is ahead of true time.
    pub(super) ahead: Cell<i64>,
    start: Instant,
    epoch: SystemTime,
    settings: RefCell<BTreeMap<PathBuf, Result<Rc<Settings>, Unavailable>>>,
}

impl Simulated {
    pub(super) fn new(seed: u64) -> Self {
        let memory = Path::new("/dev/shm");
        let dir = match tempfile::Builder::new().tempdir_in(memory) {
            Ok(dir) => dir,
            Err(_) => tempfile::tempdir().unwrap(),
        };
        for n in 0..REPOSITORIES {
            fs::create_dir(dir.path().join(format!("{n}.git"))).unwrap();
        }
        let manner = |name: &&str| ((*name).to_owned(), Manner::Takes(Duration::from_millis(10)));
        Self {
            spool: Spool::new(dir.path().join("spool"), Access::Owner).held_open(),
            dir,
            chance: RefCell::new(Chance::new(seed)),
            manners: RefCell::new(ENDPOINTS.iter().map(manner).collect()),
            sent: RefCell::default(),
            refused: RefCell::default(),
            under_way: Cell::new(0),
            turns: Cell::new(0),
            is_full: Cell::new(false),
            ahead: Cell::new(0),
            start: Instant::now(),
            // Ids sort after what the real clock gives the spool's folder.
            epoch: SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000),
            settings: RefCell::default(),
        }
    }

    pub(super) fn repository(&self, n: usize) -> PathBuf {
        self.dir.path().join(format!("{n}.git"))
    }

    /// Writes a repository's configuration, which may be broken.
    pub(super) fn configure(&self, n: usize, text: &str) {
        let repository = self.repository(n);
        fs::create_dir_all(&repository).unwrap();
        fs::write(repository.join(config::REPOSITORY_FILE), text).unwrap();
        self.forget();
    }

    /// Removes a repository, until it is configured.
    pub(super) fn remove(&self, n: usize) {
        let _ = fs::remove_dir_all(self.repository(n));
        self.forget();
    }

    /// Makes the configurations be read anew.
    pub(super) fn forget(&self) {
        self.settings.borrow_mut().clear();
    }

    /// Returns the endpoints of a repository's pushes; none if its configuration is broken.
    pub(super) fn endpoints(&self, n: usize) -> Vec<String> {
        let settings = self.settings(&self.repository(n));
        let names = settings.map(|settings| {
            let names = settings.endpoints.iter();
            names.map(|endpoint| endpoint.name.clone()).collect()
        });
        names.unwrap_or_default()
    }

    fn load(&self, repository: &Path) -> Result<Rc<Settings>, String> {
        let system = self.dir.path().join("system.toml");
        let loaded = config::load(&system, false, Some(repository), "host");
        let loaded = loaded.map_err(|error| error.to_string())?;
        if loaded.is_decided() {
            Ok(Rc::new(loaded.settings))
        } else {
            Err("no endpoint".to_owned())
        }
    }

    async fn meet(&self, endpoint: &str, number: u64, limit: Duration) -> (Answer, bool) {
        let manner = self.manners.borrow()[endpoint];
        let began = Instant::now();
        let refuse = || {
            let mut refused = self.refused.borrow_mut();
            refused.insert((endpoint.to_owned(), number));
        };
        let answer = |outcome| Answer {
            outcome,
            broken: None,
            words: None,
            retried: None,
            took: began.elapsed(),
        };
        let status = |status| answer(Outcome::of_status(status, None));
        match manner {
            Manner::Takes(after) if after < limit => {
                sleep(after).await;
                (status(200), true)
            }
            Manner::Refuses(n) if number.is_multiple_of(n) => {
                refuse();
                (status(404), false)
            }
            Manner::Chokes(n) if number.is_multiple_of(n) => {
                refuse();
                (status(500), false)
            }
            Manner::Refuses(_) | Manner::Chokes(_) => (status(200), true),
            Manner::Answers(code, after) if after < limit => {
                sleep(after).await;
                // A message that gets 500s may step aside once another one is taken.
                let outcome = Outcome::of_status(code, None);
                if code == 500 || !matches!(outcome, Outcome::Down { .. }) {
                    refuse();
                }
                (status(code), false)
            }
            Manner::Breaks(after) if after < limit => {
                sleep(after).await;
                (Answer::broken(Broken::timeout(), after), false)
            }
            Manner::Halves(after) if after < limit => {
                sleep(after).await;
                let reset = Broken::new("connection", "reset".to_owned(), None);
                (Answer::broken(reset, after), number.is_multiple_of(2))
            }
            Manner::Absent => {
                let absent = Broken::new("connect", "refused".to_owned(), None);
                (Answer::broken(absent, Duration::ZERO), false)
            }
            Manner::Takes(_)
            | Manner::Answers(..)
            | Manner::Hangs
            | Manner::Breaks(_)
            | Manner::Halves(_) => {
                sleep(limit).await;
                (Answer::broken(Broken::timeout(), limit), true)
            }
        }
    }
}

impl Transport for Simulated {
    fn post<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        _: &'a Arc<Network>,
        request: &'a Request<'a>,
        limit: Duration,
        _: SystemTime,
    ) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        Box::pin(async move {
            let number = std::str::from_utf8(request.body).unwrap().parse().unwrap();
            let at = self.sent.borrow().len();
            self.sent.borrow_mut().push(Sent {
                endpoint: endpoint.name.clone(),
                number,
                began: Instant::now(),
                taken: false,
                is_known: false,
            });
            self.under_way.set(self.under_way.get() + 1);
            let (answer, taken) = self.meet(&endpoint.name, number, limit).await;
            self.under_way.set(self.under_way.get() - 1);
            let one = &mut self.sent.borrow_mut()[at];
            one.taken = taken;
            one.is_known = matches!(answer.outcome, Outcome::Delivered { .. });
            Ok(answer)
        })
    }
}

impl Outside for Simulated {
    fn now(&self) -> SystemTime {
        let now = self.epoch + self.start.elapsed();
        let jump = Duration::from_secs(self.ahead.get().unsigned_abs());
        if self.ahead.get() < 0 {
            now - jump
        } else {
            now + jump
        }
    }

    fn jitter(&self) -> f64 {
        let drawn = u32::try_from(self.chance.borrow_mut().below(2001)).unwrap();
        f64::from(drawn) / 1000.0 - 1.0
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn settings(&self, repository: &Path) -> Result<Rc<Settings>, Unavailable> {
        if let Some(known) = self.settings.borrow().get(repository) {
            return known.clone();
        }
        let found = if repository.is_dir() {
            self.load(repository).map_err(Unavailable::Broken)
        } else {
            Err(Unavailable::Gone(repository.to_owned()))
        };
        let mut settings = self.settings.borrow_mut();
        settings.insert(repository.to_owned(), found.clone());
        found
    }
}

impl Surveyor for Simulated {
    /// Builds the message whose number is the name of the branch.
    fn build(&self, _: &Spool, _: &Id, header: &Header) -> Build {
        let settings = match self.settings(&header.repository) {
            Ok(settings) => settings,
            Err(error) => return Build::Unbuilt(Unbuilt::All(error.to_string())),
        };
        let Content::Deferred(updates) = &header.content else {
            panic!("only what is owed is built");
        };
        let number = updates[0].name.short().parse().unwrap();
        Build::Built(super::messages::built(&settings, number))
    }

    fn distributed(&self, _: &Spool, result: Result<Distributed, IoError>) {
        let is_done = result.is_ok_and(|done| done.stopped.is_none());
        assert!(is_done || self.is_full.get());
    }

    fn worked(&self, _: &Spool, _: &Queue, result: &Result<LaneReport, SpoolError>) {
        self.turns.set(self.turns.get() + 1);
        assert!(result.is_ok() || self.is_full.get(), "{result:?}");
    }
}
