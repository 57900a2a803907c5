//! What commands say and do of forges' formats.

use std::fs;

use serde_json::Value;

use super::formats_rules::{KEY, body, pushed, site_of};
use crate::support::Site;

#[test]
fn check_shows_the_addresses_that_receivers_compare() {
    let site = site_of("github", "");
    let config = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.write(
        "test.git/refpost.toml",
        format!(
            "instance = \"https://git.example.org\"\n\
             clone_http = \"https://git.example.org/x/{{fullname}}.git\"\n\
             clone_ssh = \"git@ssh.example.org:{{name}}.git\"\n{config}\
             [web]\npreset = \"cgit\"\n"
        ),
    );
    let said = site.refpost(["check", "test.git"]).run().stdout;
    let line = "receivers know it by `https://git.example.org/x/test`, and clone \
                `https://git.example.org/x/test.git` or `git@ssh.example.org:test.git`";
    assert!(said.contains(line), "{said}");
    let line = "they are sent `git://git.example.org/test.git` too, commits at \
                `https://git.example.org/test/commit/?id={oid}`, comparisons at \
                `https://git.example.org/test/diff/?id={new}&id2={old}`";
    assert!(said.contains(line), "{said}");
    let head = site.commit("a");
    let told = body(&pushed(&site, "HEAD:refs/heads/main")[0]);
    let page = told["head_commit"]["url"].as_str().unwrap();
    assert!(
        page.ends_with(&format!("/test/commit/?id={head}")),
        "{page}"
    );
    assert_eq!(
        told["repository"]["ssh_url"],
        "git@ssh.example.org:test.git"
    );
    for url in [
        "http://localhost/",
        "http://127.0.0.1:8080/",
        "http://[::1]/",
    ] {
        site.write(
            "test.git/refpost.toml",
            format!("instance = \"{url}\"\n{config}[web]\ncommit = \"{{url}}/c/{{new}}\"\n"),
        );
        let said = site.refpost(["check", "test.git"]).run();
        let said = said.stdout + &said.stderr;
        for warning in [
            "names no host that a receiver can know it by",
            "warning: `commit` in `[web]` has no `{oid}`: every commit has the same page",
        ] {
            assert!(said.contains(warning), "{said}");
        }
    }
}

#[test]
fn a_chats_previous_key_had_one_signature() {
    let keys = format!(
        "key = \"{KEY}\"\nprevious_key = {{ text = \"the key before that, as long\", until = 2999-01-01 }}"
    );
    let site = site_of("slack", &keys);
    let said = site.refpost(["check", "test.git"]).run().stdout;
    let expected = "its `previous_key` signs nothing: format `slack` has no signature\n\
                    hint: remove `previous_key`\n";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn preview_shows_any_format() {
    let site = Site::new();
    site.commit("a");
    site.push(&["HEAD:refs/heads/main"]);
    let head = site.git(&["rev-parse", "HEAD"]);
    let line = format!("{} {head} refs/heads/main\n", "0".repeat(40));
    for (format, key) in [
        ("github", "head_commit"),
        ("gitea", "compare_url"),
        ("gitlab", "checkout_sha"),
    ] {
        let preview = site.refpost(["preview", "test.git", "--format", format]);
        let said = preview.stdin(line.as_bytes()).run().well().stdout;
        assert_eq!(said.lines().count(), 1, "{said}");
        let told: Value = serde_json::from_str(&said).unwrap();
        assert!(!told[key].is_null(), "{format}: {told}");
    }
}

#[test]
fn demo_verifies_what_each_format_signs() {
    let site = Site::new();
    for format in ["github", "gitea", "forgejo", "gitlab"] {
        let ran = site.refpost(["demo", "--format", format]).run();
        assert_eq!(ran.status, 0, "{format}: {}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stdout.contains("signature verified"),
            "{format}: {}",
            ran.stdout
        );
    }
    // A chat's messages have no signature.
    let ran = site.refpost(["demo", "--format", "slack"]).run();
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("taken unsigned"), "{}", ran.stdout);
}

#[test]
fn verify_takes_the_signatures_of_all_formats() {
    let site = Site::new();
    site.write("key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    site.write("github-key", "It's a Secret to Everybody\n");
    let verify = |args: &[&str], body: &str| {
        let args = [&["verify"], args].concat();
        site.refpost(args).stdin(body.as_bytes()).run().status
    };
    let known = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let standard = [
        "--key-file",
        "key",
        "--id",
        id,
        "--timestamp",
        "1614265330",
        "--signature",
    ];
    let body = "{\"test\": 2432232314}";
    assert_eq!(verify(&[&standard[..], &[known]].concat(), body), 0);
    let both = format!("v1,AAAA {known}");
    assert_eq!(verify(&[&standard[..], &[&both]].concat(), body), 0);
    assert_eq!(verify(&[&standard[..], &[known]].concat(), "{}"), 1);
    let github = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let args = ["--key-file", "github-key", "--signature", github];
    assert_eq!(verify(&args, "Hello, World!"), 0);
    assert_eq!(verify(&args, "Hello, World"), 1);
}

#[test]
fn enable_writes_a_format_and_its_own_secret() {
    let site = Site::new();
    let url = site.receiver.url("/hook");
    for (format, secret) in [
        ("github", Some("key")),
        ("gitlab", Some("token")),
        ("slack", None),
    ] {
        let name = format!("{format}.git");
        site.bare(&name);
        let args = ["enable", &name, "--url", &url, "--format", format];
        let ran = site.refpost(args).run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let config = fs::read_to_string(site.path(&name).join("refpost.toml")).unwrap();
        assert!(
            config.contains(&format!("format = \"{format}\"\n")),
            "{config}"
        );
        for one in ["key", "token"] {
            let is_written = config.contains(&format!("\n{one} = "));
            let is_told = ran.stdout.contains(&format!("with a fresh {one}: "));
            let is_own = secret == Some(one);
            assert_eq!([is_written, is_told], [is_own; 2], "{config}{}", ran.stdout);
        }
        assert_eq!(site.refpost(["check", "--show", &name]).run().status, 0);
    }
}

#[test]
fn emit_reaches_pagures_endpoints_and_names_the_others() {
    let site = site_of("github", "");
    let emit = ["emit", "--topic", "issue.new", "--dry-run", "test.git"];
    let ran = site.refpost(emit).stdin("{\"issue\": {}}".as_bytes()).run();
    let left_out = "left out: `github` (`github`): only format `pagure` has other topics";
    assert!(ran.stderr.contains(left_out), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("no endpoint wants `issue.new`"),
        "{}",
        ran.stderr
    );
}
