//! The addresses that may be dialled (`[network]`), decided on the address itself.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use ipnet::IpNet;
use tower_service::Service;

use crate::config::{Allow, EndpointUrl, Network};

/// An address that must not be dialled.
#[derive(Clone, Debug, thiserror::Error)]
#[error("address {address} of `{host}` is not allowed")]
pub struct Forbidden {
    /// The address.
    pub address: IpAddr,
    /// The name that was looked up.
    pub host: String,
    /// The setting that would allow it.
    pub hint: String,
}

/// Fails if a URL has an address that must not be dialled.
///
/// A name must be looked up first, so it passes here.
pub fn permit_url(network: &Network, url: &EndpointUrl) -> Result<(), Forbidden> {
    match url.address() {
        Some(address) => permit(network, &address.to_string(), address),
        None => Ok(()),
    }
}

/// Fails if this host must not be dialled at this address.
pub(in crate::delivery) fn permit(
    network: &Network,
    host: &str,
    address: IpAddr,
) -> Result<(), Forbidden> {
    let address = address.to_canonical();
    let forbidden = |hint| Forbidden {
        address,
        host: host.to_owned(),
        hint,
    };
    if is_never_allowed(address) {
        let hint = "no setting allows link-local, multicast and unspecified addresses and the \
                    metadata services of clouds; correct the URL";
        return Err(forbidden(hint.to_owned()));
    }
    let excepted = network.allow == Allow::Any
        || is_allowed_host(network, host)
        || network.allow_cidrs.iter().any(|net| net.contains(&address));
    if excepted || is_external(address) {
        Ok(())
    } else {
        Err(forbidden(exception(network, address)))
    }
}

/// Returns whether `allow_hosts` names the host.
pub(in crate::delivery) fn is_allowed_host(network: &Network, host: &str) -> bool {
    let mut hosts = network.allow_hosts.iter();
    hosts.any(|allowed| allowed.eq_ignore_ascii_case(host))
}

/// Returns the whole line of configuration that allows the address, and its place.
fn exception(network: &Network, address: IpAddr) -> String {
    let nets = network.allow_cidrs.iter().copied();
    let nets: Vec<String> = nets
        .chain([IpNet::from(address)])
        .map(|net| format!("\"{net}\""))
        .collect();
    in_network(network, &format!("allow_cidrs = [{}]", nets.join(", ")))
}

/// Adds to a line of `[network]` the place in which it belongs.
pub(in crate::delivery) fn in_network(network: &Network, line: &str) -> String {
    format!(
        "`{line}` below `[network]` in `{}` allows it",
        network.file.display()
    )
}

/// Returns whether an address is link-local, a cloud's metadata service, or no host at all.
fn is_never_allowed(address: IpAddr) -> bool {
    /// Metadata services of Alibaba Cloud, Oracle Cloud and Azure, which are outside of
    /// 169.254.0.0/16.
    const METADATA_V4: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
        Ipv4Addr::new(168, 63, 129, 16),
    ];
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => {
            // Amazon's services of an instance, and Google Cloud's.
            let is_metadata = matches!(
                v6.segments(),
                [0xfd00, 0xec2, ..] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
            );
            is_metadata
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || embedded_v4(v6).is_some_and(|v4| is_never_allowed(v4.into()))
        }
    }
}

/// Returns whether the whole internet can reach the address (IANA's special-purpose address
/// registries, RFC 6890).
fn is_external(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_loopback()
                || v4.is_private()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a, b & 0xc0) == (100, 64)
                || (a, b & 0xfe) == (198, 18)
                || (a, b, c) == (192, 0, 0)
                || (a, b, c) == (192, 88, 99))
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            // Of all of IPv6 only 2000::/3 is given out, and of that these are special:
            // 2001::/23 (Teredo, benchmarks, ORCHID), documentation, and 6to4 below.
            (a & 0xe000) == 0x2000
                && !(a == 0x2001 && b < 0x200)
                && (a, b) != (0x2001, 0xdb8)
                && (a, b & 0xf000) != (0x3fff, 0)
                && embedded_v4(v6).is_none()
        }
    }
}

/// Returns the address inside an IPv4-compatible, NAT64, 6to4, Teredo or ISATAP one.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match v6.segments() {
        // NAT64 (RFC 6052; RFC 8215 for networks of one's own), 6to4 (RFC 3056), ISATAP
        // (RFC 5214).
        [0x64, 0xff9b, 0, 0, 0, 0, a, b]
        | [0x64, 0xff9b, 1, _, _, _, a, b]
        | [0x2002, a, b, ..]
        | [.., 0 | 0x200, 0x5efe, a, b] => Some(join(a, b)),
        // Teredo (RFC 4380): the client's address, every bit turned round.
        [0x2001, 0, .., a, b] => Some(join(!a, !b)),
        [0, 0, 0, 0, 0, 0, a, b] if a != 0 => Some(join(a, b)),
        _ => None,
    }
}

