//! The formats of forges: the examples of tests/data/formats, and what is promised of every
//! request of theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

use crate::support::{Request, Site};

const KEY: &str = "a key of more than sixteen bytes";
const TOKEN: &str = "gitlab-token";

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/formats")
        .join(name)
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&fs::read(data(name)).unwrap()).unwrap()
}

/// The site of the examples: all formats beside each other, every topic, and Pagure's.
fn example_site() -> Site {
    let site = Site::new();
    let made = site
        .run("sh")
        .arg(data("make-repo.sh"))
        .arg(site.path("examples"))
        .run();
    made.well();
    let endpoint = |format: &str, more: &str| {
        let url = site.receiver.url(&format!("/{format}"));
        format!("[[endpoint]]\nname = \"{format}\"\nurl = \"{url}\"\nformat = \"{format}\"\n{more}")
    };
    let all = "topics = [\"*\"]\n";
    let token = format!("token = \"{TOKEN}\"\n");
    site.config_alone(&format!(
        "key = \"{KEY}\"\ninstance = \"https://git.example.org\"\n\
         [project]\nfullname = \"team/tools\"\ndescription = \"Tools for everybody\"\n\
         date_created = 1700000000\ndate_modified = 1750000000\ntags = [\"infra\"]\n\
         [people]\n\"alice@example.org\" = {{ name = \"alice\", fullname = \"Alice Example\" }}\n\
         {}{}{}{}{}",
        endpoint("pagure", ""),
        endpoint("github", all),
        endpoint("gitea", all),
        endpoint("forgejo", all),
        endpoint("gitlab", &token),
    ));
    site
}

/// What changes from push to push is no part of an example.
fn without_times(mut value: Value) -> Value {
    for way in [
        "/repository/pushed_at",
        "/hook/created_at",
        "/hook/updated_at",
    ] {
        if let Some(time) = value.pointer_mut(way) {
            *time = Value::Null;
        }
    }
    // Where the receiver is.
    if let Some(url) = value.pointer_mut("/hook/config/url") {
        *url = Value::Null;
    }
    value
}

fn format_of(request: &Request) -> &str {
    let path = request.line.split(' ').nth(1).unwrap();
    path.trim_start_matches('/')
}

/// The topic, as the examples' files are named.
fn topic_of(request: &Request) -> String {
    let event = ["X-GitHub-Event", "X-Gitlab-Event"];
    let event = event.iter().find_map(|name| request.header(name)).unwrap();
    match event {
        "Push Hook" => "push",
        "Tag Push Hook" => "tag_push",
        "Test Hook" => "ping",
        other => other,
    }
    .to_owned()
}

