//! What holds of forges' formats besides their bodies: who gets which, what stays as it was
//! frozen, and what is left out.

use std::fs;

use serde_json::Value;

use crate::support::{Answer, Request, Site};

pub(crate) const KEY: &str = "a key of more than sixteen bytes";

pub(crate) fn endpoint(site: &Site, format: &str, more: &str) -> String {
    let url = site.receiver.url(&format!("/{format}"));
    format!("[[endpoint]]\nname = \"{format}\"\nurl = \"{url}\"\nformat = \"{format}\"\n{more}")
}

/// A site with an endpoint of one format.
pub(crate) fn site_of(format: &str, more: &str) -> Site {
    let site = Site::new();
    let endpoint = endpoint(&site, format, more);
    site.config_alone(&format!("key = \"{KEY}\"\n{endpoint}"));
    site
}

pub(crate) fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// Pushes, and gives what arrived; it is not Pagure's.
#[track_caller]
pub(crate) fn pushed(site: &Site, refspec: &str) -> Vec<Request> {
    let ran = site.git_run(&["push", "-q", "origin", refspec]).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    site.receiver.take()
}

#[test]
fn an_endpoint_gets_push_alone_unless_it_asks_for_more() {
    let site = site_of("github", "");
    site.commit("a");
    let requests = pushed(&site, "HEAD:refs/heads/main");
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("X-GitHub-Event"), Some("push"));
    let endpoint = endpoint(&site, "github", "topics = [\"create\"]\n");
    site.config_alone(&format!("key = \"{KEY}\"\n{endpoint}"));
    let requests = pushed(&site, "HEAD:refs/heads/other");
    assert_eq!(requests.len(), 1);
    assert_eq!(body(&requests[0])["ref"], "other");
    assert_eq!(requests[0].header("X-GitHub-Event"), Some("create"));
}

#[test]
fn a_format_above_is_about_urls_alone() {
    let site = Site::new();
    let url = site.receiver.url("/");
    let own = site.receiver.url("/own");
    site.config_alone(&format!(
        "key = \"{KEY}\"\nformat = \"gitea\"\nurls = [\"{url}\"]\n\
         [[endpoint]]\nname = \"own\"\nurl = \"{own}\"\n"
    ));
    site.commit("a");
    let requests = pushed(&site, "HEAD:refs/heads/main");
    let of = |path: &str| -> Vec<_> {
        let all = requests.iter();
        all.filter(|one| one.line.contains(&format!(" {path} ")))
            .collect()
    };
    assert_eq!(of("/").len(), 1);
    assert_eq!(of("/")[0].header("X-Gitea-Event"), Some("push"));
    assert_eq!(of("/own").len(), 2);
    for one in of("/own") {
        one.message();
    }
}

#[test]
fn other_refs_and_what_is_no_commit_are_not_told() {
    let site = site_of("github", "topics = [\"*\"]\n");
    site.commit("a");
    pushed(&site, "HEAD:refs/heads/main");
    let blob = site.git(&["rev-parse", "HEAD:a"]);
    for refspec in [
        "HEAD:refs/notes/commits".to_owned(),
        ":refs/notes/commits".to_owned(),
        format!("{blob}:refs/tags/blob"),
        ":refs/tags/blob".to_owned(),
    ] {
        assert!(pushed(&site, &refspec).is_empty(), "{refspec}");
    }
}

#[test]
fn zeros_are_as_long_as_ids() {
    let site = Site::with_format("sha256");
    for format in ["github", "gitea", "gitlab"] {
        let endpoint = endpoint(&site, format, "");
        site.config_alone(&format!("key = \"{KEY}\"\n{endpoint}"));
        site.commit(format);
        let requests = pushed(&site, &format!("HEAD:refs/heads/{format}"));
        assert_eq!(body(&requests[0])["before"], "0".repeat(64), "{format}");
    }
}

#[test]
fn what_waits_keeps_the_format_that_it_was_frozen_with() {
    let site = site_of("github", "");
    site.receiver.script(|_| Answer::status(503));
    site.commit("a");
    pushed(&site, "HEAD:refs/heads/main");
    let endpoint =
        endpoint(&site, "github", "").replace("format = \"github\"", "format = \"gitlab\"");
    site.config_alone(&format!("key = \"{KEY}\"\n{endpoint}"));
    site.receiver.script(|_| Answer::status(200));
    site.refpost(["queue", "retry", "--all", "--repo", "test.git"])
        .run();
    site.refpost(["flush", "test.git"]).run().well();
    let requests = site.receiver.wait_for(1);
    assert_eq!(requests[0].header("X-GitHub-Event"), Some("push"));
    assert!(requests[0].header("X-Hub-Signature-256").is_some());
    assert_eq!(body(&requests[0])["created"], true);
    site.commit("a");
    let requests = pushed(&site, "HEAD:refs/heads/main");
    assert_eq!(requests[0].header("X-Gitlab-Event"), Some("Push Hook"));
}

