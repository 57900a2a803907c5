//! Real receivers, which nobody here wrote: Debian's `webhook`, GitHub's own library and schema
//! from npm, and a master of Buildbot. Each first refuses a body that was tampered with.
//!
//! What is not installed is said and left out; with `REFPOST_TEST_RECEIVERS=1`, which `.ci/run
//! --long` sets, that is a failure. `REFPOST_OCTOKIT` is a folder with `node_modules`,
//! `REFPOST_BUILDBOT` the `bin` of an environment.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::running::{Running, is_missing, wait_for_port};
use crate::support::{Request, Site, free_port};

const KEY: &str = "a key of more than sixteen bytes";

/// What does not happen in this time never will.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/receivers");
    fs::read_to_string(folder.join(name)).unwrap()
}

pub(crate) fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        is_missing(variable);
    }
    folder
}

/// Sends bytes that are not refpost's, and gives the answer.
fn exchange(port: u16, path: &str, headers: &[(String, String)], body: &[u8]) -> String {
    let mut head = format!("POST {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        if !["connection", "host"].contains(&name.to_lowercase().as_str()) {
            head.extend([name, ": ", value, "\r\n"]);
        }
    }
    head.push_str("Host: 127.0.0.1\r\n\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// What is sent of a first push of this branch, kept and not passed on.
fn sent(site: &Site, format: &str, more: &str) -> Vec<Request> {
    let url = site.receiver.url("/hook");
    site.config_alone(&format!(
        "instance = \"https://git.example.org\"\n[[endpoint]]\nname = \"x\"\nurl = \"{url}\"\n\
         format = \"{format}\"\n{more}"
    ));
    site.commit("a");
    site.git_run(&["push", "-q", "origin", "+HEAD:main"]).run();
    site.receiver.take()
}

/// The body with another author.
fn tampered(body: &[u8]) -> Vec<u8> {
    String::from_utf8(body.to_vec())
        .unwrap()
        .replace("Ada", "Eve")
        .into_bytes()
}

#[test]
fn debians_webhook_runs_what_was_signed_and_nothing_else() {
    if Command::new("webhook").arg("-version").output().is_err() {
        is_missing("webhook");
        return;
    }
    let site = Site::new();
    let ran = site.path("ran");
    let script = site.script(
        "run",
        &format!("#!/bin/sh\necho \"$1\" >> {}\n", ran.display()),
    );
    let rule = |id: &str, rule: Value| {
        json!({
            "id": id, "execute-command": script, "trigger-rule": {"match": rule},
            "trigger-rule-mismatch-http-response-code": 403,
            "pass-arguments-to-command": [{"source": "payload", "name": "ref"}],
        })
    };
    let header = |name: &str| json!({"source": "header", "name": name});
    let hooks = json!([
        rule(
            "github",
            json!({
                "type": "payload-hmac-sha256", "secret": KEY,
                "parameter": header("X-Hub-Signature-256"),
            })
        ),
        rule(
            "gitea",
            json!({
                "type": "payload-hmac-sha256", "secret": KEY,
                "parameter": header("X-Gitea-Signature"),
            })
        ),
        rule(
            "gitlab",
            json!({
                "type": "value", "value": "gitlab-token", "parameter": header("X-Gitlab-Token"),
            })
        ),
    ]);
    let file = site.write("hooks.json", hooks.to_string());
    let port = free_port();
    let mut webhook = Command::new("webhook");
    webhook
        .args(["-ip", "127.0.0.1", "-port", &port.to_string(), "-hooks"])
        .arg(file);
    let mut running = Running(
        webhook
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    wait_for_port(port, &mut running);
    let key = format!("key = \"{KEY}\"\n");
    for (format, more) in [
        ("github", key.as_str()),
        ("gitea", key.as_str()),
        ("gitlab", "token = \"gitlab-token\"\n"),
    ] {
        let path = format!("/hooks/{format}");
        let requests = sent(&site, format, more);
        let request = &requests[0];
        let refused = if format == "gitlab" {
            // A token says nothing of the body: another token is refused.
            let mut headers = request.headers.clone();
            let token = headers
                .iter_mut()
                .find(|(name, _)| name == "X-Gitlab-Token");
            token.unwrap().1 = "another".to_owned();
            exchange(port, &path, &headers, &request.body)
        } else {
            exchange(port, &path, &request.headers, &tampered(&request.body))
        };
        // 500 is what it says of a signature that is none.
        let is_refused = ["HTTP/1.1 403", "HTTP/1.1 500"]
            .iter()
            .any(|one| refused.starts_with(one));
        assert!(is_refused, "{format}: {refused}");
        assert!(!ran.exists(), "{format}");
        let url = site.receiver.url("/hook");
        let config = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
        let own = format!("http://127.0.0.1:{port}{path}");
        site.write("test.git/refpost.toml", config.replace(&url, &own));
        site.commit("a");
        let push = site.git_run(&["push", "origin", "HEAD:main"]).run();
        assert!(
            push.stderr.contains("sent to `x`"),
            "{format}: {}",
            push.stderr
        );
        let deadline = Instant::now() + PATIENCE;
        while !ran.exists() {
            assert!(Instant::now() < deadline, "{format}: it has not run");
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::remove_file(&ran).unwrap();
    }
}

#[test]
fn githubs_own_library_verifies_and_its_schema_has_no_complaint() {
    let Some(folder) = folder("REFPOST_OCTOKIT") else {
        return;
    };
    let script = folder.join("refpost.mjs");
    fs::write(&script, data("octokit.mjs")).unwrap();
    let site = Site::new();
    let asked = |request: &Request, body: &[u8]| {
        json!({
            "event": request.header("X-GitHub-Event"),
            "signature": request.header("X-Hub-Signature-256"),
            "body": String::from_utf8_lossy(body), "secret": KEY,
        })
    };
    let more = format!("key = \"{KEY}\"\ntopics = [\"*\"]\n");
    let mut requests = sent(&site, "github", &more);
    site.commit("b");
    for args in [
        &["HEAD:main"][..],
        &["+HEAD~1:main"],
        &["HEAD:refs/tags/v1"],
        &[":v1"],
        &["HEAD:x"],
        &[":x"],
    ] {
        site.git_run(&[&["push", "-q", "origin"], args].concat())
            .run();
        requests.extend(site.receiver.take());
    }
    site.refpost(["ping", "test.git"]).run();
    requests.extend(site.receiver.take());
    assert_eq!(requests.len(), 13);
    let mut all = vec![asked(&requests[0], &tampered(&requests[0].body))];
    all.extend(requests.iter().map(|request| asked(request, &request.body)));
    let node = site
        .run("node")
        .arg(&script)
        .stdin(Value::from(all).to_string());
    let ran = node.run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let said: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(said[0], "refused");
    assert_eq!(said[1..], ["valid"; 13], "{}", ran.stdout);
}

#[test]
fn a_buildbot_takes_each_commit_and_no_tampered_body() {
    let Some(bin) = folder("REFPOST_BUILDBOT") else {
        return;
    };
    let site = Site::new();
    let master = site.path("master");
    fs::create_dir(&master).unwrap();
    let port = free_port();
    let config = data("master.cfg")
        .replace("PORT", &port.to_string())
        .replace("REPOSITORY", site.bare.to_str().unwrap())
        .replace("SECRET", KEY);
    fs::write(master.join("master.cfg"), config).unwrap();
    let buildbot = |args: &[&str]| {
        let mut command = Command::new(bin.join("buildbot"));
        command.args(args).current_dir(&master);
        command
    };
    let made = buildbot(&["create-master", "--relocatable", "."])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let log = fs::File::create(site.path("master.log")).unwrap();
    let mut start = buildbot(&["start", "--nodaemon", "."]);
    start.stdout(log.try_clone().unwrap()).stderr(log);
    let mut running = Running(start.spawn().unwrap());
    wait_for_port(port, &mut running);
    let changes = || -> Vec<Value> {
        let ask = "GET /api/v2/changes HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(ask.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let start = answer.find('{').unwrap_or_else(|| panic!("{answer}"));
        let end = answer.rfind('}').unwrap();
        let answer: Value = serde_json::from_str(&answer[start..=end]).unwrap();
        answer["changes"].as_array().unwrap().clone()
    };
    let key = format!("key = \"{KEY}\"\n");
    let token = format!("token = \"{KEY}\"\n");
    for (format, more) in [("github", &key), ("gitlab", &token), ("gitea", &key)] {
        let path = format!("/change_hook/{format}");
        let before = changes().len();
        let requests = sent(&site, format, more);
        let mut headers = requests[0].headers.clone();
        for (name, value) in &mut headers {
            if name == "X-Gitlab-Token" {
                "another".clone_into(value);
            }
        }
        let answer = exchange(port, &path, &headers, &tampered(&requests[0].body));
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(
            ["400", "401", "403"].contains(&status),
            "{format}: {answer}"
        );
        assert_eq!(changes().len(), before, "{format}");
        let url = site.receiver.url("/hook");
        let config = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
        let own = format!("http://127.0.0.1:{port}{path}");
        site.write("test.git/refpost.toml", config.replace(&url, &own));
        let commits = [site.commit("a"), site.commit("b")];
        let push = site.git_run(&["push", "origin", "HEAD:main"]).run();
        assert!(
            push.stderr.contains("sent to `x`"),
            "{format}: {}",
            push.stderr
        );
        let deadline = Instant::now() + PATIENCE;
        while changes().len() < before + 2 {
            let log = fs::read_to_string(site.path("master.log")).unwrap();
            assert!(Instant::now() < deadline, "{format}: {log}");
            std::thread::sleep(Duration::from_millis(200));
        }
        let mut told = changes();
        told.sort_by_key(|one| one["changeid"].as_u64());
        let told = told.split_off(before);
        let revisions: Vec<_> = told.iter().map(|one| one["revision"].clone()).collect();
        assert_eq!(revisions, commits.map(Value::from), "{format}");
        assert!(told.iter().all(|one| one["branch"] == "main"), "{told:?}");
    }
    // A poller looks at the repository itself. What is there at its first look is no change.
    let bare = site.bare.display();
    site.config_alone(&format!(
        "[[endpoint]]\nname = \"x\"\nunsigned = true\n\
         url = \"http://127.0.0.1:{port}/change_hook/poller?poller={bare}\"\n"
    ));
    let deadline = Instant::now() + PATIENCE;
    let mut commits = Vec::new();
    while !changes()
        .iter()
        .any(|one| commits.contains(&one["revision"]))
    {
        let log = fs::read_to_string(site.path("master.log")).unwrap();
        assert!(Instant::now() < deadline, "poller: {log}");
        commits.push(Value::from(site.commit("a")));
        let push = site.git_run(&["push", "origin", "HEAD:main"]).run();
        assert!(push.stderr.contains("sent to `x`"), "{}", push.stderr);
        std::thread::sleep(Duration::from_secs(1));
    }
}
