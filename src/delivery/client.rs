//! One attempt: a request goes out, an answer or its absence comes back.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reqwest::header;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::address::{Forbidden, Resolver, permit};
use super::outcome::{Outcome, Reason, retry_after};
use super::request::{HeaderValue, Request};
use crate::config::{Endpoint, EndpointUrl, Network};
use crate::report::chain;

/// The longest that connecting may take, within the attempt's own limit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The log's word for an attempt that took too long.
const TIMEOUT: &str = "timeout";

/// How much of an answer is read and kept.
const KEPT_OF_ANSWER: usize = 8 * 1024;

/// What came of an attempt.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What it means.
    pub outcome: Outcome,
    /// What broke, in the words of the system; empty if there was an answer.
    pub cause: String,
    /// The beginning of the answer's body.
    pub body: Vec<u8>,
    /// How long the attempt took.
    pub took: Duration,
}

impl Answer {
    /// Whether it is the time limit that ended the attempt.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Down {
                reason: Reason::Transport(TIMEOUT),
                ..
            }
        )
    }

    /// What it came to, for a person: `answered 200`, `is down (connection refused)`.
    #[must_use]
    pub fn outcome_text(&self) -> String {
        match &self.outcome {
            Outcome::Delivered { status } => format!("answered {status}"),
            Outcome::Refused { status, .. } => format!("refused it with {status}"),
            Outcome::Gone => "answered 410: it says that it is gone for good".to_owned(),
            Outcome::TooLarge => "answered 413: the message is too large for it".to_owned(),
            Outcome::Down {
                reason: Reason::Status(status),
                ..
            } => format!("is down: it answered {status}"),
            Outcome::Down { .. } => format!("is down: {}", self.cause),
        }
    }
}

/// A fault of ours: nothing was sent, and it says nothing about the receiver.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// `[network]` forbids the address.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// `[network] https_only` forbids the URL.
    #[error("`https_only` forbids plain `http`")]
    NotHttps,
    /// The endpoint's `ca_file` is of no use.
    #[error("cannot read `ca_file` `{}`", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The client cannot be made, or a configured header cannot be sent.
    #[error("cannot prepare the request")]
    Prepare(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Fault {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Forbidden(forbidden) if forbidden.can_be_allowed => Some(format!(
                "`allow_cidrs = [\"{}/{}\"]` in `[network]` of the server's config allows it",
                forbidden.address,
                if forbidden.address.is_ipv4() { 32 } else { 128 },
            )),
            _ => None,
        }
    }
}

/// Sends requests; keeps connections alive between them.
pub struct Client {
    network: Arc<Network>,
    /// By what has to be trusted: `None` for plain http, for which no
    /// certificate is loaded.
    clients: RefCell<HashMap<Option<Trust>, reqwest::Client>>,
}

/// The platform's certificates, and these.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Trust {
    ca_file: Option<PathBuf>,
}

