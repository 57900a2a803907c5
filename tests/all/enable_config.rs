//! `enable --url`: a first configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::enable::{bare_site, snapshot};
use crate::support::{KEY, Python};

#[test]
fn url_writes_a_first_config_that_only_the_owner_can_read() {
    let site = bare_site();
    let config = site.bare.join("refpost.toml");
    fs::remove_file(&config).unwrap();
    let url = site.receiver.url("/hook");
    let first = site
        .refpost(["enable", "test.git", "--url", &url])
        .run()
        .well();
    let lines: Vec<_> = first.stdout.lines().collect();
    assert_eq!(
        lines[0],
        format!(
            "wrote `{}` with a fresh key: the receiver needs the same one",
            config.display()
        )
    );
    assert!(lines[1].starts_with("linked `"), "{lines:?}");
    let text = fs::read_to_string(&config).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let endpoint = &table["endpoint"].as_array().unwrap()[0];
    assert_eq!(endpoint["url"].as_str(), Some(&*url));
    // No address, for pushers are told the name.
    assert_eq!(endpoint["name"].as_str(), Some("receiver"));
    let key = endpoint["key"].as_str().unwrap();
    assert!(
        key.len() == 64 && !first.stdout.contains(key),
        "a key is never shown"
    );
    assert_eq!(
        fs::metadata(&config).unwrap().permissions().mode() & 0o777,
        0o600
    );
    site.refpost(["check", "test.git"]).run().well();
    site.refpost(["ping", "test.git"]).run().well();
    assert_eq!(site.receiver.take().len(), 1);

    let again = site.refpost(["enable", "test.git", "--url", &url]).run();
    let kept = format!("kept `{}`, which has the URL\n", config.display());
    assert!(again.well().stdout.ends_with(&kept));
    assert_eq!(fs::read_to_string(&config).unwrap(), text);
}

#[test]
fn an_endpoint_is_named_after_the_host_of_its_url() {
    let site = bare_site();
    let config = site.bare.join("refpost.toml");
    fs::remove_file(&config).unwrap();
    let long = format!("https://{}.org/", ["long"; 20].join("."));
    let urls = [
        "https://CI.example.org/a?b",
        "https://ci.example.org:8443/",
        "https://ci.example.org/a?b",
        "https://unreadable/",
        "http://[::1]:8080/",
        "http://_x_/",
        &long,
    ];
    let urls: Vec<_> = urls.iter().flat_map(|url| ["--url", url]).collect();
    let enable = site.refpost(["enable", "test.git"]).args(urls);
    enable.run().well();
    let text = fs::read_to_string(&config).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("name = \""));
    let names: Vec<_> = names.map(|name| name.trim_end_matches('"')).collect();
    let expected = [
        "ci.example.org",
        "ci.example.org-2",
        "unreadable-2",
        "receiver",
        "x",
        &["long"; 12].join("."),
    ];
    assert_eq!(names, expected);
    site.refpost(["check", "--show", "test.git"]).run().well();
}

#[test]
fn the_servers_endpoints_keep_their_key_beside_one_that_enable_wrote() {
    let site = bare_site();
    fs::remove_file(site.bare.join("refpost.toml")).unwrap();
    let url = site.receiver.url("/server");
    let server =
        format!("mode = \"sync\"\npush_budget = \"60s\"\nkey = \"{KEY}\"\nurls = [\"{url}\"]\n");
    let server = site.write("server.toml", &server);
    let url = site.receiver.url("/own");
    let enable = site.refpost(["enable", "test.git", "--url", &url]);
    enable.env("REFPOST_CONFIG", &server).run().well();
    site.commit("a");
    let push = site.git_run(&["push", "-q", "origin", "main"]);
    assert_eq!(push.env("REFPOST_CONFIG", &server).run().status, 0);
    let arrived = site.receiver.take();
    assert!(arrived.len() > 1, "{}", arrived.len());
    for request in arrived {
        let is_servers = request.line.starts_with("POST /server ");
        let Some((_, right)) = Python::sign(KEY, &request.body) else {
            return;
        };
        let is_signed = request.header("X-Pagure-Signature-256") == Some(&*right);
        assert_eq!(is_signed, is_servers, "{}", request.line);
    }
}

#[test]
fn a_bad_url_is_refused_before_anything_changes() {
    let site = bare_site();
    fs::remove_file(site.bare.join("refpost.toml")).unwrap();
    let before = snapshot(&site.bare);
    for bad in ["ftp://user:hidden@host/", "hidden", "", "https://"] {
        let ran = site.refpost(["enable", "test.git", "--url", bad]).run();
        assert_eq!(ran.status, 1, "{bad}: {}", ran.stdout);
        assert!(
            ran.stderr.starts_with("refpost: cannot use URL number 1: "),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("hidden"), "{}", ran.stderr);
    }
    assert_eq!(snapshot(&site.bare), before);
}

#[test]
fn enabling_without_a_config_says_that_nothing_is_sent() {
    let site = bare_site();
    fs::remove_file(site.bare.join("refpost.toml")).unwrap();
    let ran = site
        .refpost(["enable", "test.git"])
        .without("REFPOST_CONFIG");
    let ran = ran.run();
    assert_eq!(ran.status, 0);
    assert_eq!(
        ran.stderr,
        "warning: there is no config yet: nothing is sent\nhint: refpost enable test.git --url URL\n"
    );
    site.commit("a");
    let push = site.push_by(
        site.git_run(&["push", "origin", "main"])
            .without("REFPOST_CONFIG"),
    );
    assert_eq!(push.status, 0);
    assert!(push.remote().is_empty(), "{}", push.said);
    assert!(push.messages.is_empty());
}
