//! The log of attempts, as a person reads it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::spool_manage::mixed;
use crate::support::spooled::{eventually, late, names, objects, to};
use crate::support::{Answer, Background, REFPOST, Spooled};

#[test]
fn the_log_has_a_line_for_each_attempt() {
    let site = mixed();
    let (_, _) = site.announce();
    site.flush();
    let lines = site.objects(&["log", "--json"]);
    let mut told: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!([
                line["endpoint"],
                line["status"],
                line["attempt"],
                line["topic"]
            ])
        })
        .collect();
    told.sort_by_key(Value::to_string);
    assert_eq!(
        json!(told),
        json!([
            ["one", 200, 1, "git.receive"],
            ["three", 400, 1, "git.receive"],
            ["two", 503, 1, "git.receive"]
        ])
    );
    let requests = site.receiver.take();
    let msg_id = to("/one", &requests)[0].message().msg_id().to_owned();
    for line in &lines {
        assert_eq!(line["msg_id"], msg_id);
        assert_eq!(line["repository"], site.bare.to_str().unwrap());
        assert!(line["ms"].is_u64());
        humantime::parse_rfc3339(line["time"].as_str().unwrap()).unwrap();
    }
    let text = site.refpost(["log"]).arg(&site.bare).run().well().stdout;
    assert_eq!(text.lines().count(), 4);
    let row = text.lines().find(|line| line.starts_with("200 ")).unwrap();
    assert!(
        row.contains("  one  ") && row.contains("  git.receive  1  "),
        "{text}"
    );
    assert!(row.ends_with(&msg_id), "{text}");
    let shown = |args: &[&str]| {
        let ran = site.refpost(["log"]).args(args).arg(&site.bare).run();
        ran.well().stdout.lines().count()
    };
    assert_eq!(shown(&["--failed"]), 3);
    assert_eq!(shown(&["--endpoint", "two"]), 2);
    assert_eq!(
        shown(&["--since", "1h", "--failed", "--endpoint", "three"]),
        2
    );
    assert_eq!(shown(&["--since", "0s"]), 0);

    let last = site
        .refpost(["log", "-n", "1"])
        .arg(&site.bare)
        .run()
        .well()
        .stdout;
    let [_, last] = last.lines().collect::<Vec<_>>()[..] else {
        panic!("{last}");
    };
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(text.lines().last().unwrap()), words(last));
}

#[test]
fn what_came_after_the_look_was_not_shown() {
    let site = Spooled::new();
    let follow = site.refpost(["log", "-f"]).arg(&site.bare);
    let mut follower = Background::start(follow);
    let mut lines = BufReader::new(follower.0.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        site.announce();
        site.flush_well();
    }
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with("RESULT "));
    let rows = [next(), next()];
    assert!(
        rows.iter().all(|row| row.starts_with("200     ")),
        "{rows:?}"
    );
    assert_ne!(rows[0], rows[1]);
}

#[test]
fn a_shared_log_is_told_apart_by_repository() {
    let site = Spooled::new();
    let shared = site.path("shared");
    site.configure(
        &format!("mode = \"spool\"\nspool = \"{}\"", shared.display()),
        "",
    );
    let other: PathBuf = site.bare("other.git");
    fs::copy(site.bare.join("refpost.toml"), other.join("refpost.toml")).unwrap();
    symlink(REFPOST, other.join("hooks/post-receive")).unwrap();
    site.announce();
    site.git(&["push", "-q", other.to_str().unwrap(), "main"]);
    site.refpost(["flush"]).arg(&shared).run().well();
    assert_eq!(site.receiver.take().len(), 3);
    assert_eq!(site.objects(&["log", "--json"]).len(), 1);
    let lines = site.refpost(["log", "--json"]).arg(&other).run().well();
    assert_eq!(objects(&lines.stdout).len(), 2);
}

#[test]
fn a_full_log_is_put_away_and_keeps_its_lines() {
    let site = Spooled::new();
    site.announce();
    site.flush_well();
    let log = site.spool().join("log");
    let line = fs::read_to_string(&log).unwrap();
    // A little below the size at which it is put away.
    let count = 1024 * 1024 / line.len() - 10;
    fs::write(&log, line.repeat(count)).unwrap();
    site.receiver
        .script(|_| late(Duration::from_millis(1), 200));
    let chain = site.chain(40);
    for commit in &chain {
        site.push(&[&format!("{commit}:refs/heads/main")]);
    }
    site.flush_well();
    let spool = site.spool();
    assert!(names(&spool).contains(&"log.1".to_owned()));
    let mut lines = 0;
    for name in ["log", "log.1"] {
        lines += objects(&fs::read_to_string(spool.join(name)).unwrap()).len();
    }
    assert_eq!(lines, count + chain.len());
    let last = site
        .refpost(["log", "-n", "100", "--json"])
        .arg(&site.bare)
        .run()
        .well();
    let last = objects(&last.stdout);
    assert_eq!(last.len(), 100);
    let told = last
        .iter()
        .filter(|one| one["msg_id"] != last[0]["msg_id"])
        .count();
    assert_eq!(told, chain.len());
}

#[test]
fn a_line_cut_off_in_the_log_costs_only_itself() {
    let site = Spooled::new();
    site.announce();
    site.flush_well();
    let log = site.spool().join("log");
    let mut text = fs::read_to_string(&log).unwrap();
    text.push_str("{\"time\":\"2026");
    text.push('\n');
    fs::write(&log, text).unwrap();
    site.announce();
    site.flush_well();
    assert_eq!(site.objects(&["log", "--json"]).len(), 2);
}

#[test]
fn the_reason_that_a_receiver_gave_for_a_refusal_was_in_no_log() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", "headers = { X-Token = \"t0ken\" }");
    site.receiver.script(|_| {
        let body = format!("no \u{1b}[31m t0ken at /one{}\nmore", "é".repeat(300));
        Answer::Reply(403, Vec::new(), body.into_bytes())
    });
    site.announce();
    site.flush();
    let attempts = site.attempts();
    let note = attempts[0]["note"].as_str().unwrap();
    assert!(note.starts_with("no \u{1b}[31m … at …é"), "{note}");
    assert_eq!(note.chars().count(), 200);
    let raw = fs::read(site.spool().join("log")).unwrap();
    assert!(raw.is_ascii() && !raw.contains(&0x1b));
    site.receiver
        .script(|_| Answer::Reply(200, Vec::new(), b"thanks".to_vec()));
    site.retry_all();
    // `queue retry` has started a flush of its own.
    eventually("all is delivered", || {
        site.flush();
        let last = site.attempts().pop().unwrap();
        last["status"] == 200 && last["note"] == Value::Null
    });
}
