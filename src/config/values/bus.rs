//! The keys of an endpoint that is a message bus: AMQP URLs, and what only they have.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use super::text::{EndpointUrl, decoded};

/// Length of the longest text of AMQP's wire, in bytes (AMQP 0-9-1, 4.2.5.3).
const LONGEST: usize = 255;
/// Length of the longest prefix of a topic. The longest topic fits behind it.
const LONGEST_PREFIX: usize = 100;
/// Number of further brokers that an endpoint can name.
const MOST_FALLBACKS: usize = 7;
/// Greatest number of nodes of a broker.
const MOST_NODES: usize = 1 + MOST_FALLBACKS;

impl EndpointUrl {
    /// Parses the URL of an endpoint: `https`, `http`, `amqps` or `amqp`.
    fn parse_any(text: &str) -> Result<Self, String> {
        match text.trim().split_once(':') {
            Some((scheme, rest)) if is_bus(&scheme.to_ascii_lowercase()) => {
                Self::parse_bus(scheme, rest)
            }
            _ => Self::parse(text),
        }
    }

    fn parse_bus(scheme: &str, rest: &str) -> Result<Self, String> {
        if !cfg!(feature = "amqp") {
            return Err(format!(
                "scheme `{scheme}` is not supported: this refpost is built without the feature `amqp`"
            ));
        }
        let none = |error: String| {
            format!("it is no URL ({error}), expected `{scheme}://host/virtual-host`")
        };
        let parse = |text: String| url::Url::parse(&text).map_err(|error| none(error.to_string()));
        let mut url = parse(format!("{scheme}:{rest}"))?;
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() {
            return Err(none("it names no host".to_owned()));
        }
        // Hosts of http are brought into one spelling.
        let host = parse(format!("https://{host}/"))?;
        url.set_host(host.host_str())
            .map_err(|error| none(error.to_string()))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("the URL of a bus has nothing behind its path".to_owned());
        }
        let url = Self::of(url);
        if url.expose().path().matches('/').count() > 1 {
            return Err(
                "its path has a second `/`: in the name of a virtual host, `/` is `%2F`".to_owned(),
            );
        }
        let (user, password) = url.login();
        let texts = [url.virtual_host(), user, password];
        if texts.iter().any(|text| !is_short(text)) {
            return Err(format!(
                "its virtual host, name or password is longer than {LONGEST} bytes, or has \
                 characters that do not print"
            ));
        }
        Ok(url)
    }

    /// Returns whether a URL is that of a bus.
    #[must_use]
    pub fn is_bus(&self) -> bool {
        is_bus(self.expose().scheme())
    }

    /// Returns whether connections to it are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.expose().scheme(), "https" | "amqps")
    }

    /// Returns the port, which the scheme decides if the URL has none.
    #[must_use]
    pub fn port(&self) -> u16 {
        let url = self.expose();
        let of_scheme = match url.scheme() {
            "amqps" => 5671,
            "amqp" => 5672,
            _ => 0,
        };
        url.port_or_known_default().unwrap_or(of_scheme)
    }

    /// Returns the virtual host of a bus: the decoded path, `/` without one.
    #[must_use]
    pub fn virtual_host(&self) -> String {
        match self.expose().path().trim_start_matches('/') {
            "" => "/".to_owned(),
            path => decoded(path),
        }
    }

    /// Returns whether its userinfo is a secret: a name alone is none at a bus.
    #[must_use]
    pub fn holds_secret(&self) -> bool {
        self.has_userinfo() && !(self.is_bus() && self.expose().password().is_none())
    }

    /// Returns the name and the password for a bus: `guest`, which a new broker has, if the URL has none.
    #[must_use]
    pub fn login(&self) -> (String, String) {
        let url = self.expose();
        if self.has_userinfo() {
            let password = url.password().unwrap_or_default();
            (decoded(url.username()), decoded(password))
        } else {
            ("guest".to_owned(), "guest".to_owned())
        }
    }
}

fn is_bus(scheme: &str) -> bool {
    matches!(scheme, "amqps" | "amqp")
}

fn is_short(text: &str) -> bool {
    text.len() <= LONGEST && !text.contains(char::is_control)
}

