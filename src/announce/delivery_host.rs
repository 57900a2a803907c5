//! Gives deliveries their inputs from outside, and tells the results of a flush.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use serde_json::json;

use super::builders::Builders;
use super::compose::Composer;
use super::deferred::{self, Judged};
use super::held::Held;
use super::push_options::PushOptions;
use super::unannounced::{Unannounced, log_misfits, log_unannounced};
use crate::config::Settings;
use crate::context::{Context, locate, max_spool};
use crate::delivery::{About, LaneReport, Outside, Surveyor, Unavailable};
use crate::error::Error;
use crate::git::Repository;
use crate::payload::Message;
use crate::report;
use crate::service::{self, Submitter};
use crate::spool::{
    self, Build, Built, Content, Distributed, EntryError, FolderId, Header, Id, IoError, Queue,
    Spool, SpoolError, Unbuilt,
};

/// Repositories whose paths are gone, as far as their new paths are known.
#[derive(Default)]
pub(crate) struct Renamed {
    /// Repositories below `root` by their folders, once they are looked for.
    pub(crate) below_root: RefCell<Option<HashMap<FolderId, Vec<PathBuf>>>>,
    /// New paths of repositories with entries to move, by the spool and the old path.
    pub(crate) due: RefCell<BTreeMap<(PathBuf, PathBuf), (Spool, PathBuf)>>,
}

/// Inputs of deliveries from outside. Reads each configuration once, until told to forget.
pub(crate) struct DeliveryHost<'a> {
    pub(crate) ctx: &'a Context,
    as_json: bool,
    settings: RefCell<HashMap<PathBuf, Result<Rc<Settings>, Unavailable>>>,
    builders: Builders,
    pub(crate) renamed: Renamed,
    /// Number of messages that were delivered.
    pub(crate) delivered: Cell<usize>,
    /// Spools with entries for the service behind `socket`, by their folders.
    for_service: RefCell<BTreeMap<PathBuf, Spool>>,
    /// True if the service did not answer.
    pub(crate) is_service_down: Cell<bool>,
    /// What is not printed yet.
    pub(crate) held: Held,
}

impl<'a> DeliveryHost<'a> {
    /// Returns the inputs. With `as_json`, results are printed for programs.
    pub(crate) fn new(ctx: &'a Context, as_json: bool) -> Self {
        Self {
            ctx,
            as_json,
            settings: RefCell::default(),
            builders: Builders::default(),
            renamed: Renamed::default(),
            delivered: Cell::default(),
            for_service: RefCell::default(),
            is_service_down: Cell::default(),
            held: Held::default(),
        }
    }

    /// Forgets configurations and names of accounts, so that they are read anew.
    pub(crate) fn forget(&self) {
        self.ctx.forget_accounts();
        self.settings.borrow_mut().clear();
    }

    /// Submits the entries in the spools that were found since the last call.
    pub(crate) fn submit_waiting(&self) {
        let spools = self.for_service.take().into_values().collect();
        service::submit_all(spools, &self.submitter(), &|error| self.tell_spool(error));
    }

