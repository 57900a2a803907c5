//! Which keys there are, and how one layer overrides another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alerts::AlertsLayer;
use super::broker::{BrokerLayer, WorkerLayer};
use super::secrets::sources::{PreviousKey, SecretFile, SecretSource};
use super::secrets::templates::ContentType;
use super::values::bus::{Exchange, TopicPrefix};
use super::values::matching::RepositoryPatterns;
use super::values::patterns::Patterns;
use super::values::size::{BodySize, SpoolSize};
use super::values::text::{
    EndpointName, EndpointUrl, HeaderName, Instance, Period, ProxyUrl, Urls,
};
use super::web::{ProjectUrl, SshAddress, WebLayer};
use crate::payload::{AccessGroups, AccessUsers, Format, People};

/// Time at which messages leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Spooled, and delivered at once by a flush that outlives the push.
    Background,
    /// Spooled; `refpost flush` from cron delivers.
    Spool,
    /// Spooled, and attempted while the pusher waits, within the push budget.
    Sync,
}

/// Owner of an endpoint. Two owners' endpoints of one name are different endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The server's, for all repositories.
    #[default]
    Server,
    /// The owner is a section of the server's file, which has these patterns.
    Section(String),
    /// The owner is one repository's own file.
    Repository,
}

/// One configuration file, or a section of the server's. Every key may be absent.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Layer {
    pub(super) instance: Option<Instance>,
    pub(super) root: Option<PathBuf>,
    pub(super) mode: Option<Mode>,
    pub(super) spool: Option<PathBuf>,
    /// True if the repository's file names the spool; not a key.
    #[serde(skip)]
    pub(super) spool_is_own: bool,
    pub(super) socket: Option<PathBuf>,
    pub(super) push_budget: Option<Period>,
    pub(super) require: Option<bool>,
    pub(super) quiet: Option<bool>,
    pub(super) verbose_to_pusher: Option<bool>,
    pub(super) push_options: Option<bool>,
    pub(super) refs: Option<Patterns>,
    pub(super) urls: Option<Urls>,
    /// Format of the endpoints in `urls` alone.
    pub(super) format: Option<Format>,
    pub(super) key: Option<SecretSource>,
    pub(super) key_file: Option<SecretFile>,
    pub(super) previous_key: Option<PreviousKey>,
    pub(super) unsigned: Option<bool>,
    pub(super) max_changed_files: Option<usize>,
    pub(super) max_commits: Option<usize>,
    pub(super) max_body: Option<BodySize>,
    pub(super) max_spool: Option<SpoolSize>,
    pub(super) clone_http: Option<ProjectUrl>,
    pub(super) clone_ssh: Option<SshAddress>,
    pub(super) clone_git: Option<ProjectUrl>,
    pub(super) html_url: Option<ProjectUrl>,
    pub(super) web: WebLayer,
    pub(super) project: ProjectLayer,
    pub(super) people: People,
    pub(super) endpoint: Vec<EndpointLayer>,
    pub(super) retry: RetryLayer,
    pub(super) network: NetworkLayer,
    pub(super) delivery: DeliveryLayer,
    pub(super) page: PageLayer,
    pub(super) alerts: AlertsLayer,
    pub(super) broker: BrokerLayer,
    pub(super) worker: WorkerLayer,
    /// Repositories that a section is about; in sections only.
    #[serde(rename = "match", skip_serializing)]
    pub(super) matched: Option<RepositoryPatterns>,
    /// The sections; in the server's file only, and removed after reading.
    #[serde(skip_serializing)]
    pub(super) repository: Vec<Layer>,
}

/// `[[endpoint]]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct EndpointLayer {
    pub(super) name: EndpointName,
    /// Its owner; not a key.
    #[serde(skip)]
    pub(super) origin: Origin,
    #[serde(deserialize_with = "super::values::bus::url")]
    pub(super) url: EndpointUrl,
    #[serde(default)]
    pub(super) format: Format,
    pub(super) topics: Option<Patterns>,
    #[serde(default)]
    pub(super) refs: Patterns,
    pub(super) timeout: Option<Period>,
    pub(super) key: Option<SecretSource>,
    pub(super) key_file: Option<SecretFile>,
    pub(super) previous_key: Option<PreviousKey>,
    pub(super) unsigned: Option<bool>,
    pub(super) standard_webhooks: Option<bool>,
    pub(super) paused: Option<bool>,
    pub(super) token: Option<SecretSource>,
    pub(super) template: Option<TemplateLayer>,
    pub(super) content_type: Option<ContentType>,
    #[serde(default)]
    pub(super) headers: BTreeMap<HeaderName, SecretSource>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) client_cert_file: Option<PathBuf>,
    pub(super) client_key_file: Option<SecretFile>,
    pub(super) exchange: Option<Exchange>,
    pub(super) topic_prefix: Option<TopicPrefix>,
    pub(super) require_route: Option<bool>,
    #[serde(default, deserialize_with = "super::values::bus::urls")]
    pub(super) urls_fallback: Option<Vec<EndpointUrl>>,
}

