//! What others cost a push or a receiver: locks, backlogs, receivers that hang, clocks.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::support::spooled::{
    announce_to, commits, eventually, late, names, odd_receiver, sibling,
};
use crate::support::{Background, REFPOST, Receiver, Site, Spooled};

/// Leaves an intent of a push that was refused, which the next push settles.
fn abandon_an_intent(site: &Site) {
    site.hook("pre-receive", "REFPOST hook pre-receive\nexit 1");
    site.commit("refused");
    assert!(
        site.try_push(&["origin", "main:refs/heads/refused"])
            .said
            .contains("rejected")
    );
    assert_eq!(site.intents().len(), 1);
    fs::remove_file(site.bare.join("hooks/pre-receive")).unwrap();
    site.guarantee();
}

#[test]
fn a_push_does_not_wait_for_ever_for_a_locked_spool() {
    let site = Site::guaranteed();
    site.spooled();
    site.commit("first");
    site.push(&["main"]);
    abandon_an_intent(&site);
    let new = File::open(site.spool().join("new")).unwrap();
    new.lock().unwrap();
    site.commit("second");
    let started = Instant::now();
    let push = site.push(&["main"]);
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(
        push.said
            .contains("another process has held it for two seconds"),
        "{}",
        push.said
    );
    assert!(
        push.said.contains("recorded, to be announced"),
        "{}",
        push.said
    );
    drop(new);
    let flushed = site.flush();
    let topics: Vec<&str> = flushed.iter().map(|message| message.about().0).collect();
    assert_eq!(
        topics,
        ["git.branch.creation", "git.receive", "git.receive"]
    );
}

#[test]
fn a_watch_that_settles_an_intent_during_a_backlog_does_not_wait_for_its_own_lock() {
    let site = Site::guaranteed();
    let down = "mode = \"spool\"\nurls = [\"http://127.0.0.1:9/\"]\nunsigned = true\n";
    site.write("test.git/refpost.toml", down);
    let other = site.bare("other.git");
    fs::write(other.join("refpost.toml"), down).unwrap();
    site.commit("first");
    site.push(&["main"]);
    let new = site.spool().join("new");
    let entry = new.join(&names(&new)[0]);
    for n in 0..40_000 {
        let mut name = "20200101T000000.000000000Z-git1-".to_owned();
        write!(name, "{n:016x}").unwrap();
        fs::hard_link(&entry, new.join(name)).unwrap();
    }
    let watch = site.refpost(["flush", "--watch"]).arg(&site.bare);
    let _watch = Background::start(watch.arg(&other));
    eventually("it distributes", || names(&new).len() < 40_000);
    abandon_an_intent(&site);
    // It prepares all spools once more when a new one is there.
    fs::create_dir_all(other.join("refpost/spool/new")).unwrap();
    eventually("the intent is settled", || site.intents().is_empty());
    assert!(!names(&new).is_empty(), "the backlog is too short");
    site.commit("second");
    let started = Instant::now();
    let push = site.push(&["main"]);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(!push.said.contains("another process"), "{}", push.said);
    assert!(!names(&new).is_empty(), "the backlog is too short");
}

#[test]
fn ten_thousand_empty_queues_cost_one_flush_and_no_more() {
    let site = Spooled::new();
    site.announce();
    for n in 0..10_000 {
        fs::create_dir(site.spool().join(format!("retry/gone-{n}"))).unwrap();
        fs::create_dir(site.spool().join(format!("failed/gone-{n}"))).unwrap();
    }
    assert_eq!(site.flush_well().len(), 1);
    assert_eq!(site.names("retry"), [""; 0]);
    assert_eq!(site.names("failed"), [""; 0]);
    // The next push makes its folder again.
    let (commit, _) = site.announce();
    assert_eq!(commits(&site.flush_well()), [commit]);
}

#[test]
fn eight_slow_receivers_do_not_hold_up_a_ninth() {
    let site = Spooled::new();
    let receivers: Vec<Receiver> = (0..8).map(|_| Receiver::start()).collect();
    let mut slow = String::new();
    for (n, receiver) in receivers.iter().enumerate() {
        receiver.script(|_| late(Duration::from_secs(2), 200));
        let url = receiver.url("/");
        write!(slow, "\n[[endpoint]]\nname = \"a{n}\"\nurl = \"{url}\"\n").unwrap();
    }
    site.configure("mode = \"spool\"", &slow);
    site.announce_many(4);
    let flush = site.refpost(["flush", "--budget", "1s"]);
    flush.arg(&site.bare).run();
    assert_eq!(site.receiver.take().len(), 4);
    // The budget ends the beginning of attempts.
    let arrived: usize = receivers.iter().map(|slow| slow.take().len()).sum();
    assert_eq!(arrived, 8);
    assert_eq!(site.attempts().len(), 4 + 8);
}

