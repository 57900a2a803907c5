//! Repositories that use a spool, and the receivers of their endpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{Server, Settings};
use crate::delivery;
use crate::observe::Route;
use crate::spool::Queue;

/// A repository that uses a spool.
pub(crate) struct Home {
    pub(crate) repository: PathBuf,
    /// True if pages show it.
    pub(crate) is_shown: bool,
    /// Endpoints that this account delivers to, by their queues.
    pub(crate) routes: BTreeMap<Queue, Route>,
}

/// Returns a repository with these settings.
pub(super) fn home(settings: &Settings, server: Option<&Server>, git_dir: &Path) -> Home {
    let own = settings.endpoints.iter().filter(|one| !one.is_served);
    let routes = own.map(|endpoint| {
        let route = Route {
            endpoint: endpoint.name.clone(),
            receiver: delivery::Origin::of(&endpoint.url).to_string(),
        };
        (delivery::queue_of(endpoint, settings, git_dir), route)
    });
    let is_left_out = server.is_none_or(|server| server.leaves_out(git_dir));
    Home {
        repository: git_dir.to_owned(),
        is_shown: !is_left_out && !settings.is_private(),
        routes: routes.collect(),
    }
}
