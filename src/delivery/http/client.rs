//! One attempt: sends a request, returns an answer or its absence.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request as HttpRequest, Uri, header};
use hyper_util::client::legacy::connect::{Connected, capture_connection};
use hyper_util::client::legacy::{Builder, Client as HttpClient};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, timeout_at};

use super::address::{in_network, permit_url};
use super::answer::{Answer, Broken, Unanswered};
use super::connect::Connector;
use super::fault::Fault;
use super::request::{HeaderValue, Request};
use super::spelling::Spellings;
use super::tls::Trust;
use super::wire::{Open, Seen};
use super::{proxy, tls};
use crate::config::{Endpoint, EndpointUrl, Network};
use crate::delivery::outcome::{Outcome, retry_after};

/// Number of lines that the head of an answer may have; hyper reads 400 KiB of it. Beyond
/// either, the status counts alone.
const MOST_HEADER_LINES: usize = 1000;

/// Number of bytes of an answer that are read and kept.
const KEPT_OF_ANSWER: usize = 8 * 1024;

/// Sends requests, and keeps connections open between them.
pub(in crate::delivery) struct Client {
    routes: RefCell<HashMap<Route, Connections>>,
    spellings: Spellings,
    open: Open,
    /// Connections that are open at once before those that are idle are closed.
    most_open: usize,
}

/// The settings that a connection depends on. Connections of another route cannot be used.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Route {
    network: Arc<Network>,
    /// `None` for plain http, for which no certificate is loaded.
    trust: Option<Trust>,
    proxy: Option<url::Url>,
}

/// Connections of one route.
#[derive(Clone)]
struct Connections {
    connector: Connector,
    /// Connections that are kept and used again.
    kept: HttpClient<Connector, Full<Bytes>>,
    /// Connections that are used once.
    fresh: HttpClient<Connector, Full<Bytes>>,
}

/// An answer whose status is known.
struct Answered {
    status: u16,
    retry_after: Option<Duration>,
    /// The place that a redirect names.
    location: Option<header::HeaderValue>,
    /// The body. `None` if no more can be read.
    body: Option<Incoming>,
}

/// An exchange without an answer.
struct Lost {
    why: Unanswered,
    /// True if the connection had been kept, and broke before any byte of an answer.
    is_stale: bool,
}

impl<F: Into<Fault>> From<F> for Lost {
    fn from(fault: F) -> Self {
        Self {
            why: Unanswered::Fault(fault.into()),
            is_stale: false,
        }
    }
}

impl Lost {
    fn timeout() -> Self {
        Self {
            why: Unanswered::Broken(Broken::timeout()),
            is_stale: false,
        }
    }
}

impl Client {
    /// Makes one attempt, which takes no longer than `limit`.
    ///
    /// `now` is the time from which a date in `Retry-After` counts.
    pub(in crate::delivery) async fn post(
        &self,
        endpoint: &Endpoint,
        network: &Arc<Network>,
        request: &Request<'_>,
        limit: Duration,
        now: SystemTime,
    ) -> Result<Answer, Fault> {
        let started = Instant::now();
        let deadline = started + limit;
        let mut retried = None;
        let sent = self.send(endpoint, network, request, deadline, now, &mut retried);
        let answer = match sent.await {
            Ok(answered) => Answer {
                outcome: Outcome::of_status(answered.status, answered.retry_after),
                broken: answered.location.and_then(|location| {
                    let location = request.words(location.as_bytes(), &endpoint.url)?;
                    Some(Broken::redirect(&location))
                }),
                // The status has decided: a body that breaks off, or never ends, changes
                // nothing.
                words: {
                    let body = beginning(answered.body, deadline).await;
                    request.words(&body, &endpoint.url)
                },
                retried: None,
                took: started.elapsed(),
            },
            Err(Unanswered::Broken(broken)) => Answer::broken(broken, started.elapsed()),
            Err(Unanswered::Fault(fault)) => return Err(fault),
        };
        Ok(Answer { retried, ..answer })
    }
}

impl Connections {
    fn new(connector: Connector) -> Self {
        let mut builder = lenient();
        Self {
            kept: builder.build(connector.clone()),
            fresh: builder.pool_max_idle_per_host(0).build(connector.clone()),
            connector,
        }
    }
}