/// `template` of an `[[endpoint]]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a table, `{ file = \"…\" }`")]
pub(super) struct TemplateLayer {
    pub(super) file: SecretFile,
}

/// `[retry]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RetryLayer {
    pub(super) schedule: Option<Vec<Period>>,
    pub(super) give_up_after: Option<Period>,
    pub(super) build_after: Option<Period>,
}

/// `[network]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct NetworkLayer {
    pub(super) allow: Option<super::Allow>,
    pub(super) allow_hosts: Option<Vec<String>>,
    pub(super) allow_cidrs: Option<Vec<IpNet>>,
    pub(super) https_only: Option<bool>,
    pub(super) proxy: Option<ProxyUrl>,
    pub(super) no_proxy: Option<Vec<String>>,
}

/// `[delivery]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct DeliveryLayer {
    pub(super) in_flight: Option<usize>,
}

/// `[page]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct PageLayer {
    pub(super) exclude: Option<RepositoryPatterns>,
}

/// `[project]`: what Pagure keeps in its database.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct ProjectLayer {
    pub(super) id: Option<u64>,
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) fullname: Option<String>,
    pub(super) url_path: Option<String>,
    pub(super) full_url: Option<String>,
    pub(super) description: Option<String>,
    pub(super) parent: Option<Value>,
    pub(super) date_created: Option<u64>,
    pub(super) date_modified: Option<u64>,
    pub(super) private: Option<bool>,
    pub(super) user: UserLayer,
    pub(super) access_users: Option<AccessUsers>,
    pub(super) access_groups: Option<AccessGroups>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) priorities: Option<BTreeMap<String, Value>>,
    pub(super) custom_keys: Option<Vec<Value>>,
    pub(super) close_status: Option<Vec<Value>>,
    pub(super) milestones: Option<BTreeMap<String, Value>>,
}

/// `[project] user`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct UserLayer {
    pub(super) name: Option<String>,
    pub(super) fullname: Option<String>,
    pub(super) url_path: Option<String>,
    pub(super) full_url: Option<String>,
}

/// Takes the upper layer's value of each named field where it has one.
macro_rules! override_fields {
    ($lower:expr, $upper:expr; $($field:ident),+ $(,)?) => {
        $( if $upper.$field.is_some() { $lower.$field = $upper.$field; } )+
    };
}

impl Layer {
    /// Overrides this layer with `upper`, key by key.
    ///
    /// The three ways to say the key are one key, and the one before it goes with
    /// it. An empty `urls` stops all
    /// notifications, those of endpoints too, that this layer or any below it
    /// asks for. An endpoint replaces one of the same name whole, so that a
    /// repository can never send the server's headers to a URL of its own.
    pub(super) fn update(&mut self, upper: Self) {
        if upper.key.is_some() || upper.key_file.is_some() || upper.unsigned.is_some() {
            (self.key, self.key_file, self.unsigned) = (None, None, None);
            self.previous_key = None;
        }
        if upper.spool.is_some() {
            self.spool_is_own = upper.spool_is_own;
        }
        override_fields!(self, upper; instance, root, mode, spool, socket, push_budget, require, quiet,
            verbose_to_pusher, push_options, refs, format, key, key_file, previous_key, unsigned,
            max_changed_files, max_commits, max_body, max_spool, clone_http, clone_ssh, clone_git,
            html_url);
        self.web.update(upper.web);
        for endpoint in upper.endpoint {
            self.endpoint
                .retain(|lower| lower.name.0 != endpoint.name.0);
            self.endpoint.push(endpoint);
        }
        if upper.urls.as_ref().is_some_and(|urls| urls.0.is_empty()) {
            self.endpoint.clear();
        }
        override_fields!(self, upper; urls);
        self.people.extend(upper.people);
        self.project.update(upper.project);
        override_fields!(self.retry, upper.retry; schedule, give_up_after, build_after);
        override_fields!(self.network, upper.network; allow, allow_hosts, allow_cidrs, https_only,
            proxy, no_proxy);
        override_fields!(self.delivery, upper.delivery; in_flight);
        override_fields!(self.page, upper.page; exclude);
        override_fields!(self.alerts, upper.alerts; command, endpoint, alert_after);
        override_fields!(self.broker, upper.broker; url, ca_file, client_cert_file, client_key_file,
            shards, timeout, max_message);
        override_fields!(self.worker, upper.worker; spool, shards, stop_at, publishers);
    }

