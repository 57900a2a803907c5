//! Connections to Debian's `RabbitMQ` that nothing passes over any more, and that nobody closes.

use std::time::Instant;

use crate::support::handed::{Handed, told};
use crate::support::spooled::{eventually, signal};
use crate::support::{Background, Wire};

/// Longest time in which another worker takes over, in seconds.
const TAKES_OVER: u64 = 20;

#[test]
fn connections_that_nothing_passes_over_are_given_up_by_both_ends() {
    let Some(handed) = Handed::new(1) else { return };
    let broker = &handed.broker;
    let (publishing, taking) = (Wire::to(broker.port), Wire::to(broker.port));
    let by = |wire: &Wire, user: &str| {
        let (here, there) = (broker.port.to_string(), wire.port.to_string());
        broker.url(user).replace(&here, &there)
    };
    let top = "mode = \"spool\"";
    handed.configure(&by(&publishing, "git1"), top, "timeout = \"3s\"");
    handed.configure_worker("w", &by(&taking, "worker1"), "", "");
    handed.configure_worker("standby", &broker.url("worker1"), "", "");
    handed.repository("a");
    let both_take = || eventually("one stands by", || broker.consumers("refpost.0") == 2);
    let arrive = |topics: &[&str]| {
        let expected: Vec<String> = topics.iter().map(|topic| format!("a {topic}")).collect();
        assert_eq!(told(&handed.receiver.wait_for(topics.len())), expected);
    };
    let watch = Background::start(handed.refpost(&["flush", "--watch", "--server"]));
    let mut first = handed.start("w");
    handed.emit("a", "x.one");
    arrive(&["x.one"]);
    let mut standby = handed.start("standby");
    both_take();

    // A worker's.
    taking.hang();
    let begun = Instant::now();
    handed.emit("a", "x.two");
    arrive(&["x.two"]);
    let took = begun.elapsed().as_secs();
    assert!(took <= TAKES_OVER, "{took} s");
    eprintln!("a worker whose connection hung was replaced after {took} s");
    // It has found out by itself, too.
    taking.heal();
    both_take();

    // A git server's, which it keeps.
    publishing.hang();
    handed.emit("a", "x.three");
    let log = handed.bare("a").join("refpost/spool/log");
    eventually("it gives up", || {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("\"timeout\"")
    });
    handed.emit("a", "x.four");
    assert!(handed.receiver.take().is_empty());
    publishing.heal();
    arrive(&["x.three", "x.four"]);

    // Both at once.
    publishing.hang();
    taking.hang();
    handed.emit("a", "x.five");
    for worker in [&mut first, &mut standby] {
        signal("TERM", worker.0.id());
        assert!(worker.0.wait().unwrap().success());
    }
    publishing.heal();
    taking.heal();
    eventually("it is handed over", || handed.waiting("a") == 0);
    // The broker takes a while to find out that nobody is behind the connection that it gave it to.
    let mut last = Vec::new();
    eventually("it arrives", || {
        for name in ["w", "standby"] {
            handed.work(name, &["--once"]);
        }
        last.extend(told(&handed.receiver.take()));
        !last.is_empty()
    });
    assert_eq!(last, ["a x.five"]);
    drop(watch);
    assert_eq!(handed.waiting("a"), 0);
    for name in ["w", "standby"] {
        for folder in ["new", "retry/ci", "failed"] {
            assert_eq!(handed.spooled(name, folder), [""; 0], "{name} {folder}");
        }
    }
    broker.wait_for("refpost.0", 0);
}
