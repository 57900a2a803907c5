//! What one value may be. Each is checked where it is read, so that an error
//! has its line, and past this file a value is what its type says.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::payload::is_reserved_header;

/// Characters that are escaped in any part of a URL (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Length of the shortest piece of a path or query that is taken for a secret by itself, in bytes.
const SHORTEST: usize = 4;

/// The URL of a receiver. Its path, query and userinfo can be secrets: nothing
/// shows more of it than scheme and host.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EndpointUrl(url::Url);

impl EndpointUrl {
    /// Parses an `http` or `https` URL. The error never contains the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::of_scheme(text, ["https", "http"])
    }

    /// Parses the URL of a proxy, `http` or `socks5`.
    fn parse_proxy(text: &str) -> Result<Self, String> {
        let url = Self::of_scheme(text, ["socks5", "http"])?;
        if url.0.host_str().is_none_or(str::is_empty) {
            return Err("it names no host, expected `socks5://host:port`".to_owned());
        }
        Ok(url)
    }

    fn of_scheme(text: &str, schemes: [&str; 2]) -> Result<Self, String> {
        let [first, second] = schemes;
        let text = text.trim();
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("it has a blank or a control character: one URL in each string".to_owned());
        }
        let url = url::Url::parse(text)
            .map_err(|error| format!("it is no URL ({error}), expected `{first}://host/path`"))?;
        if schemes.contains(&url.scheme()) {
            Ok(Self(url))
        } else if text.contains("://") {
            Err(format!(
                "scheme `{}` is not supported, expected `{first}` or `{second}`",
                url.scheme()
            ))
        } else {
            // What stands before the colon can be a user's name.
            Err(format!("it has no scheme, expected `{first}://host/path`"))
        }
    }

    /// Takes a URL unchanged.
    pub(in crate::config) fn of(url: url::Url) -> Self {
        Self(url)
    }

    /// Returns the secret parts, in every spelling in which a text could repeat them.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let url = &self.0;
        let password = url.password().unwrap_or_default();
        let mut parts = vec![
            url.path().to_owned(),
            url.query().unwrap_or_default().to_owned(),
        ];
        let values = url.query().unwrap_or_default().split('&');
        let values = values.filter_map(|pair| Some(pair.split_once('=')?.1));
        let segments = url.path_segments().into_iter().flatten();
        let pieces = values.chain(segments).map(str::to_owned);
        parts.extend(pieces.filter(|piece| piece.len() >= SHORTEST));
        if self.has_userinfo() {
            let (name, password) = (decoded(url.username()), decoded(password));
            parts.push(BASE64_STANDARD.encode(format!("{name}:{password}")));
            parts.extend([url.username(), url.password().unwrap_or_default()].map(str::to_owned));
        }
        let decoded: Vec<String> = parts.iter().map(|part| decoded(part)).collect();
        parts.extend(decoded);
        parts.retain(|part| !matches!(part.as_str(), "" | "/"));
        // A longer one may have a shorter one in it.
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        parts
    }

    /// Returns it with other texts, percent-encoded, in the places of their names in braces: in
    /// its path and its query.
    #[must_use]
    pub fn fill(&self, texts: &[(&str, &str)]) -> Self {
        let is_filled = |part: &str| part.contains('{') || part.contains("%7B");
        let (path, query) = (self.0.path(), self.0.query());
        if !is_filled(path) && !query.is_some_and(is_filled) {
            return self.clone();
        }
        let fill = |part: &str| {
            let mut part = part.replace("%7B", "{").replace("%7D", "}");
            for (name, text) in texts {
                let text = utf8_percent_encode(text, RESERVED).to_string();
                part = part.replace(&format!("{{{name}}}"), &text);
            }
            part
        };
        let mut url = self.0.clone();
        url.set_query(query.map(fill).as_deref());
        url.set_path(&fill(path));
        Self(url)
    }

    /// Returns the host's address, unless the host is a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            url::Host::Ipv4(v4) => Some(v4.into()),
            url::Host::Ipv6(v6) => Some(v6.into()),
            // Of a bus, it is not parsed (URL Standard, "opaque host").
            url::Host::Domain(name) => name.parse().ok(),
        }
    }

    /// Returns whether the URL carries a name or a password, which become `Authorization: Basic`.
    #[must_use]
    pub fn has_userinfo(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    /// All of it, for the one place that dials it.
    #[must_use]
    pub fn expose(&self) -> &url::Url {
        &self.0
    }

    /// The name of the endpoint that `urls` makes of it: the host and six digits
    /// of a hash of the URL, so that another URL is another endpoint.
    #[must_use]
    pub fn endpoint_name(&self) -> String {
        let digest = hex::encode(Sha256::digest(self.0.as_str()));
        format!("{}-{}", self.host_in_name().trim_matches('-'), &digest[..6])
    }

    /// The name of an endpoint that stays when the URL is corrected: the host, or
    /// `receiver` for an address, which is not a pusher's business.
    #[must_use]
    pub fn lasting_name(&self) -> String {
        let host = self.host_in_name();
        // As `EndpointName` has it, with room for a number.
        let mut name: String = host.chars().take(LONGEST_NAME - 4).collect();
        name = name
            .trim_matches(|c: char| !c.is_ascii_alphanumeric())
            .to_owned();
        if self.address().is_some() || name.is_empty() {
            "receiver".clone_into(&mut name);
        }
        name
    }

    /// Returns whether an endpoint's name was made from a URL of the same host.
    #[must_use]
    pub fn shares_host_with(&self, name: &str) -> bool {
        let bases = [self.lasting_name(), self.host_in_name()];
        let mut bases = bases.iter().map(|base| base.trim_matches('-'));
        bases.any(|base| {
            let rest = name.strip_prefix(base).filter(|_| !base.is_empty());
            let digits = rest.map(|rest| rest.strip_prefix('-').unwrap_or(rest));
            digits.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()))
        })
    }

    fn host_in_name(&self) -> String {
        let host = self.0.host_str().unwrap_or("host").chars();
        host.map(|c| if is_name_char(c) { c } else { '-' })
            .collect()
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        write!(f, "{}://{host}", self.0.scheme())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str("/…")
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EndpointUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EndpointUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Decodes `%41` and the like.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// `network.proxy`.
#[derive(Clone, Debug, Serialize)]
pub(in crate::config) struct ProxyUrl(pub(in crate::config) EndpointUrl);

impl<'de> Deserialize<'de> for ProxyUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        EndpointUrl::parse_proxy(&String::deserialize(deserializer)?)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// `urls`: an array, or one text with a URL a line. Blank ones are skipped.
#[derive(Clone, Debug, Serialize)]
pub(in crate::config) struct Urls(pub(in crate::config) Vec<EndpointUrl>);

impl Urls {
    fn parse<'a, E: serde::de::Error>(lines: impl Iterator<Item = &'a str>) -> Result<Self, E> {
        lines
            .map(str::trim)
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(at, line)| {
                EndpointUrl::parse(line)
                    .map_err(|why| E::custom(format_args!("URL number {}: {why}", at + 1)))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for Urls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UrlsVisitor;
        impl<'de> Visitor<'de> for UrlsVisitor {
            type Value = Urls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of URLs, or one text with a URL a line")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Urls, E> {
                Urls::parse(text.lines())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Urls, A::Error> {
                let mut lines: Vec<String> = Vec::new();
                while let Some(line) = seq.next_element()? {
                    lines.push(line);
                }
                Urls::parse(lines.iter().map(String::as_str))
            }
        }
        deserializer.deserialize_any(UrlsVisitor)
    }
}

/// The instance's URL: with a scheme and, always, a `/` at its end.
#[derive(Clone, Debug, Serialize)]
pub(in crate::config) struct Instance(pub(in crate::config) String);

impl<'de> Deserialize<'de> for Instance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        EndpointUrl::parse(&text).map_err(D::Error::custom)?;
        let text = text.trim();
        let slash = if text.ends_with('/') { "" } else { "/" };
        // It travels as a header.
        if !text.is_ascii() {
            return Err(D::Error::custom("a URL has nothing beyond ASCII"));
        }
        Ok(Self(format!("{text}{slash}")))
    }
}

