//! What arrives on the wire during a push.

use std::sync::{Arc, Barrier};

use crate::support::{Answer, KEY, Python, Receiver, Request, Site};

#[test]
fn a_request_is_exactly_what_pagure_sends() {
    let site = Site::new();
    site.config("instance = \"https://git.example.org\"\n");
    site.commit("a");
    let push = site.push(&["main"]);
    let address = site.receiver.address();
    for (request, topic) in push
        .requests
        .iter()
        .zip(["git.branch.creation", "git.receive"])
    {
        assert_eq!(request.line, "POST /hook HTTP/1.1");
        let mut headers = request.headers.clone();
        headers.sort();
        let (sha1, sha256) = Python::sign(KEY, &request.body).unwrap_or_else(|| {
            let own = |name| request.header(name).unwrap().to_owned();
            (own("X-Pagure-Signature"), own("X-Pagure-Signature-256"))
        });
        assert_eq!((sha1.len(), sha256.len()), (40, 64));
        let expected = [
            ("Accept", "*/*"),
            ("Content-Length", &*request.body.len().to_string()),
            ("Content-Type", "application/json"),
            ("Host", &*address.to_string()),
            ("User-Agent", concat!("refpost/", env!("CARGO_PKG_VERSION"))),
            ("X-Pagure", "https://git.example.org/"),
            ("X-Pagure-Project", "test"),
            ("X-Pagure-Signature", &*sha1),
            ("X-Pagure-Signature-256", &*sha256),
            ("X-Pagure-Topic", topic),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers, expected);
        assert_eq!(request.message().topic(), topic);
    }
}

#[test]
fn messages_come_in_order_over_one_connection_per_endpoint() {
    let site = Site::new();
    let other = Receiver::start();
    let urls = format!(
        "urls = [\"{}\", \"{}\"]\nkey = \"k\"",
        site.receiver.url("/a"),
        other.url("/b")
    );
    site.config_alone(&urls);
    site.commit("a");
    let names: Vec<_> = (0..40)
        .map(|number| format!("main:refs/tags/v{number:02}"))
        .collect();
    let refspecs: Vec<_> = names.iter().map(String::as_str).collect();
    let push = site.push(&refspecs);
    let requests = other.take();
    assert_eq!(push.requests.len(), 40);
    for (receiver, requests) in [(&site.receiver, &push.requests), (&other, &requests)] {
        assert_eq!(receiver.connections(), 1);
        let order: Vec<_> = requests
            .iter()
            .map(|own| own.message().whole["i"].as_u64())
            .collect();
        assert_eq!(order, (1..=40).map(Some).collect::<Vec<_>>());
    }
    let bodies =
        |requests: &[Request]| -> Vec<_> { requests.iter().map(|own| own.body.clone()).collect() };
    assert_eq!(
        bodies(&push.requests),
        bodies(&requests),
        "identical bytes for every URL"
    );
}

#[test]
fn endpoints_are_served_side_by_side() {
    let site = Site::new();
    let others = [Receiver::start(), Receiver::start(), Receiver::start()];
    // Each answers its first request only when all have theirs.
    let barrier = Arc::new(Barrier::new(3));
    for receiver in &others {
        let barrier = Arc::clone(&barrier);
        receiver.script(move |_| {
            barrier.wait();
            Answer::status(200)
        });
    }
    let urls: Vec<_> = others
        .iter()
        .map(|own| format!("\"{}\"", own.url("/")))
        .collect();
    site.config_alone(&format!("unsigned = true\nurls = [{}]", urls.join(", ")));
    site.commit("a");
    let push = site.push(&["main"]);
    assert_eq!(push.remote().len(), 1);
    assert!(
        push.remote()[0].starts_with("refpost: 2 messages sent to "),
        "{}",
        push.said
    );
    for receiver in &others {
        assert_eq!(receiver.take().len(), 2);
    }
}

