//! Connections: to a receiver or its proxy, and TLS on top.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::address::{Resolver, permitted};
use super::wire::{Open, Wire};
use crate::config::Network;

/// Longest time for connecting, within the attempt's own limit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

type AnyError = Box<dyn Error + Send + Sync>;

/// A handshake that failed.
#[derive(Debug, thiserror::Error)]
#[error("the TLS handshake failed")]
pub(super) struct Handshake(#[source] io::Error);

/// Makes connections of one route.
#[derive(Clone)]
pub(super) struct Connector {
    network: Arc<Network>,
    tcp: HttpConnector<Resolver>,
    proxies: Arc<Matcher>,
    tls: Arc<ClientConfig>,
    open: Open,
}

impl Connector {
    /// Makes a connector. `proxy` is the proxy's URL, with its address.
    pub(super) fn new(
        network: &Arc<Network>,
        proxy: Option<&url::Url>,
        tls: ClientConfig,
        open: &Open,
    ) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(Arc::clone(network)));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let mut proxies = Matcher::builder();
        if let Some(proxy) = proxy {
            let direct = network.no_proxy.join(",");
            proxies = proxies.all(proxy.to_string()).no(direct);
        }
        Self {
            network: Arc::clone(network),
            tcp,
            proxies: Arc::new(proxies.build()),
            tls: Arc::new(tls),
            open: open.clone(),
        }
    }

    /// Returns the proxy that requests to this URL go through.
    pub(super) fn proxy_of(&self, url: &Uri) -> Option<Intercept> {
        self.proxies.intercept(url)
    }

    async fn connect(mut self, url: Uri) -> Result<Wire, AnyError> {
        let is_https = url.scheme_str() == Some("https");
        let proxy = self.proxy_of(&url);
        let is_by_socks = |proxy: &Intercept| proxy.uri().scheme_str() == Some("socks5");
        let mut is_proxied = false;
        let stream = match proxy {
            None => self.tcp.call(url.clone()).await?,
            Some(proxy) if is_by_socks(&proxy) => self.by_socks(&proxy, &url).await?,
            Some(proxy) if is_https => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                tunnel.call(url.clone()).await?
            }
            Some(proxy) => {
                is_proxied = true;
                self.tcp.call(proxy.uri().clone()).await?
            }
        };
        let stream = stream.into_inner();
        if !is_https {
            return Ok(Wire::new(stream, is_proxied, &self.open));
        }
        let host = url.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())?;
        let tls = TlsConnector::from(Arc::clone(&self.tls));
        let stream = tls.connect(name, stream).await.map_err(Handshake)?;
        Ok(Wire::new(stream, false, &self.open))
    }

    /// Connects through a SOCKS proxy.
    ///
    /// The proxy is told an address, which is looked up and decided on here.
    async fn by_socks(&self, proxy: &Intercept, url: &Uri) -> Result<TokioIo<TcpStream>, AnyError> {
        let host = url.host().unwrap_or_default();
        let address = permitted(&self.network, host).await?.next();
        let mut address = address.ok_or("its name has no address")?;
        let default = if url.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        address.set_port(url.port_u16().unwrap_or(default));
        let to = Uri::builder()
            .scheme("http")
            .authority(address.to_string())
            .path_and_query("/")
            .build()?;
        let mut socks = SocksV5::new(proxy.uri().clone(), self.tcp.clone());
        if let Some((name, password)) = proxy.raw_auth() {
            socks = socks.with_auth(name.to_owned(), password.to_owned());
        }
        Ok(socks.call(to).await?)
    }
}

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = AnyError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, AnyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.clone().connect(url));
        Box::pin(async move {
            let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
            connected.await.map_err(timed_out)?
        })
    }
}
