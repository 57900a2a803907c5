//! The way to a broker: its nodes, and the addresses of theirs that may be dialled.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::link::{Link, Target};
use super::said::unopened;
use crate::config::{Endpoint, EndpointUrl, Network};
use crate::delivery::http::address::{Unresolved, in_network, permit_url, permitted};
use crate::delivery::http::answer::{Broken, Unanswered};
use crate::delivery::http::fault::Fault;
use crate::delivery::http::{address, proxy, tls};

/// Longest time for connecting to one address, within the attempt's own limit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two signs of life on a connection, in seconds.
const HEARTBEAT: u16 = 30;
/// Number of entries of the spool that are on their way at once.
const WINDOW: usize = 64;

/// The data that a connection depends on.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) network: Arc<Network>,
    /// Name of this machine.
    pub(super) host: String,
    /// Time between two signs of life, in seconds.
    pub(super) heartbeat: u16,
}

impl Route {
    pub(super) fn new(endpoint: &Endpoint, network: &Arc<Network>, host: &str) -> Self {
        Self {
            endpoint: endpoint.clone(),
            network: Arc::clone(network),
            host: host.to_owned(),
            heartbeat: HEARTBEAT,
        }
    }

    /// Returns how many messages are on their way at once.
    ///
    /// A refused message closes the channel for all that are on their way. Of entries none is
    /// refused for what it is, so that the others are repeated for nothing at most.
    pub(super) fn window(&self) -> usize {
        if self.endpoint.takes_entries() {
            WINDOW
        } else {
            1
        }
    }
}

/// Connects before `end` to the first node of the broker that can be reached.
pub(super) async fn connect(route: &Route, end: Instant) -> Result<Link, Unanswered> {
    permit(&route.endpoint, &route.network)?;
    let fallbacks = route.endpoint.bus.iter().flat_map(|bus| &bus.fallbacks);
    let urls: Vec<&EndpointUrl> = [&route.endpoint.url].into_iter().chain(fallbacks).collect();
    let mut failed = None;
    for (at, url) in urls.iter().enumerate() {
        let end = part(end, urls.len() - at);
        let why = match timeout_at(end, connect_to(url, route, end)).await {
            Ok(Ok(link)) => return Ok(link),
            Ok(Err(why)) => why,
            Err(_) => Unanswered::Broken(Broken::timeout()),
        };
        // The first node's failure, unless a later one's is to be corrected here.
        if failed.is_none() || matches!(why, Unanswered::Fault(_)) {
            failed = Some(why);
        }
    }
    Err(failed.unwrap_or_else(|| Unanswered::Broken(Broken::timeout())))
}

/// Returns the end of the first of `count` equal parts of the time that is left.
fn part(end: Instant, count: usize) -> Instant {
    let now = Instant::now();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    now + end.saturating_duration_since(now) / count
}

/// Fails if the configuration forbids to dial a bus, as far as that shows before.
fn permit(endpoint: &Endpoint, network: &Network) -> Result<(), Fault> {
    let fallbacks = endpoint.bus.iter().flat_map(|bus| &bus.fallbacks);
    for url in [&endpoint.url].into_iter().chain(fallbacks) {
        if network.https_only && !url.is_encrypted() {
            return Err(Fault::NotEncrypted {
                scheme: url.expose().scheme().to_owned(),
                allowed: in_network(network, "https_only = false"),
            });
        }
    }
    Ok(proxy::permit_bus(endpoint, network)?)
}

/// Connects to one node, at the addresses that may be dialled, in their order.
async fn connect_to(url: &EndpointUrl, route: &Route, end: Instant) -> Result<Link, Unanswered> {
    let Route {
        endpoint, network, ..
    } = route;
    permit_url(network, url)?;
    let noted = tls::Noted::default();
    let tls = url.is_encrypted();
    let tls = tls.then(|| tls::config_noting(Some(endpoint), &noted));
    let tls = tls.transpose()?.map(Arc::new);
    let name = url.expose().host_str().unwrap_or_default();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_by_certificate = tls.is_some() && endpoint.client_cert.is_some();
    let mut failed = None;
    let mut addresses = addresses(network, name).await?;
    while let Some(mut address) = addresses.next() {
        address.set_port(url.port());
        let target = Target {
            address,
            name: bare,
            tls: tls.clone(),
            login: (!is_by_certificate).then(|| url.login()),
            virtual_host: url.virtual_host(),
            connection: connection_name(&route.host),
            heartbeat: route.heartbeat,
        };
        let end = part(end, addresses.len() + 1).min(Instant::now() + CONNECT_TIMEOUT);
        let why = match timeout_at(end, Link::open(target)).await {
            Ok(Ok(link)) => return Ok(link),
            Ok(Err(text)) => unopened(&text, noted.take(), url),
            Err(_) => Unanswered::Broken(Broken::timeout()),
        };
        failed.get_or_insert(why);
    }
    let none = || Broken::new("dns", "its name has no address".to_owned(), None);
    Err(failed.unwrap_or_else(|| Unanswered::Broken(none())))
}

async fn addresses(network: &Network, host: &str) -> Result<address::Permitted, Unanswered> {
    permitted(network, host).await.map_err(|error| {
        let error = match error.downcast::<address::Forbidden>() {
            Ok(forbidden) => return Unanswered::Fault(Fault::Forbidden(*forbidden)),
            Err(other) => other,
        };
        let cause = match error.downcast_ref::<Unresolved>() {
            Some(error) => crate::report::chain(error),
            None => error.to_string(),
        };
        Unanswered::Broken(Broken::new("dns", cause, None))
    })
}

/// Returns the name of this program's connections, which people at the broker see.
fn connection_name(host: &str) -> String {
    format!("refpost {}", host.chars().take(200).collect::<String>())
}
