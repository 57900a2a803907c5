//! The broker that entries are handed to, and the workers that take them from it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::broker::{BrokerLayer, MAX_MESSAGE, Shards, WorkerLayer};
use super::bus::Bus;
use super::endpoint::{ClientCert, Endpoint, Signing, TIMEOUT};
use super::values::matching::{Names, RepositoryPatterns};
use crate::payload::Format;

/// The broker's name in logs and for people. No endpoint has it.
const BROKER: &str = "@broker";
/// The exchange that entries are published to.
const EXCHANGE: &str = "refpost";
/// Size of a worker's spool by default, above which it takes nothing more.
const STOP_AT: u64 = 10 << 30;

/// The broker that entries are handed to.
#[derive(Clone, Debug)]
pub struct Broker {
    /// The broker as the endpoint of whole entries.
    pub endpoint: Endpoint,
    /// Number of queues, `refpost.0` and on.
    pub shards: u32,
    /// Greatest size of an entry in bytes, as far as it has several refs.
    pub max_message: usize,
}

/// Settings of a machine that takes entries from the broker and delivers them.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The spool that entries are taken into.
    pub spool: PathBuf,
    /// The numbers of the queues that it takes from.
    pub shards: Vec<u32>,
    /// Size of that spool in bytes from which it takes nothing. `None`: any size.
    pub stop_at: Option<u64>,
    publishers: Option<BTreeMap<String, RepositoryPatterns>>,
}

impl Broker {
    /// The queue of dead letters. Without one, `RabbitMQ` 4 drops them.
    pub const DEAD_LETTERS: &str = "refpost.dead";

    /// Returns the name of a queue.
    #[must_use]
    pub fn queue(shard: u32) -> String {
        format!("refpost.{shard}")
    }

    /// Returns the broker that a table names.
    pub(super) fn of(layer: &BrokerLayer) -> Option<Self> {
        let (first, others) = layer.url.as_deref()?.split_first()?;
        let files = layer.client_cert_file.clone();
        let client_cert = files.zip(layer.client_key_file.clone());
        Some(Self {
            endpoint: Endpoint {
                timeout: layer.timeout.map_or(TIMEOUT, |own| own.0),
                ca_file: layer.ca_file.clone(),
                client_cert: client_cert.map(|(cert_file, key_file)| ClientCert {
                    cert_file,
                    key_file,
                }),
                bus: Some(Bus {
                    exchange: EXCHANGE.to_owned(),
                    topic_prefix: None,
                    require_route: true,
                    fallbacks: others.to_vec(),
                    takes_entries: true,
                }),
                ..Endpoint::new(
                    BROKER.to_owned(),
                    first.clone(),
                    Format::Pagure,
                    Signing::Unsigned,
                )
            },
            shards: layer.shards(),
            max_message: layer.max_message.map_or(MAX_MESSAGE, |own| own.0),
        })
    }
}

impl Worker {
    /// Returns the settings that a table has.
    pub(super) fn of(layer: &WorkerLayer, broker: &BrokerLayer) -> Option<Self> {
        let all = || (0..broker.shards()).collect();
        Some(Self {
            spool: layer.spool.clone()?,
            shards: match &layer.shards {
                None | Some(Shards::All) => all(),
                Some(Shards::These(own)) => own.clone(),
            },
            stop_at: layer.stop_at.map_or(Some(STOP_AT), |own| own.0),
            publishers: layer.publishers.clone(),
        })
    }

    /// Returns whether a user of the broker may send entries of a repository.
    #[must_use]
    pub fn believes(&self, user: Option<&str>, names: &Names) -> bool {
        let Some(all) = &self.publishers else {
            return true;
        };
        let patterns = user.and_then(|user| all.get(user));
        patterns.is_some_and(|patterns| patterns.choose(names))
    }
}