fn sha256(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

fn sha1(key: &[u8], bytes: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
    mac.update(bytes);
    hex::encode(mac.finalize().into_bytes())
}

/// The value that a header must have, if more than its presence can be told.
#[track_caller]
fn assert_header(name: &str, example: &str, request: &Request) {
    let value = request
        .header(name)
        .unwrap_or_else(|| panic!("{name} is missing: {request:?}"));
    let signature = hex::encode(sha256(KEY.as_bytes(), &request.body));
    let expected = match name {
        "X-Hub-Signature" => format!("sha1={}", sha1(KEY.as_bytes(), &request.body)),
        "X-Hub-Signature-256" => format!("sha256={signature}"),
        "webhook-timestamp" => {
            assert!(value.parse::<u64>().unwrap() > 1_600_000_000);
            return;
        }
        "webhook-signature" => {
            let head =
                ["webhook-id", "webhook-timestamp"].map(|name| request.header(name).unwrap());
            let signed = [head.join(".").as_bytes(), b".", &request.body].concat();
            format!(
                "v1,{}",
                BASE64_STANDARD.encode(sha256(KEY.as_bytes(), &signed))
            )
        }
        _ if name.ends_with("-Signature") => signature,
        "User-Agent" => example.replace("0.1.0", env!("CARGO_PKG_VERSION")),
        // A UUID of this message, the same wherever the example has one.
        "X-GitHub-Delivery"
        | "X-Gitea-Delivery"
        | "X-Gogs-Delivery"
        | "X-Forgejo-Delivery"
        | "X-Gitlab-Event-UUID"
        | "X-Gitlab-Webhook-UUID"
        | "Idempotency-Key"
        | "webhook-id" => {
            assert_eq!(value.len(), 36, "{value}");
            let mut all = request
                .headers
                .iter()
                .filter(|(_, other)| other.len() == 36);
            assert!(all.all(|(_, other)| other == value), "{request:?}");
            return;
        }
        _ => example.to_owned(),
    };
    assert_eq!(value, expected, "{name}");
}

#[track_caller]
fn assert_is_example(request: &Request, place: &str) {
    let (format, topic) = (format_of(request), topic_of(request));
    // One body, other headers.
    let body = if format == "forgejo" { "gitea" } else { format };
    let expected = without_times(read(&format!("{place}/{body}.{topic}.json")));
    let found: Value = serde_json::from_slice(&request.body).unwrap();
    let found = without_times(found);
    assert_eq!(
        found,
        expected,
        "{place} {format} {topic}\n{}\n{}",
        serde_json::to_string_pretty(&found).unwrap(),
        serde_json::to_string_pretty(&expected).unwrap(),
    );
    assert!(request.body.is_ascii());
    let Ok(headers) = fs::read(data(&format!("{place}/{format}.{topic}.headers.json"))) else {
        return;
    };
    let headers: BTreeMap<String, String> = serde_json::from_slice(&headers).unwrap();
    for (name, example) in &headers {
        assert_header(name, example, request);
    }
    let sent = request.headers.iter().map(|(name, _)| name.as_str());
    let sent: BTreeSet<&str> = sent.collect();
    let known = headers.keys().map(String::as_str).collect();
    let more: Vec<_> = sent.difference(&known).collect();
    assert_eq!(
        more,
        [&"Content-Length", &"Host"],
        "{place} {format} {topic}"
    );
}

/// The requests that the examples have for a push, in their order: section 3 of the contract.
const ORDER: [(&str, &[&str]); 7] = [
    (
        "00-default-branch-created",
        &["push create", "create push", "push"],
    ),
    ("01-branch-created", &["push create", "create push", "push"]),
    ("02-fast-forward", &["push", "push", "push"]),
    ("03-forced", &["push", "push", "push"]),
    (
        "04-tag-created",
        &["push create", "push create", "tag_push"],
    ),
    (
        "05-tag-deleted",
        &["push delete", "push delete", "tag_push"],
    ),
    ("06-branch-deleted", &["push delete", "delete", "push"]),
];

#[test]
fn every_push_of_the_examples_is_told_in_every_format() {
    let site = example_site();
    let tools = site.path("examples/tools.git");
    let bare = site.bare.to_str().unwrap().to_owned();
    let pushes = fs::read_to_string(site.path("examples/pushes")).unwrap();
    for (line, (place, order)) in pushes.lines().zip(ORDER) {
        let words: Vec<&str> = line.split(' ').collect();
        let (new, name) = (words[3], words[4]);
        let new = if new.starts_with("000000") { "" } else { new };
        let refspec = format!("+{new}:{name}");
        let push = site.run("git").dir(&tools).args(["push", &bare, &refspec]);
        let ran = push.run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let requests = site.receiver.take();
        let mut topics: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for request in &requests {
            let format = format_of(request);
            if format == "pagure" {
                request.message();
                continue;
            }
            topics
                .entry(format.to_owned())
                .or_default()
                .push(topic_of(request));
            assert_is_example(request, place);
        }
        for (format, expected) in [
            ("github", order[0]),
            ("gitea", order[1]),
            ("forgejo", order[1]),
            ("gitlab", order[2]),
        ] {
            assert_eq!(
                topics[format].join(" "),
                expected,
                "{place} {format}: {}",
                ran.stderr
            );
        }
    }
}

#[test]
fn a_ping_in_every_format_is_that_of_the_examples() {
    let site = example_site();
    let tools = site.path("examples/tools.git");
    let bare = site.bare.to_str().unwrap().to_owned();
    let main = "aed42418fe89332866fcd4365eb34178bbd73eb6:refs/heads/main";
    site.run("git")
        .dir(&tools)
        .args(["push", "-q", &bare, main])
        .run();
    site.receiver.take();
    // What the example's endpoint asks for.
    let config = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.write(
        "test.git/refpost.toml",
        config.replace("[\"*\"]", "[\"push\"]"),
    );
    let ran = site.refpost(["ping", "test.git"]).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let requests = site.receiver.take();
    assert_eq!(requests.len(), 5);
    for request in &requests[1..] {
        assert_is_example(request, "ping");
    }
}
