//! Debian's `RabbitMQ`, which has no room, or from which somebody takes parts away: nothing is lost,
//! and order is kept.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::handed::{Handed, told};
use crate::support::spooled::{eventually, objects};

/// The last attempt of a repository's log.
fn last_status(handed: &Handed, name: &str) -> Value {
    let log = handed.bare(name).join("refpost/spool/log");
    let log = objects(&fs::read_to_string(log).unwrap());
    log.last().unwrap()["status"].clone()
}

/// Waits until these have arrived, in this order.
#[track_caller]
fn arrive(handed: &Handed, expected: &[String]) {
    let mut all = Vec::new();
    eventually("all arrive", || {
        handed.flush_all();
        handed.work("w", &["--once"]);
        all.extend(told(&handed.receiver.take()));
        all.len() >= expected.len()
    });
    assert_eq!(all, expected);
}

#[test]
fn what_is_taken_away_from_a_broker_and_given_back_loses_nothing() {
    let Some(handed) = Handed::new(1) else { return };
    handed.repository("a");
    let url = handed.broker.url("git1");
    handed.configure(&url, "mode = \"spool\"", "timeout = \"2s\"");
    let broker = &handed.broker;
    let mut expected = Vec::new();
    let take: [(&str, &str, &dyn Fn()); 6] = [
        ("queue", "unroutable", &|| {
            broker.ctl(&["delete_queue", "-p", "refpost", "refpost.0"]);
        }),
        ("binding", "unroutable", &|| broker.unbind("refpost.0", "0")),
        ("exchange", "channel", &|| broker.delete_exchange()),
        ("right", "channel", &|| {
            broker.ctl(&["set_permissions", "-p", "refpost", "git1", "^$", "^$", "^$"]);
        }),
        ("login", "connection", &|| {
            broker.ctl(&["clear_permissions", "-p", "refpost", "git1"]);
        }),
        ("virtual host", "connection", &|| {
            broker.ctl(&["delete_vhost", "refpost"]);
        }),
    ];
    for (what, status, take) in take {
        take();
        for n in ["one", "two"] {
            let topic = format!("{}.{n}", what.replace(' ', "-"));
            handed.emit("a", &topic);
            expected.push(format!("a {topic}"));
        }
        let ran = handed.flush();
        assert_eq!(ran.status, 0, "{what}: {}", ran.stderr);
        assert!(ran.stderr.lines().count() <= 1, "{what}: {}", ran.stderr);
        let found = last_status(&handed, "a");
        // A connection that the broker does not allow is closed, in words or without.
        let is_login = status == "connection" && found == "closed";
        assert!(found == status || is_login, "{what}: {found}");
        assert_eq!(handed.waiting("a"), 2, "{what}");
        let check = handed.refpost(&["check"]).arg(handed.bare("a")).run();
        let sees = what != "binding" && what != "right";
        assert_eq!(check.status != 0, sees, "{what}: {}", check.stdout);
        broker.define();
        arrive(&handed, &expected);
        expected.clear();
    }

    // A worker that takes says it once, and goes on by itself.
    let worker = handed.start("w");
    handed.emit("a", "before");
    handed.flush_all();
    assert_eq!(told(&handed.receiver.wait_for(1)), ["a before"]);
    for (n, take) in [
        &["delete_queue", "-p", "refpost", "refpost.0"][..],
        &["delete_vhost", "refpost"],
    ]
    .iter()
    .enumerate()
    {
        let says = |what: &str| handed.said("w").matches(what).count() > n;
        broker.ctl(take);
        eventually("it says so", || says("cannot take from `refpost.0`"));
        broker.define();
        handed.emit("a", &format!("after.{n}"));
        handed.flush_all();
        let all = told(&handed.receiver.wait_for(1));
        assert_eq!(all, [format!("a after.{n}")]);
        eventually("it says so", || says("takes from `refpost.0` again"));
        // That the connection broke, that the queue is not there, that the user whom the broker makes
        // anew may not log in yet, and that all is well: each once.
        let said = handed.said("w");
        assert!(said.lines().count() <= 4 * (n + 1), "{said}");
    }
    drop(worker);
}

/// A later entry was taken after an earlier one of the same repository had been refused.
#[test]
fn a_queue_that_is_full_while_it_is_emptied_keeps_the_order() {
    const EACH: usize = 30;
    let Some(handed) = Handed::new(1) else { return };
    let url = handed.broker.url("git1");
    handed.configure(&url, "mode = \"spool\"", "timeout = \"5s\"");
    let limit = [
        "set_policy",
        "-p",
        "refpost",
        "refpost-limits",
        "^refpost\\.[0-9]+$",
    ];
    let of = ["{\"max-length\":3}", "--apply-to", "queues"];
    handed.broker.ctl(&[&limit[..], &of].concat());
    let names = ["a", "b", "c", "d"];
    for name in names {
        handed.repository(name);
        for n in 0..EACH {
            handed.emit(name, &format!("x.{n}"));
        }
    }
    handed.flush();
    let mut nacked = 0;
    for name in names {
        nacked += usize::from(last_status(&handed, name) == "nacked");
    }
    assert!(nacked > 0, "the queue was never full");
    let worker = handed.start("w");
    let mut all = Vec::new();
    eventually("all arrive", || {
        handed.flush_all();
        all.extend(told(&handed.receiver.take()));
        all.len() >= names.len() * EACH
    });
    for name in names {
        let own = all
            .iter()
            .filter(|one| one.starts_with(&format!("{name} ")));
        let expected: Vec<String> = (0..EACH).map(|n| format!("{name} x.{n}")).collect();
        assert_eq!(own.cloned().collect::<Vec<_>>(), expected);
    }
    drop(worker);
}

#[test]
fn a_broker_whose_disk_is_full_makes_no_push_slower() {
    let Some(handed) = Handed::new(1) else { return };
    let bare = handed.repository("a");
    let url = handed.broker.url("git1");
    handed.configure(&url, "mode = \"background\"", "timeout = \"2s\"");
    let environment = &handed.accounts.environment;
    environment.git(&handed.path(""), &["init", "-q", "-b", "main", "work"]);
    let work = handed.path("work");
    let push = || {
        environment.git(&work, &["commit", "-q", "--allow-empty", "-m", "x"]);
        let push = environment.run("git").dir(&work).args(["push", "-q"]);
        let begun = Instant::now();
        let ran = push.arg(&bare).arg("main").run();
        assert!(ran.stderr.contains(" queued for `ci`"), "{}", ran.stderr);
        begun.elapsed()
    };
    let before = push();
    eventually("it is handed over", || handed.waiting("a") == 0);
    handed.broker.ctl(&["set_disk_free_limit", "1000GB"]);
    let during = [push(), push(), push()];
    let most = before * 3 + Duration::from_millis(500);
    assert!(
        during.iter().all(|took| *took < most),
        "{before:?} {during:?}"
    );
    eventually("it is told", || last_status(&handed, "a") == "timeout");
    assert_eq!(handed.waiting("a"), 3);
    handed.broker.ctl(&["set_disk_free_limit", "64MB"]);
    eventually("it is handed over", || {
        handed.flush_all();
        handed.waiting("a") == 0
    });
    // What was sent during the alarm has come twice, and is delivered once.
    handed.work("w", &["--once"]);
    let all = told(&handed.receiver.take());
    let pushed = [
        "git.branch.creation",
        "git.receive",
        "git.receive",
        "git.receive",
        "git.receive",
    ];
    assert_eq!(all, pushed.map(|topic| format!("a {topic}")));
}
