//! `flush --watch`: what comes, what falls due, and an end that is clean.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::spooled::{
    announce_to, commits, eventually, late, odd_receiver, sibling, signal,
};
use crate::support::{Answer, Background, KEY, Spooled};

/// A watch over these paths.
fn watch(site: &Spooled, paths: &[&Path]) -> Background {
    Background::start(site.refpost(["flush", "--watch"]).args(paths))
}

#[test]
fn a_watch_delivers_what_comes() {
    let site = Spooled::new();
    let (first, _) = site.announce();
    let mut watch = watch(&site, &[&site.bare]);
    assert_eq!(commits(&site.receiver.wait_for(1)), [first]);
    for _ in 0..3 {
        let (commit, push) = site.announce();
        let mut arrived = push.requests;
        if arrived.is_empty() {
            arrived = site.receiver.wait_for(1);
        }
        assert_eq!(commits(&arrived), [commit]);
    }
    signal("TERM", watch.0.id());
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
    eventually("the spool is empty", || site.files().is_empty());
}

#[test]
fn a_watch_delivers_the_first_push_of_a_repository() {
    let site = Spooled::new();
    let other = sibling(&site, "group/other.git");
    let shared = sibling(&site, "group/shared.git");
    let config = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    let spool = site.path("not/yet/there");
    site.write(
        "group/shared.git/refpost.toml",
        format!("spool = \"{}\"\n{config}", spool.display()),
    );
    let root = site.path("");
    let mut watch = watch(&site, &[&root]);
    // Once that has arrived, it is up.
    announce_to(&site, &site.bare);
    site.receiver.wait_for(1);
    for bare in [&other, &shared, &other, &shared] {
        let commit = announce_to(&site, bare);
        assert_eq!(
            commits(&site.receiver.wait_for(1)),
            [commit],
            "{}",
            bare.display()
        );
    }
    signal("TERM", watch.0.id());
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_watch_delivers_what_falls_due() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", "[retry]\nschedule = [\"1s\"]");
    site.receiver.script(|_| Answer::status(503));
    let _watch = watch(&site, &[&site.bare]);
    let pushed = site.announce_many(2);
    eventually("it failed twice", || site.attempts().len() >= 2);
    site.receiver.script(|_| Answer::status(200));
    eventually("the spool is empty", || site.files().is_empty());
    let requests = site.receiver.take();
    let last = &requests[requests.len() - 2..];
    assert_eq!(commits(last), pushed);
}

#[test]
fn a_watch_ends_what_it_began() {
    let site = Spooled::new();
    let pushed = site.announce_many(2);
    site.receiver.script(|_| late(Duration::from_secs(1), 200));
    let mut watch = watch(&site, &[&site.bare]);
    eventually("the first is on its way", || {
        site.receiver.connections() > 0
    });
    thread::sleep(Duration::from_millis(200));
    signal("TERM", watch.0.id());
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
    site.receiver.script(|_| Answer::status(200));
    site.flush().well();
    // The first came once, for its answer was waited for.
    assert_eq!(commits(&site.receiver.take()), pushed);
}

#[test]
fn a_watch_takes_a_changed_config() {
    let site = Spooled::new();
    let good = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    let _watch = watch(&site, &[&site.bare]);
    site.announce();
    eventually("it is up", || {
        site.files().is_empty() && site.spool().is_dir()
    });
    site.receiver.take();
    site.settings("broken");
    let (first, _) = site.announce();
    site.settings(&good);
    let (second, push) = site.announce();
    let mut arrived = push.requests;
    eventually("they arrived", || {
        arrived.extend(site.receiver.take());
        arrived.len() == 2
    });
    assert_eq!(commits(&arrived), [first, second]);
}

/// How often a process has read so far (proc(5), `io`).
fn reads(process: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    let line = io.lines().find(|line| line.starts_with("syscr: ")).unwrap();
    line["syscr: ".len()..].parse().unwrap()
}

#[test]
fn a_watch_that_can_do_nothing_does_nothing() {
    let site = Spooled::new();
    let key = site.path("no-such-key");
    let url = site.receiver.url("/hook");
    site.settings(&format!(
        "mode = \"spool\"\nkey_file = \"{}\"\nurls = [\"{url}\"]\n",
        key.display()
    ));
    site.announce();
    let watch = watch(&site, &[&site.bare]);
    eventually("it has looked", || {
        site.names("new").is_empty() && !site.files().is_empty()
    });
    thread::sleep(Duration::from_millis(500));
    let before = reads(watch.0.id());
    thread::sleep(Duration::from_secs(2));
    // It looks around now and then; it does not spin.
    let during = reads(watch.0.id()) - before;
    assert!(during < 500, "{during} reads while nothing could be done");
    // Once the key is there, it is delivered.
    site.write("no-such-key", KEY);
    site.receiver.wait_for(1);
}

/// How often a process has slept so far (proc(5), `status`).
fn sleeps(process: u32) -> u64 {
    let count = |status: String| -> u64 {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    };
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let statuses = threads.filter_map(|it| fs::read_to_string(it.ok()?.path().join("status")).ok());
    statuses.map(count).sum()
}

#[test]
fn a_watched_repository_that_is_deleted_is_left_alone() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", "[retry]\nschedule = [\"1s\"]");
    let other = sibling(&site, "other.git");
    let mut watch = watch(&site, &[&site.bare, &other]);
    site.receiver.script(|_| Answer::status(503));
    site.announce();
    eventually("it was tried", || !site.attempts().is_empty());
    // The watch may be writing there.
    eventually("it is deleted", || {
        fs::remove_dir_all(&site.bare).is_ok() || !site.bare.exists()
    });
    // Its queue falls due once more.
    thread::sleep(Duration::from_secs(3));
    let before = sleeps(watch.0.id());
    thread::sleep(Duration::from_secs(4));
    // It looks around now and then. The queue was tried twice a second, as a busy one is.
    let during = sleeps(watch.0.id()) - before;
    assert!(during < 12, "it woke {during} times for what is gone");
    site.receiver.script(|_| Answer::status(200));
    site.receiver.take();
    let commit = announce_to(&site, &other);
    assert_eq!(commits(&site.receiver.wait_for(1)), [commit]);
    signal("TERM", watch.0.id());
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_spool_that_was_deleted_and_made_again_was_watched_no_more() {
    let site = Spooled::new();
    let mut watch = watch(&site, &[&site.bare]);
    let arrives = || {
        let (commit, push) = site.announce();
        let mut arrived = push.requests;
        arrived.extend(site.receiver.wait_for(1 - arrived.len()));
        assert_eq!(commits(&arrived), [commit]);
    };
    arrives();
    // What came of it is noted down beside us.
    eventually("it is removed", || fs::remove_dir_all(site.spool()).is_ok());
    thread::sleep(Duration::from_secs(1));
    for _ in 0..2 {
        let begun = Instant::now();
        arrives();
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
    signal("TERM", watch.0.id());
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_hanging_receiver_does_not_hold_up_a_watch() {
    let site = Spooled::new();
    let hangs = odd_receiver(|stream| {
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(90));
            drop(stream);
        });
    });
    let hanging =
        format!("\n[[endpoint]]\nname = \"hangs\"\nurl = \"{hangs}\"\ntimeout = \"60s\"\n");
    site.configure("mode = \"spool\"", &hanging);
    let _watch = watch(&site, &[&site.bare]);
    for _ in 0..3 {
        let (commit, push) = site.announce();
        let mut arrived = push.requests;
        if arrived.is_empty() {
            arrived = site.receiver.wait_for(1);
        }
        assert_eq!(commits(&arrived), [commit]);
    }
}
