//! Workers at Debian's `RabbitMQ`: what they refuse, when they take nothing more, who takes over.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;
use std::time::Instant;

use crate::support::handed::{Handed, WORKER, told};
use crate::support::spooled::{eventually, names, signal};
use crate::support::{Accounts, Answer};

/// The bytes of an entry of this repository that is not handed over yet.
fn entry(handed: &Handed, name: &str) -> (String, Vec<u8>) {
    let new = handed.bare(name).join("refpost/spool/new");
    let id = names(&new).pop().unwrap();
    let bytes = fs::read(new.join(&id)).unwrap();
    (id, bytes)
}

#[test]
fn what_a_worker_cannot_take_is_kept_once_and_acknowledged() {
    let Some(handed) = Handed::new(1) else { return };
    let broker = &handed.broker;
    handed.configure(&broker.url("git1"), "mode = \"spool\"", "");
    let believed = "publishers = { git1 = [\"infra/**\"], git2 = [\"apps/**\"] }";
    handed.configure_worker("w", &broker.url("worker1"), "", believed);
    for name in ["infra/dns", "apps/web"] {
        handed.repository(name);
        handed.emit(name, "x.y");
    }
    let (id, good) = entry(&handed, "infra/dns");
    let text = String::from_utf8(good.clone()).unwrap();
    let newer = text.replacen("refpost-entry 1 ", "refpost-entry 9 ", 1);
    let flipped = text.replacen("x.y", "x.z", 1);
    let large = [&good[..], &vec![b' '; 9 << 20]].concat();
    // The wrong user, nobody, no entry, cut off, changed, newer, without an id, 9 MiB behind it;
    // beside one that is well.
    handed.flush();
    broker.publish(None, &id, &good);
    broker.publish(Some("git1"), &id, b"no entry");
    broker.publish(Some("git1"), &id, &good[..good.len() - 1]);
    broker.publish(Some("git1"), &id, flipped.as_bytes());
    broker.publish(Some("git1"), &id, newer.as_bytes());
    broker.publish(Some("git1"), "", &good);
    broker.publish(Some("git1"), &id, &large);
    let ran = handed.work("w", &["--once"]);
    assert_eq!(told(&handed.receiver.take()), ["infra/dns x.y"]);
    broker.wait_for("refpost.0", 0);
    assert_eq!(
        handed.spooled("w", "failed/unreadable").len(),
        8,
        "{}",
        ran.stderr
    );
    let lines: Vec<&str> = ran.stderr.lines().collect();
    // Two are of one kind, of another length than they should have.
    assert_eq!(lines.len(), 7, "{lines:?}");
    let start = "refpost: cannot take an entry from `refpost.0`: ";
    assert!(
        lines.iter().all(|line| line.starts_with(start)),
        "{lines:?}"
    );
    for part in [
        "`git1` may not send for `apps/web.git` (`worker.publishers`)",
        "a user that it does not name may not send for `infra/dns.git`",
        "its `message_id` is no id of an entry",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {lines:?}");
    }
    // The same once more: nothing comes, and nothing is kept.
    broker.publish(Some("git1"), &id, &good);
    handed.work("w", &["--once"]);
    assert!(handed.receiver.take().is_empty());
    assert_eq!(handed.spooled("w", "failed/unreadable").len(), 8);
}

/// Nothing but the git server's `max_body` and `max_message` bounds what is well.
#[test]
fn an_entry_of_9_mib_arrives_between_its_neighbours() {
    let Some(handed) = Handed::new(1) else { return };
    let top = "mode = \"spool\"\nmax_body = \"10MiB\"";
    let url = handed.broker.url("git1");
    handed.configure(&url, top, "max_message = \"12MiB\"");
    handed.repository("a");
    let large = format!("{{\"text\": \"{}\"}}", "x".repeat(9 << 20));
    for (topic, msg) in [("x.one", "{}"), ("x.large", &large), ("x.three", "{}")] {
        let emit = handed.refpost(&["emit", "--topic", topic]);
        let ran = emit.arg(handed.bare("a")).stdin(msg).run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
    }
    handed.flush();
    assert_eq!(handed.waiting("a"), 0);
    let ran = handed.work("w", &["--once"]);
    assert_eq!(ran.stderr, "");
    let requests = handed.receiver.take();
    assert_eq!(told(&requests), ["a x.one", "a x.large", "a x.three"]);
    assert!(requests[1].body.len() > 9 << 20);
    handed.broker.wait_for("refpost.0", 0);
}

#[test]
fn a_worker_whose_spool_is_full_takes_nothing_more() {
    const ALL: usize = 150;
    let Some(handed) = Handed::new(1) else { return };
    let broker = &handed.broker;
    handed.configure(&broker.url("git1"), "mode = \"spool\"", "");
    let bound = "stop_at = \"40KiB\"";
    handed.configure_worker("w", &broker.url("worker1"), "", bound);
    handed.repository("a");
    for n in 0..ALL {
        handed.emit("a", &format!("x.{n}"));
    }
    handed.flush();
    broker.wait_for("refpost.0", ALL as u64);
    handed.receiver.script(|_| Answer::status(503));
    let worker = handed.start("w");
    let takes_nothing = "takes nothing from the broker: ";
    eventually("it says so", || handed.said("w").contains(takes_nothing));
    // An entry is some 1.4 KB, and 32 are made durable at once.
    eventually("the queue holds the rest", || {
        (ALL as u64 - 70..ALL as u64).contains(&broker.messages("refpost.0"))
    });
    assert_eq!(handed.said("w").matches(takes_nothing).count(), 1);
    handed.receiver.script(|_| Answer::status(200));
    handed.receiver.take();
    let mut all = Vec::new();
    eventually("all arrive", || {
        Accounts::run(&mut handed.as_worker("w", &["queue", "retry", "--all"]));
        all.extend(told(&handed.receiver.take()));
        all.len() >= ALL
    });
    let expected: Vec<String> = (0..ALL).map(|n| format!("a x.{n}")).collect();
    assert_eq!(all, expected);
    drop(worker);
}