    /// Returns the inputs of submitting entries to the service.
    pub(crate) fn submitter(&self) -> Submitter<'_> {
        Submitter {
            outside: self,
            ctx: self.ctx,
            is_down: &self.is_service_down,
        }
    }

    fn tell(&self, text: &str) {
        self.ctx.tell_once(text, None);
    }

    fn tell_entry(&self, error: &EntryError) {
        self.ctx.note_failure();
        let hint = error.hint();
        self.ctx.tell_once(&report::chain(error), hint.as_deref());
    }

    fn tell_io(&self, error: &IoError) {
        self.ctx.note_failure();
        self.ctx
            .tell_once(&error.told_once(), error.hint().as_deref());
    }

    pub(crate) fn tell_spool(&self, error: &SpoolError) {
        match error {
            SpoolError::Io(error) => self.tell_io(error),
            SpoolError::Entry(error) => self.tell_entry(error),
        }
    }

    /// Loads the settings that this account delivers by: as the service, those of the server's file
    /// alone.
    fn load(&self, repository: &Path) -> Result<Settings, Error> {
        let loaded = if self.ctx.is_service()? {
            self.ctx
                .server()?
                .load_served(repository, self.ctx.host())?
        } else {
            self.ctx.ensure_roots(repository)?;
            self.ctx.ensure_trusted(repository)?;
            self.ctx.load_to_send(repository)?
        };
        if loaded.is_decided() {
            return Ok(loaded.settings);
        }
        Err(Error::Failed {
            what: format!("no endpoint is configured for `{}`", repository.display()),
            hint: Some(
                "what waits stays: name URLs in `urls`, or say `urls = []` to give it up"
                    .to_owned(),
            ),
        })
    }

    /// Makes the messages of a push that could only be recorded, if there is room for them.
    pub(crate) fn build_within(
        &self,
        spool: &Spool,
        id: &Id,
        header: &Header,
    ) -> Result<Built<Message>, Unbuilt> {
        let settings = self.settings(&header.repository);
        if let Some(most) = settings.ok().and_then(|settings| settings.max_spool) {
            // Later entries wait for this one, and must not keep it from being made.
            max_spool::ensure(spool, &header.repository, most, Some(id))
                .map_err(|full| Unbuilt::All(report::chain(&full)))?;
        }
        self.build_here(header)
    }

    /// Makes the messages of a push that could only be recorded, in this process.
    fn build_here(&self, header: &Header) -> Result<Built<Message>, Unbuilt> {
        self.build_owed(header, Extent::Whole).or_else(|error| {
            let why = report::chain(&error);
            match error {
                Error::Git(error) if error.is_of_absent_object() => {
                    self.without_object(header, why)
                }
                _ => Err(Unbuilt::All(why)),
            }
        })
    }

    /// Builds the messages of a recorded push. With [`Extent::Whole`], fails if an object is
    /// missing.
    fn build_owed(&self, header: &Header, extent: Extent) -> Result<Built<Message>, Error> {
        let Content::Deferred(updates) = &header.content else {
            unreachable!("only what is owed is built")
        };
        let settings = self
            .settings(&header.repository)
            .map_err(|unavailable| Error::failed(unavailable.to_string()))?;
        let pusher = header.pusher.as_deref().unwrap_or_default();
        let push_options = PushOptions::of(&header.push_options, settings.push_options);
        let why = if push_options.skip {
            Some(Unannounced::Skipped(pusher))
        } else {
            settings
                .endpoints
                .is_empty()
                .then_some(Unannounced::Dropped)
        };
        if let Some(why) = why {
            let git_dir = &header.repository;
            let spool = locate::spool_of(git_dir, Some(&settings));
            log_unannounced(&spool, git_dir, &why, updates.len(), self.ctx);
            return Ok(Built {
                messages: Vec::new(),
                recipients: Vec::new(),
            });
        }
        let repository = Repository::open(&header.repository)?.in_namespace(&header.namespace);
        let (note, time) = (push_options.note.as_deref(), header.time);
        let mut composer = Composer::new(&repository, &settings, self.ctx, pusher, note, time);
        if extent == Extent::WhatIsKnown {
            composer = composer.of_what_is_known();
        }
        let built = composer.built(updates)?;
        let spool = locate::spool_of(&header.repository, Some(&settings));
        log_misfits(&spool, &header.repository, &composer, self.ctx);
        // The entry keeps its id, so it cannot become two, as it could when it was recorded.
        if header.can_hold(&built) {
            Ok(built)
        } else {
            Err(Error::TooLarge)
        }
    }

    /// Decides whether a push with a missing object waits. If not, builds its messages from the
    /// rest.
    fn without_object(&self, header: &Header, why: String) -> Result<Built<Message>, Unbuilt> {
        let repository = Repository::open(&header.repository).map_err(Error::from);
        let settings = self.settings(&header.repository);
        let since = header.missing_since;
        let opened = match (repository, settings) {
            (Ok(repository), Ok(settings)) if repository.can_open_all_objects() => {
                Some((self.now(), settings.retry.build_after))
            }
            _ => None,
        };
        let judged = match opened {
            Some((now, build_after)) => deferred::judge(since, now, build_after),
            None => Judged::Waits(since),
        };
        let opened = opened.map(|(now, _)| now);
        match judged {
            Judged::Waits(since) => Err(Unbuilt::Missing { why, since, opened }),
            Judged::IsTold => self
                .build_owed(header, Extent::WhatIsKnown)
                .map_err(|error| Unbuilt::All(report::chain(&error))),
        }
    }
}

/// Part of a push that must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    WhatIsKnown,
}

