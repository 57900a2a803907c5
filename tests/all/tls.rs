//! TLS: whom refpost trusts, how it shows who it is, and what a failure says.

use std::fs;
use std::io::Read;
use std::path::Path;

use rcgen::{BasicConstraints, IsCa, SanType, date_time_ymd};

use crate::support::spooled::{odd_receiver, say};
use crate::support::{Authority, Identity, Ran, Site, TlsReceiver};

/// Pings a URL; `more` are lines of the endpoint.
fn ping(site: &Site, url: &str, more: &str) -> Ran {
    site.config_alone(&format!(
        "unsigned = true\n[[endpoint]]\nname = \"one\"\nurl = \"{url}\"\n{more}\n"
    ));
    let run = site.refpost(["ping", "test.git"]);
    // Whatever this machine trusts: what rustls-native-certs reads instead.
    run.env("SSL_CERT_FILE", site.path("system.pem")).run()
}

/// A site, the authority that its `ca_file` names, and another that the machine trusts.
fn started() -> (Site, Authority, Authority) {
    let (site, private, system) = (
        Site::new(),
        Authority::new("private"),
        Authority::new("system"),
    );
    site.write("ca.pem", private.pem());
    site.write("system.pem", system.pem());
    (site, private, system)
}

fn ca_file(site: &Site, name: &str) -> String {
    format!("ca_file = \"{}\"", site.path(name).display())
}

#[track_caller]
fn fails(ran: &Ran, cause: &str, hint: &str) {
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let expected = format!("`one` is down: {cause} in ");
    assert!(ran.stdout.contains(&expected), "{expected}\n{}", ran.stdout);
    assert_eq!(ran.stderr, format!("hint: {hint}\n"));
}

#[test]
fn the_machines_authorities_are_trusted_and_those_of_ca_file() {
    let (site, private, system) = started();
    let receiver = TlsReceiver::start(&system.sign("localhost", |_| {}), None);
    let ran = ping(&site, &receiver.url("localhost"), "");
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(receiver.take().len(), 1);

    let receiver = TlsReceiver::start(&private.sign("localhost", |_| {}), None);
    let ran = ping(&site, &receiver.url("localhost"), &ca_file(&site, "ca.pem"));
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let (request, _) = receiver.take().remove(0);
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");

    fails(
        &ping(&site, &receiver.url("localhost"), ""),
        "its certificate is signed by nobody who is trusted here",
        "if it is yours, name the certificate that signed it in the endpoint's `ca_file`; a \
         self-signed one is its own",
    );
    assert!(receiver.take().is_empty());
}

