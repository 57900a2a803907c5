//! The merged layers made whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::endpoint::{Endpoint, Signing, Via, own_endpoint, signing};
use super::fleet::Broker;
use super::schema::{Layer, Mode, Origin, ProjectLayer};
use super::values::matching::below;
use super::values::patterns::Patterns;
use super::values::text::{EndpointUrl, Urls};
use super::web;
use crate::payload::{Configured, Format, People};

/// Settings of one repository.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a key")]
pub struct Settings {
    /// The instance's URL, ending in `/`.
    pub instance: String,
    /// Projects are named by their path below this; `None`: the repository's parent.
    pub root: Option<PathBuf>,
    /// Time at which messages leave.
    pub mode: Mode,
    /// Place of the spool; `None`: inside the repository.
    pub spool: Option<PathBuf>,
    /// True if the server's file names the spool, so that repositories share it.
    pub spool_is_shared: bool,
    /// Socket of the service that entries are submitted to; `None`: refpost delivers here.
    pub socket: Option<PathBuf>,
    /// The broker that entries are handed to; `None`: refpost delivers here.
    pub broker: Option<Broker>,
    /// The longest that a push waits for receivers.
    pub push_budget: Duration,
    /// True if a push that cannot be recorded is refused.
    pub require: bool,
    /// True if the pusher is told nothing when all is well.
    pub quiet: bool,
    /// True if the pusher is told addresses, and the exact fault of a receiver.
    pub verbose_to_pusher: bool,
    /// True if a pusher's options have effects (`git push -o`, git-push(1)).
    pub push_options: bool,
    /// Refs that are announced when they move without a push; full names.
    pub refs: Patterns,
    /// Most changed files that a message lists.
    pub max_changed_files: usize,
    /// Most commits that a message lists; `None`: as many as its format has it.
    pub max_commits: Option<usize>,
    /// Longest body of a message, as far as its parts can be left out.
    pub max_body: usize,
    /// Most bytes of messages that may wait for the repository; `None`: no limit.
    pub max_spool: Option<u64>,
    /// Addresses of projects, as far as they are configured.
    pub addresses: Configured,
    /// Accounts of authors, by e-mail.
    pub people: People,
    /// Receivers of messages, in the order of the configuration, `urls` first.
    pub endpoints: Vec<Endpoint>,
    /// Schedule of attempts.
    pub retry: Retry,
    /// Addresses that may be dialled, and the proxy.
    pub network: Arc<Network>,
    pub(super) project: ProjectLayer,
}

impl Settings {
    /// Returns whether the project is to be left out of pages (`[project] private`).
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.project.private == Some(true)
    }

    /// Leaves the endpoints that the server's file alone asks for, which are `served`, to the
    /// service behind `socket`, or else to workers behind the broker.
    ///
    /// An endpoint that the repository's file adds or changes stays with the account that pushes.
    /// With a broker, so does one for alerts, since the broker may be what they tell of, and all of a
    /// repository that is not below `root`, where workers would find its settings. Entries for
    /// the service lie in the repository's own spool.
    pub(super) fn leave(&mut self, served: &[Endpoint], repository: Option<&Path>) {
        let is_by_service = self.socket.is_some();
        let root = self.root.as_deref();
        let is_known = repository
            .zip(root)
            .is_some_and(|(own, root)| below(root, own).is_some());
        let is_by_broker = self.broker.is_some() && (is_known || repository.is_none());
        for endpoint in &mut self.endpoints {
            endpoint.via = match is_by_service {
                _ if !served.contains(endpoint) => Via::Here,
                true => Via::Service,
                false if is_by_broker && !endpoint.is_for_alerts => Via::Broker,
                false => Via::Here,
            };
        }
        if is_by_service && self.spool_is_shared {
            self.spool = None;
            self.spool_is_shared = false;
        }
    }

    /// Returns the endpoints that this process delivers to.
    pub fn here(&self) -> impl Iterator<Item = &Endpoint> {
        self.via(Via::Here)
    }

    /// Returns the endpoints whose messages leave in one way.
    pub fn via(&self, via: Via) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(move |one| one.via == via)
    }

    /// Returns the names of the endpoints that the service delivers to.
    #[must_use]
    pub fn served(&self) -> Vec<String> {
        self.via(Via::Service).map(|one| one.name.clone()).collect()
    }

    /// Returns the receiver with a name: an endpoint, or the broker.
    #[must_use]
    pub fn receiver(&self, name: &str) -> Option<&Endpoint> {
        let broker = self.broker.as_ref().map(|broker| &broker.endpoint);
        self.endpoints
            .iter()
            .chain(broker)
            .find(|one| one.name == name)
    }

    /// Returns the formats that endpoints understand, each once; without endpoints, Pagure's.
    #[must_use]
    pub fn formats(&self) -> BTreeSet<Format> {
        let endpoints = self.endpoints.iter().filter(|one| !one.is_for_alerts);
        let formats = endpoints.map(|endpoint| endpoint.format);
        let mut formats: BTreeSet<_> = formats.collect();
        if formats.is_empty() {
            formats.insert(Format::default());
        }
        formats
    }

    /// Returns how many long bodies a change of one ref has at most: one of each format, but of
    /// templates one for each endpoint.
    #[must_use]
    pub fn bodies(&self) -> usize {
        let endpoints = self.endpoints.iter().filter(|one| !one.is_for_alerts);
        let templates = endpoints.filter(|one| one.format == Format::Template);
        let others = self.formats().into_iter();
        let others = others.filter(|one| *one != Format::Template);
        templates.count() + others.count()
    }
}