impl Client {
    /// A client that dials what `network` allows. Costs nothing until it does.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self {
            network: Arc::new(network),
            clients: RefCell::default(),
        }
    }

    /// Makes one attempt, which takes no longer than `limit`. `now` dates a
    /// `Retry-After`.
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        request: &Request<'_>,
        limit: Duration,
        now: SystemTime,
    ) -> Result<Answer, Fault> {
        let client = self.client_for(endpoint)?;
        let mut builder = client
            .post(endpoint.url.expose().clone())
            .timeout(limit)
            .body(request.body.to_vec());
        for (name, value) in &request.headers {
            builder = builder.header(name, header_value(value)?);
        }
        let started = Instant::now();
        let answer = |outcome, cause, body| Answer {
            outcome,
            cause,
            body,
            took: started.elapsed(),
        };
        match builder.send().await {
            Ok(response) => {
                let wait = response
                    .headers()
                    .get(header::RETRY_AFTER)
                    .and_then(|value| retry_after(value.to_str().ok()?, now));
                let outcome = Outcome::of_status(response.status().as_u16(), wait);
                Ok(answer(outcome, String::new(), beginning(response).await))
            }
            Err(error) => {
                let (reason, cause) = what_broke(error)?;
                let outcome = Outcome::Down {
                    reason: Reason::Transport(reason),
                    retry_after: None,
                };
                Ok(answer(outcome, cause, Vec::new()))
            }
        }
    }

    fn client_for(&self, endpoint: &Endpoint) -> Result<reqwest::Client, Fault> {
        let url = endpoint.url.expose();
        let is_https = url.scheme() == "https";
        if self.network.https_only && !is_https {
            return Err(Fault::NotHttps);
        }
        if let Some(address) = literal_address(&endpoint.url) {
            permit(&self.network, &address.to_string(), address)?;
        }
        let trust = is_https.then(|| Trust {
            ca_file: endpoint.ca_file.clone(),
        });
        if let Some(client) = self.clients.borrow().get(&trust) {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(trust.as_ref())?)
            .dns_resolver(Resolver(Arc::clone(&self.network)))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .http1_title_case_headers()
            .no_proxy()
            .build()
            .map_err(|error| Fault::Prepare(error.into()))?;
        self.clients.borrow_mut().insert(trust, client.clone());
        Ok(client)
    }
}

/// The client does not ask its resolver about a host that is an address.
fn literal_address(url: &EndpointUrl) -> Option<IpAddr> {
    match url.expose().host()? {
        url::Host::Ipv4(v4) => Some(v4.into()),
        url::Host::Ipv6(v6) => Some(v6.into()),
        url::Host::Domain(_) => None,
    }
}

fn tls(trust: Option<&Trust>) -> Result<rustls::ClientConfig, Fault> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(trust) = trust {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &trust.ca_file {
            let failed = |source| Fault::CaFile {
                path: path.clone(),
                source,
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
                roots.add_parsable_certificates([certificate.map_err(failed)?]);
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Prepare(error.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn header_value(value: &HeaderValue) -> Result<header::HeaderValue, Fault> {
    let text = match value {
        HeaderValue::Plain(text) => text,
        HeaderValue::Hidden(secret) => secret.expose(),
    };
    let mut converted = header::HeaderValue::from_bytes(text.as_bytes())
        .map_err(|error| Fault::Prepare(error.into()))?;
    converted.set_sensitive(matches!(value, HeaderValue::Hidden(_)));
    Ok(converted)
}

/// Reads the beginning of an answer. The status has decided already: a body that
/// breaks off changes nothing.
async fn beginning(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < KEPT_OF_ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(KEPT_OF_ANSWER);
    body
}

/// One word for the log and the system's own words for people. What our own
/// rules forbade is a fault of ours.
fn what_broke(error: reqwest::Error) -> Result<(&'static str, String), Fault> {
    let error = error.without_url();
    let is_timeout = error.is_timeout();
    let is_dns = error.is_dns();
    let is_connect = error.is_connect();
    if error.is_builder() {
        return Err(Fault::Prepare(error.into()));
    }
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    let mut is_tls = false;
    while let Some(source) = cause.source() {
        cause = source;
        is_tls |= cause.is::<rustls::Error>();
        if let Some(Forbidden {
            address,
            host,
            can_be_allowed,
        }) = cause.downcast_ref()
        {
            return Err(Fault::Forbidden(Forbidden {
                address: *address,
                host: host.clone(),
                can_be_allowed: *can_be_allowed,
            }));
        }
        // rustls puts its errors inside an io::Error, whose source is what lies
        // behind them.
        if let Some(inner) = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            && inner.is::<rustls::Error>()
        {
            is_tls = true;
        }
    }
    let word = if is_timeout {
        TIMEOUT
    } else if is_dns {
        "dns"
    } else if is_tls {
        "tls"
    } else if is_connect {
        "connect"
    } else {
        "connection"
    };
    let cause = if is_timeout {
        "timed out".to_owned()
    } else {
        chain(cause)
    };
    Ok((word, cause))
}
