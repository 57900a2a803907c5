//! `check` of one endpoint: its secrets, its certificates and its URL.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use super::findings::Findings;
use crate::config::{ClientCert, Credentials, Endpoint, Settings, Signing};
use crate::context::Context;
use crate::delivery::Fault;
use crate::payload::{Addresses, Format};
use crate::signature::Secret;
use crate::{delivery, report};

/// Number of bytes below which a key can be guessed (RFC 2104 asks for the length of the hash).
const SHORT_KEY: usize = 16;

/// The certificates that endpoints name, and the faults that make them unusable.
///
/// Each combination is loaded once, since the system has many certificates.
#[derive(Default)]
pub(crate) struct Trusts(RefCell<HashMap<Named, Option<Unusable>>>);

/// Scheme, file of trusted certificates, and client certificate.
type Named = (String, Option<PathBuf>, Option<ClientCert>);

/// The reason for which certificates cannot be used, and advice.
type Unusable = (String, Option<String>);

impl Trusts {
    fn check(&self, endpoint: &Endpoint) -> Option<Unusable> {
        let scheme = endpoint.url.expose().scheme().to_owned();
        let named = (
            scheme,
            endpoint.ca_file.clone(),
            endpoint.client_cert.clone(),
        );
        let mut known = self.0.borrow_mut();
        let known = known.entry(named).or_insert_with(|| {
            let fault = delivery::check_tls(endpoint).err()?;
            Some((report::chain(&fault), fault.hint()))
        });
        known.clone()
    }
}

pub(crate) fn check(
    endpoint: &Endpoint,
    settings: &Settings,
    trusts: &Trusts,
    findings: &mut Findings,
    ctx: &Context,
) {
    let name = &endpoint.name;
    match endpoint.credentials(&|variable| ctx.variable(variable), ctx.now()) {
        Err(error) => {
            let text = format!("endpoint `{name}`: {}", report::chain(&error));
            return findings.error(&text, error.hint());
        }
        Ok(credentials) => check_keys(endpoint, &credentials, findings),
    }
    if let Some((why, hint)) = trusts.check(endpoint) {
        return findings.error(&format!("endpoint `{name}`: {why}"), hint);
    }
    check_url(endpoint, settings, findings);
}

/// Shows the addresses that receivers of other formats than Pagure's are sent.
///
/// Such receivers find their job by comparing these.
pub(crate) fn check_addresses(settings: &Settings, addresses: &Addresses, findings: &mut Findings) {
    let mut formats = settings.formats();
    formats.remove(&Format::Pagure);
    if formats.is_empty() {
        return;
    }
    let Addresses {
        http,
        ssh,
        git,
        html,
        ..
    } = addresses;
    findings.ok(&format!(
        "receivers know it by `{html}`, and clone `{http}` or `{ssh}`"
    ));
    let pages: BTreeSet<[Option<String>; 2]> = formats
        .iter()
        .map(|&format| addresses.pages(format))
        .collect();
    let of = |which: usize| {
        let pages: BTreeSet<String> = pages.iter().filter_map(|of| of[which].clone()).collect();
        let pages: Vec<String> = pages.iter().map(|page| format!("`{page}`")).collect();
        pages.join(" or ")
    };
    let compared = Some(of(1)).filter(|pages| !pages.is_empty());
    let compared = compared.map_or_else(String::new, |pages| format!(", comparisons at {pages}"));
    findings.ok(&format!(
        "they are sent `{git}` too, commits at {}{compared}",
        of(0)
    ));
    if addresses.has_one_page() {
        findings.warning(
            "`commit` in `[web]` has no `{oid}`: every commit has the same page",
            "write `{oid}` in place of the commit's id",
        );
    }
    let unknown = [html, &settings.instance].into_iter().find(|url| {
        let url = url::Url::parse(url).ok();
        match url.as_ref().and_then(url::Url::host) {
            Some(url::Host::Domain(host)) => host == "localhost" || host.ends_with(".localhost"),
            Some(url::Host::Ipv4(host)) => host.is_loopback() || host.is_unspecified(),
            Some(url::Host::Ipv6(host)) => host.is_loopback() || host.is_unspecified(),
            None => false,
        }
    });
    let host = url::Url::parse(html).ok();
    let host = host.as_ref().and_then(url::Url::host_str);
    let is_bare = host.is_none_or(|host| !host.contains(['.', ':']));
    if let Some(url) = unknown.or(is_bare.then_some(html)) {
        findings.warning(
            &format!("`{url}` names no host that a receiver can know it by"),
            "set `instance`, or `clone_http`, `clone_ssh` and `html_url`, as receivers have them",
        );
    }
}