/// Reads an endpoint's `url`.
pub(in crate::config) fn url<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<EndpointUrl, D::Error> {
    EndpointUrl::parse_any(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Reads `urls_fallback`.
pub(in crate::config) fn urls<'de, D>(deserializer: D) -> Result<Option<Vec<EndpointUrl>>, D::Error>
where
    D: Deserializer<'de>,
{
    let texts: Vec<String> = Vec::deserialize(deserializer)?;
    if texts.len() > MOST_FALLBACKS {
        let why = format_args!("there can be {MOST_FALLBACKS} further brokers at most");
        return Err(D::Error::custom(why));
    }
    parse_all(&texts).map(Some).map_err(D::Error::custom)
}

fn parse_all(texts: &[String]) -> Result<Vec<EndpointUrl>, String> {
    let urls = texts.iter().map(|text| EndpointUrl::parse_any(text));
    urls.collect()
}

/// Reads `url` of `[broker]`: one node, or an array of them.
pub(in crate::config) fn nodes<'de, D>(
    deserializer: D,
) -> Result<Option<Vec<EndpointUrl>>, D::Error>
where
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        One(String),
        Nodes(Vec<String>),
    }
    let all = match Said::deserialize(deserializer) {
        Ok(Said::One(url)) => vec![url],
        Ok(Said::Nodes(urls)) if !urls.is_empty() => urls,
        _ => return Err(D::Error::custom("expected a URL, or an array of them")),
    };
    if all.len() > MOST_NODES {
        let why = format_args!("there can be {MOST_NODES} nodes at most");
        return Err(D::Error::custom(why));
    }
    parse_all(&all).map(Some).map_err(D::Error::custom)
}

/// Name of an exchange.
#[derive(Clone, Debug, Serialize)]
pub(in crate::config) struct Exchange(pub(in crate::config) String);

impl<'de> Deserialize<'de> for Exchange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.is_empty() || !is_short(&name) {
            let why = format_args!("the name of an exchange is at most {LONGEST} bytes of text");
            return Err(D::Error::custom(why));
        }
        Ok(Self(name))
    }
}

/// First words of a routing key.
#[derive(Clone, Debug, Serialize)]
pub(in crate::config) struct TopicPrefix(pub(in crate::config) String);

impl<'de> Deserialize<'de> for TopicPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let prefix = String::deserialize(deserializer)?;
        let is_word = |word: &str| {
            let mut chars = word.chars();
            !word.is_empty() && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        };
        if prefix.len() > LONGEST_PREFIX || !prefix.split('.').all(is_word) {
            let why = format_args!(
                "a prefix is at most {LONGEST_PREFIX} letters, digits, `-` and `_`, in words with \
                 `.` between them, such as `io.pagure.prod`"
            );
            return Err(D::Error::custom(why));
        }
        Ok(Self(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<EndpointUrl, String> {
        EndpointUrl::parse_any(text)
    }

    #[cfg(feature = "amqp")]
    #[test]
    fn a_url_names_broker_virtual_host_and_login() {
        let table = [
            ("amqps://b.example", 5671, "/", "guest", "guest"),
            ("amqp://127.0.0.1:5690/", 5690, "/", "guest", "guest"),
            (
                "AMQPS://b.example/%2Fpubsub",
                5671,
                "/pubsub",
                "guest",
                "guest",
            ),
            ("amqp://u%40x:p%2Fq@[::1]/v", 5672, "v", "u@x", "p/q"),
            ("amqp://u@h", 5672, "/", "u", ""),
        ];
        for (text, port, host, user, password) in table {
            let url = parsed(text).expect(text);
            assert_eq!(url.port(), port, "{text}");
            assert_eq!(url.virtual_host(), host, "{text}");
            assert_eq!(
                url.login(),
                (user.to_owned(), password.to_owned()),
                "{text}"
            );
        }
    }

    /// A scheme that the URL standard does not know has hosts of any spelling.
    #[cfg(feature = "amqp")]
    #[test]
    fn an_address_in_another_spelling_was_taken_for_a_name() {
        for text in ["amqp://127.0.0.1/", "amqp://127.1/", "amqp://0x7f000001/"] {
            let address = parsed(text).expect(text).address();
            assert_eq!(address, Some([127, 0, 0, 1].into()), "{text}");
        }
        let name = parsed("amqps://B.Example.org/").expect("a URL");
        assert_eq!(name.to_string(), "amqps://b.example.org/…");
        assert_eq!(name.address(), None);
    }

    #[test]
    fn other_urls_are_refused_without_being_repeated() {
        let long = format!("amqp://h/{}", "v".repeat(256));
        for text in [
            "amqps://",
            "amqps:///v",
            "amqps://h/a/b",
            "amqps://h/v?heartbeat=1",
            "amqps://h/v#f",
            "amqps://u%00:secret@h/",
            "mqtt://secret@h/",
            &long,
        ] {
            let why = parsed(text).expect_err(text);
            assert!(!why.contains("secret") && !why.contains("vvv"), "{why}");
        }
    }
}
