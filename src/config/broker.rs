//! `[broker]` and `[worker]`: their keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};

use super::secrets::sources::SecretFile;
use super::values::matching::RepositoryPatterns;
use super::values::size::{BodySize, SpoolSize};
use super::values::text::{EndpointUrl, Period};

/// Greatest number of queues at the broker.
const MOST_SHARDS: u32 = 1024;
/// Greatest size of an entry by default: half of what `RabbitMQ` 4 takes.
pub(super) const MAX_MESSAGE: usize = 8 << 20;

/// `[broker]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct BrokerLayer {
    #[serde(deserialize_with = "super::values::bus::nodes")]
    pub(super) url: Option<Vec<EndpointUrl>>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) client_cert_file: Option<PathBuf>,
    pub(super) client_key_file: Option<SecretFile>,
    pub(super) shards: Option<u32>,
    pub(super) timeout: Option<Period>,
    pub(super) max_message: Option<BodySize>,
}

/// `[worker]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct WorkerLayer {
    pub(super) spool: Option<PathBuf>,
    pub(super) shards: Option<Shards>,
    pub(super) stop_at: Option<SpoolSize>,
    pub(super) publishers: Option<BTreeMap<String, RepositoryPatterns>>,
}

/// `[worker] shards`: the queues that a worker takes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shards {
    All,
    These(Vec<u32>),
}

impl Serialize for Shards {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::These(shards) => shards.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Shards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Said {
            Word(String),
            These(Vec<u32>),
        }
        match Said::deserialize(deserializer) {
            Ok(Said::Word(word)) if word == "all" => Ok(Self::All),
            Ok(Said::These(shards)) if !shards.is_empty() => Ok(Self::These(shards)),
            _ => Err(D::Error::custom(
                "expected `\"all\"`, or the numbers of queues, such as `[0, 3]`",
            )),
        }
    }
}

impl BrokerLayer {
    /// Returns whether a key is set.
    pub(super) fn is_set(&self) -> bool {
        self.url.is_some()
            || self.ca_file.is_some()
            || self.client_cert_file.is_some()
            || self.client_key_file.is_some()
            || self.shards.is_some()
            || self.timeout.is_some()
            || self.max_message.is_some()
    }

    /// Checks rules that types do not express. The error is a key and its fault.
    pub(super) fn check(
        &self,
        max_body: usize,
        root: Option<&PathBuf>,
    ) -> Result<(), (Option<&'static str>, String)> {
        if !self.is_set() {
            return Ok(());
        }
        if root.is_none() {
            let why = "`[broker]` needs `root`: workers know repositories by their paths below it";
            return Err((None, why.to_owned()));
        }
        let Some(urls) = &self.url else {
            return Err((None, "`[broker]` needs a `url`".to_owned()));
        };
        let wrong = |key, why: &str| Err((Some(key), why.to_owned()));
        if !urls.iter().all(EndpointUrl::is_bus) {
            return wrong("url", "`broker.url` is `amqps://…`");
        }
        if self.client_cert_file.is_some() != self.client_key_file.is_some() {
            let why =
                "`broker.client_cert_file` and `broker.client_key_file` are of use only together";
            return wrong("client_cert_file", why);
        }
        if self.client_cert_file.is_some() && !urls.iter().all(EndpointUrl::is_encrypted) {
            let why = "`broker.client_cert_file` is of use with `amqps://` alone";
            return wrong("client_cert_file", why);
        }
        if self
            .shards
            .is_some_and(|own| !(1..=MOST_SHARDS).contains(&own))
        {
            let why = format!("`broker.shards` must be 1 to {MOST_SHARDS}");
            return wrong("shards", &why);
        }
        let fits = |own: &Period| !own.0.is_zero() && own.0 <= Duration::from_mins(1);
        if self.timeout.as_ref().is_some_and(|own| !fits(own)) {
            let why = "`broker.timeout` must be longer than nothing, and 60s at most";
            return wrong("timeout", why);
        }
        let max_message = self.max_message.map_or(MAX_MESSAGE, |own| own.0);
        if max_body >= max_message {
            let why =
                "`broker.max_message` must be more than `max_body`, or a message would not fit";
            return wrong("max_message", why);
        }
        Ok(())
    }

    /// Returns the number of queues.
    pub(super) fn shards(&self) -> u32 {
        self.shards.unwrap_or(1)
    }
}

impl WorkerLayer {
    /// Returns whether a key is set.
    pub(super) fn is_set(&self) -> bool {
        self.spool.is_some()
            || self.shards.is_some()
            || self.stop_at.is_some()
            || self.publishers.is_some()
    }

    /// Checks rules that types do not express. The error is a key and its fault.
    pub(super) fn check(
        &self,
        broker: &BrokerLayer,
        spool: Option<&PathBuf>,
    ) -> Result<(), (Option<&'static str>, String)> {
        if !self.is_set() {
            return Ok(());
        }
        let wrong = |key, why: &str| Err((key, why.to_owned()));
        if !broker.is_set() {
            return wrong(
                None,
                "`[worker]` takes from a `[broker]`, and there is none",
            );
        }
        let Some(own) = &self.spool else {
            return wrong(None, "`[worker]` needs a `spool`");
        };
        if spool == Some(own) {
            let why = "`worker.spool` is `spool` too, which other machines hand over from";
            return wrong(Some("spool"), why);
        }
        let shards = broker.shards();
        if let Some(Shards::These(own)) = &self.shards
            && let Some(other) = own.iter().find(|own| **own >= shards)
        {
            let why = format!("`worker.shards` has {other}, and `broker.shards` is {shards}");
            return wrong(Some("shards"), &why);
        }
        Ok(())
    }
}
