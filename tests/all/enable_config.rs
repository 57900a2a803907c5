//! `enable --url`: a first configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::enable::{bare_site, snapshot};

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
    assert_eq!(table["urls"].as_array().unwrap()[0].as_str(), Some(&*url));
    let key = table["key"].as_str().unwrap();
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
    again.fails(
        1,
        &format!(
            "refpost: cannot write `{}`: it is there already\nhint: add the URL to its `urls`\n",
            config.display()
        ),
    );
    assert_eq!(fs::read_to_string(&config).unwrap(), text);
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