/// The addresses of a name that may be dialled.
pub(in crate::delivery) type Permitted = std::vec::IntoIter<SocketAddr>;

/// The error of a name that cannot be looked up.
#[derive(Debug, thiserror::Error)]
#[error("cannot look its name up")]
pub(in crate::delivery) struct Unresolved(#[source] io::Error);

/// Resolves names, and returns only the addresses that may be dialled.
///
/// The client connects to the checked address, so a name cannot resolve twice.
#[derive(Clone)]
pub(super) struct Resolver(pub(super) Arc<Network>);

impl Service<Name> for Resolver {
    type Response = Permitted;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Permitted, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let network = Arc::clone(&self.0);
        Box::pin(async move { permitted(&network, name.as_str()).await })
    }
}

/// Looks up the addresses of a host, and leaves out those that must not be dialled.
pub(in crate::delivery) async fn permitted(
    network: &Network,
    host: &str,
) -> Result<Permitted, Box<dyn Error + Send + Sync>> {
    let mut refused = None;
    let mut allowed = Vec::new();
    for address in look_up(host).await.map_err(Unresolved)? {
        match permit(network, host, address.ip()) {
            Ok(()) => allowed.push(address),
            Err(forbidden) => refused = Some(forbidden),
        }
    }
    match refused {
        Some(forbidden) if allowed.is_empty() => Err(forbidden.into()),
        _ => Ok(allowed.into_iter()),
    }
}

/// Looks up the addresses of a name, or of an address, with or without brackets.
pub(in crate::delivery) async fn look_up(host: &str) -> io::Result<Vec<SocketAddr>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    Ok(tokio::net::lookup_host((bare, 0)).await?.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(allow: Allow) -> Network {
        Network {
            file: "/etc/refpost/config.toml".into(),
            proxy: None,
            no_proxy: Vec::new(),
            allow,
            allow_hosts: vec!["build.example.org".into()],
            allow_cidrs: vec!["10.1.0.0/16".parse().expect("a network")],
            https_only: false,
        }
    }

    fn allowed(allow: Allow, host: &str, address: &str) -> bool {
        permit(&network(allow), host, address.parse().expect("an address")).is_ok()
    }

    #[test]
    fn some_addresses_are_never_dialled() {
        for address in [
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "64:ff9b:1::a9fe:a9fe",
            "2001:0:c000:201:0:0:5601:5601",
            "2001:db8::5efe:a9fe:a9fe",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::23",
            "fd20:ce::254",
        ] {
            assert!(
                !allowed(Allow::Any, "build.example.org", address),
                "{address}"
            );
        }
    }

    #[test]
    fn external_means_what_the_internet_can_reach() {
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "240.0.0.1",
            "0.1.2.3",
            "::1",
            "fc00::1",
            "2001:db8::1",
            "2001::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "::ffff:127.0.0.1",
            "fec0::1",
            "192.88.99.1",
            "100::1",
            "2001:2::1",
            "2001:20::1",
            "3fff::1",
            "5f00::1",
            "64:ff9b:1::808:808",
            "4000::1",
        ] {
            assert!(
                !allowed(Allow::External, "x.example.org", address),
                "{address}"
            );
            assert!(allowed(Allow::Any, "x.example.org", address), "{address}");
        }
        for address in ["9.9.9.9", "100.128.0.1", "2620:fe::fe", "::ffff:9.9.9.9"] {
            assert!(
                allowed(Allow::External, "x.example.org", address),
                "{address}"
            );
        }
    }

    #[test]
    fn exceptions_open_what_external_closes() {
        assert!(allowed(Allow::External, "BUILD.example.org", "192.168.1.1"));
        assert!(allowed(Allow::External, "x.example.org", "10.1.2.3"));
        assert!(!allowed(Allow::External, "x.example.org", "10.2.2.3"));
    }
    #[test]
    fn a_refusal_names_the_line_that_allows_it() {
        let address = "192.168.1.5".parse().expect("an address");
        let refused = permit(&network(Allow::External), "x", address).expect_err("refused");
        assert_eq!(
            refused.hint,
            "`allow_cidrs = [\"10.1.0.0/16\", \"192.168.1.5/32\"]` below `[network]` in \
             `/etc/refpost/config.toml` allows it"
        );
    }
}
