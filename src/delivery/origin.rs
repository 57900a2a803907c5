//! A receiver: the scheme, the host and the port that several endpoints can share.

use std::fmt;

use crate::config::EndpointUrl;

/// A receiver, as `https://ci.example.org:443`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

impl Origin {
    /// Returns the receiver with this name.
    pub(super) fn named(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the receiver of a URL.
    #[must_use]
    pub fn of(url: &EndpointUrl) -> Self {
        let port = url.port();
        let url = url.expose();
        let host = url.host_str().unwrap_or_default();
        Self(format!("{}://{host}:{port}", url.scheme()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
