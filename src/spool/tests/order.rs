//! Pushes whose hooks began in another order than git moved a ref.

use super::crashes::at_every_crash;
use super::*;

/// A push that moves `main` to where the ref is at this number, from where it was before.
fn moving(fixture: &Fixture, number: u8, queues: &[&str]) -> Id {
    moved(fixture, "/srv/a.git", number, queues)
}

fn moved(fixture: &Fixture, repository: &str, number: u8, queues: &[&str]) -> Id {
    let update = RefUpdate {
        old: Oid::from_bytes(&[number - 1; 20]),
        new: Oid::from_bytes(&[number; 20]),
        name: RefName::new("refs/heads/main"),
    };
    let draft = draft(repository, &[&number.to_string()], queues).of_moves(&[update]);
    fixture.enqueue(&draft).unwrap()
}

#[test]
fn pushes_to_one_ref_are_delivered_in_the_order_in_which_it_moved() {
    let fixture = Fixture::new();
    for number in [3, 5, 2, 4] {
        moving(&fixture, number, &["ci", "deploy"]);
        fixture.push("/srv/b.git", &["x"], &["other"]);
    }
    moved(&fixture, "/srv/c.git", 9, &["ci"]);
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["2", "3", "4", "5", "9"]);
    assert_eq!(fixture.deliver_all("deploy"), ["2", "3", "4", "5"]);
    assert_eq!(fixture.deliver_all("other").len(), 4);
    assert!(fixture.spool.is_empty().unwrap());
}

#[test]
fn what_moved_a_ref_later_waits_with_what_moved_it_before() {
    let fixture = Fixture::new();
    let second = moving(&fixture, 3, &["ci"]);
    // It cannot be built.
    let update = RefUpdate {
        old: Oid::from_bytes(&[1; 20]),
        new: Oid::from_bytes(&[2; 20]),
        name: RefName::new("refs/heads/main"),
    };
    let mut first = owed("/srv/a.git", "2");
    first.content = Content::Owed(vec![update]);
    let first = fixture.enqueue(&first).unwrap();
    let report = fixture.spool.distribute(Lock::Try, cannot_build, nobody);
    let report = report.unwrap().unwrap();
    assert_eq!(report.blocked[Path::new("/srv/a.git")].entries, 2);
    let ids = fixture.spool.ids_in_new().unwrap();
    assert_eq!((ids.len(), &ids[0]), (2, &first));
    assert!(ids[1] > second);
    let build = |_: &Id, _: &Header| Ok::<_, Unbuilt>(built(&["2"], &["ci"]));
    fixture.spool.distribute(Lock::Try, build, nobody).unwrap();
    assert_eq!(fixture.deliver_all("ci"), ["2", "3"]);
}

#[test]
fn the_order_is_kept_through_pauses_and_between_many() {
    let fixture = Fixture::new();
    moving(&fixture, 3, &["ci"]);
    for n in 0..30 {
        fixture.push("/srv/a.git", &[&format!("x{n}")], &["other"]);
    }
    moving(&fixture, 2, &["ci"]);
    for n in 30..200 {
        fixture.push("/srv/a.git", &[&format!("x{n}")], &["other"]);
    }
    let distribution = fixture.spool.distribution(Lock::Try, cannot_build, nobody);
    let mut distribution = distribution.unwrap().unwrap();
    let mut more = true;
    while more {
        let mut first = true;
        let stepped = distribution.step(|| std::mem::take(&mut first));
        more = stepped.unwrap().expect("nobody else has it");
    }
    assert_eq!(distribution.finish().entries, 202);
    assert_eq!(fixture.deliver_all("ci"), ["2", "3"]);
    let others: Vec<String> = (0..200).map(|n| format!("x{n}")).collect();
    assert_eq!(fixture.deliver_all("other"), others);
}

#[test]
fn a_push_that_moved_many_refs_keeps_its_place() {
    let fixture = Fixture::new();
    let many = |from, to| -> Vec<RefUpdate> {
        let update = |n| RefUpdate {
            old: Oid::from_bytes(&[from; 20]),
            new: Oid::from_bytes(&[to; 20]),
            name: RefName::new(format!("refs/heads/{n}")),
        };
        (0..101).map(update).collect()
    };
    for (id, moved) in [("2", many(2, 3)), ("1", many(1, 2))] {
        let draft = draft("/srv/a.git", &[id], &["ci"]).of_moves(&moved);
        fixture.enqueue(&draft).unwrap();
    }
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["2", "1"]);
}

#[test]
fn the_order_is_kept_through_every_crash() {
    let enqueued = || {
        let fixture = Fixture::new();
        for number in [3, 4, 2] {
            moving(&fixture, number, &["ci", "deploy"]);
        }
        fixture
    };
    let act = |fixture: &Fixture| {
        let _ = fixture.spool.distribute(Lock::Try, cannot_build, nobody);
    };
    at_every_crash(enqueued, act, |fixture, ()| {
        for name in ["ci", "deploy"] {
            // Somebody delivers what there is, before it is distributed again.
            let mut arrived = fixture.deliver_all(name);
            fixture.distribute();
            arrived.extend(fixture.deliver_all(name));
            let mut first = vec![];
            for id in arrived {
                if !first.contains(&id) {
                    first.push(id);
                }
            }
            assert_eq!(first, ["2", "3", "4"]);
        }
    });
}