/// The longest duration: any time of now can be that much later.
const LONGEST_PERIOD: Duration = Duration::from_hours(100 * 366 * 24);

/// Parses a duration as people write it: `15s`, `1m 30s`, `5d`; 100 years at most.
pub fn parse_period(text: &str) -> Result<Duration, String> {
    let why = match humantime::parse_duration(text) {
        Ok(period) if period <= LONGEST_PERIOD => return Ok(period),
        Ok(_) => "it is longer than 100 years".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!("no duration ({why}), expected one like `15s`"))
}

/// A duration as people write it: `15s`, `1m 30s`, `5d`.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Period(pub(in crate::config) Duration);

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PeriodVisitor;
        impl Visitor<'_> for PeriodVisitor {
            type Value = Period;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration like `\"15s\"`, `\"5m\"` or `\"2h\"`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Period, E> {
                parse_period(text).map(Period).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(PeriodVisitor)
    }
}

const LONGEST_NAME: usize = 64;

/// The name of an endpoint: what directories, logs and people see.
#[derive(Clone, Debug, Serialize)]
pub(in crate::config) struct EndpointName(pub(in crate::config) String);

impl<'de> Deserialize<'de> for EndpointName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == "unreadable" {
            let why = "`unreadable` is where the spool keeps what it cannot read";
            return Err(D::Error::custom(why));
        }
        if !is_endpoint_name(&name) {
            let why = "an endpoint's name is at most 64 letters, digits, `.`, `_` and `-`, a letter or digit first";
            return Err(D::Error::custom(why));
        }
        Ok(Self(name))
    }
}

/// Returns whether an endpoint can have a name.
#[must_use]
pub fn is_endpoint_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    starts_well && name.len() <= LONGEST_NAME && name.chars().all(is_name_char)
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// The name of a header that an endpoint is sent on top of the format's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(in crate::config) struct HeaderName(pub(in crate::config) String);

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Headers that the format and HTTP itself set. With two of them, receivers differ in which
        /// one they read.
        const TAKEN: [&str; 6] = [
            "host",
            "content-length",
            "content-type",
            "connection",
            "transfer-encoding",
            "user-agent",
        ];
        let name = String::deserialize(deserializer)?;
        let lower = name.to_ascii_lowercase();
        // RFC 9110, section 5.6.2: token.
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            Err(D::Error::custom("this is no name of a header"))
        } else if TAKEN.contains(&lower.as_str()) || is_reserved_header(&lower) {
            Err(D::Error::custom(format_args!(
                "refpost sets header `{name}` itself"
            )))
        } else {
            Ok(Self(name))
        }
    }
}
