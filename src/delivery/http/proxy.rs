//! The proxy for messages (`network.proxy`), and the receivers that may be reached through it.
//!
//! A `socks5` proxy is told an address, which the resolver has let through: the decision is made
//! here, once. An `http` proxy is told a name and looks it up itself. Where only external addresses
//! are allowed, an `http` proxy gets only names that the administrator lists.

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::address::{Forbidden, in_network, is_allowed_host, look_up, permit};
use crate::config::{Allow, Endpoint, EndpointUrl, Network};

/// The reason for which nothing can go through the proxy, to be corrected on this machine.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProxyFault {
    /// The proxy has no address, or none that may be dialled.
    #[error("cannot use `proxy` {proxy}: {why}")]
    Unusable {
        /// The proxy.
        proxy: EndpointUrl,
        /// The problem.
        why: String,
    },
    /// The proxy would look the name up, so its address is unknown here.
    #[error("the proxy would look `{host}` up, and only external addresses are allowed")]
    ByName {
        /// The receiver's name.
        host: String,
        /// The setting that would allow it.
        hint: String,
    },
    /// The receiver is a bus, which a proxy of HTTP does not carry.
    #[error("a bus is dialled directly, and `proxy` is set")]
    Bus {
        /// The setting that would allow it.
        hint: String,
    },
    /// The receiver has an address that must not be reached.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
}

/// Returns the proxy's URL, with its present address in place of its name.
///
/// The server's administrator names it, so it may have any address that may be dialled at all.
pub(in crate::delivery) async fn resolve(network: &Network) -> Result<Option<Url>, ProxyFault> {
    let Some(proxy) = &network.proxy else {
        return Ok(None);
    };
    let unusable = |why: String| ProxyFault::Unusable {
        proxy: proxy.clone(),
        why,
    };
    let mut url = proxy.expose().clone();
    let host = proxy.expose().host_str().unwrap_or_default();
    let found = look_up(host).await;
    let found = found.map_err(|error| unusable(error.to_string()))?;
    let anywhere = Network {
        allow: Allow::Any,
        ..network.clone()
    };
    let mut found = found.into_iter();
    let address = found.find(|one| permit(&anywhere, host, one.ip()).is_ok());
    let address = address.ok_or_else(|| unusable("its address is not allowed".to_owned()))?;
    url.set_ip_host(address.ip())
        .map_err(|()| unusable("it names no host".to_owned()))?;
    Ok(Some(url))
}

/// Fails if a receiver must not be reached through an `http` proxy, as far as known here.
pub(in crate::delivery) async fn permit_target(
    network: &Network,
    url: &EndpointUrl,
) -> Result<(), ProxyFault> {
    let asks_by_name = network
        .proxy
        .as_ref()
        .is_some_and(|proxy| proxy.expose().scheme() == "http");
    let is_name = url.address().is_none();
    let Some(host) = url.expose().host_str().filter(|_| asks_by_name && is_name) else {
        return Ok(());
    };
    if network.allow == Allow::External && !is_allowed_host(network, host) {
        let hosts = network.allow_hosts.iter().map(String::as_str);
        let hosts: Vec<String> = hosts
            .chain([host])
            .map(|own| format!("\"{own}\""))
            .collect();
        let line = format!("allow_hosts = [{}]", hosts.join(", "));
        return Err(ProxyFault::ByName {
            host: host.to_owned(),
            hint: format!(
                "{}; a `socks5` proxy is told an address that is looked up here",
                in_network(network, &line)
            ),
        });
    }
    // Often only the proxy can look names up.
    for address in look_up(host).await.unwrap_or_default() {
        permit(network, host, address.ip())?;
    }
    Ok(())
}

/// Fails if an endpoint is a bus that would have to be reached through the proxy.
pub fn permit_bus(endpoint: &Endpoint, network: &Network) -> Result<(), ProxyFault> {
    let Some((bus, proxy)) = endpoint.bus.as_ref().zip(network.proxy.as_ref()) else {
        return Ok(());
    };
    let proxies = Matcher::builder().all(proxy.expose().to_string());
    let proxies = proxies.no(network.no_proxy.join(",")).build();
    for url in [&endpoint.url].into_iter().chain(&bus.fallbacks) {
        let host = url.expose().host_str().unwrap_or_default();
        let target: Option<Uri> = format!("https://{host}/").parse().ok();
        if target.is_some_and(|target| proxies.intercept(&target).is_none()) {
            continue;
        }
        let hosts = network.no_proxy.iter().map(String::as_str);
        let hosts: Vec<String> = hosts
            .chain([host])
            .map(|own| format!("\"{own}\""))
            .collect();
        let line = format!("no_proxy = [{}]", hosts.join(", "));
        let hint = in_network(network, &line);
        return Err(ProxyFault::Bus { hint });
    }
    Ok(())
}
