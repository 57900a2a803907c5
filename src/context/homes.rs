//! Repositories that use a spool, and the receivers of their endpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Context;
use crate::config::{Endpoint, Server, Settings};
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

/// Returns the settings that the server's file has for repositories with this spool: those without
/// a file of their own are not looked for. Returns none if other files complete some of them.
pub(super) fn settings_of_server(is_spool: impl Fn(&Path) -> bool, ctx: &Context) -> Vec<Settings> {
    let Ok(server) = ctx.server() else {
        return Vec::new();
    };
    let worker = server.worker();
    let is_workers = worker.is_some_and(|worker| is_spool(&worker.spool));
    let all = server.alone(ctx.host()).into_iter();
    let all: Result<Vec<Settings>, _> = all.map(|(_, settings)| settings).collect();
    let mut all = all.unwrap_or_default();
    if is_workers {
        for settings in &mut all {
            (settings.broker, settings.spool_is_shared) = (None, true);
        }
        return all;
    }
    // A queue to the broker is one repository's.
    all.retain(|own| own.broker.is_none() && own.spool.as_deref().is_some_and(&is_spool));
    all
}

/// Returns a repository with these settings.
pub(super) fn home(settings: &Settings, server: Option<&Server>, git_dir: &Path) -> Home {
    let routes = queued(settings).map(|endpoint| {
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

/// Returns the endpoints that have queues here: those that this account delivers to, and the broker.
fn queued(settings: &Settings) -> impl Iterator<Item = &Endpoint> {
    let broker = settings.broker.as_ref().map(|broker| &broker.endpoint);
    settings.here().chain(broker)
}

/// Returns the names of all endpoints, and those of the queues to the service and to the broker.
pub(super) fn endpoint_names(settings: &Settings) -> Vec<String> {
    let all = settings.endpoints.iter().map(|one| one.name.clone());
    let others = [Queue::service(), Queue::broker(None)];
    all.chain(others.map(|queue| queue.to_string())).collect()
}

/// Returns the endpoints that this account delivers to, the broker and the service, by their queues.
pub(super) fn endpoints(settings: &Settings, git_dir: &Path) -> BTreeMap<Queue, Configured> {
    let own = queued(settings).map(|endpoint| {
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
