//! An endpoint that is a message bus: its keys, and how it is dialled.

use crate::bus::{configure, site};
use crate::support::{Authority, Broker, Ran, Spooled, server_config};

/// Pings the bus under these lines of `[network]`.
fn ping(site: &Spooled, network: &str) -> Ran {
    site.write("system.toml", format!("[network]\n{network}\n"));
    let run = site.refpost(["ping", "--endpoint", "bus"]).arg(&site.bare);
    run.run()
}

#[test]
fn network_holds_for_a_bus() {
    let broker = Broker::start();
    let site = site(&broker.url("amqp", ""), "");
    let by_address = broker.url("amqp", "").replace("localhost", "127.1");
    for (network, why, hint) in [
        ("allow = \"external\"", "is not allowed", "allow_cidrs"),
        (
            "https_only = true",
            "`https_only` forbids plain `amqp`",
            "use amqps",
        ),
        (
            "proxy = \"socks5://127.0.0.1:9\"",
            "a bus is dialled directly",
            "no_proxy",
        ),
        (
            "proxy = \"http://127.0.0.1:9\"",
            "a bus is dialled directly",
            "no_proxy",
        ),
    ] {
        let ran = ping(&site, network);
        assert_eq!(ran.status, 1, "{network}");
        assert!(
            ran.stderr.contains(why) && ran.stderr.contains(hint),
            "{}",
            ran.stderr
        );
    }
    configure(&site, &by_address, "");
    let ran = ping(&site, "allow = \"external\"");
    assert!(
        ran.stderr.contains("address 127.0.0.1 of"),
        "{}",
        ran.stderr
    );
    assert!(broker.opened().is_empty());
    let direct = "proxy = \"socks5://127.0.0.1:9\"\nno_proxy = [\"127.0.0.1\"]";
    ping(&site, direct).well();
    assert_eq!(broker.opened().len(), 1);
}

#[test]
fn tls_verifies_the_name_and_shows_the_certificate() {
    let (private, other) = (Authority::new("private"), Authority::new("other"));
    let server = private.sign("localhost", |_| {});
    let broker = Broker::with_tls(server_config(&server, Some(&private)));
    let site = Spooled::new();
    let client = private.sign("git1", |_| {});
    let ca = site.write("ca.pem", private.pem());
    let wrong = site.write("other.pem", other.pem());
    let cert = site.write("cert.pem", client.certificate.pem());
    let key = site.write("key.pem", client.key.serialize_pem());
    crate::support::set_mode(&key, 0o600);
    let trusts = |file: &std::path::Path| format!("ca_file = \"{}\"\n", file.display());
    let shows = format!(
        "client_cert_file = \"{}\"\nclient_key_file = \"{}\"\n",
        cert.display(),
        key.display()
    );
    let url = broker.url("amqps", "/v");
    configure(&site, &url, &(trusts(&ca) + &shows));
    let ran = ping(&site, "");
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let opened = &broker.opened()[0];
    assert_eq!((&*opened.mechanism, &*opened.response), ("EXTERNAL", ""));

    for (url, more, cause, hint) in [
        (&url, trusts(&wrong) + &shows, "is signed by", "ca_file"),
        (&url, trusts(&ca), "client certificate", "client_cert_file"),
        (
            &url.replace("localhost", "127.0.0.1"),
            trusts(&ca) + &shows,
            "its certificate is not for `127.0.0.1`",
            "localhost",
        ),
    ] {
        configure(&site, url, &more);
        let ran = ping(&site, "");
        assert_eq!(ran.status, 1, "{}", ran.stdout);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(cause), "{said}");
        assert!(ran.stderr.contains("hint: ") || hint.is_empty(), "{said}");
    }
    assert_eq!(broker.opened().len(), 1);
}

#[test]
fn a_bus_has_keys_of_its_own() {
    let site = Spooled::new();
    let bus = "amqps://h/v";
    for (url, line, why) in [
        (
            bus,
            "key = \"abcdefghijklmnopq\"",
            "`key` of `bus` has no place",
        ),
        (bus, "unsigned = true", "`unsigned` of `bus` has no place"),
        (
            bus,
            "headers = { X-A = \"b\" }",
            "`headers` of `bus` has no place",
        ),
        (
            bus,
            "format = \"github\"",
            "which gets messages of format `pagure`",
        ),
        (bus, "exchange = \"\"", "the name of an exchange"),
        (bus, "topic_prefix = \"a..b\"", "a prefix is at most"),
        (bus, "urls_fallback = [\"https://h/\"]", "which is no bus"),
        (
            "amqp://h",
            "client_cert_file = \"c\"\nclient_key_file = \"k\"",
            "with `amqps://` alone",
        ),
        (
            "https://h/",
            "exchange = \"x\"",
            "`exchange` of `bus` is of a bus alone",
        ),
        (
            "amqps://h/a/b",
            "",
            "in the name of a virtual host, `/` is `%2F`",
        ),
        ("mqtt://h/", "", "scheme `mqtt` is not supported"),
    ] {
        configure(&site, url, line);
        crate::support::set_mode(&site.bare.join("refpost.toml"), 0o600);
        let ran = site.refpost(["check"]).arg(&site.bare).run();
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(why), "{line}: {said}");
    }
    site.settings("unsigned = true\nurls = [\"amqps://h/v\"]\n");
    let ran = site.refpost(["check"]).arg(&site.bare).run();
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("scheme `amqps` is not supported"), "{said}");
}

#[test]
fn check_and_preview_know_a_bus() {
    let site = site("amqp://bus.example.org/v", "topic_prefix = \"org.example\"");
    let ran = site.refpost(["check"]).arg(&site.bare).run();
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains("`bus` is plain amqp: messages and the login travel"),
        "{said}"
    );
    assert!(!said.contains("`bus` is sent unsigned"), "{said}");
    let commit = site.commit("file");
    site.git(&["push", "-q", "origin", "main"]);
    let line = format!("{} {commit} refs/heads/main\n", crate::support::ZEROS);
    let run = site.refpost(["preview", "--http"]).arg(&site.bare);
    let ran = run.stdin(line).run().well();
    let (head, rest) = ran.stdout.split_once("\n\n").unwrap();
    assert!(head.starts_with("basic.publish amq.topic\n"), "{head}");
    assert!(
        head.contains("\nrouting-key: org.example.pagure.git."),
        "{head}"
    );
    assert!(head.contains("\nfedora_messaging_severity: 20\n"), "{head}");
    assert!(rest.starts_with("{\"agent\": "), "{rest}");
}