/// Schedule of attempts, and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The delay after the first failure, the second, …; the last one repeats.
    pub schedule: Vec<Duration>,
    /// Time after the push at which messages are given up.
    pub give_up_after: Duration,
    /// Time for which a push waits for a missing object.
    pub build_after: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        let minutes = [1, 5, 30].map(Duration::from_mins);
        let hours = [2, 5, 10, 14, 20, 24].map(Duration::from_hours);
        Self {
            schedule: minutes.into_iter().chain(hours).collect(),
            give_up_after: Duration::from_hours(5 * 24),
            build_after: Duration::from_hours(24),
        }
    }
}

/// Addresses that may be dialled, and the proxy. Only the server's file may set it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The server's file, where exceptions are to be written.
    pub file: PathBuf,
    /// Addresses that are allowed without an exception.
    pub allow: Allow,
    /// Hosts that are allowed with any address.
    pub allow_hosts: Vec<String>,
    /// Addresses that are allowed.
    pub allow_cidrs: Vec<IpNet>,
    /// True if plain `http` is refused.
    pub https_only: bool,
    /// The proxy that everything goes through; `None`: receivers are dialled directly.
    pub proxy: Option<EndpointUrl>,
    /// Hosts, domains (`.example.org`) and networks that are dialled directly.
    pub no_proxy: Vec<String>,
}

/// Addresses that are allowed without an exception. Link-local addresses, and with them the
/// metadata services of clouds, never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Allow {
    /// All others.
    Any,
    /// Those that the whole internet can reach.
    External,
}

/// Makes settings of layers that were merged onto the defaults; `system` is the
/// server's file. The error is the name of the first endpoint that has neither a key
/// nor `unsigned`.
pub(super) fn settle(layer: Layer, system: &Path) -> Result<Settings, String> {
    const DEFAULTED: &str = "the defaults set this key";
    let projects = [layer.clone_http, layer.clone_git, layer.html_url];
    let addresses = web::configured(projects, layer.clone_ssh, layer.web);
    let Layer { retry, network, .. } = layer;
    let format = layer.format.unwrap_or_default();
    let default = signing(
        layer.key,
        layer.key_file,
        layer.previous_key,
        layer.unsigned,
    );
    let from_urls = layer.urls.unwrap_or(Urls(Vec::new())).0.into_iter();
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for url in from_urls {
        let name = url.endpoint_name();
        // The same URL twice is one endpoint.
        if endpoints.iter().all(|endpoint| endpoint.name != name) {
            let unsigned = format.needs_no_key().then_some(Signing::Unsigned);
            let signing = default.clone().or(unsigned);
            let signing = signing.ok_or_else(|| name.clone())?;
            endpoints.push(Endpoint::new(name, url, format, signing));
        }
    }
    for layered in layer.endpoint {
        let mut endpoint = own_endpoint(layered, default.as_ref())?;
        // A repository's own endpoint of that name is another one.
        let is_named = (layer.alerts.endpoint.as_ref()).is_some_and(|own| own.0 == endpoint.name);
        endpoint.is_for_alerts = is_named && endpoint.origin == Origin::Server;
        endpoints.push(endpoint);
    }
    Ok(Settings {
        instance: layer.instance.expect(DEFAULTED).0,
        root: layer.root,
        mode: layer.mode.expect(DEFAULTED),
        spool_is_shared: layer.spool.is_some() && !layer.spool_is_own,
        spool: layer.spool,
        socket: layer.socket,
        broker: Broker::of(&layer.broker),
        push_budget: layer.push_budget.expect(DEFAULTED).0,
        require: layer.require.expect(DEFAULTED),
        quiet: layer.quiet.expect(DEFAULTED),
        verbose_to_pusher: layer.verbose_to_pusher.expect(DEFAULTED),
        push_options: layer.push_options.expect(DEFAULTED),
        refs: layer.refs.expect(DEFAULTED),
        max_changed_files: layer.max_changed_files.expect(DEFAULTED),
        max_commits: layer.max_commits,
        addresses,
        max_body: layer.max_body.expect(DEFAULTED).0,
        max_spool: layer.max_spool.expect(DEFAULTED).0,
        people: layer.people,
        endpoints,
        retry: Retry {
            schedule: retry
                .schedule
                .expect(DEFAULTED)
                .into_iter()
                .map(|period| period.0)
                .collect(),
            give_up_after: retry.give_up_after.expect(DEFAULTED).0,
            build_after: retry.build_after.expect(DEFAULTED).0,
        },
        network: Arc::new(Network {
            file: system.to_owned(),
            allow: network.allow.expect(DEFAULTED),
            allow_hosts: network.allow_hosts.expect(DEFAULTED),
            allow_cidrs: network.allow_cidrs.expect(DEFAULTED),
            https_only: network.https_only.expect(DEFAULTED),
            proxy: network.proxy.map(|proxy| proxy.0),
            no_proxy: network.no_proxy.expect(DEFAULTED),
        }),
        project: layer.project,
    })
}
