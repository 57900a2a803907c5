//! A broker that does not take what a git server hands it, and one that is taken away.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fleet::{emit, flush, handing, header, url, waits};
use crate::support::spooled::eventually;
use crate::support::{Background, Broker, Fleet, Opening, Ran, Word};

/// The log of attempts of a repository.
fn attempts(fleet: &Fleet, name: &str) -> Vec<Value> {
    let log = fleet.bare_path(name).join("refpost/spool/log");
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn statuses(fleet: &Fleet, name: &str) -> Vec<Value> {
    let lines = attempts(fleet, name);
    lines.iter().map(|line| line["status"].clone()).collect()
}

/// Lets the one item that waits for the broker be due, with an id that is `days` old. Gives the
/// seconds for which it would have waited, and its number of attempts.
fn make_due(fleet: &Fleet, name: &str, days: u64) -> (u64, u32) {
    let queue = fleet.bare_path(name).join("refpost/spool/retry/@broker");
    let names = waits(fleet, name, "retry/@broker");
    let [item] = &names[..] else {
        panic!("{names:?}")
    };
    let fields: Vec<&str> = item.splitn(4, '.').collect();
    let now = std::time::SystemTime::now();
    let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let parsed = humantime::parse_rfc3339_weak(&readable(fields[0])).unwrap();
    let due = parsed.duration_since(std::time::UNIX_EPOCH).unwrap();
    let past = compact(now - Duration::from_mins(2));
    let (_, rest) = fields[3].split_once('.').unwrap();
    let id = compact(now - Duration::from_hours(24 * days));
    let id = format!("{id}.{rest}");
    let new = format!("{past}Z.{}.{}.{id}", fields[1], fields[2]);
    fs::rename(queue.join(item), queue.join(new)).unwrap();
    // What flushes tell each other of the outage.
    let stats = queue.parent().unwrap().parent().unwrap().join("stats");
    let mut known: Value = serde_json::from_slice(&fs::read(&stats).unwrap()).unwrap();
    let past = humantime::format_rfc3339_nanos(now - Duration::from_mins(2)).to_string();
    for key in ["next", "last", "not_before"] {
        known["failures"]["@broker"][key] = json!(past);
    }
    fs::write(stats, known.to_string()).unwrap();
    (
        due.as_secs().saturating_sub(seconds),
        fields[1].parse().unwrap(),
    )
}

/// `20261129T093552Z` as RFC 3339 has it.
fn readable(time: &str) -> String {
    let (t, z) = (time.trim_end_matches('Z'), "Z");
    format!(
        "{}-{}-{}T{}:{}:{}{z}",
        &t[0..4],
        &t[4..6],
        &t[6..8],
        &t[9..11],
        &t[11..13],
        &t[13..15]
    )
}

fn compact(time: std::time::SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.trim_end_matches('Z').replace(['-', ':'], "")
}

#[test]
fn what_the_broker_does_not_take_stays() {
    let forbidden = "ACCESS_REFUSED - access to exchange 'refpost' in vhost 'refpost' refused";
    let topic = "ACCESS_REFUSED - access to topic 'x' in exchange 'refpost' refused for 'git1'";
    let gone = "NOT_FOUND - no exchange 'refpost' in vhost 'refpost'";
    let table: [(Word, Value); 10] = [
        (Word::Return, json!("unroutable")),
        (Word::Nack, json!("nacked")),
        (Word::CloseChannel(403, forbidden), json!("channel")),
        (Word::CloseChannel(403, topic), json!("channel")),
        (Word::CloseChannel(404, gone), json!("channel")),
        (
            Word::CloseChannel(406, "PRECONDITION_FAILED - user_id"),
            json!("channel"),
        ),
        (
            Word::CloseConnection(320, "CONNECTION_FORCED"),
            json!("closed"),
        ),
        (Word::Nothing, json!("timeout")),
        (Word::Garbage, json!("connection")),
        (Word::Reset, json!("connection")),
    ];
    for (word, status) in table {
        let broker = Broker::saying(
            Opening::Well,
            move |n| {
                if n == 0 { word } else { Word::Ack }
            },
        );
        let top = "mode = \"spool\"";
        let fleet = handing(&["a"], &url(&broker), top, "timeout = \"3s\"");
        emit(&fleet, "a", "x.one");
        emit(&fleet, "a", "x.two");
        let ran = flush(&fleet, "a");
        assert_eq!(statuses(&fleet, "a"), [status], "{word:?} {}", ran.stderr);
        assert_eq!(waits(&fleet, "a", "retry/@broker").len(), 2, "{word:?}");
        assert!(waits(&fleet, "a", "failed").is_empty(), "{word:?}");
        let log = format!("{:?}", attempts(&fleet, "a"));
        for secret in ["hidden-password", "'git1'", "'refpost'"] {
            assert!(!(ran.stderr.clone() + &log).contains(secret), "{log}");
        }
        assert!(ran.stderr.lines().count() <= 1, "{}", ran.stderr);
        broker.take();
        eventually("all arrive", || {
            fleet
                .refpost(["queue", "retry", "--all", "--repo"])
                .arg(fleet.bare_path("a"))
                .run();
            flush(&fleet, "a");
            waits(&fleet, "a", "retry/@broker").is_empty()
        });
        let all = broker.take();
        let topics: Vec<Value> = all
            .iter()
            .map(|one| header(&one.body)["content"]["built"]["messages"][0]["topic"].clone())
            .collect();
        assert_eq!(topics, ["x.one", "x.two"], "{word:?}");
    }
}

fn flush_down(fleet: &Fleet) -> Ran {
    let ran = flush(fleet, "a");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran
}

#[test]
fn a_broker_that_is_down_is_asked_after_1_5_30_and_60_seconds_for_ever() {
    let fleet = handing(
        &["a"],
        "amqp://git1:pw@127.0.0.1:1/v",
        "mode = \"spool\"",
        "",
    );
    emit(&fleet, "a", "x.y");
    for (attempt, delay) in [(1, 1_u64), (2, 5), (3, 30), (4, 60), (5, 60), (6, 60)] {
        let ran = flush_down(&fleet);
        assert_eq!(ran.stderr, "", "`status` tells it");
        // Ten days after the push, which is longer than any message is kept for a receiver.
        let (left, attempts) = make_due(&fleet, "a", 10);
        assert_eq!(attempts, attempt);
        // A fifth more or less, and the time that the test took.
        let range = (delay * 8 / 10).saturating_sub(3)..=delay * 12 / 10 + 1;
        assert!(range.contains(&left), "{left} s after attempt {attempt}");
    }
    assert!(waits(&fleet, "a", "failed").is_empty());
    let status = fleet.refpost(["status"]).arg(fleet.bare_path("a")).run();
    assert!(status.stdout.contains("@broker"), "{}", status.stdout);

    // The clock has been seen to go on evenly for hours: what is old may expire.
    let spool = fleet.bare_path("a").join("refpost/spool");
    let mut known: Value = serde_json::from_slice(&fs::read(spool.join("stats")).unwrap()).unwrap();
    let since = std::time::SystemTime::now() - Duration::from_hours(2);
    known["clock"]["since"] = json!(humantime::format_rfc3339_nanos(since).to_string());
    fs::write(spool.join("stats"), known.to_string()).unwrap();
    flush_down(&fleet);
    assert_eq!(waits(&fleet, "a", "retry/@broker").len(), 1);
    assert!(waits(&fleet, "a", "failed").is_empty());
}

#[test]
fn a_push_says_that_the_broker_is_down() {
    let down = "amqp://git1:pw@127.0.0.1:1/v";
    let fleet = handing(&["a"], down, "mode = \"sync\"", "");
    fleet.hook("a");
    let ran = fleet.push("a");
    assert_eq!(ran.status, 0);
    let line = "refpost: 2 messages queued for `ci` (the broker ";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
    for secret in ["pw", "127.0.0.1"] {
        assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    }
}

/// Those behind the first one were said to have been answered by something other than AMQP.
#[test]
fn entries_on_a_broken_connection_that_is_not_opened_again_blamed_the_broker() {
    let broker = Broker::opening(
        |n| match n {
            0 => Opening::Well,
            _ => Opening::Nothing,
        },
        |n| match n {
            0..3 => Word::Ack,
            3 | 4 => Word::Nothing,
            _ => Word::Reset,
        },
    );
    let names = ["a", "b", "c"];
    let top = "mode = \"spool\"";
    let fleet = handing(&names, &url(&broker), top, "timeout = \"2s\"");
    for topic in ["x.one", "x.two"] {
        for name in names {
            emit(&fleet, name, topic);
        }
    }
    fleet.refpost(["flush", "--server"]).run();
    // Three were confirmed, whichever they were.
    let waiting = names.map(|name| waits(&fleet, name, "retry/@broker").len());
    assert_eq!(waiting.iter().sum::<usize>(), 3, "{waiting:?}");
    for name in names {
        for attempt in attempts(&fleet, name) {
            assert!(!attempt.to_string().contains("AMQP"), "{attempt}");
        }
    }
}

/// What came behind it waited for a person.
#[test]
fn an_entry_that_the_broker_found_too_large_held_back_its_repository() {
    const MOST: usize = 64 << 10;
    let broker = Broker::judging(|entry| {
        let size = entry.body.len();
        if size > MOST {
            let text = format!(
                "PRECONDITION_FAILED - message size {size} is larger than configured max size {MOST}"
            );
            Word::CloseChannel(406, text.leak())
        } else {
            Word::Ack
        }
    });
    let names: Vec<String> = (0..8).map(|n| format!("r{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let top = "mode = \"spool\"";
    let fleet = handing(&all, &url(&broker), top, "timeout = \"3s\"");
    let large = format!("{{\"text\": \"{}\"}}", "x".repeat(2 * MOST));
    let emit_large = fleet.refpost(["emit", "--topic", "x.large"]);
    let ran = emit_large.arg(fleet.bare_path("r0")).stdin(large).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    for topic in ["x.one", "x.two", "x.three"] {
        for name in &all {
            emit(&fleet, name, topic);
        }
    }
    // It closes the channel for all that are on their way.
    let left = || {
        let each = all
            .iter()
            .map(|name| waits(&fleet, name, "retry/@broker").len());
        each.sum::<usize>()
    };
    eventually("all others are handed over", || {
        assert_eq!(fleet.refpost(["flush", "--server"]).run().status, 0);
        left() == 1
    });
    let log = format!("{:?}", attempts(&fleet, "r0"));
    assert!(log.contains("is larger than"), "{log}");
    // What to do was nowhere.
    assert!(log.contains("raise its `max_message_size`"), "{log}");
    let status = fleet.refpost(["status", "--server"]).run().stdout;
    let row = status.lines().find(|line| line.contains("@broker "));
    let refused = row.and_then(|row| row.split_whitespace().nth(5));
    assert_eq!(refused, Some("1"), "{status}");
    assert_eq!(waits(&fleet, "r0", "retry/@broker").len(), 1);
}

/// A broker in alarm reads nothing and shows signs of life: it never heard that they were given up.
#[test]
fn a_connection_to_a_broker_in_alarm_stayed_open_for_each_attempt() {
    let broker = Broker::saying(Opening::Well, |_| Word::Alarm);
    let top = "mode = \"spool\"";
    let fleet = handing(&["a"], &url(&broker), top, "timeout = \"500ms\"");
    emit(&fleet, "a", "x.y");
    let watch = fleet
        .refpost(["flush", "--watch"])
        .arg(fleet.bare_path("a"));
    let watch = Background::start(watch);
    eventually("it has tried three times", || broker.opened().len() > 2);
    eventually("all but the last one are closed", || {
        let opened = broker.opened();
        opened.iter().filter(|one| !one.is_gone).count() <= 1
    });
    drop(watch);
}