#[test]
fn an_entry_of_pagures_messages_is_one_that_an_older_refpost_reads() {
    for (format, version) in [("pagure", "1"), ("gitlab", "2")] {
        let site = site_of(format, "");
        site.receiver.script(|_| Answer::status(503));
        site.commit("a");
        pushed(&site, "HEAD:refs/heads/main");
        let queue = site.bare.join("refpost/spool/retry").join(format);
        let entry = fs::read_dir(queue).unwrap().next().unwrap().unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        let start = format!("refpost-entry {version} ");
        assert!(bytes.starts_with(start.as_bytes()), "{format}");
    }
}

#[test]
fn a_long_push_is_cut_and_says_so() {
    let site = site_of("github", "");
    let commits = |site: &Site, count: usize| {
        for number in 0..count {
            site.file(format!("file-{count}-{number}"), "x");
            site.git(&["add", "-A"]);
            let message = format!("{number} {}", "word ".repeat(400));
            site.git(&["commit", "-q", "-m", &message]);
        }
    };
    commits(&site, 5);
    let config = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.write(
        "test.git/refpost.toml",
        format!("max_commits = 2\n{config}"),
    );
    let requests = pushed(&site, "HEAD:refs/heads/main");
    let listed = body(&requests[0])["commits"].as_array().unwrap().len();
    assert_eq!(listed, 2);
    assert_eq!(requests[0].header("X-Refpost-Commits"), Some("2/5"));
    assert_eq!(requests[0].header("X-Refpost-Truncated"), None);
    // No room for messages, and not for all commits.
    site.write(
        "test.git/refpost.toml",
        format!("max_body = \"32KiB\"\n{config}"),
    );
    commits(&site, 30);
    let requests = pushed(&site, "HEAD:refs/heads/main");
    assert!(
        requests[0].body.len() <= 32 << 10,
        "{}",
        requests[0].body.len()
    );
    let told = body(&requests[0]);
    let listed = told["commits"].as_array().unwrap();
    assert!(!listed.is_empty() && listed.len() < 30, "{}", listed.len());
    let count = format!("{}/30", listed.len());
    assert_eq!(
        requests[0].header("X-Refpost-Commits"),
        Some(count.as_str())
    );
    assert_eq!(requests[0].header("X-Refpost-Truncated"), Some("files"));
    let head = site.git(&["rev-parse", "HEAD"]);
    assert_eq!(listed.last().unwrap()["id"], head);
    for commit in listed {
        assert_eq!(commit["added"], Value::Array(Vec::new()));
        assert!(commit["message"].as_str().unwrap().ends_with('…'));
    }
}

#[test]
fn what_a_format_has_not_is_an_error_with_its_line() {
    let site = Site::new();
    for (format, key, why) in [
        (
            "github",
            "topics = [\"git.receive\"]",
            "has no topic `git.receive`",
        ),
        (
            "gitlab",
            "topics = [\"create\"]",
            "it has `push`, `tag_push`",
        ),
        (
            "github",
            "token = \"x\"",
            "`token` of `github` is of format `gitlab` alone",
        ),
        ("svn", "", "unknown variant"),
        (
            "gitea",
            "headers = { X-GitHub-Event = \"x\" }",
            "refpost sets header",
        ),
        (
            "gitea",
            "headers = { webhook-id = \"x\" }",
            "refpost sets header",
        ),
    ] {
        let endpoint = endpoint(&site, format, key);
        site.config_alone(&format!("key = \"{KEY}\"\n{endpoint}"));
        let ran = site.refpost(["check", "test.git"]).run();
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains(why), "{format} {key}: {said}");
    }
}

#[test]
fn a_token_travels_and_a_key_never_does() {
    let site = Site::new();
    let endpoint = endpoint(&site, "gitlab", "token = \"hidden-token\"\n");
    site.config_alone(&endpoint);
    site.commit("a");
    let requests = pushed(&site, "HEAD:refs/heads/main");
    assert_eq!(requests[0].header("X-Gitlab-Token"), Some("hidden-token"));
    assert!(requests[0].header("webhook-signature").is_none());
    for command in [
        &["check", "test.git"][..],
        &["check", "--show", "test.git"],
        &["log", "test.git"],
        &["queue", "list", "test.git"],
    ] {
        let ran = site.refpost(command).run();
        let said = ran.stdout + &ran.stderr;
        assert!(!said.contains("hidden-token"), "{command:?}: {said}");
        assert!(!said.contains("unsigned"), "{command:?}: {said}");
    }
    // A receiver that repeats what it was sent.
    site.receiver.script(|request| {
        let heads: Vec<String> = request
            .headers
            .iter()
            .map(|(_, value)| value.clone())
            .collect();
        Answer::Reply(200, Vec::new(), heads.join(" ").into_bytes())
    });
    let ran = site.refpost(["ping", "test.git"]).run();
    assert!(!(ran.stdout + &ran.stderr).contains("hidden-token"));
    let preview = site.refpost(["preview", "--http", "test.git"]);
    let head = site.git(&["rev-parse", "HEAD"]);
    let line = format!("{} {head} refs/heads/main\n", "0".repeat(40));
    let said = preview.stdin(line.as_bytes()).run().stdout;
    assert!(said.contains("X-Gitlab-Token: …"), "{said}");
}

