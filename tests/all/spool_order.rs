//! In order, and once unless something dies: whoever delivers, whatever a receiver
//! answers.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::spooled::{commits, eventually, late, names, odd_receiver, refuse, to};
use crate::support::{Answer, Background, KEY, Python, Receiver, Request, Spooled};

fn msg_ids(requests: &[Request]) -> Vec<String> {
    let id = |request: &Request| request.message().msg_id().to_owned();
    requests.iter().map(id).collect()
}

#[test]
fn flushes_a_watch_and_sync_hooks_at_once_repeat_nothing() {
    const PUSHES: usize = 80;
    let site = Spooled::new();
    let sync = "mode = \"sync\"\npush_budget = \"60s\"";
    let rest = [site.endpoint("two"), site.endpoint("three")].concat();
    site.configure(sync, &rest);
    // Long enough for everybody to be in everybody's way.
    site.receiver
        .script(|_| late(Duration::from_millis(2), 200));
    let chain = site.chain(PUSHES);
    let _watch = Background::start(site.refpost(["flush", "--watch"]).arg(&site.bare));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    site.flush().well();
                }
            });
        }
        for commit in &chain {
            let refspec = format!("{commit}:refs/heads/main");
            let push = site.git_run(&["push", "-q", "origin", &refspec]).run();
            assert_eq!(push.status, 0, "{}", push.stderr);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    eventually("the spool is empty", || site.files().is_empty());
    let requests = site.receiver.take();
    for path in ["/one", "/two", "/three"] {
        let mine = to(path, &requests);
        assert_eq!(commits(&mine), chain, "{path}");
        let ids: HashSet<_> = msg_ids(&mine).into_iter().collect();
        assert_eq!(ids.len(), PUSHES);
    }
}

#[test]
fn pushers_at_once_are_each_announced_once() {
    const EACH: usize = 12;
    let site = Spooled::with("");
    let chain = site.chain(EACH);
    thread::scope(|scope| {
        for pusher in 0..4 {
            let (site, chain) = (&site, &chain);
            scope.spawn(move || {
                for commit in chain {
                    let refspec = format!("{commit}:refs/heads/branch-{pusher}");
                    let args = ["push", "-q", "origin", &refspec];
                    let push = site.git_run(&args).run();
                    assert_eq!(push.status, 0, "{}", push.stderr);
                }
            });
        }
    });
    eventually("the spool is empty", || site.files().is_empty());
    let requests = site.receiver.take();
    let ids: HashSet<_> = msg_ids(&requests).into_iter().collect();
    assert_eq!(ids.len(), requests.len());
    for pusher in 0..4 {
        let mut told = Vec::new();
        for request in &requests {
            let message = request.message();
            if message.about() == ("git.receive", &format!("branch-{pusher}")) {
                told.push(message["end_commit"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(told, chain);
    }
}

#[test]
fn a_flush_of_many_turns_keeps_the_order() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", &site.endpoint("two"));
    // Longer than a flush has `new/` to itself at a time, and one is quicker than the other.
    site.receiver.script(|request| {
        let is_slow = request.line.starts_with("POST /two ");
        late(Duration::from_millis(if is_slow { 50 } else { 30 }), 200)
    });
    let pushed = site.announce_many(24);
    let requests = site.flush_well();
    assert_eq!(commits(&to("/one", &requests)), pushed);
    assert_eq!(commits(&to("/two", &requests)), pushed);
    assert!(site.files().is_empty());
}

#[test]
fn what_is_down_holds_its_own_queue_only() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", &site.endpoint("two"));
    site.receiver.script(|request| {
        let is_down = request.line.starts_with("POST /two ");
        Answer::status(if is_down { 503 } else { 200 })
    });
    let pushed = site.announce_many(3);
    let requests = site.flush_well();
    assert_eq!(commits(&to("/one", &requests)), pushed);
    // One attempt shows it; nobody needs three.
    assert_eq!(commits(&to("/two", &requests)), pushed[..1]);
    let waiting = site.names("retry/two");
    let attempts: Vec<_> = waiting
        .iter()
        .map(|name| name.split('.').nth(1).unwrap())
        .collect();
    let mut sorted = attempts.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["0", "0", "1"], "{waiting:?}");
    assert_eq!(site.files().len(), 3);

    // Until it is due, a flush leaves it alone; the others get on.
    let (fourth, _) = site.announce();
    let requests = site.flush_well();
    assert_eq!(commits(&requests).concat(), fourth);
    assert!(to("/two", &requests).is_empty());

    site.receiver.script(|_| Answer::status(200));
    site.retry_all();
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        site.flush().well();
        arrived.extend(site.receiver.take());
        arrived.len() == 4
    });
    let all: Vec<String> = pushed.into_iter().chain([fourth]).collect();
    assert_eq!(commits(&to("/two", &arrived)), all);
    eventually("the spool is empty", || site.files().is_empty());
}