impl Client {
    /// Makes a client. An eighth of `descriptors` files is for connections that are kept.
    pub(in crate::delivery) fn new(descriptors: usize) -> Self {
        Self {
            routes: RefCell::default(),
            spellings: Spellings::default(),
            open: Open::default(),
            most_open: (descriptors / 8).max(8),
        }
    }

    /// Closes the idle connections, if there are too many. Those in use end by
    /// themselves.
    fn close_idle(&self) {
        if self.open.count() >= self.most_open {
            for connections in self.routes.borrow_mut().values_mut() {
                *connections = Connections::new(connections.connector.clone());
            }
        }
    }

    /// Makes a request.
    ///
    /// The receiver may have closed a kept connection meanwhile. If one breaks before any answer,
    /// the request is made once more, on a fresh one, and `retried` gets the failure.
    async fn send(
        &self,
        endpoint: &Endpoint,
        network: &Arc<Network>,
        request: &Request<'_>,
        deadline: Instant,
        now: SystemTime,
        retried: &mut Option<Broken>,
    ) -> Result<Answered, Unanswered> {
        let connections = timeout_at(deadline, self.connections_for(endpoint, network)).await;
        let connections = connections.map_err(|_| Unanswered::Broken(Broken::timeout()))??;
        let mut post = prepare(endpoint, request, &connections.connector)?;
        let names = request.headers.iter().map(|(name, _)| name.as_ref());
        if let Some(spelled) = self.spellings.of(names).await {
            post.extensions_mut().extend(spelled);
        }
        let url = &endpoint.url;
        let sent = exchange(&connections.kept, post.clone(), url, deadline, now).await;
        match sent {
            Err(Lost {
                why: Unanswered::Broken(broken),
                is_stale: true,
            }) => {
                *retried = Some(broken);
                let sent = exchange(&connections.fresh, post, url, deadline, now);
                sent.await.map_err(|lost| lost.why)
            }
            sent => sent.map_err(|lost| lost.why),
        }
    }

    async fn connections_for(
        &self,
        endpoint: &Endpoint,
        network: &Arc<Network>,
    ) -> Result<Connections, Fault> {
        let url = &endpoint.url;
        let is_https = url.expose().scheme() == "https";
        if network.https_only && !is_https {
            return Err(Fault::NotEncrypted {
                scheme: url.expose().scheme().to_owned(),
                allowed: in_network(network, "https_only = false"),
            });
        }
        // The client does not ask its resolver about a host that is an address.
        permit_url(network, url)?;
        proxy::permit_target(network, url).await?;
        let route = Route {
            network: Arc::clone(network),
            trust: is_https.then(|| Trust::of(endpoint)),
            proxy: proxy::resolve(network).await?,
        };
        self.close_idle();
        if let Some(connections) = self.routes.borrow().get(&route) {
            return Ok(connections.clone());
        }
        let tls = tls::config(is_https.then_some(endpoint))?;
        let connector = Connector::new(network, route.proxy.as_ref(), tls, &self.open);
        let connections = Connections::new(connector);
        let mut routes = self.routes.borrow_mut();
        routes.insert(route, connections.clone());
        Ok(connections)
    }
}

/// Makes a client builder that accepts the heads that old receivers write.
fn lenient() -> Builder {
    let mut builder = HttpClient::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .http1_title_case_headers(true)
        .http1_max_headers(MOST_HEADER_LINES)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true);
    builder
}

