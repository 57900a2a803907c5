//! Pushes whose hooks began in another order than git moved a ref.

use super::crashes::at_every_crash;
use super::*;
use crate::spool::distribute::order::{Move, by_moves};

/// Makes a push that moves `main` to the value of this number, from the value before it.
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
    let mut first = deferred("/srv/a.git", "2");
    first.content = Content::Deferred(vec![update]);
    let first = fixture.enqueue(&first).unwrap();
    let report = fixture.spool.distribute(Lock::Try, cannot_build);
    let report = report.unwrap().unwrap();
    assert_eq!(report.blocked[Path::new("/srv/a.git")].entries, 2);
    let ids = fixture.spool.ids_in_new().unwrap();
    assert_eq!((ids.len(), &ids[0]), (2, &first));
    assert!(ids[1] > second);
    let build = |_: &Id, _: &Header| Ok::<_, Unbuilt>(built(&["2"], &["ci"]));
    fixture.spool.distribute(Lock::Try, build).unwrap();
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
    let distribution = fixture.spool.distribution(Lock::Try, cannot_build);
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
fn what_another_process_has_linked_is_not_renamed() {
    let fixture = Fixture::new();
    let others: Vec<String> = (0..70).map(|n| format!("q{n}")).collect();
    let mut names: Vec<&str> = others.iter().map(String::as_str).collect();
    names.extend(["ci", "deploy"]);
    moving(&fixture, 3, &names);
    let begun = fixture.spool.distribution(Lock::Try, cannot_build);
    let mut begun = begun.unwrap().unwrap();
    assert_eq!(begun.step(|| false).unwrap(), Some(true));
    moving(&fixture, 2, &["ci"]);
    fixture.distribute();
    while begun.step(|| false).unwrap() == Some(true) {}
    assert_eq!(fixture.deliver_all("ci"), ["3", "2"]);
    assert_eq!(fixture.deliver_all("deploy"), ["3"]);
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
        let _ = fixture.spool.distribute(Lock::Try, cannot_build);
    };
    at_every_crash(enqueued, act, |fixture, ()| {
        for name in ["ci", "deploy"] {
            // Another process delivers what there is, before it is distributed again.
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

/// Parses `main 1 2`: a ref, its old value and its new one; 0 is none.
fn update(text: &str) -> RefUpdate {
    let words: Vec<&str> = text.split(' ').collect();
    let oid = |word: &str| match word.parse().unwrap() {
        0 => None,
        n => Oid::from_bytes(&[n; 20]),
    };
    RefUpdate {
        old: oid(words[1]),
        new: oid(words[2]),
        name: RefName::new(words[0]),
    }
}

#[test]
fn an_entry_comes_after_the_one_that_moved_its_ref_to_where_it_began() {
    let cases: &[(&[&str], &[usize])] = &[
        (&[], &[]),
        (&["a 1 2"], &[0]),
        (&["a 1 2", "a 2 3"], &[0, 1]),
        (&["a 2 3", "a 1 2"], &[1, 0]),
        (&["a 3 4", "a 2 3", "a 1 2"], &[2, 1, 0]),
        // Created, deleted.
        (&["a 1 0", "a 0 1"], &[0, 1]),
        (&["a 1 2", "a 0 1"], &[1, 0]),
        (&["a 0 2", "a 1 0"], &[1, 0]),
        // An entry without a relation to it goes first.
        (&["a 2 3", "b 1 2", "a 1 2", "b 2 3"], &[1, 2, 0, 3]),
        // One in the middle is not there.
        (&["a 3 4", "a 1 2"], &[0, 1]),
        // There and back: the order is unknown.
        (&["a 1 2", "a 2 1", "a 1 2"], &[0, 1, 2]),
        (&["a 2 1", "a 1 2"], &[0, 1]),
        (&["a 2 3", "a 3 4", "a 4 2"], &[0, 1, 2]),
        (&["a 2 3", "a 1 2", "a 1 2"], &[0, 1, 2]),
        (&["a 1 1", "a 1 1"], &[0, 1]),
        // A circle of one ref does not hide the order by another.
        (&["a 2 1,b 2 3", "a 1 2,b 1 2"], &[1, 0]),
        // Several refs that agree, and that contradict each other.
        (&["a 2 3,b 2 3", "a 1 2,b 1 2"], &[1, 0]),
        (&["a 2 3,b 1 2", "a 1 2,b 2 3"], &[0, 1]),
        (&["a 2 3", "a 1 2,b 2 3", "b 1 2,a 3 4"], &[0, 1, 2]),
    ];
    for (texts, expected) in cases {
        let time = SystemTime::UNIX_EPOCH + Duration::from_hours(1_000_000);
        let entries: Vec<(Id, Vec<RefUpdate>)> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| {
                let id = Id::new(time, "host", n as u64);
                (id, text.split(',').map(update).collect())
            })
            .collect();
        let moves: Vec<Move<'_>> = entries.iter().map(|(id, it)| (id, &it[..])).collect();
        assert_eq!(by_moves(&moves), *expected, "{texts:?}");
        // In any order of the arguments.
        let back: Vec<Move<'_>> = moves.iter().rev().copied().collect();
        let places = by_moves(&back).into_iter().map(|at| texts.len() - 1 - at);
        assert_eq!(places.collect::<Vec<_>>(), *expected, "{texts:?}");
    }
}
