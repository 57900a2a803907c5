//! Intents, killed between any two system calls: none is lost before it is settled, and none is
//! settled twice.

use super::crashes::at_every_crash;
use super::*;

fn update(branch: &str, old: u8, new: u8) -> RefUpdate {
    RefUpdate {
        old: Oid::from_bytes(&[old; 20]),
        new: Oid::from_bytes(&[new; 20]),
        name: RefName::new(format!("refs/heads/{branch}")),
    }
}

fn process() -> Process {
    Process {
        pid: 7,
        started: 8,
        place: "git1".to_owned(),
    }
}

fn intent_of(updates: &[RefUpdate]) -> Draft {
    Draft {
        process: Some(process()),
        content: Content::Deferred(updates.to_vec()),
        ..draft("/srv/a.git", &[], &[])
    }
}

impl Fixture {
    fn intend(&self, updates: &[RefUpdate]) -> Result<Id, SpoolError> {
        self.now.set(self.now.get() + Duration::from_secs(1));
        self.pushes.set(self.pushes.get() + 1);
        let parts = IdParts {
            now: self.now.get(),
            host: "git1",
            random: self.pushes.get(),
        };
        self.spool.intend(&intent_of(updates), &parts)
    }

    /// Returns the ref updates of each intent.
    fn intended(&self) -> Vec<Vec<RefUpdate>> {
        let intents = self.spool.intents().unwrap();
        let updates = intents.iter().map(|intent| intent.updates().to_vec());
        updates.collect()
    }

    /// Returns the oldest intent.
    fn intent(&self) -> Intent {
        self.spool.intents().unwrap().remove(0)
    }

    /// Settles intents as a flush does, then distributes.
    ///
    /// Returns the messages that arrive by it; one is named after the first branch of its entry.
    fn flush(&self, moved: &[RefUpdate]) -> Vec<String> {
        let confirmed = self.spool.confirmed().unwrap();
        for intent in self.spool.intents().unwrap() {
            if confirmed.contains(&intent.id) {
                self.spool.withdraw(&intent.id).unwrap();
                continue;
            }
            let mut own = intent.updates().to_vec();
            own.retain(|update| moved.contains(update));
            self.spool.settle(&intent, own).unwrap();
        }
        self.distribute();
        self.deliver_all("ci")
    }
}

/// Makes two intents: of `main` and `b`, and of `c` by another process.
fn two_intents() -> Fixture {
    let fixture = Fixture::new();
    fixture
        .intend(&[update("main", 1, 2), update("b", 0, 3)])
        .unwrap();
    fixture.intend(&[update("c", 4, 5)]).unwrap();
    fixture
}

fn first() -> Vec<RefUpdate> {
    vec![update("main", 1, 2), update("b", 0, 3)]
}

fn second() -> Vec<RefUpdate> {
    vec![update("c", 4, 5)]
}

#[test]
fn an_intent_keeps_all_that_is_known() {
    let fixture = two_intents();
    let intent = fixture.intent();
    assert_eq!(fixture.intended(), [first(), second()]);
    assert_eq!(intent.header.process, Some(process()));
    assert_eq!(intent.header.pusher.as_deref(), Some("alice"));
    assert_eq!(intent.header.time, noon() + Duration::from_nanos(7));
    assert_eq!(fixture.distribute().entries, 0, "it is not owed yet");
}

#[test]
fn an_intent_is_abandoned_when_its_process_is_gone_or_after_an_hour() {
    let fixture = two_intents();
    let intent = fixture.intent();
    let after = |minutes| intent.header.time + Duration::from_mins(minutes);
    let table = [
        (Life::Alive, 600, false),
        (Life::Gone, 0, true),
        (Life::Unknown, 59, false),
        (Life::Unknown, 61, true),
    ];
    for (life, minutes, expected) in table {
        assert_eq!(
            intent.is_abandoned(life, after(minutes)),
            expected,
            "{life:?} {minutes}"
        );
    }
    // A clock that was set back makes nothing old.
    assert!(!intent.is_abandoned(Life::Unknown, noon() - Duration::from_hours(9)));
}

#[test]
fn what_cannot_be_read_is_no_intent() {
    let fixture = two_intents();
    let name = fixture.ls("intent").remove(0);
    std::fs::write(fixture.path("intent").join(name), "half").unwrap();
    std::fs::write(fixture.path("intent/README"), "not ours").unwrap();
    assert_eq!(fixture.intended(), [second()]);
}

#[test]
fn intend() {
    // Into a spool that is not there, one without intents, and one with some.
    let prepared: [fn() -> Fixture; 3] = [
        Fixture::new,
        || {
            let fixture = Fixture::new();
            fixture.push("/srv/a.git", &["x"], &["ci"]);
            fixture
        },
        two_intents,
    ];
    for prepare in prepared {
        let states = at_every_crash(
            prepare,
            |fixture| fixture.intend(&[update("main", 2, 9)]),
            |fixture, result| {
                let new = vec![update("main", 2, 9)];
                let before = prepare().intended();
                let there = fixture.intended();
                if result.is_ok() || there.len() > before.len() {
                    assert_eq!(there, [before, vec![new]].concat());
                } else {
                    assert_eq!(there, before);
                }
                // The next push finds no obstacle.
                fixture.intend(&second()).unwrap();
                assert_eq!(fixture.intended().last(), Some(&second()));
            },
        );
        assert!(states >= 6, "{states}");
    }
}