fn check_keys(endpoint: &Endpoint, credentials: &Credentials, findings: &mut Findings) {
    let name = &endpoint.name;
    let is_short = |key: &&Secret| key.expose().len() < SHORT_KEY;
    match &credentials.key {
        None if credentials.token.is_some() || endpoint.format.needs_no_key() => {}
        // The login tells the broker who sends, and consumers trust the broker.
        None if endpoint.bus.is_some() => {}
        None => findings.warning(
            &format!("endpoint `{name}` is sent unsigned messages"),
            "a receiver cannot tell them from anybody else's",
        ),
        Some(key) if is_short(&key) => findings.warning(
            &format!("endpoint `{name}`: its key is shorter than {SHORT_KEY} bytes"),
            "a short key can be guessed; `refpost keygen` makes one of 32 bytes",
        ),
        Some(_) => {}
    }
    if let Signing::Key {
        previous: Some(previous),
        ..
    } = &endpoint.signing
    {
        let until = humantime::format_rfc3339_seconds(previous.until);
        let has_place = matches!(endpoint.format, Format::Pagure | Format::Gitlab);
        if !has_place && !endpoint.standard_webhooks {
            let (signed, hint) = match endpoint.format {
                Format::Slack => ("no signature", "remove `previous_key`"),
                _ => (
                    "one signature, the new key's",
                    "give the receiver the new key, and remove `previous_key`",
                ),
            };
            let format = endpoint.format.name();
            let text = format!(
                "endpoint `{name}`: its `previous_key` signs nothing: format `{format}` has {signed}"
            );
            findings.warning(&text, hint);
        } else if credentials.previous.is_none() {
            findings.warning(
                &format!("endpoint `{name}`: its `previous_key` signed until {until}"),
                "every receiver has the new key by now? then remove `previous_key`",
            );
        } else {
            findings.ok(&format!(
                "endpoint `{name}` is signed with its previous key too, until {until}"
            ));
        }
    }
}

pub(crate) fn check_url(endpoint: &Endpoint, settings: &Settings, findings: &mut Findings) {
    let name = &endpoint.name;
    let url = endpoint.url.expose();
    let scheme = url.scheme();
    let is_local = url
        .host_str()
        .is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]");
    if let Err(forbidden) = delivery::permit_url(&settings.network, &endpoint.url) {
        findings.error(
            &format!("endpoint `{name}`: {forbidden}"),
            Some(forbidden.hint.clone()),
        );
    } else if let Err(fault) =
        delivery::permit_bus(endpoint, &settings.network).map_err(Fault::from)
    {
        findings.error(
            &format!("endpoint `{name}`: {}", report::chain(&fault)),
            fault.hint(),
        );
    } else if !endpoint.url.is_encrypted() && settings.network.https_only {
        findings.error(
            &format!("endpoint `{name}` is plain {scheme}, which `https_only` forbids"),
            Some(format!("use {scheme}s")),
        );
    } else if !endpoint.url.is_encrypted() && !is_local {
        let what = match endpoint.bus {
            Some(_) => "messages and the login travel",
            None => "messages travel",
        };
        findings.warning(
            &format!("endpoint `{name}` is plain {scheme}: {what} in the open"),
            &format!("use {scheme}s"),
        );
    } else {
        findings.ok(&format!("endpoint `{name}` at {}", endpoint.url));
    }
}