#[test]
fn a_refused_message_steps_aside() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", "[retry]\nschedule = [\"1s\"]");
    let pushed = site.announce_many(3);
    refuse(&site.receiver, 404, &[&pushed[1]]);
    let ran = site.flush();
    assert_eq!(ran.status, 0);
    let event = "refpost: endpoint.failing ";
    assert!(ran.stderr.starts_with(event), "{}", ran.stderr);
    assert_eq!(commits(&site.receiver.take()), pushed);
    let aside = site.names("retry/one");
    assert_eq!(aside.len(), 1);
    assert!(
        aside[0].contains(".1.0.") && aside[0].ends_with(",0"),
        "{aside:?}"
    );

    // It is told once; and tried again when it is due.
    eventually("it was tried again", || {
        site.flush().well();
        !site.receiver.take().is_empty()
    });
    let (fourth, _) = site.announce();
    assert!(commits(&site.flush_well()).contains(&fourth));
    refuse(&site.receiver, 404, &[]);
    let mut arrived = Vec::new();
    eventually("it was taken", || {
        site.flush();
        arrived.extend(site.receiver.take());
        site.files().is_empty()
    });
    assert_eq!(commits(&arrived), pushed[1..2]);
}

#[test]
fn a_sync_hook_overtakes_nobody_and_says_so() {
    let site = Spooled::with("mode = \"sync\"");
    site.receiver.script(|_| Answer::status(503));
    let (first, push) = site.announce();
    assert_eq!(
        push.remote(),
        ["refpost: 1 message queued for `one` (it is down: it answered 503)"]
    );
    site.receiver.script(|_| Answer::status(200));
    let (second, push) = site.announce();
    let said = push.remote().join("\n");
    assert!(
        said.starts_with("refpost: 1 message queued for `one` (failing for ")
            && said.ends_with(", 2 waiting)"),
        "{said}"
    );
    assert!(site.receiver.take().is_empty());
    site.retry_all();
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        site.flush().well();
        arrived.extend(site.receiver.take());
        arrived.len() == 2
    });
    assert_eq!(commits(&arrived), [first, second]);
}

#[test]
fn a_sync_hook_finds_what_spool_mode_left_and_sets_it_off() {
    let site = Spooled::new();
    let (first, _) = site.announce();
    site.configure("mode = \"sync\"", "");
    let (second, push) = site.announce();
    assert_eq!(
        push.remote(),
        ["refpost: 1 message queued for `one` (behind older ones, 2 waiting)"]
    );
    let mut arrived = push.requests;
    eventually("they arrived", || {
        arrived.extend(site.receiver.take());
        arrived.len() == 2
    });
    assert_eq!(commits(&arrived), [first, second]);
}

#[test]
fn a_repeat_has_the_same_bytes() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(500));
    site.announce();
    site.flush_well();
    let tried = site.attempts().len();
    assert_eq!(tried, 1);
    site.retry_all();
    eventually("it was tried again", || {
        site.flush().well();
        site.attempts().len() > 1
    });
    site.receiver.script(|_| Answer::status(200));
    // Neither a rename of what sends nor of the branch changes what is frozen.
    site.bare_git(&["branch", "-m", "main", "trunk"]);
    site.retry_all();
    eventually("it arrived", || {
        site.flush();
        site.files().is_empty()
    });
    let attempts = site.attempts();
    assert!(
        attempts
            .iter()
            .all(|one| one["msg_id"] == attempts[0]["msg_id"])
    );
}

