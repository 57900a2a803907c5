//! One attempt: a request goes out, an answer or its absence comes back.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::LocalBoxFuture;
use reqwest::header;

use super::address::{Resolver, in_network, permit_url};
use super::answer::{Answer, Broken, Unanswered};
use super::fault::Fault;
use super::request::{HeaderValue, Request};
use super::tls::Trust;
use super::{proxy, tls};
use crate::config::{Endpoint, Network};
use crate::delivery::outcome::{Outcome, retry_after};

/// The longest that connecting may take, within the attempt's own limit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of an answer is read and kept.
const KEPT_OF_ANSWER: usize = 8 * 1024;

/// Makes attempts: the network, or in a simulation what stands in for it.
pub trait Transport {
    /// Makes one attempt, which takes no longer than `limit`. `now` dates a
    /// `Retry-After`.
    fn post<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        network: &'a Arc<Network>,
        request: &'a Request<'a>,
        limit: Duration,
        now: SystemTime,
    ) -> LocalBoxFuture<'a, Result<Answer, Fault>>;
}

/// Sends requests; keeps connections alive between them.
#[derive(Default)]
pub struct Client {
    clients: RefCell<HashMap<Route, reqwest::Client>>,
}

/// What connections depend on: those of another route are of no use.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Route {
    network: Arc<Network>,
    /// `None` for plain http, for which no certificate is loaded.
    trust: Option<Trust>,
    proxy: Option<reqwest::Url>,
}

impl Transport for Client {
    fn post<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        network: &'a Arc<Network>,
        request: &'a Request<'a>,
        limit: Duration,
        now: SystemTime,
    ) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        Box::pin(async move {
            let started = Instant::now();
            let sent = tokio::time::timeout(limit, self.send(endpoint, network, request)).await;
            let response = match sent {
                Err(_) => return Ok(Answer::broken(Broken::timeout(), started.elapsed())),
                Ok(Err(Unanswered::Fault(fault))) => return Err(fault),
                Ok(Err(Unanswered::Broken(broken))) => {
                    return Ok(Answer::broken(broken, started.elapsed()));
                }
                Ok(Ok(response)) => response,
            };
            let wait = response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| retry_after(value.to_str().ok()?, now));
            let outcome = Outcome::of_status(response.status().as_u16(), wait);
            // The status has decided: a body that breaks off, or never ends, changes nothing.
            let body = beginning(response, limit.saturating_sub(started.elapsed())).await;
            Ok(Answer {
                outcome,
                broken: None,
                body,
                took: started.elapsed(),
            })
        })
    }
}

impl Client {
    async fn send(
        &self,
        endpoint: &Endpoint,
        network: &Arc<Network>,
        request: &Request<'_>,
    ) -> Result<reqwest::Response, Unanswered> {
        let client = self.client_for(endpoint, network).await?;
        let builder = client
            .post(endpoint.url.expose().clone())
            .body(request.body.to_vec());
        let post = builder.build();
        let mut post = post.map_err(|error| Fault::Prepare(error.without_url().into()))?;
        for (name, value) in &request.headers {
            let name = name.parse::<header::HeaderName>();
            let name = name.map_err(|error| Fault::Prepare(error.into()))?;
            post.headers_mut().append(name, header_value(value)?);
        }
        let sent = client.execute(post).await;
        sent.map_err(|error| Unanswered::of(error, &endpoint.url))
    }

    async fn client_for(
        &self,
        endpoint: &Endpoint,
        network: &Arc<Network>,
    ) -> Result<reqwest::Client, Fault> {
        let url = &endpoint.url;
        let is_https = url.expose().scheme() == "https";
        if network.https_only && !is_https {
            return Err(Fault::NotHttps(in_network(network, "https_only = false")));
        }
        // The client does not ask its resolver about a host that is an address.
        permit_url(network, url)?;
        proxy::permit_target(network, url).await?;
        let route = Route {
            network: Arc::clone(network),
            trust: is_https.then(|| Trust::of(endpoint)),
            proxy: proxy::resolve(network).await?,
        };
        if let Some(client) = self.clients.borrow().get(&route) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(is_https.then_some(endpoint))?)
            .dns_resolver(Resolver(Arc::clone(network)))
            .redirect(reqwest::redirect::Policy::none())
            // Trying again is the spool's; a request is not copied in case it is sent twice.
            .retry(reqwest::retry::never().max_retries_per_request(0))
            .connect_timeout(CONNECT_TIMEOUT)
            .http1_title_case_headers()
            // What a pusher's session brings along decides nothing.
            .no_proxy();
        if let Some(url) = &route.proxy {
            let proxy = reqwest::Proxy::all(url.clone());
            let proxy = proxy.map_err(|error| Fault::Prepare(error.without_url().into()))?;
            let direct = reqwest::NoProxy::from_string(&network.no_proxy.join(","));
            builder = builder.proxy(proxy.no_proxy(direct));
        }
        let client = builder
            .build()
            .map_err(|error| Fault::Prepare(error.into()))?;
        self.clients.borrow_mut().insert(route, client.clone());
        Ok(client)
    }
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

/// Reads the beginning of an answer, as far as it comes within the limit.
async fn beginning(mut response: reqwest::Response, limit: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    let read = async {
        while body.len() < KEPT_OF_ANSWER {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
    };
    tokio::time::timeout(limit, read).await.ok();
    body.truncate(KEPT_OF_ANSWER);
    body
}
