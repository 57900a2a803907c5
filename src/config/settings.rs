//! The merged layers made whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::bus::Bus;
use super::schema::{EndpointLayer, Layer, Mode, Origin, ProjectLayer};
use super::secrets::sources::{PreviousKey, SecretFile, SecretSource};
use super::secrets::templates::TemplateSource;
use super::values::patterns::Patterns;
use super::values::text::{EndpointUrl, Urls};
use super::web;
use crate::payload::{About, Configured, Format, People};

/// The longest that one attempt may take, unless the endpoint says otherwise.
const TIMEOUT: Duration = Duration::from_secs(15);

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

/// A receiver: where, and which messages, signed with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name in logs and for people.
    pub name: String,
    /// Its owner. Endpoints of one name and different owners are different.
    pub origin: Origin,
    /// URL of the receiver.
    pub url: EndpointUrl,
    /// Format that it understands.
    pub format: Format,
    /// Topics that it wants.
    pub topics: Patterns,
    /// Refs that it wants messages of; full names.
    pub refs: Patterns,
    /// The longest that one attempt may take.
    pub timeout: Duration,
    /// Keys to sign with.
    pub signing: Signing,
    /// True if messages are also signed as Standard Webhooks has it.
    pub standard_webhooks: bool,
    /// True if messages are queued and none is attempted.
    pub paused: bool,
    /// Token that GitLab's format carries.
    pub token: Option<SecretSource>,
    /// Template of its bodies, if its format is `template`.
    pub template: Option<TemplateSource>,
    /// Headers to send besides the format's own.
    pub headers: Vec<(String, SecretSource)>,
    /// Certificate authorities to trust besides the platform's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Certificate of this client (TLS client authentication).
    pub client_cert: Option<ClientCert>,
    /// Settings of a bus. `None` if messages are posted over HTTP.
    pub bus: Option<Bus>,
    /// True if the service behind `socket` delivers to it.
    pub is_served: bool,
}

impl Settings {
    /// Returns whether the project is to be left out of pages (`[project] private`).
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.project.private == Some(true)
    }

    /// Leaves to the service the endpoints that the server's file alone asks for, which are
    /// `served`.
    ///
    /// An endpoint that the repository's file adds or changes stays with the account that pushes.
    /// Entries for it, or for the service, lie in the repository's own spool.
    pub(super) fn submit(&mut self, served: &[Endpoint]) {
        for endpoint in &mut self.endpoints {
            endpoint.is_served = served.contains(endpoint);
        }
        if self.spool_is_shared {
            self.spool = None;
            self.spool_is_shared = false;
        }
    }

    /// The names of the endpoints that the service delivers to.
    #[must_use]
    pub fn served(&self) -> Vec<String> {
        let served = self.endpoints.iter().filter(|one| one.is_served);
        served.map(|one| one.name.clone()).collect()
    }
}

/// A certificate of our own, and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCert {
    /// The certificate and those that lead to its authority, as PEM.
    pub cert_file: PathBuf,
    /// Its private key, as PEM.
    pub key_file: SecretFile,
}

impl Endpoint {
    /// Returns whether it gets a message.
    #[must_use]
    pub fn gets(&self, about: About<'_>) -> bool {
        self.format == about.format
            && about.endpoint.is_none_or(|name| name == self.name)
            && self.wants(about.topic, about.reference)
    }

    /// Returns whether it wants a message of this topic about this ref. One about no ref (`ping`,
    /// `emit`) is chosen by its topic alone.
    #[must_use]
    pub fn wants(&self, topic: &str, reference: &str) -> bool {
        self.topics.matches(topic) && (reference.is_empty() || self.refs.matches(reference))
    }

    /// Returns its name for pushers. An endpoint that has its address as name is `receiver-` and
    /// the digits of its name, since pushers must not learn the address.
    #[must_use]
    pub fn name_for_pusher(&self) -> String {
        let is_from_url = self.name == self.url.endpoint_name();
        match self.name.rsplit_once('-') {
            Some((_, digits)) if is_from_url && self.url.address().is_some() => {
                format!("receiver-{digits}")
            }
            _ => self.name.clone(),
        }
    }
}