#[test]
fn the_same_bytes_are_signed_anew() {
    let site = Spooled::new();
    let other = Receiver::start();
    let configure = |key: &str, url: &str| {
        site.settings(&format!(
            "mode = \"spool\"\nkey = \"{key}\"\n[[endpoint]]\nname = \"one\"\nurl = \"{url}\""
        ));
    };
    configure(KEY, &site.receiver.url("/old"));
    site.receiver.script(|_| Answer::status(503));
    let (commit, _) = site.announce();
    let before = site.flush_well();
    configure("rotated", &other.url("/moved"));
    site.retry_all();
    let after = other.wait_for(1);
    assert_eq!(commits(&after), [commit]);
    assert!(after[0].line.starts_with("POST /moved "));
    assert_eq!(before[0].body, after[0].body);
    for (key, request) in [(KEY, &before[0]), ("rotated", &after[0])] {
        if let Some((sha1, sha256)) = Python::sign(key, &request.body) {
            assert_eq!(request.header("X-Pagure-Signature"), Some(sha1.as_str()));
            assert_eq!(
                request.header("X-Pagure-Signature-256"),
                Some(sha256.as_str())
            );
        }
    }
}

#[test]
fn a_push_goes_on_where_it_stopped() {
    let site = Spooled::new();
    site.git(&["branch", "a"]);
    site.git(&["branch", "b"]);
    site.git(&["branch", "c"]);
    let push = site.push(&["a", "b", "c"]);
    assert_eq!(push.remote(), ["refpost: 3 messages queued for `one`"]);
    site.receiver.script(|request| {
        let is_b = request.message()["branch"] == "b";
        Answer::status(if is_b { 503 } else { 200 })
    });
    let branches = |requests: &[Request]| -> Vec<String> {
        let branch = |request: &Request| request.message()["branch"].as_str().unwrap().to_owned();
        requests.iter().map(branch).collect()
    };
    assert_eq!(branches(&site.flush_well()), ["a", "b"]);
    let waiting = site.names("retry/one");
    assert_eq!(waiting.len(), 1);
    // One failure of the message after the first.
    assert!(waiting[0].contains(".1.1."), "{waiting:?}");
    site.receiver.script(|_| Answer::status(200));
    site.retry_all();
    let mut arrived = Vec::new();
    eventually("the rest arrived", || {
        site.flush().well();
        arrived.extend(site.receiver.take());
        arrived.len() == 2
    });
    assert_eq!(branches(&arrived), ["b", "c"]);
}

#[test]
fn the_first_message_alone_is_tried_while_a_receiver_is_down() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", "[retry]\nschedule = [\"1s\"]");
    site.receiver.script(|_| Answer::status(503));
    site.announce_many(2);
    eventually("it failed six times", || {
        site.flush_well();
        site.attempts().len() >= 6
    });
    let attempts = site.attempts();
    assert!(
        attempts
            .iter()
            .all(|one| one["msg_id"] == attempts[0]["msg_id"])
    );
}

#[test]
fn one_connection_carries_a_queue() {
    let site = Spooled::new();
    let chain = site.chain(20);
    for commit in &chain {
        site.push(&[&format!("{commit}:refs/heads/main")]);
    }
    let before = site.receiver.connections();
    let requests = site.flush_well();
    assert_eq!(commits(&requests), chain);
    assert_eq!(site.receiver.connections(), before + 1);
}

#[test]
fn many_endpoints_are_worked_on_side_by_side() {
    let site = Spooled::new();
    let hangs = odd_receiver(|stream| {
        // Nobody answers while the other queue is worked on.
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(90));
            drop(stream);
        });
    });
    let hanging =
        format!("\n[[endpoint]]\nname = \"hangs\"\nurl = \"{hangs}\"\ntimeout = \"60s\"\n");
    site.configure("mode = \"spool\"", &hanging);
    let pushed = site.announce_many(3);
    let _flush = Background::start(site.refpost(["flush"]).arg(&site.bare));
    assert_eq!(commits(&site.receiver.wait_for(3)), pushed);
    eventually("what is late has a queue of its own", || {
        names(&site.spool().join("retry/hangs")).len() == 3
    });
    assert!(fs::metadata(site.spool().join("log")).is_ok());
}