#[test]
fn an_attempt_that_outlasts_the_budget_is_counted() {
    let site = Spooled::new();
    let hangs = odd_receiver(|stream| {
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(10));
            drop(stream);
        });
    });
    let hanging =
        format!("\n[[endpoint]]\nname = \"hangs\"\nurl = \"{hangs}\"\ntimeout = \"2s\"\n");
    site.configure("mode = \"spool\"", &hanging);
    site.announce();
    let flush = site.refpost(["flush", "--budget", "1s"]);
    flush.arg(&site.bare).run();
    let attempts = site.attempts();
    let hung: Vec<_> = attempts
        .iter()
        .filter(|one| one["endpoint"] == "hangs")
        .collect();
    assert_eq!(hung.len(), 1, "{attempts:?}");
    assert_eq!(hung[0]["status"], "timeout");
    assert!(site.names("retry/hangs")[0].contains(".1.0."));
}

/// Gives the one entry in `new/` so many more names, all older.
fn repeat(site: &Spooled, count: usize) {
    let new = site.spool().join("new");
    let first = new.join(&site.names("new")[0]);
    for n in 0..count {
        let mut name = "20200101T000000.000000000Z-git1-".to_owned();
        write!(name, "{n:016x}").unwrap();
        fs::hard_link(&first, new.join(name)).unwrap();
    }
}

#[test]
fn an_answer_that_comes_during_a_long_distribution_is_not_timed_out() {
    let site = Spooled::new();
    site.settings(&format!(
        "mode = \"spool\"\n[[endpoint]]\nname = \"late\"\nurl = {:?}\nunsigned = true\n\
         timeout = \"2s\"\n",
        site.receiver.url("/late")
    ));
    let answer = Duration::from_millis(400);
    site.receiver.script(move |_| late(answer, 200));
    site.announce();
    repeat(&site, 20_000);
    let flush = site.refpost(["flush", "--budget", "5s"]).arg(&site.bare);
    flush.run();
    let attempts = site.attempts();
    assert!(attempts.len() > 2, "{attempts:?}");
    assert!(
        attempts.iter().all(|one| one["status"] == 200),
        "{attempts:?}"
    );
    assert_eq!(site.receiver.take().len(), attempts.len());
}

#[test]
fn a_sync_push_does_not_wait_for_a_backlog() {
    let site = Spooled::new();
    let down = "[[endpoint]]\nname = \"down\"\nurl = \"http://127.0.0.1:9/\"\nunsigned = true\n";
    site.settings(&format!("mode = \"spool\"\n{down}"));
    site.announce();
    repeat(&site, 20_000);
    site.settings(&format!("mode = \"sync\"\npush_budget = \"200ms\"\n{down}"));
    let (_, push) = site.announce();
    let left = site.names("new").len();
    assert!(
        left > 1000,
        "{left} in `new/`: it distributed the whole backlog"
    );
    let queued = "queued for `down` (no time left)";
    assert!(push.said.contains(queued), "{}", push.said);
}

#[test]
fn a_sync_push_distributed_and_waited_behind_the_pushes_of_other_repositories() {
    let site = Spooled::new();
    let other = sibling(&site, "other.git");
    let spool = site.path("shared");
    let mut text = format!("spool = {spool:?}\nunsigned = true\n");
    writeln!(text, "urls = [{:?}]", site.receiver.url("/one")).unwrap();
    let with = |mode: &str| format!("mode = \"{mode}\"\n{text}");
    site.write("other.git/refpost.toml", with("spool"));
    announce_to(&site, &other);
    let waits = || names(&spool.join("new"));
    let before = waits();
    assert_eq!(before.len(), 1);
    site.settings(&with("sync"));
    let (commit, push) = site.announce();
    assert!(push.said.contains("1 message sent to"), "{}", push.said);
    assert_eq!(commits(&push.requests), [commit]);
    assert_eq!(waits(), before);
    // A flush delivers it.
    assert_eq!(site.flush_well().len(), 1);
    assert!(waits().is_empty());
}