    /// Returns whether a secret's text stands in the file itself: a key, a header's value, the
    /// userinfo of a URL, but for a name alone at a broker.
    pub(super) fn holds_secret(&self) -> bool {
        let is_text = |source: &SecretSource| matches!(source, SecretSource::Text(_));
        let urls = self.urls.iter().flat_map(|urls| &urls.0);
        let proxy = self.network.proxy.iter().map(|proxy| &proxy.0);
        let mut urls = urls
            .chain(self.endpoint.iter().map(|endpoint| &endpoint.url))
            .chain((self.endpoint.iter()).flat_map(|own| own.urls_fallback.iter().flatten()))
            .chain(self.broker.url.iter().flatten())
            .chain(proxy);
        let keys = self
            .endpoint
            .iter()
            .filter_map(|endpoint| endpoint.key.as_ref());
        let headers = self.endpoint.iter().flat_map(|own| own.headers.values());
        let headers = headers.chain(self.endpoint.iter().filter_map(|own| own.token.as_ref()));
        let previous = self.endpoint.iter().map(|own| &own.previous_key);
        let previous = previous.chain([&self.previous_key]).flatten();
        let mut sources = self
            .key
            .iter()
            .chain(keys)
            .chain(headers)
            .chain(previous.map(|previous| &previous.source));
        sources.any(is_text) || urls.any(EndpointUrl::holds_secret)
    }

    /// Marks the endpoints and the spool with the owner that defines them.
    pub(super) fn mark(&mut self, origin: &Origin) {
        self.spool_is_own = self.spool.is_some() && *origin == Origin::Repository;
        for endpoint in &mut self.endpoint {
            endpoint.origin = origin.clone();
        }
    }

    /// Makes relative file names ones below the folder of the file they stand in,
    /// which belongs to `owner`.
    pub(super) fn rebase(&mut self, folder: &Path, owner: u32) {
        let rebase = |file: &mut Option<PathBuf>| {
            if let Some(file) = file {
                *file = folder.join(&*file);
            }
        };
        rebase(&mut self.root);
        rebase(&mut self.spool);
        rebase(&mut self.socket);
        rebase(&mut self.broker.ca_file);
        rebase(&mut self.broker.client_cert_file);
        rebase(&mut self.worker.spool);
        for endpoint in &mut self.endpoint {
            rebase(&mut endpoint.ca_file);
            rebase(&mut endpoint.client_cert_file);
        }
        for file in self.secret_files() {
            file.rebase(folder, owner);
        }
    }

    /// Returns every file with a secret or a template in it that a key names.
    fn secret_files(&mut self) -> Vec<&mut SecretFile> {
        let mut files: Vec<&mut SecretFile> = self.key_file.iter_mut().collect();
        let mut sources: Vec<&mut SecretSource> = self.key.iter_mut().collect();
        sources.extend(self.previous_key.iter_mut().map(|own| &mut own.source));
        files.extend(&mut self.broker.client_key_file);
        for endpoint in &mut self.endpoint {
            files.extend(&mut endpoint.key_file);
            files.extend(&mut endpoint.client_key_file);
            files.extend(endpoint.template.as_mut().map(|own| &mut own.file));
            sources.extend(&mut endpoint.key);
            sources.extend(&mut endpoint.token);
            sources.extend(endpoint.previous_key.iter_mut().map(|own| &mut own.source));
            sources.extend(endpoint.headers.values_mut());
        }
        files.extend(sources.into_iter().filter_map(|source| match source {
            SecretSource::File(file) => Some(file),
            _ => None,
        }));
        files
    }

    /// Keys that only the server's file may have, as far as they are set here.
    pub(super) fn system_only(&self) -> Option<&'static str> {
        let network = &self.network;
        if self.root.is_some() {
            Some("root")
        } else if self.socket.is_some() {
            Some("socket")
        } else if network.allow.is_some()
            || network.allow_hosts.is_some()
            || network.allow_cidrs.is_some()
            || network.https_only.is_some()
            || network.proxy.is_some()
            || network.no_proxy.is_some()
        {
            Some("network")
        } else if self.delivery.in_flight.is_some() {
            Some("delivery")
        } else if self.page.exclude.is_some() {
            Some("page")
        } else if self.alerts.is_set() {
            Some("alerts")
        } else if self.broker.is_set() {
            Some("broker")
        } else if self.worker.is_set() {
            Some("worker")
        } else if !self.repository.is_empty() {
            Some("repository")
        } else {
            None
        }
    }
}

impl ProjectLayer {
    fn update(&mut self, upper: Self) {
        override_fields!(self, upper; id, name, namespace, fullname, url_path, full_url,
            description, parent, date_created, date_modified, private, access_users, access_groups, tags,
            priorities, custom_keys, close_status, milestones);
        override_fields!(self.user, upper.user; name, fullname, url_path, full_url);
    }
}
