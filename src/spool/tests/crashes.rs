//! Every state between two system calls: the process is killed after one, two,
//! three of them, and afterwards nothing is lost.

use super::disk::fault::killed_after;
use super::*;

/// Prepares a spool, kills `act` after 0, 1, 2, … system calls until it completes, and calls
/// `look` after each.
///
/// Returns the number of states.
pub(super) fn at_every_crash<T>(
    prepare: impl Fn() -> Fixture,
    act: impl Fn(&Fixture) -> T,
    look: impl Fn(&Fixture, T),
) -> usize {
    for steps in 0..100 {
        let fixture = prepare();
        let (result, killed) = killed_after(steps, || act(&fixture));
        look(&fixture, result);
        if !killed {
            return steps;
        }
    }
    panic!("it never ends");
}

/// Makes an entry of three messages for `ci` and `deploy`, and one of one for `ci`, distributed.
fn distributed() -> Fixture {
    let fixture = enqueued();
    fixture.distribute();
    fixture
}

fn enqueued() -> Fixture {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1", "2", "3"], &["ci", "deploy"]);
    fixture.push("/srv/a.git", &["4"], &["ci"]);
    fixture
}

fn everything() -> Kept {
    kept(&[("ci", &["1", "2", "3", "4"]), ("deploy", &["1", "2", "3"])])
}

/// Runs a lane's step on the head of `ci`. Ignores its error: it was killed.
fn on_head<T>(fixture: &Fixture, act: impl FnOnce(&Lane, &Item) -> T) {
    let lane = fixture.lane("ci");
    let head = lane.waiting().unwrap().in_order.remove(0);
    act(&lane, &head);
}

/// Asserts that nothing was lost, that all that is left arrives in order, and that this was all.
fn nothing_lost(fixture: &Fixture, order: &[&str]) {
    assert_eq!(fixture.kept(), everything());
    let delivered = fixture.deliver_all("ci");
    let in_order: Vec<_> = delivered
        .iter()
        .filter(|id| order.contains(&id.as_str()))
        .collect();
    assert_eq!(in_order, order);
    assert!(fixture.ls("retry/ci").is_empty());
}

#[test]
fn enqueue_into_a_spool_that_is_not_there() {
    let states = at_every_crash(
        Fixture::new,
        |fixture| fixture.push_result("1"),
        |fixture, result| {
            // An entry that is there is whole; one that was promised is there.
            let there = fixture.kept();
            if result.is_ok() {
                assert_eq!(there, kept(&[("ci", &["1"])]));
            }
            // The next push finds no obstacle.
            fixture.push("/srv/a.git", &["2"], &["ci"]);
            assert!(fixture.kept()["ci"].contains("2"));
        },
    );
    assert!(states > 12, "{states}");
}

#[test]
fn enqueue() {
    at_every_crash(
        enqueued,
        |fixture| fixture.push_result("5"),
        |fixture, result| {
            let mut expected = everything();
            let there = fixture.kept();
            if result.is_ok() || there["ci"].contains("5") {
                expected.get_mut("ci").unwrap().insert("5".to_owned());
            }
            assert_eq!(there, expected);
        },
    );
}

#[test]
fn distribute() {
    let act = |fixture: &Fixture| {
        let _ = fixture.spool.distribute(Lock::Try, cannot_build);
    };
    at_every_crash(enqueued, act, |fixture, ()| {
        nothing_lost(fixture, &["1", "2", "3", "4"]);
        assert_eq!(fixture.deliver_all("deploy"), ["1", "2", "3"]);
    });
}

#[test]
fn distribute_while_others_deliver() {
    let act = |fixture: &Fixture| {
        let _ = fixture.spool.distribute(Lock::Try, cannot_build);
    };
    at_every_crash(enqueued, act, |fixture, ()| {
        // Another process delivers what there is, before it is distributed again.
        let mut arrived = fixture.deliver_all("ci");
        fixture.distribute();
        arrived.extend(fixture.deliver_all("ci"));
        let mut first = vec![];
        for id in arrived {
            if !first.contains(&id) {
                first.push(id);
            }
        }
        assert_eq!(first, ["1", "2", "3", "4"]);
    });
}

#[test]
fn distribute_what_is_owed() {
    let prepare = || {
        let fixture = Fixture::new();
        fixture.enqueue(&deferred("/srv/a.git", "1")).unwrap();
        fixture.push("/srv/a.git", &["2"], &["ci"]);
        fixture
    };
    let act = |fixture: &Fixture| {
        let build = |_: &Id, _: &Header| Ok::<_, Unbuilt>(built(&["built in time"], &["ci"]));
        let _ = fixture.spool.distribute(Lock::Try, build);
    };
    at_every_crash(prepare, act, |fixture, ()| {
        // A message that was delivered once keeps its bytes.
        let seen = fixture.deliver_all("ci");
        fixture.distribute();
        let rest = fixture.deliver_all("ci");
        if let Some(first) = seen.first() {
            assert_eq!(first, "built in time");
            assert!(!rest.contains(&"1".to_owned()));
        }
        let all: Vec<_> = seen.into_iter().chain(rest).collect();
        assert!(all.contains(&"1".to_owned()) || all.contains(&"built in time".to_owned()));
        assert_eq!(all.last().map(String::as_str), Some("2"));
        assert_eq!(fixture.distribute().entries, 0);
    });
}

