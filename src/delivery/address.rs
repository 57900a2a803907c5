//! Which addresses may be dialled (`[network]`), decided on the address itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::{Allow, Network};

/// An address that must not be dialled.
#[derive(Debug, thiserror::Error)]
#[error("address {address} of `{host}` is not allowed")]
pub struct Forbidden {
    /// The address.
    pub address: IpAddr,
    /// The name that led to it.
    pub host: String,
    /// Whether an exception in `[network]` could allow it.
    pub can_be_allowed: bool,
}

/// Whether this host may be dialled at this address.
pub(super) fn permit(network: &Network, host: &str, address: IpAddr) -> Result<(), Forbidden> {
    let address = address.to_canonical();
    let forbidden = |can_be_allowed| Forbidden {
        address,
        host: host.to_owned(),
        can_be_allowed,
    };
    if is_never_allowed(address) {
        return Err(forbidden(false));
    }
    let excepted = network.allow == Allow::Any
        || network
            .allow_hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(host))
        || network.allow_cidrs.iter().any(|net| net.contains(&address));
    if excepted || is_external(address) {
        Ok(())
    } else {
        Err(forbidden(true))
    }
}

/// Link-local addresses, clouds' metadata services, and what is no host at all.
fn is_never_allowed(address: IpAddr) -> bool {
    const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == AWS_METADATA
                || embedded_v4(v6).is_some_and(|v4| is_never_allowed(v4.into()))
        }
    }
}

/// Whether the whole internet can reach the address (IANA's special-purpose
/// address registries).
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
                || (a, b, c) == (192, 0, 0))
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            !(v6.is_loopback()
                || v6.is_unique_local()
                || (a & 0xffc0) == 0xfec0
                || (a, b) == (0x2001, 0xdb8)
                || (a, b) == (0x2001, 0)
                || embedded_v4(v6).is_some())
        }
    }
}

/// The address inside an IPv4-compatible, NAT64 or 6to4 one.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |segments: [u16; 2]| {
        let [a, b] = segments[0].to_be_bytes();
        let [c, d] = segments[1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => Some(last([a, b])),
        [0, 0, 0, 0, 0, 0, a, b] if a != 0 => Some(last([a, b])),
        _ => None,
    }
}

/// Resolves names, and gives the client only what may be dialled: what is checked
/// is what is connected to, so a name cannot resolve twice.
pub(super) struct Resolver(pub(super) Arc<Network>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let network = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found {
                match permit(&network, &host, address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(forbidden) => refused = Some(forbidden),
                }
            }
            match refused {
                Some(forbidden) if allowed.is_empty() => Err(forbidden.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(allow: Allow) -> Network {
        Network {
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
}