#[test]
fn a_standby_takes_over_from_a_worker_that_is_cut_off() {
    let Some(handed) = Handed::new(1) else { return };
    let broker = &handed.broker;
    handed.configure(&broker.url("git1"), "mode = \"spool\"", "");
    for name in ["w", "standby"] {
        handed.configure_worker(name, &broker.url("worker1"), "", "");
    }
    handed.repository("a");
    let send = |topic: &str| {
        handed.emit("a", topic);
        handed.flush();
    };
    let mut first = handed.start("w");
    send("x.one");
    assert_eq!(told(&handed.receiver.wait_for(1)), ["a x.one"]);
    let standby = handed.start("standby");
    eventually("it stands by", || broker.consumers("refpost.0") == 2);
    signal("STOP", first.0.id());
    let begun = Instant::now();
    send("x.two");
    assert_eq!(told(&handed.receiver.wait_for(1)), ["a x.two"]);
    let took = begun.elapsed().as_secs();
    assert!(took <= 20, "{took} s");
    eprintln!("a worker that stood still was replaced after {took} s");
    // It wakes up, finds its connection gone, and stands by itself.
    signal("CONT", first.0.id());
    eventually("it stands by", || broker.consumers("refpost.0") == 2);
    send("x.three");
    assert_eq!(told(&handed.receiver.wait_for(1)), ["a x.three"]);
    // One that is killed is replaced at once.
    drop(standby);
    let begun = Instant::now();
    send("x.four");
    assert_eq!(told(&handed.receiver.wait_for(1)), ["a x.four"]);
    assert!(begun.elapsed().as_secs() <= 20);
    signal("TERM", first.0.id());
    assert!(first.0.wait().unwrap().success());
    // What was killed in the middle of it may repeat its last one.
    handed.work("standby", &["--once"]);
    for request in told(&handed.receiver.take()) {
        assert_eq!(request, "a x.three");
    }
    for name in ["w", "standby"] {
        assert!(handed.spooled(name, "new").is_empty());
        assert!(handed.spooled(name, "retry/ci").is_empty());
    }
    broker.wait_for("refpost.0", 0);
}

/// Each start of the worker ends as it gives the entry its name, as by a fault in it.
#[test]
fn an_entry_that_ends_the_worker_each_time_is_a_dead_letter() {
    let Some(handed) = Handed::new(1) else { return };
    let broker = &handed.broker;
    handed.configure(&broker.url("git1"), "mode = \"spool\"", "");
    handed.repository("a");
    handed.work("w", &["--once"]);
    handed.emit("a", "x.y");
    handed.flush();
    let (mut starts, mut deaths) = (0, 0);
    while deaths < 20 || broker.messages("refpost.dead") == 0 {
        assert!(starts < 60, "it is no dead letter after {deaths} deaths");
        starts += 1;
        let kill = [
            "-o",
            "/dev/null",
            "-e",
            "inject=linkat:error=EIO:signal=SIGKILL",
        ];
        let ran = traced(&handed, &kill).output().unwrap();
        // Where the broker has not seen yet that the last one died, nothing comes.
        deaths += u32::from(ran.status.signal() == Some(9));
    }
    eprintln!("a dead letter after {deaths} deaths");
    broker.wait_for("refpost.0", 0);
    assert!(handed.receiver.take().is_empty());
    handed.work("w", &["--dead", "--once"]);
    assert_eq!(told(&handed.receiver.take()), ["a x.y"]);
    broker.wait_for("refpost.dead", 0);
}

/// `work --once` under strace with these arguments.
fn traced(handed: &Handed, args: &[&str]) -> Command {
    let line = handed.as_worker("w", &[]);
    let variables = line.get_envs();
    let variables = variables.filter_map(|(name, value)| Some((name, value?)));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq"]).args(args);
    strace.arg(line.get_program()).args(["work", "--once"]);
    strace.env_clear().envs(variables);
    strace.uid(WORKER).gid(WORKER).current_dir("/");
    strace
}

/// What is known is acknowledged. After a power cut, the note was there and the entry was not.
#[test]
fn an_entry_was_known_before_it_was_durable() {
    let Some(handed) = Handed::new(1) else { return };
    handed.configure(&handed.broker.url("git1"), "mode = \"spool\"", "");
    handed.repository("a");
    for topic in ["x.one", "x.two"] {
        handed.emit("a", topic);
    }
    handed.flush();
    let trace = handed.path("worker/trace");
    let to = ["-y", "-o", trace.to_str().unwrap()];
    let calls = ["-e", "trace=linkat,fsync,writev"];
    let ran = traced(&handed, &[&to[..], &calls].concat())
        .output()
        .unwrap();
    assert!(ran.status.success());
    let text = fs::read_to_string(&trace).unwrap();
    let at = |call: &str, path: &str| {
        let mut lines = text.lines().enumerate();
        let found = lines.find(|(_, line)| line.contains(call) && line.contains(path));
        found.unwrap_or_else(|| panic!("{call} {path}: {text}")).0
    };
    let (named, noted) = (at(" linkat(", "w/new>"), at(" writev(", "w/taken>"));
    let durable = at(" fsync(", "w/new>");
    assert!(
        named < durable && durable < noted,
        "{named} {durable} {noted}"
    );
    assert_eq!(told(&handed.receiver.take()), ["a x.one", "a x.two"]);
}