/// Keys that messages are signed with, if they are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// With this key.
    Key {
        /// The key.
        current: SecretSource,
        /// The one before it.
        previous: Option<PreviousKey>,
    },
    /// Not at all: `unsigned = true`.
    Unsigned,
}

impl Settings {
    /// Returns the formats that endpoints understand, each once; without endpoints, Pagure's.
    #[must_use]
    pub fn formats(&self) -> BTreeSet<Format> {
        let formats = self.endpoints.iter().map(|endpoint| endpoint.format);
        let mut formats: BTreeSet<_> = formats.collect();
        if formats.is_empty() {
            formats.insert(Format::default());
        }
        formats
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
            endpoints.push(Endpoint {
                name,
                origin: Origin::Server,
                url,
                format,
                topics: Patterns::of(format.default_topics()),
                refs: Patterns::default(),
                timeout: TIMEOUT,
                signing,
                standard_webhooks: false,
                paused: false,
                token: None,
                template: None,
                headers: Vec::new(),
                ca_file: None,
                client_cert: None,
                bus: None,
                is_served: false,
            });
        }
    }
    for endpoint in layer.endpoint {
        endpoints.push(own_endpoint(endpoint, default.as_ref())?);
    }
    Ok(Settings {
        instance: layer.instance.expect(DEFAULTED).0,
        root: layer.root,
        mode: layer.mode.expect(DEFAULTED),
        spool_is_shared: layer.spool.is_some() && !layer.spool_is_own,
        spool: layer.spool,
        socket: layer.socket,
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

/// Returns the signing of one table; `None` if it has no key for that.
fn signing(
    key: Option<SecretSource>,
    key_file: Option<SecretFile>,
    previous: Option<PreviousKey>,
    unsigned: Option<bool>,
) -> Option<Signing> {
    match key.or(key_file.map(SecretSource::File)) {
        Some(current) => Some(Signing::Key { current, previous }),
        None => (unsigned == Some(true)).then_some(Signing::Unsigned),
    }
}

fn own_endpoint(layer: EndpointLayer, default: Option<&Signing>) -> Result<Endpoint, String> {
    let bus = Bus::of(&layer);
    let own = signing(
        layer.key,
        layer.key_file,
        layer.previous_key,
        layer.unsigned,
    );
    // A token is proof enough, and a bus knows who sends by the login.
    let needs_no_key = layer.token.is_some() || layer.format.needs_no_key() || bus.is_some();
    let signing = own
        .or_else(|| default.filter(|_| bus.is_none()).cloned())
        .or_else(|| needs_no_key.then_some(Signing::Unsigned))
        .filter(|signing| *signing != Signing::Unsigned || layer.standard_webhooks != Some(true))
        .ok_or_else(|| layer.name.0.clone())?;
    Ok(Endpoint {
        name: layer.name.0,
        origin: layer.origin,
        url: layer.url,
        format: layer.format,
        topics: layer
            .topics
            .unwrap_or_else(|| Patterns::of(layer.format.default_topics())),
        refs: layer.refs,
        timeout: layer.timeout.map_or(TIMEOUT, |period| period.0),
        signing,
        standard_webhooks: layer.standard_webhooks == Some(true),
        paused: layer.paused,
        token: layer.token,
        template: layer
            .template
            .map(|template| TemplateSource::new(template.file, layer.content_type)),
        headers: layer
            .headers
            .into_iter()
            .map(|(name, value)| (name.0, value))
            .collect(),
        ca_file: layer.ca_file,
        client_cert: layer.client_cert_file.zip(layer.client_key_file).map(
            |(cert_file, key_file)| ClientCert {
                cert_file,
                key_file,
            },
        ),
        bus,
        is_served: false,
    })
}