#[test]
fn an_endpoint_gets_what_its_topics_and_refs_choose() {
    let site = Site::new();
    let table = [
        (
            "topics = [\"git.receive\"]",
            vec!["git.receive main", "git.receive dev"],
        ),
        (
            "topics = [\"git.*.creation\"]",
            vec![
                "git.branch.creation main",
                "git.branch.creation dev",
                "git.tag.creation v1",
                "git.tag.creation x/1",
            ],
        ),
        (
            "topics = [\"!git.receive\", \"!git.branch.*\"]",
            vec!["git.tag.creation v1", "git.tag.creation x/1"],
        ),
        (
            "refs = [\"refs/heads/main\"]",
            vec!["git.branch.creation main", "git.receive main"],
        ),
        (
            "refs = [\"refs/tags/*\", \"!refs/tags/x/*\"]",
            vec!["git.tag.creation v1"],
        ),
        (
            "refs = [\"refs/*/v*\"]\ntopics = [\"git.tag.*\"]",
            vec!["git.tag.creation v1"],
        ),
        ("refs = [\"main\"]", vec![]),
        ("topics = [\"*\", \"!*\"]", vec![]),
    ];
    let mut config = "unsigned = true\n".to_owned();
    for (number, (filter, _)) in table.iter().enumerate() {
        let url = site.receiver.url(&format!("/{number}"));
        let name = format!("name = \"e{number}\"\nurl = \"{url}\"\n");
        config.extend(["[[endpoint]]\n", &name, filter, "\n"]);
    }
    site.config_alone(&config);
    site.commit("a");
    site.git(&["checkout", "-q", "-b", "dev"]);
    site.commit("b");
    let refspecs = ["main", "dev", "main:refs/tags/v1", "main:refs/tags/x/1"];
    let push = site.try_push(&[&["origin"], &refspecs[..]].concat());
    assert_eq!(push.status, 0, "{}", push.said);
    for (number, (filter, expected)) in table.iter().enumerate() {
        let line = format!("POST /{number} HTTP/1.1");
        let mut got: Vec<_> = push
            .requests
            .iter()
            .filter(|request| request.line == line)
            .map(|request| {
                let message = request.message();
                let (topic, name) = message.about();
                format!("{topic} {name}")
            })
            .collect();
        let mut expected = expected.clone();
        got.sort();
        expected.sort_unstable();
        assert_eq!(got, expected, "{filter}");
    }
}

#[test]
fn headers_come_from_text_files_and_the_environment() {
    let site = Site::new();
    let url = site.receiver.url("/hook");
    site.write("test.git/token", "Bearer from-a-file\n");
    site.config_alone(&format!(
        "unsigned = true\n[[endpoint]]\nname = \"ci\"\nurl = \"{url}\"\nheaders = {{ \
         Authorization = {{ file = \"token\" }}, X-From-Env = {{ env = \"OUR_TOKEN\" }}, \
         x-MiXeD = \"as it is\" }}\n"
    ));
    site.commit("a");
    let push = site
        .git_run(&["push", "origin", "main"])
        .env("OUR_TOKEN", "from the environment");
    let push = site.push_by(push);
    assert_eq!(push.requests.len(), 2, "{}", push.said);
    for request in &push.requests {
        let header = |name| {
            request
                .headers
                .iter()
                .find(|(own, _)| own.eq_ignore_ascii_case(name))
        };
        assert_eq!(header("Authorization").unwrap().1, "Bearer from-a-file");
        assert_eq!(header("X-From-Env").unwrap().1, "from the environment");
        assert_eq!(header("X-Mixed").unwrap().1, "as it is");
        assert_eq!(request.header("X-Pagure-Signature"), None, "unsigned");
        assert_eq!(request.header("X-Pagure-Signature-256"), None, "unsigned");
    }
}

#[test]
fn userinfo_in_a_url_is_sent_as_authorization() {
    let site = Site::new();
    let url = site
        .receiver
        .url("/hook")
        .replace("http://", "http://user:p%40ss@");
    site.config_alone(&format!("unsigned = true\nurls = [\"{url}\"]"));
    site.commit("a");
    let push = site.push(&["main"]);
    // base64 of `user:p@ss`
    assert_eq!(
        push.requests[0].header("Authorization"),
        Some("Basic dXNlcjpwQHNz")
    );
    assert_eq!(push.requests[0].line, "POST /hook HTTP/1.1");
}

