//! What others wrote never reaches a terminal, a log line or a header raw.

use std::fs;

use crate::support::{Answer, Ran, Spooled};

/// Moves the cursor, turns text around, hides, ends a line: raw on no terminal.
const HOSTILE: &str = "\u{1b}[31m\u{9b}2J\u{202e}\u{2066}\u{200f}\u{7f}\u{e0041}";

#[track_caller]
fn assert_plain(what: &str, text: &str) {
    let raw = text
        .chars()
        .find(|&c| c != '\n' && HOSTILE.contains(c) && c != '[');
    let raw = raw.filter(|c| !c.is_ascii_graphic());
    assert_eq!(raw, None, "{what}: {text:?}");
}

fn assert_said(what: &str, ran: &Ran) {
    assert_plain(what, &ran.stdout);
    assert_plain(what, &ran.stderr);
}

#[test]
fn what_others_wrote_is_never_raw() {
    let site = Spooled::new();
    let more = format!("[project]\nfullname = {:?}\n", "team/a\nX-Evil: 1");
    site.configure("mode = \"spool\"", &more);
    fs::write(site.bare.join("description"), format!("d{HOSTILE}\n")).unwrap();
    site.receiver.script(|_| {
        Answer::Reply(
            500,
            vec![("X-Answer", HOSTILE.replace('\u{7f}', ""))],
            format!("<{HOSTILE}>").into_bytes(),
        )
    });
    site.file(format!("f{HOSTILE}"), "text");
    site.commit_by(&format!("Ada{HOSTILE}"));
    let branch = "main:refs/heads/b\u{202e}\u{2066}\u{200f}\u{e0041}\u{9b}2J";
    let push = site
        .git_run(&["push", "origin", branch])
        .env("GL_USER", format!("mallory{HOSTILE}\nrefpost: all is well"))
        .run();
    assert_eq!(push.status, 0, "{}", push.stderr);
    let ours: Vec<&str> = push
        .stderr
        .lines()
        .filter(|line| line.starts_with("remote:"))
        .collect();
    assert_eq!(ours.len(), 1, "{}", push.stderr);
    assert_plain("the pusher", ours[0]);

    for args in [
        &["flush", "test.git"][..],
        &["status", "test.git"],
        &["status", "--json", "test.git"],
        &["queue", "list", "test.git"],
        &["queue", "list", "--json", "test.git"],
        &["log", "test.git"],
        &["log", "--json", "test.git"],
        &["check", "test.git"],
        &["check", "--show", "test.git"],
        &["ping", "test.git"],
    ] {
        let ran = site.refpost(args).run();
        assert_said(&args.join(" "), &ran);
        if args.contains(&"--json") {
            for line in ran.stdout.lines() {
                assert!(line.is_ascii(), "{line:?}");
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }
    let log = fs::read_to_string(site.spool().join("log")).unwrap();
    assert!(!log.is_empty() && log.is_ascii(), "{log:?}");

    for request in site.receiver.take() {
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| &**name).collect();
        assert!(!names.contains(&"X-Evil"), "{names:?}");
        assert!(request.body.is_ascii());
    }
}
