//! A git server, Debian's `RabbitMQ` with the definitions that this project has, and `refpost work`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::fleet::shard;
use crate::support::handed::{Handed, KEY, WORKER, told};
use crate::support::spooled::{eventually, signal};
use crate::support::{Accounts, Python, Ran, Wire};

/// Checks that `check` reached the broker, and found no error.
fn is_well(ran: &Ran) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains(" takes entries\n"), "{said}");
    assert_eq!(ran.status, 0, "{said}");
}

#[test]
fn a_push_goes_by_a_broker_to_a_worker_and_is_signed_there() {
    let Some(handed) = Handed::new(2) else { return };
    let wire = Wire::tapped(handed.broker.port);
    let by_wire = |user| {
        let (here, there) = (handed.broker.port.to_string(), wire.port.to_string());
        handed.broker.url(user).replace(&here, &there)
    };
    // `r2` and `r3` are in different queues.
    let of = |shard_: &str| {
        let mut names = (0..20).map(|n| format!("infra/r{n}"));
        names
            .find(|name| shard(&format!("{name}.git"), 2) == shard_)
            .unwrap()
    };
    let names = [of("0"), of("1")];
    let environment = &handed.accounts.environment;
    handed.configure(&by_wire("git1"), "mode = \"background\"", "shards = 2");
    handed.configure_worker("w", &by_wire("worker1"), "shards = 2", "");
    environment.git(&handed.path(""), &["init", "-q", "-b", "main", "work"]);
    let work = handed.path("work");
    let push = |name: &str| {
        environment.git(&work, &["commit", "-q", "--allow-empty", "-m", name]);
        let push = environment.run("git").dir(&work).args(["push", "-q"]);
        let ran = push.arg(handed.bare(name)).arg("main").run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.stderr.contains(" queued for `ci`"), "{}", ran.stderr);
    };
    for name in &names {
        handed.repository(name);
        push(name);
    }
    let mut worker = handed.start("w");
    let requests = handed.receiver.wait_for(4);
    for request in &requests {
        let (sha1, sha256) = Python::sign(KEY, &request.body).unwrap();
        assert_eq!(request.header("X-Pagure-Signature"), Some(&*sha1));
        assert_eq!(request.header("X-Pagure-Signature-256"), Some(&*sha256));
        assert_eq!(request.header("X-Token"), Some("a-value-of-a-header"));
        request.message();
    }
    let mut all = told(&requests);
    all.sort();
    let expected = names.iter().flat_map(|name| {
        let topics = ["git.branch.creation", "git.receive"];
        topics.map(|topic| format!("{name} {topic}"))
    });
    let mut expected: Vec<String> = expected.collect();
    expected.sort();
    assert_eq!(all, expected);
    let spool = fs::metadata(handed.path("worker/w")).unwrap();
    assert_eq!((spool.uid(), spool.mode() & 0o77), (WORKER, 0));

    // Both ends are well, and say so.
    for name in &names {
        let ran = handed.refpost(&["check"]).arg(handed.bare(name)).run();
        is_well(&ran);
    }
    let ran = Accounts::run(&mut handed.as_worker("w", &["check"]));
    is_well(&ran);

    // It ends well, and is told nothing of what comes later.
    signal("TERM", worker.0.id());
    assert!(worker.0.wait().unwrap().success(), "{}", handed.said("w"));
    for name in &names {
        push(name);
        eventually("it is handed over", || handed.waiting(name) == 0);
    }
    handed.work("w", &["--once", "--shards", "1"]);
    assert_eq!(
        told(&handed.receiver.take()),
        [format!("{} git.receive", names[1])]
    );
    handed.broker.wait_for("refpost.0", 1);
    handed.work("w", &["--once"]);
    assert_eq!(
        told(&handed.receiver.take()),
        [format!("{} git.receive", names[0])]
    );
    for queue in ["refpost.0", "refpost.1", "refpost.dead"] {
        handed.broker.wait_for(queue, 0);
    }
    assert_eq!(handed.said("w"), "");

    // TLS is off, and still no secret of an endpoint was on the wire.
    let bytes = wire.bytes();
    let has = |text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(has("refpost-entry 1 ") && has("git.receive"));
    for secret in [KEY, "a-path-that-is-secret", "a-value-of-a-header"] {
        assert!(!has(secret), "{secret}");
    }
}