#[test]
fn a_certificate_is_only_good_in_its_time() {
    let (site, private, _) = started();
    let old = private.sign("localhost", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let receiver = TlsReceiver::start(&old, None);
    fails(
        &ping(&site, &receiver.url("localhost"), &ca_file(&site, "ca.pem")),
        "its certificate has expired",
        "renew it on the receiver; is the clock here right?",
    );
    let early = private.sign("localhost", |params| {
        params.not_before = date_time_ymd(2999, 1, 1);
        params.not_after = date_time_ymd(3000, 1, 1);
    });
    let receiver = TlsReceiver::start(&early, None);
    fails(
        &ping(&site, &receiver.url("localhost"), &ca_file(&site, "ca.pem")),
        "its certificate is not valid yet",
        "is the clock here right?",
    );
}

#[test]
fn a_certificate_is_only_good_for_its_names() {
    let (site, private, _) = started();
    let receiver = TlsReceiver::start(&private.sign("ci.example.org", |_| {}), None);
    fails(
        &ping(&site, &receiver.url("localhost"), &ca_file(&site, "ca.pem")),
        "its certificate is not for `localhost` but for ci.example.org",
        "use that name in the URL, or give the receiver a certificate for `localhost`",
    );
}

/// Certificates that openssl made in 2026 as some receivers still have them (tests/data/tls).
#[test]
fn certificates_of_old_had_debug_dumps_or_the_wrong_cause() {
    let (site, ..) = started();
    let data = |name: &str| format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    for (certificate, authority, cause, hint) in [
        (
            "v1.pem",
            "rsa-ca.pem",
            "is of X.509 version 1, which is of no use",
            "give the receiver one of version 3, with a `subjectAltName`",
        ),
        (
            "sha1.pem",
            "rsa-ca.pem",
            "is signed with SHA-1, which is not safe",
            "have it signed anew, with SHA-256",
        ),
        (
            "short.pem",
            "short-ca.pem",
            "has an RSA key of less than 2,048 bits",
            "make a longer key, and a new certificate with it",
        ),
    ] {
        let receiver = TlsReceiver::of_data(certificate);
        let ca = format!("ca_file = {:?}", data(authority));
        let ran = ping(&site, &receiver.url("localhost"), &ca);
        let cause = format!("its certificate, or one that signed it, {cause}");
        fails(&ran, &cause, hint);
    }
}

#[test]
fn an_address_as_a_dns_name_was_not_for_itself() {
    let (site, private, _) = started();
    let own = private.sign("localhost", |params| {
        let name = "127.0.0.1".try_into().unwrap();
        params.subject_alt_names = vec![SanType::DnsName(name)];
    });
    let receiver = TlsReceiver::start(&own, None);
    fails(
        &ping(&site, &receiver.url("127.0.0.1"), &ca_file(&site, "ca.pem")),
        "its certificate has the address 127.0.0.1 as a DNS name",
        "name it as an address in the certificate, `subjectAltName=IP:127.0.0.1`, or use a name in \
         the URL",
    );
}

#[test]
fn a_self_signed_certificate_is_trusted_by_its_name_in_ca_file_alone() {
    let (site, ..) = started();
    let own = Identity::self_signed("localhost", IsCa::ExplicitNoCa);
    site.write("own.pem", own.certificate.pem());
    let receiver = TlsReceiver::start(&own, None);
    fails(
        &ping(&site, &receiver.url("localhost"), ""),
        "its certificate is signed by nobody who is trusted here",
        "if it is yours, name the certificate that signed it in the endpoint's `ca_file`; a \
         self-signed one is its own",
    );
    let ran = ping(
        &site,
        &receiver.url("localhost"),
        &ca_file(&site, "own.pem"),
    );
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);

    // As `openssl req -x509` makes it, unless it is told otherwise.
    let own = Identity::self_signed("localhost", IsCa::Ca(BasicConstraints::Unconstrained));
    site.write("own.pem", own.certificate.pem());
    let receiver = TlsReceiver::start(&own, None);
    fails(
        &ping(
            &site,
            &receiver.url("localhost"),
            &ca_file(&site, "own.pem"),
        ),
        "its certificate is that of an authority (`CA:TRUE`), which cannot be a server's",
        "make it one for a server, `basicConstraints=CA:FALSE`, or let the authority sign another",
    );
}

#[test]
fn a_receiver_that_wants_to_know_us_is_shown_our_certificate() {
    let (site, private, _) = started();
    let server = private.sign("localhost", |_| {});
    let receiver = TlsReceiver::start(&server, Some(&private));
    let url = receiver.url("localhost");
    let ca = ca_file(&site, "ca.pem");
    let ran = ping(&site, &url, &ca);
    assert!(
        ran.stdout
            .contains("it does not accept our client certificate, or our having none ("),
        "{}",
        ran.stdout
    );
    let hint = "hint: name one in the endpoint's `client_cert_file` and `client_key_file`\n";
    assert_eq!(ran.stderr, hint);

    let own = private.sign("refpost", |_| {});
    site.write("own.pem", own.certificate.pem());
    let key = site.write("own.key", own.key.serialize_pem());
    let both = format!(
        "{ca}\nclient_cert_file = {:?}\nclient_key_file = {key:?}",
        site.path("own.pem")
    );
    let ran = ping(&site, &url, &both);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(receiver.take()[0].1);

    unusable(&site, &url, &both, &key);
}