#[test]
fn withdraw() {
    let act = |fixture: &Fixture| drop(fixture.spool.withdraw(&fixture.intent().id));
    at_every_crash(two_intents, act, |fixture, ()| {
        let there = fixture.intended();
        assert!(there == [first(), second()] || there == [second()]);
        // Once more does no harm.
        fixture.spool.withdraw(&two_intents().intent().id).unwrap();
        assert_eq!(fixture.intended(), [second()]);
    });
}

#[test]
fn strike() {
    // Updates that another push has made, and the rest of the intent.
    let table = [
        (vec![update("b", 0, 3)], vec![vec![update("main", 1, 2)]]),
        (vec![update("b", 0, 8)], vec![vec![update("main", 1, 2)]]),
        (vec![update("b", 7, 3)], vec![first()]),
        (vec![update("x", 0, 3)], vec![first()]),
        (first(), vec![]),
    ];
    for (moved, rest) in &table {
        let act = |fixture: &Fixture| drop(fixture.spool.strike(&fixture.intent(), moved));
        at_every_crash(two_intents, act, |fixture, ()| {
            let there = fixture.intended();
            let after = [&rest[..], &[second()]].concat();
            assert!(there == [first(), second()] || there == after, "{there:?}");
            if there != after {
                fixture.spool.strike(&fixture.intent(), moved).unwrap();
            }
            assert_eq!(fixture.intended(), after);
            // The rest is the same push's.
            if let [_] = &rest[..] {
                assert_eq!(fixture.intent().header.process, Some(process()));
            }
        });
    }
    let fixture = two_intents();
    let strike = || fixture.spool.strike(&fixture.intent(), &second()).unwrap();
    let ((), steps) = fixture.traced(strike);
    assert!(steps.is_empty(), "{steps:?}");
}

#[test]
fn settle() {
    // Updates that are found to have been made, and the messages of them.
    let table: [(&[RefUpdate], &[&str]); 3] = [
        (&first(), &["main"]),
        (&[update("b", 0, 3)], &["b"]),
        (&[], &[]),
    ];
    for (moved, told) in table {
        let act = |fixture: &Fixture| drop(fixture.spool.settle(&fixture.intent(), moved.to_vec()));
        at_every_crash(two_intents, act, |fixture, ()| {
            assert_eq!(fixture.flush(moved), told);
            assert_eq!(fixture.intended(), [[]; 0]);
            assert_eq!(fixture.flush(moved), [""; 0], "and that was all");
        });
        // Another process distributes before the next one settles.
        at_every_crash(two_intents, act, |fixture, ()| {
            fixture.distribute();
            let mut arrived = fixture.deliver_all("ci");
            arrived.extend(fixture.flush(moved));
            assert_eq!(arrived, told);
            assert_eq!(fixture.flush(moved), [""; 0]);
        });
    }
}

/// The entry of a settled intent has its place in the order.
#[test]
fn what_is_settled_keeps_its_time() {
    let fixture = two_intents();
    let intent = fixture.intent();
    fixture.push("/srv/a.git", &["later"], &["ci"]);
    fixture.spool.settle(&intent, first()).unwrap();
    assert_eq!(fixture.ls("new")[0], intent.id.as_str());
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["main", "later"]);
}

/// Acts as post-receive: makes an entry that names the intent, then removes the intent.
fn confirm(fixture: &Fixture) {
    let id = fixture.intent().id;
    let entry = Draft {
        confirms: vec![id.clone()],
        ..draft("/srv/a.git", &["told"], &["ci"])
    };
    if fixture.enqueue(&entry).is_ok() {
        let _ = fixture.spool.withdraw(&id);
    }
}

#[test]
fn confirm_and_settle() {
    let moved = first();
    at_every_crash(two_intents, confirm, |fixture, ()| {
        // By the hook or by the flush, never by both, and never by none.
        let arrived = fixture.flush(&moved);
        assert!(arrived == ["told"] || arrived == ["main"], "{arrived:?}");
        assert_eq!(fixture.intended(), [[]; 0]);
        assert_eq!(fixture.flush(&moved), [""; 0]);
    });
}

/// The entry of a hook that died before it withdrew its intent is distributed, and the distribution
/// is killed too.
#[test]
fn distribute_what_confirms() {
    let prepare = || {
        let fixture = two_intents();
        let entry = Draft {
            confirms: vec![fixture.intent().id],
            ..draft("/srv/a.git", &["told"], &["ci"])
        };
        fixture.enqueue(&entry).unwrap();
        fixture
    };
    let act = |fixture: &Fixture| {
        let _ = fixture.spool.distribute(Lock::Try, cannot_build);
    };
    at_every_crash(prepare, act, |fixture, ()| {
        // Another process delivers the part that is there already.
        let mut arrived = fixture.deliver_all("ci");
        if !arrived.is_empty() {
            assert_eq!(fixture.intended(), [second()], "first the intent goes");
        }
        arrived.extend(fixture.flush(&first()));
        arrived.dedup();
        assert_eq!(arrived, ["told"], "the same message, if more than once");
        assert_eq!(fixture.intended(), [[]; 0]);
    });
}