fn prepare(
    endpoint: &Endpoint,
    request: &Request<'_>,
    connector: &Connector,
) -> Result<HttpRequest<Full<Bytes>>, Fault> {
    let url: Uri = without_userinfo(&request.fill(&endpoint.url))
        .parse()
        .map_err(unprepared)?;
    let mut post = HttpRequest::post(&url)
        .body(Full::from(request.body.to_vec()))
        .map_err(unprepared)?;
    let headers = post.headers_mut();
    if let Some(basic) = basic_auth(&endpoint.url) {
        headers.append(header::AUTHORIZATION, sensitive(&basic)?);
    }
    for (name, value) in &request.headers {
        let name: header::HeaderName = name.parse().map_err(unprepared)?;
        let value = match value {
            HeaderValue::Plain(text) => text.parse().map_err(unprepared)?,
            HeaderValue::Hidden(secret) => sensitive(secret.expose())?,
        };
        headers.append(name, value);
    }
    // For a proxy that is told the whole URL; a tunnel tells it the credentials itself.
    let proxy = connector.proxy_of(&url);
    let proxy = proxy.filter(|_| url.scheme_str() == Some("http"));
    if let Some(auth) = proxy.as_ref().and_then(|proxy| proxy.basic_auth()) {
        headers.insert(header::PROXY_AUTHORIZATION, auth.clone());
    }
    Ok(post)
}

fn unprepared(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::Prepare(error.into())
}

fn sensitive(text: &str) -> Result<header::HeaderValue, Fault> {
    let mut value = header::HeaderValue::from_bytes(text.as_bytes()).map_err(unprepared)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns the name and password of a URL as the value of `Authorization`.
fn basic_auth(url: &EndpointUrl) -> Option<String> {
    let given = url.expose();
    let password = given.password().unwrap_or_default();
    let mut both: Vec<u8> = percent_decode_str(given.username()).collect();
    both.push(b':');
    both.extend(percent_decode_str(password));
    let is_there = url.has_userinfo();
    is_there.then(|| format!("Basic {}", BASE64_STANDARD.encode(both)))
}

fn without_userinfo(url: &EndpointUrl) -> String {
    let mut url = url.expose().clone();
    // An http URL can have a user, and so can have none.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.into()
}

/// Makes a request. A status line that was read counts, even if the connection breaks after it.
async fn exchange(
    client: &HttpClient<Connector, Full<Bytes>>,
    mut post: HttpRequest<Full<Bytes>>,
    url: &EndpointUrl,
    deadline: Instant,
    now: SystemTime,
) -> Result<Answered, Lost> {
    let captured = capture_connection(&mut post);
    let sent = timeout_at(deadline, client.request(post)).await;
    let connected = captured.connection_metadata();
    let seen = connected.as_ref().and_then(seen_on);
    if let Ok(Ok(response)) = sent {
        seen.as_ref().inspect(|seen| seen.answered());
        // To hyper, a failed write is a done one, and its connection can be kept.
        if seen.is_some_and(|seen| seen.is_broken()) {
            connected.as_ref().inspect(|connected| connected.poison());
        }
        let (status, headers) = (response.status(), response.headers());
        let wait = headers.get(header::RETRY_AFTER);
        let location = headers.get(header::LOCATION);
        return Ok(Answered {
            status: status.as_u16(),
            retry_after: wait.and_then(|value| retry_after(value.to_str().ok()?, now)),
            location: location.filter(|_| status.is_redirection()).cloned(),
            body: Some(response.into_body()),
        });
    }
    if let Some(status) = seen.as_ref().and_then(Seen::status) {
        return Ok(Answered {
            status,
            retry_after: None,
            location: None,
            body: None,
        });
    }
    match sent {
        Ok(Err(error)) => Err(Lost {
            why: match &seen {
                Some(seen) if seen.is_no_http() => Unanswered::Broken(Broken::no_http(url)),
                _ => Unanswered::of(&error, url),
            },
            is_stale: seen.is_some_and(|seen| seen.is_stale()),
        }),
        _ => Err(Lost::timeout()),
    }
}

fn seen_on(connected: &Connected) -> Option<Seen> {
    let mut extras = hyper::http::Extensions::new();
    connected.get_extras(&mut extras);
    extras.remove()
}

/// Reads the beginning of an answer, until the deadline at most.
async fn beginning(from: Option<Incoming>, deadline: Instant) -> Vec<u8> {
    let mut body = Vec::new();
    let Some(mut from) = from else { return body };
    let read = async {
        while body.len() < KEPT_OF_ANSWER {
            match from.frame().await {
                Some(Ok(frame)) => body.extend(frame.into_data().unwrap_or_default()),
                None | Some(Err(_)) => break,
            }
        }
    };
    timeout_at(deadline, read).await.ok();
    body.truncate(KEPT_OF_ANSWER);
    body
}