#[test]
fn a_clock_that_was_ahead_does_not_hide_what_waits() {
    let site = Spooled::new();
    site.announce();
    // The newest id was made ten days from now.
    let ahead = SystemTime::now() + Duration::from_hours(240);
    let spool = File::open(site.spool()).unwrap();
    spool.set_modified(ahead).unwrap();
    site.announce();
    thread::sleep(Duration::from_millis(1100));
    let listed = site.queue(&["list", "--older-than", "1s"]).well();
    assert_eq!(listed.stdout.lines().count(), 3, "{}", listed.stdout);
    let check = site.refpost(["check"]).arg(&site.bare).run();
    assert!(
        check.stdout.contains("ahead of the clock"),
        "{}",
        check.stdout
    );
}

#[test]
fn a_sync_push_reaches_more_endpoints_of_one_receiver_than_it_gets_requests_at_once() {
    let site = Spooled::new();
    let many: String = (0..8).map(|n| site.endpoint(&format!("a{n}"))).collect();
    site.configure("mode = \"sync\"\npush_budget = \"10s\"", &many);
    site.receiver
        .script(|_| late(Duration::from_millis(200), 200));
    let (_, push) = site.announce();
    assert!(!push.said.contains("queued"), "{}", push.said);
    assert_eq!(site.attempts().len(), 9, "{}", push.said);
    assert!(site.files().is_empty(), "{:?}", site.files());
}

#[test]
fn one_receiver_gets_four_requests_at_once_and_all_it_is_owed() {
    let site = Spooled::new();
    let mut many = String::new();
    for n in 0..20 {
        many.push_str(&site.endpoint(&format!("a{n}")));
    }
    site.configure("mode = \"spool\"", &many);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    site.receiver.script(move |_| {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let answer = late(Duration::from_millis(30), 200);
        now.fetch_sub(1, Ordering::SeqCst);
        answer
    });
    site.announce_many(3);
    let arrived = site.flush_well();
    assert_eq!(arrived.len(), 3 * 21);
    assert_eq!(seen.load(Ordering::SeqCst), 4);
    assert!(site.files().is_empty());
}

#[test]
fn no_more_requests_are_under_way_than_in_flight_says() {
    let site = Spooled::new();
    let more = ["b", "c"].map(|name| site.endpoint(name)).concat();
    site.configure("mode = \"spool\"", &more);
    site.write("system.toml", "[delivery]\nin_flight = 1\n");
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    site.receiver.script(move |_| {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let answer = late(Duration::from_millis(100), 200);
        now.fetch_sub(1, Ordering::SeqCst);
        answer
    });
    site.announce_many(3);
    assert_eq!(site.flush_well().len(), 3 * 3);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[test]
fn a_healthy_endpoint_beside_hundreds_that_hang_does_not_wait() {
    let site = Spooled::new();
    let mut hanging = String::new();
    let mut listeners = Vec::new();
    for n in 0..150 {
        // Nobody accepts, so a request is never answered.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listeners.push(listener);
        write!(
            hanging,
            "\n[[endpoint]]\nname = \"a{n}\"\nurl = \"http://{address}/\"\ntimeout = \"4s\"\n"
        )
        .unwrap();
    }
    site.configure(
        "mode = \"spool\"",
        &format!("[retry]\nschedule = [\"1s\"]{hanging}"),
    );
    site.announce();
    // From now on the others are known to fail.
    site.flush();
    site.receiver.take();
    thread::sleep(Duration::from_millis(1300));
    let (commit, _) = site.announce();
    let mut flush = Background::start(site.refpost(["flush"]).arg(&site.bare));
    let started = Instant::now();
    assert_eq!(commits(&site.receiver.wait_for(1)), [commit]);
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    flush.0.kill().unwrap();
}

#[test]
fn a_flush_with_few_descriptors_delivers_everything() {
    let site = Spooled::new();
    let mut many = String::new();
    for n in 0..40 {
        many.push_str(&site.endpoint(&format!("a{n}")));
    }
    site.configure("mode = \"spool\"", &many);
    site.announce_many(2);
    let limited = format!(
        "ulimit -n 64 && exec {REFPOST} flush {}",
        site.bare.display()
    );
    let ran = site.run("sh").args(["-c", &limited]).run();
    assert_eq!((ran.status, &*ran.stderr), (0, ""));
    assert_eq!(site.receiver.take().len(), 2 * 41);
}
