//! One receiver of messages.

use std::path::PathBuf;
use std::time::Duration;

use super::bus::Bus;
use super::schema::{EndpointLayer, Origin};
use super::secrets::sources::{PreviousKey, SecretFile, SecretSource};
use super::secrets::templates::{TemplateError, TemplateSource};
use super::values::patterns::Patterns;
use super::values::text::EndpointUrl;
use crate::payload::{About, Format, Template};

/// The longest that one attempt may take, unless the endpoint says otherwise.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);

/// A receiver: where, and which messages, signed with what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a key of its own")]
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
    /// The process that delivers to it.
    pub via: Via,
    /// True if it gets alerts, and no message of a push (`[alerts] endpoint`).
    pub is_for_alerts: bool,
}

/// The process that delivers an endpoint's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// A process of the account that has the message.
    #[default]
    Here,
    /// The service behind `socket`.
    Service,
    /// A worker behind the broker.
    Broker,
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
    /// Makes an endpoint of the server's that has nothing set.
    pub(super) fn new(name: String, url: EndpointUrl, format: Format, signing: Signing) -> Self {
        Self {
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
            via: Via::Here,
            is_for_alerts: false,
        }
    }

    /// Returns whether it gets a message.
    #[must_use]
    pub fn gets(&self, about: About<'_>) -> bool {
        !self.is_for_alerts
            && self.format == about.format
            && about.endpoint.is_none_or(|name| name == self.name)
            && self.wants(about.topic, about.reference)
    }

    /// Returns whether it is the broker, which gets whole entries instead of messages.
    #[must_use]
    pub fn takes_entries(&self) -> bool {
        self.bus.as_ref().is_some_and(|bus| bus.takes_entries)
    }

    /// Reads the endpoint's template, if it has one.
    pub fn template(&self) -> Option<Result<Template, TemplateError>> {
        self.template.as_ref().map(TemplateSource::read)
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

/// Returns the signing of one table; `None` if it has no key for that.
pub(super) fn signing(
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

/// Makes an endpoint of its table; `default` is the signing of the tables above. Fails with the name
/// of an endpoint that has no key.
pub(super) fn own_endpoint(
    layer: EndpointLayer,
    default: Option<&Signing>,
) -> Result<Endpoint, String> {
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
        paused: layer.paused == Some(true),
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
        via: Via::Here,
        is_for_alerts: false,
    })
}
