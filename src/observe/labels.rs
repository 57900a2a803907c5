//! The names by which states are told apart.

use serde::{Deserialize, Serialize};

/// The receiver of a queue that is for the service behind `socket`.
pub const SERVICE: &str = "service";
/// The receiver of a queue whose endpoint is not known any more.
pub const UNKNOWN: &str = "unknown";
/// The receivers without a URL: these two, and that of attempts for which `stats` has no place.
const WORDS: [&str; 3] = [SERVICE, UNKNOWN, "other"];
/// Length of the longest name in bytes.
const LONGEST: usize = 4096;

/// An endpoint, and the scheme, host and port of its URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Its name.
    pub endpoint: String,
    /// Its receiver.
    pub receiver: String,
}

/// A receiver, perhaps in one spool or of one endpoint alone. A name that is empty is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Scheme, host and port.
    pub receiver: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The spool's folder.
    pub spool: String,
}

/// The names that are given beside the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// True if the endpoint's name is given.
    pub per_endpoint: bool,
    /// True if the spool is given.
    pub per_spool: bool,
}

impl Labels {
    /// Makes the labels of an endpoint in a spool.
    #[must_use]
    pub fn new(receiver: &str, endpoint: &str, spool: &str) -> Self {
        Self {
            receiver: receiver.to_owned(),
            endpoint: endpoint.to_owned(),
            spool: spool.to_owned(),
        }
    }

    /// Leaves out the names that are not to be given.
    #[must_use]
    pub fn reduced(&self, detail: Detail) -> Self {
        let kept = |name: &str, is_kept| if is_kept { name } else { "" }.to_owned();
        Self {
            receiver: self.receiver.clone(),
            endpoint: kept(&self.endpoint, detail.per_endpoint),
            spool: kept(&self.spool, detail.per_spool),
        }
    }

    /// Returns whether another account's refpost may say this.
    #[must_use]
    pub fn are_valid(&self) -> bool {
        let lengths = [&self.receiver, &self.endpoint, &self.spool].map(String::len);
        is_receiver(&self.receiver) && lengths.iter().all(|length| *length <= LONGEST)
    }
}

/// Returns whether a text is a scheme, a host and a port, or one of the words for none.
fn is_receiver(text: &str) -> bool {
    let is_origin = || {
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = rest.rsplit_once(':')?;
        let is_host = |byte: u8| byte.is_ascii_graphic() && !b"/?#@\\\"".contains(&byte);
        let is_number = |byte: u8| byte.is_ascii_digit();
        Some(
            matches!(scheme, "http" | "https" | "amqp" | "amqps")
                && !host.is_empty()
                && host.bytes().all(is_host)
                && port.len() <= 5
                && port.bytes().all(is_number),
        )
    };
    WORDS.contains(&text) || is_origin().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_scheme_host_and_port_and_never_a_path() {
        // An account with a bus lost its rows on root's page and in root's metrics.
        let cases = [
            ("https://ci.example.org:443", true),
            ("http://[::1]:8080", true),
            ("amqps://bus.example.org:5671", true),
            ("amqp://127.0.0.1:5672", true),
            ("unknown", true),
            ("https://ci.example.org:443/hook?token=x", false),
            ("https://user:secret@ci.example.org:443", false),
            ("https://ci.example.org", false),
            ("ftp://ci.example.org:21", false),
            ("https://ci\n.example.org:443", false),
            ("anything", false),
            ("", false),
        ];
        for (text, is_valid) in cases {
            assert_eq!(Labels::new(text, "", "").are_valid(), is_valid, "{text}");
        }
    }
}