#[test]
fn advance_and_defer() {
    at_every_crash(
        distributed,
        |fixture| on_head(fixture, |lane, head| lane.defer(head, noon(), 1)),
        |fixture, ()| nothing_lost(fixture, &["1", "2", "3", "4"]),
    );
    at_every_crash(
        distributed,
        |fixture| on_head(fixture, |lane, head| lane.advance(head, 3)),
        |fixture, ()| {
            let mut there = fixture.kept();
            there.get_mut("ci").unwrap().insert("1".to_owned());
            assert_eq!(there, everything(), "all but perhaps what was delivered");
        },
    );
}

#[test]
fn step_aside() {
    let states = at_every_crash(
        distributed,
        |fixture| on_head(fixture, |lane, head| lane.step_aside(head, 3, noon(), 1)),
        |fixture, ()| nothing_lost(fixture, &["2", "3", "4"]),
    );
    assert_eq!(states, 5, "link, flush, rename, rmdir, and through");
}

#[test]
fn step_aside_from_the_last_message() {
    let prepare = || {
        let fixture = distributed();
        on_head(&fixture, |lane, head| {
            let head = lane.advance(head, 3).unwrap().unwrap();
            lane.advance(&head, 3).unwrap()
        });
        fixture
    };
    at_every_crash(
        prepare,
        |fixture| on_head(fixture, |lane, head| lane.step_aside(head, 3, noon(), 1)),
        |fixture, ()| {
            assert!(fixture.kept()["ci"].contains("3"));
            let delivered = fixture.deliver_all("ci");
            assert_eq!(delivered.iter().filter(|id| *id == "3").count(), 1);
        },
    );
}

#[test]
fn fail() {
    let acts: [fn(&Lane, &Item) -> bool; 2] = [
        |lane, head| lane.fail_one(head, 3).is_ok(),
        |lane, head| lane.fail_rest(head).is_ok(),
    ];
    for act in acts {
        at_every_crash(
            distributed,
            |fixture| on_head(fixture, act),
            |fixture, ()| {
                assert_eq!(fixture.kept(), everything());
                // It fails again if the step did not complete, and is there once.
                let lane = fixture.lane("ci");
                for item in lane.waiting().unwrap().in_order {
                    if item.part == Part::From(0) {
                        act(&lane, &item);
                    }
                }
                drop(lane);
                assert_eq!(fixture.kept(), everything());
                let failed = fixture.ls("failed/ci");
                let distinct: BTreeSet<_> = failed.iter().collect();
                assert_eq!(distinct.len(), failed.len());
            },
        );
    }
}

#[test]
fn retry_and_drop_of_what_failed() {
    let prepare = || {
        let fixture = distributed();
        on_head(&fixture, |lane, head| {
            let rest = lane.fail_one(head, 3).unwrap().unwrap();
            lane.fail_rest(&rest).unwrap();
        });
        fixture
    };
    for part in 0..2 {
        let act = |fixture: &Fixture| {
            let failed = fixture.spool.failed(&queue("ci")).unwrap();
            let _ = fixture.spool.retry_failed(&failed[part], noon());
        };
        at_every_crash(prepare, act, |fixture, ()| {
            assert_eq!(fixture.kept(), everything());
            // Retries every item that is still there.
            for failed in fixture.spool.failed(&queue("ci")).unwrap() {
                fixture.spool.retry_failed(&failed, noon()).unwrap();
            }
            nothing_lost(fixture, &["2", "3", "4"]);
        });
    }
}

#[test]
fn set_aside() {
    let act = |fixture: &Fixture| {
        let id = fixture.spool.ids_in_new().unwrap().remove(0);
        let _ = fixture.spool.set_aside(&fixture.spool.new_name(&id), &id);
    };
    at_every_crash(enqueued, act, |fixture, ()| {
        for failed in fixture.spool.failed(&Queue::unreadable()).unwrap() {
            fixture.spool.retry_failed(&failed, noon()).unwrap();
        }
        nothing_lost(fixture, &["1", "2", "3", "4"]);
    });
}

#[test]
fn adopt() {
    let act = |fixture: &Fixture| {
        let central = Spool::new(fixture.dir.path().join("central"), Access::Owner);
        let _ = central.adopt(&fixture.spool);
        central
    };
    at_every_crash(distributed, act, |fixture, central| {
        central.adopt(&fixture.spool).unwrap();
        assert!(fixture.spool.is_empty().unwrap());
        let fixture = Fixture {
            spool: central,
            ..Fixture::new()
        };
        nothing_lost(&fixture, &["1", "2", "3", "4"]);
    });
}

impl Fixture {
    fn push_result(&self, msg_id: &str) -> Result<Id, SpoolError> {
        self.enqueue(&draft("/srv/a.git", &[msg_id], &["ci"]))
    }
}