/// Keys that cannot be used are told before anything is dialled, by `check` too.
fn unusable(site: &Site, url: &str, both: &str, key: &Path) {
    let told = |error: &str| {
        let ran = ping(site, url, both);
        assert!(ran.stderr.contains(error), "{error}\n{}", ran.stderr);
        let ran = site.refpost(["check", "test.git"]);
        let ran = ran.env("SSL_CERT_FILE", site.path("system.pem")).run();
        assert!(ran.stdout.contains(error), "{error}\n{}", ran.stdout);
        assert_eq!(ran.status, 1);
    };
    let other = Identity::self_signed("other", IsCa::NoCa);
    site.write("own.key", other.key.serialize_pem());
    told("own.pem` with its key: ");
    site.write(
        "own.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    told("own.key`: it holds no private key in PEM that is not encrypted");
    crate::support::set_mode(key, 0o644);
    told("own.key`: mode 0644 lets others read it");
    fs::remove_file(site.path("own.pem")).unwrap();
    told("cannot read `client_cert_file` `");
    let alone = format!("client_key_file = \"{}\"", key.display());
    let ran = ping(site, url, &alone);
    let error = "`client_cert_file` and `client_key_file` of `one` are of use only together";
    assert!(ran.stderr.contains(error), "{}", ran.stderr);
    assert_eq!(ran.status, 78);
}

#[test]
fn what_answers_plain_http_is_no_tls() {
    let (site, ..) = started();
    for (answer, cause) in [
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "what answers there does not speak TLS",
        ),
        ("", "it hung up during the TLS handshake"),
    ] {
        let url = odd_receiver(move |mut stream| {
            let mut hello = [0; 100];
            stream.read_exact(&mut hello).ok();
            say(&mut stream, answer);
        });
        let url = url.replace("http:", "https:");
        let ran = ping(&site, &url, "");
        fails(&ran, cause, "is the port right, or the URL `http://`?");
    }
}

#[test]
fn a_machine_without_authorities_is_told_so() {
    let (site, private, _) = started();
    site.write("system.pem", "");
    let receiver = TlsReceiver::start(&private.sign("localhost", |_| {}), None);
    ping(&site, &receiver.url("localhost"), "").fails(
        1,
        "refpost: cannot ping `one`: cannot find any certificate authority on this machine\n\
         hint: install the package `ca-certificates`, or name a `ca_file`\n",
    );
    let ran = ping(&site, &receiver.url("localhost"), &ca_file(&site, "ca.pem"));
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    // For plain http nobody asks.
    let ran = ping(&site, &site.receiver.url("/hook"), "");
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
}

/// In a hook the environment is a pusher's or a web server's; in a flush, the administrator's.
#[test]
fn the_environment_of_a_push_decided_whom_refpost_trusts() {
    let (site, _, system) = started();
    let receiver = TlsReceiver::start(&system.sign("localhost", |_| {}), None);
    let url = receiver.url("localhost");
    site.config_alone(&format!("unsigned = true\nurls = [\"{url}\"]\n"));
    site.commit("a");
    let pem = site.path("system.pem");
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        site.commit("a");
        let push = site.git_run(&["push", "origin", "main"]);
        let value = if name == "SSL_CERT_DIR" {
            site.path("")
        } else {
            pem.clone()
        };
        let push = site.push_by(push.env(name, value).env("HOSTALIASES", &pem));
        assert_eq!(push.status, 0, "{}", push.said);
        assert!(push.said.contains("queued for"), "{}", push.said);
        assert!(receiver.take().is_empty());
    }
    // A hook's script that runs refpost hands that environment on.
    let ping = || {
        site.refpost(["ping", "test.git"])
            .env("SSL_CERT_FILE", &pem)
    };
    assert_eq!(ping().env("GIT_DIR", &site.bare).run().status, 1);
    assert!(receiver.take().is_empty());
    let ran = ping().run();
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(receiver.take().len(), 1);
}

#[test]
fn what_a_certificate_says_is_not_for_pushers() {
    let (site, private, _) = started();
    let receiver = TlsReceiver::start(&private.sign("secret.example.org", |_| {}), None);
    let url = &receiver.url("localhost");
    let plain = &odd_receiver(drop).replace("http:", "https:");
    for (url, more, expected) in [
        (url, "", "(it is down: TLS fails)"),
        (
            url,
            "verbose_to_pusher = true\n",
            "(it is down: its certificate is not for `localhost` but for",
        ),
        // One that hangs up during the handshake was no matter of TLS.
        (plain, "", "(it is down: TLS fails)"),
    ] {
        let endpoint = "[[endpoint]]\nname = \"one\"";
        let ca = ca_file(&site, "ca.pem");
        site.config_alone(&format!(
            "{more}unsigned = true\n{endpoint}\nurl = \"{url}\"\n{ca}\n"
        ));
        site.commit("a");
        let push = site.git_run(&["push", "origin", "main"]);
        let push = site.push_by(push.env("SSL_CERT_FILE", site.path("system.pem")));
        let said = push.remote().join("\n");
        assert!(said.contains(expected), "{said}");
        let log = site.refpost(["log", "--json", "test.git"]).run().well();
        assert!(
            log.stdout.lines().all(|line| line.contains("\"tls\"")),
            "{}",
            log.stdout
        );
        let retry = ["queue", "drop", "--all", "--repo", "test.git"];
        site.refpost(retry).run();
    }
}
