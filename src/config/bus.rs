//! Endpoints that are a message bus.

use super::schema::EndpointLayer;
use super::values::text::EndpointUrl;
use crate::payload::Format;

/// Settings of a bus endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bus {
    /// The exchange that messages are published to.
    pub exchange: String,
    /// The text before the topic in a routing key, without a dot at its end.
    pub topic_prefix: Option<String>,
    /// True if a message that no queue is bound for counts as not delivered.
    pub require_route: bool,
    /// The other nodes of the broker, tried in this order.
    pub fallbacks: Vec<EndpointUrl>,
    /// True if it gets whole entries of the spool, for workers, instead of messages.
    pub takes_entries: bool,
}

impl Bus {
    /// Returns the settings of an endpoint. `None` if its URL is not a bus's.
    pub(super) fn of(layer: &EndpointLayer) -> Option<Self> {
        let exchange = layer.exchange.as_ref();
        layer.url.is_bus().then(|| Self {
            exchange: exchange.map_or("amq.topic", |own| &own.0).to_owned(),
            topic_prefix: layer.topic_prefix.as_ref().map(|own| own.0.clone()),
            require_route: layer.require_route == Some(true),
            fallbacks: layer.urls_fallback.iter().flatten().cloned().collect(),
            takes_entries: false,
        })
    }
}

/// Checks that an endpoint has no key that its kind of receiver does not have. The error is that
/// key and the reason.
pub(super) fn check(endpoint: &EndpointLayer) -> Result<(), (&'static str, String)> {
    let name = &endpoint.name.0;
    if !endpoint.url.is_bus() {
        let own = [
            ("exchange", endpoint.exchange.is_some()),
            ("topic_prefix", endpoint.topic_prefix.is_some()),
            ("require_route", endpoint.require_route.is_some()),
            ("urls_fallback", endpoint.urls_fallback.is_some()),
        ];
        return match own.into_iter().find(|(_, is_there)| *is_there) {
            Some((key, _)) => Err((
                key,
                format!("`{key}` of `{name}` is of a bus alone, and its URL is not `amqps://…`"),
            )),
            None => Ok(()),
        };
    }
    let of_http = [
        ("key", endpoint.key.is_some()),
        ("key_file", endpoint.key_file.is_some()),
        ("previous_key", endpoint.previous_key.is_some()),
        ("unsigned", endpoint.unsigned.is_some()),
        ("standard_webhooks", endpoint.standard_webhooks.is_some()),
        ("token", endpoint.token.is_some()),
        ("headers", !endpoint.headers.is_empty()),
    ];
    if let Some((key, _)) = of_http.into_iter().find(|(_, is_there)| *is_there) {
        let why = format!(
            "`{key}` of `{name}` has no place: a message of a bus has no signature, and no headers \
             but the format's"
        );
        return Err((key, why));
    }
    if endpoint.format != Format::Pagure {
        let why = format!(
            "`{name}` is a bus, which gets messages of format `pagure`, and its format is `{}`",
            endpoint.format.name()
        );
        return Err(("format", why));
    }
    let others = endpoint.urls_fallback.iter().flatten();
    if let Some(other) = others.clone().find(|other| !other.is_bus()) {
        let why = format!("`urls_fallback` of `{name}` names {other}, which is no bus");
        return Err(("urls_fallback", why));
    }
    let mut urls = others.chain([&endpoint.url]);
    if endpoint.client_cert_file.is_some() && !urls.all(EndpointUrl::is_encrypted) {
        let why = format!("`client_cert_file` of `{name}` is of use with `amqps://` alone");
        return Err(("client_cert_file", why));
    }
    Ok(())
}
