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

/// An endpoint, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Configured {
    pub(crate) name: String,
    /// Scheme, host and port; empty for the service.
    pub(crate) receiver: String,
    pub(crate) is_paused: bool,
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

/// Returns the names of all endpoints, and that of the queue to the service.
pub(super) fn endpoint_names(settings: &Settings) -> Vec<String> {
    let all = settings.endpoints.iter().map(|one| one.name.clone());
    all.chain([Queue::service().to_string()]).collect()
}

/// Returns the endpoints that this account delivers to, and the service, by their queues.
pub(super) fn endpoints(settings: &Settings, git_dir: &Path) -> BTreeMap<Queue, Configured> {
    let own = settings.endpoints.iter().filter(|one| !one.is_served);
    let own = own.map(|endpoint| {
        let queue = delivery::queue_of(endpoint, settings, git_dir);
        let receiver = endpoint.url.to_string();
        let configured = Configured {
            name: endpoint.name.clone(),
            receiver: receiver.trim_end_matches("/…").to_owned(),
            is_paused: endpoint.paused,
        };
        (queue, configured)
    });
    let service = Queue::service();
    let is_served = !settings.served().is_empty();
    let served = is_served.then(|| Configured {
        name: service.to_string(),
        ..Configured::default()
    });
    let served = served.map(|served| (service, served));
    own.chain(served).collect()
}