#[test]
fn each_endpoint_can_have_its_own_key() {
    let site = Site::new();
    let url = |path: &str| site.receiver.url(path);
    site.write("test.git/own.key", "\n own-key \n");
    site.config_alone(&format!(
        "key = \"default-key\"\nurls = [\"{}\"]\n[[endpoint]]\nname = \"own\"\nurl = \"{}\"\n\
         key_file = \"own.key\"\n[[endpoint]]\nname = \"none\"\nurl = \"{}\"\nunsigned = true\n",
        url("/default"),
        url("/own"),
        url("/none")
    ));
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.requests.len(), 6, "{}", push.said);
    for request in &push.requests {
        let sign = |key| Python::sign(key, &request.body).map(|(_, sha256)| sha256);
        let signature = request.header("X-Pagure-Signature-256").map(str::to_owned);
        match request.line.split(' ').nth(1).unwrap() {
            "/default" => assert!(sign("default-key").is_none_or(|own| Some(own) == signature)),
            "/own" => assert!(sign("own-key").is_none_or(|own| Some(own) == signature)),
            _ => assert_eq!(signature, None),
        }
    }
}

#[test]
fn a_name_with_line_breaks_adds_no_header() {
    let site = Site::new();
    site.config("[project]\nfullname = \"a\\r\\nX-Evil: 1\\n\\u0000\\u001b é\"\n");
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.requests.len(), 2, "{}", push.said);
    for request in &push.requests {
        assert_eq!(request.headers.len(), 10, "{:?}", request.headers);
        assert_eq!(request.header("X-Evil"), None);
        assert_eq!(
            request.header("X-Pagure-Project"),
            Some("a??X-Evil: 1??? é")
        );
        assert_eq!(
            request.message()["project_fullname"],
            "a\r\nX-Evil: 1\n\0\u{1b} é"
        );
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let site = Site::new();
    let elsewhere = Receiver::start();
    for status in [301, 302, 303, 307, 308] {
        let target = elsewhere.url("/stolen");
        site.receiver
            .script(move |_| Answer::Reply(status, vec![("Location", target.clone())], Vec::new()));
        site.commit("a");
        let push = site.try_push(&["origin", &format!("HEAD:refs/tags/v{status}")]);
        assert_eq!(push.status, 0);
        assert!(
            push.said
                .contains(&format!("refused it with {status}: it redirects;")),
            "{}",
            push.said
        );
        assert!(!push.said.contains("stolen"), "{}", push.said);
    }
    assert!(elsewhere.take().is_empty());
}

#[test]
fn no_proxy_of_the_environment_is_used() {
    let site = Site::new();
    site.commit("a");
    let mut push = site.git_run(&["push", "origin", "main"]);
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "ALL_PROXY",
        "all_proxy",
        "https_proxy",
    ] {
        push = push.env(name, "http://127.0.0.1:9/");
    }
    assert_eq!(site.push_by(push).messages.len(), 2);
}

#[test]
fn any_2xx_is_success() {
    let site = Site::new();
    for status in [200, 201, 202, 204, 299] {
        site.receiver.script(move |_| Answer::status(status));
        site.commit("a");
        let push = site.push(&[&format!("HEAD:refs/tags/v{status}")]);
        assert_eq!(push.messages.len(), 1);
        assert!(
            push.remote()[0].starts_with("refpost: 1 message sent to "),
            "{}",
            push.said
        );
    }
}

#[test]
fn a_large_body_of_an_answer_costs_nothing() {
    let site = Site::new();
    for answer in [
        Answer::Endless,
        Answer::Reply(200, Vec::new(), vec![b'x'; 3 << 20]),
        Answer::CutBody,
    ] {
        let shown = format!("{answer:.20?}");
        site.receiver.script(move |_| answer.clone());
        site.commit("a");
        let push = site.try_push(&["origin", "+HEAD:refs/heads/x"]);
        assert!(push.said.contains("sent to"), "{shown:.20}: {}", push.said);
        assert!(!push.messages.is_empty());
    }
}