impl Outside for DeliveryHost<'_> {
    fn now(&self) -> SystemTime {
        self.ctx.now()
    }

    fn jitter(&self) -> f64 {
        let random = self.ctx.random().map_or(0, i16::from_le_bytes);
        f64::from(random) / f64::from(i16::MAX)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.ctx.variable(name)
    }

    fn settings(&self, repository: &Path) -> Result<Rc<Settings>, Unavailable> {
        if let Some(known) = self.settings.borrow().get(repository) {
            return known.clone();
        }
        // The service looks at no repository.
        let is_there = || self.ctx.is_service().unwrap_or(false) || repository.is_dir();
        let found = if is_there() {
            self.load(repository).map(Rc::new).map_err(|error| {
                let why = report::chain(&error);
                self.ctx.tell_once(&why, error.hint().as_deref());
                Unavailable::Broken(why)
            })
        } else {
            let gone = Unavailable::Gone(repository.to_owned());
            let words = gone.notice().admin;
            self.ctx.tell_once(&words.text, words.hint.as_deref());
            Err(gone)
        };
        self.settings
            .borrow_mut()
            .insert(repository.to_owned(), found.clone());
        found
    }

    fn will_move(&self, spool: &Spool, header: &Header, queue: &Queue) -> bool {
        // A repository whose settings are known is there.
        let is_there = matches!(self.settings.borrow().get(&header.repository), Some(Ok(_)));
        !is_there && self.is_renamed(spool, header, Some(queue))
    }
}

impl Surveyor for DeliveryHost<'_> {
    fn build(&self, spool: &Spool, id: &Id, header: &Header) -> Build {
        if self.ctx.is_service().unwrap_or(false) {
            let why = "its messages are not made, and the service opens no repository";
            return Build::Unbuilt(Unbuilt::All(why.to_owned()));
        }
        if self.is_renamed(spool, header, None) {
            let gone = Unavailable::Gone(header.repository.clone());
            return Build::Unbuilt(Unbuilt::All(gone.to_string()));
        }
        // A fault of the configuration is told once, here.
        match self.settings(&header.repository) {
            Ok(_) => self.builders.build(spool, id, header, self.ctx),
            Err(unavailable) => Build::Unbuilt(Unbuilt::All(unavailable.to_string())),
        }
    }

    fn distributed(&self, spool: &Spool, result: Result<Distributed, IoError>) {
        let done = match result {
            Ok(done) => done,
            Err(error) => return self.tell_io(&error),
        };
        let is_over = done.is_over();
        if is_over {
            self.builders.forget(spool);
        }
        for problem in &done.problems {
            match problem {
                spool::Problem::SetAside(error) => {
                    let error = report::chain(error);
                    self.tell(&format!("{error}: it lies in `failed/unreadable/` now"));
                }
                spool::Problem::Kills(id, why) => {
                    let text = format!(
                        "cannot build the messages of entry `{id}`, tried twice: {why}: it lies \
                         in `failed/unreadable/` now"
                    );
                    let hint = format!("to try again: refpost queue retry {id}");
                    self.ctx.tell_once(&text, Some(&hint));
                }
                spool::Problem::Unopened(error) => self.tell_entry(error),
                spool::Problem::Refused(repository, error) => {
                    self.tell_io(error);
                    let held = repository.display();
                    self.tell(&format!("pushes to `{held}` wait for that"));
                }
            }
        }
        for (repository, blocked) in &done.blocked {
            if self.is_to_be_moved(spool, repository) {
                continue;
            }
            if blocked.is_failure {
                self.ctx.note_failure();
            }
            self.held.blocks(spool, &blocked.error);
            self.held.tell(&blocked.error, None, self.ctx);
            // Before the distribution is over, the number may still grow.
            if !is_over {
                continue;
            }
            let entries = super::deferred::recorded_pushes(blocked.entries);
            let mut text = format!("{entries} held back by that in `{}`", repository.display());
            let mut hint = format!("mend it, or give it up: refpost queue drop {}", blocked.id);
            if blocked.others_pass {
                text = format!("{text}: pushes of other refs pass");
                hint = format!("{hint}; after `retry.build_after` it is told without");
            }
            self.held.tell(&text, Some(&hint), self.ctx);
        }
        if let Some(error) = &done.stopped {
            self.tell_spool(error);
        }
    }

    fn waits_for_service(&self, spool: &Spool) {
        let mut all = self.for_service.borrow_mut();
        all.insert(spool.root().to_owned(), spool.clone());
    }

    fn worked(&self, spool: &Spool, queue: &Queue, result: &Result<LaneReport, SpoolError>) {
        let report = match result {
            Ok(report) => report,
            Err(error) => return self.tell_spool(error),
        };
        self.delivered.set(self.delivered.get() + report.delivered);
        for notice in &report.notices {
            let (text, hint) = (&notice.admin.text, notice.admin.hint.as_deref());
            match notice.about {
                About::Receiver => {}
                About::Message => self.ctx.tell_once(text, hint),
                About::Blocked => {
                    self.held.blocks(spool, text);
                    self.held.tell(text, hint, self.ctx);
                }
            }
        }
        if self.as_json {
            let line = json!({
                "spool": spool.root().to_string_lossy(),
                "queue": queue.as_str(),
                "delivered": report.delivered,
                "failed": report.failed,
                "left": report.left.is_some(),
            });
            report::json(&line);
        }
    }
}