#[test]
fn standard_webhooks_signs_any_format_with_the_previous_key_too() {
    let more = "standard_webhooks = true\nkey = \"a key of sixteen bytes and more\"\n\
                previous_key = { text = \"the key before that, as long\", until = 2999-01-01 }\n";
    for format in ["pagure", "github"] {
        let site = site_of(format, more);
        site.commit("a");
        let requests = pushed(&site, "HEAD:refs/heads/main");
        let signatures = requests[0].header("webhook-signature").unwrap();
        let signatures: Vec<&str> = signatures.split(' ').collect();
        assert_eq!(signatures.len(), 2);
        site.write("old", "the key before that, as long");
        site.write("new", "a key of sixteen bytes and more");
        for (key, signature) in [("new", signatures[0]), ("old", signatures[1])] {
            let id = requests[0].header("webhook-id").unwrap();
            let time = requests[0].header("webhook-timestamp").unwrap();
            let args = ["verify", "--key-file", key, "--id", id, "--timestamp", time];
            let verify = site.refpost(args).args(["--signature", signature]);
            assert_eq!(
                verify.stdin(requests[0].body.clone()).run().status,
                0,
                "{format} {key}"
            );
        }
    }
}

/// The one text that a chat gets.
#[track_caller]
fn text(requests: &[Request]) -> String {
    assert_eq!(requests.len(), 1);
    let told = body(&requests[0]);
    assert_eq!(told.as_object().unwrap().len(), 1);
    told["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_chat_gets_a_text_and_nobody_is_notified_by_a_name() {
    let site = Site::new();
    // No key: a chat knows who may post by the URL.
    let endpoint = endpoint(&site, "slack", "");
    site.config_alone(&format!(
        "instance = \"https://git.example.org\"\n{endpoint}"
    ));
    let head = site.commit_by("<!channel> @everyone");
    let told = text(&pushed(&site, "HEAD:refs/heads/main"));
    let expected = format!(
        "alice created branch main with 1 commit of <https://git.example.org/test|test>\n\
         <https://git.example.org/test/commit/{head}|{}> change (!channel @\u{2060}everyone)",
        &head[..8]
    );
    // git takes `<` and `>` out of names.
    assert_eq!(told, expected);
    for number in 0..12 {
        site.commit_by(&format!("{number} {}", "long ".repeat(40)));
    }
    let told = text(&pushed(&site, "HEAD:refs/heads/main"));
    assert!(
        told.starts_with("alice pushed 12 commits to branch main of "),
        "{told}"
    );
    assert!(
        told.ends_with(" more") && told.chars().count() < 2000,
        "{told}"
    );
    site.git(&["tag", "-a", "-m", "x", "v1"]);
    let told = text(&pushed(&site, "v1"));
    assert!(told.starts_with("alice created tag v1 of "), "{told}");
    assert!(text(&pushed(&site, ":v1")).starts_with("alice deleted tag v1 of "));
    assert!(text(&pushed(&site, "+HEAD~2:main")).starts_with("alice rewound branch main of "));
}

#[test]
fn names_in_braces_in_a_url_are_filled_in() {
    let site = Site::new();
    let url = site
        .receiver
        .url("/{namespace}/{name}?url=https://x/{fullname}.git&ref={ref}&{old}-{new}-{other}");
    site.config_alone(&format!(
        "key = \"{KEY}\"\nurls = [\"{url}\"]\nproject = {{ fullname = \"team a/tools\" }}\n"
    ));
    let head = site.commit("a");
    let requests = pushed(&site, "HEAD:refs/heads/b");
    let zeros = "0".repeat(40);
    let expected = format!(
        "POST /team%20a/tools?url=https://x/team%20a%2Ftools.git&ref=refs%2Fheads%2Fb&\
         {zeros}-{head}-{{other}} HTTP/1.1"
    );
    for request in requests {
        assert_eq!(request.line, expected);
    }
}
