//! Problems on this machine: nothing was sent, and the receiver is not at fault.

use super::address::Forbidden;
use super::proxy::ProxyFault;
use super::tls::TlsFault;

/// The reason for which nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// `[network]` forbids the address.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// `[network] https_only` forbids the URL, which is not encrypted.
    #[error("`https_only` forbids plain `{scheme}`")]
    NotEncrypted {
        /// The URL's scheme.
        scheme: String,
        /// The advice that says how to allow it.
        allowed: String,
    },
    /// The request cannot go through the proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyFault),
    /// The configured certificates or keys cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The limit of open files is reached.
    #[error("cannot connect")]
    Files(#[source] std::io::Error),
    /// The client cannot be made, or a configured header cannot be sent.
    #[error("cannot prepare the request")]
    Prepare(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Fault {
    /// Returns advice, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Forbidden(forbidden) | Self::Proxy(ProxyFault::Forbidden(forbidden)) => {
                Some(forbidden.hint.clone())
            }
            Self::NotEncrypted { scheme, allowed } => Some(format!("use {scheme}s; {allowed}")),
            Self::Proxy(ProxyFault::ByName { hint, .. } | ProxyFault::Bus { hint }) => {
                Some(hint.clone())
            }
            Self::Tls(fault) => fault.hint(),
            Self::Files(_) => Some("raise the limit of open files (ulimit -n)".to_owned()),
            Self::Proxy(ProxyFault::Unusable { .. }) | Self::Prepare(_) => None,
        }
    }

    /// Describes the problem for the pusher, without addresses, names, and advice for others.
    #[must_use]
    pub fn for_pusher(&self) -> &'static str {
        match self {
            Self::Forbidden(_) | Self::Proxy(ProxyFault::Forbidden(_)) => {
                "its address is not allowed"
            }
            Self::NotEncrypted { .. } => "it is not encrypted, which is not allowed",
            Self::Proxy(_) => "it cannot be reached through the proxy",
            Self::Tls(_) => "TLS is not configured well",
            Self::Files(_) => "too many files are open",
            Self::Prepare(_) => "the request cannot be made",
        }
    }
}
