//! Endpoints that repositories have, and queues for endpoints that they do not have.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Context;
use crate::config::{Endpoint, Loaded, Server, Settings};
use crate::report;
use crate::spool::{Header, Queue, Spool};

/// The reason shown for an entry whose endpoint is not configured any more.
pub(crate) const NOT_CONFIGURED: &str = "not configured";

/// An entry's endpoint, and the repository that has no such endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Orphan {
    pub(crate) endpoint: String,
    pub(crate) repository: PathBuf,
}

/// The configurations of repositories, each read once.
pub(crate) struct Configured<'a> {
    ctx: &'a Context,
    server: OnceCell<Option<Server>>,
    /// Settings by repository. `None`: they do not tell where messages go.
    settings: RefCell<HashMap<PathBuf, Option<Rc<Settings>>>>,
}

impl<'a> Configured<'a> {
    pub(crate) fn new(ctx: &'a Context) -> Self {
        Self {
            ctx,
            server: OnceCell::new(),
            settings: RefCell::default(),
        }
    }

    /// Returns the endpoint of an entry, if the repository has no such endpoint.
    pub(crate) fn orphan(&self, header: Option<&Header>, queue: Option<&Queue>) -> Option<Orphan> {
        self.orphan_of(header?, queue?)
    }

    /// Does the same for the first entry of a queue: in `failed/`, or else waiting.
    pub(crate) fn orphan_in(&self, spool: &Spool, queue: &Queue) -> Option<Orphan> {
        let failed = spool.failed(queue).ok()?.into_iter().next();
        let entry = if let Some(failed) = failed {
            spool.open_failed(&failed)
        } else {
            let waiting = spool.peek(queue).ok()?;
            let mut items = waiting.in_order.iter().chain(&waiting.refused);
            spool.open_item(queue, items.next()?)
        };
        self.orphan_of(entry.ok()?.header(), queue)
    }

    fn orphan_of(&self, header: &Header, queue: &Queue) -> Option<Orphan> {
        let endpoint = header.endpoint(queue)?;
        let settings = self.settings(&header.repository)?;
        let is_for_service = queue.is_service() && !settings.served().is_empty();
        if is_for_service || settings.receiver(endpoint).is_some() {
            return None;
        }
        Some(Orphan {
            endpoint: endpoint.to_owned(),
            repository: header.repository.clone(),
        })
    }

    /// Returns advice for a person.
    pub(crate) fn ways_out(&self, orphan: &Orphan) -> String {
        let (old, place) = (&orphan.endpoint, report::shell(&orphan.repository));
        let settings = self.settings(&orphan.repository);
        let endpoints = settings.iter().flat_map(|settings| &settings.endpoints);
        let names = |one: &Endpoint| one.name.clone();
        let all: Vec<_> = endpoints.clone().map(names).collect();
        let akin: Vec<_> = endpoints
            .filter(|one| one.url.shares_host_with(old))
            .map(names)
            .collect();
        match (&akin[..], &all[..]) {
            ([new], _) => format!(
                "`{new}` is at the same host, and gets it by: refpost queue move {old} {new} --repo \
                 {place}"
            ),
            (_, []) => format!(
                "configure it again, or give it up: refpost queue drop --endpoint {old} --repo {place}"
            ),
            _ => format!(
                "another endpoint gets it by: refpost queue move {old} NEW --repo {place}; or give \
                 it up: refpost queue drop --endpoint {old} --repo {place}"
            ),
        }
    }

    /// Returns the settings of a repository, if they can be loaded, this account may, and they tell
    /// where its messages go.
    pub(crate) fn settings(&self, repository: &Path) -> Option<Rc<Settings>> {
        if let Some(known) = self.settings.borrow().get(repository) {
            return known.clone();
        }
        let found = self.load(repository).map(Rc::new);
        self.settings
            .borrow_mut()
            .insert(repository.to_owned(), found.clone());
        found
    }

    /// Loads the settings of a repository. Errors are left to the process that delivers to report.
    fn load(&self, repository: &Path) -> Option<Settings> {
        let server = self.server.get_or_init(|| self.ctx.server().ok());
        let (server, host) = (server.as_ref()?, self.ctx.host());
        let loaded = if self.ctx.is_service().ok()? {
            server.load_served(repository, host)
        } else {
            self.ctx.ensure_roots(repository).ok()?;
            if !repository.is_dir() || self.ctx.ensure_trusted(repository).is_err() {
                return None;
            }
            server.load(Some(repository), host)
        };
        let loaded = loaded.ok().filter(Loaded::is_decided)?;
        Some(loaded.settings)
    }
}
