//! Delivered from `new/`, where it lies.

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;

use super::crashes::at_every_crash;
use super::*;

fn activate(fixture: &Fixture) -> Active<'static> {
    let active = fixture
        .spool
        .activate(Lock::Try, &Rc::default(), cannot_build, nobody);
    active.unwrap().expect("nobody else has it")
}

/// Lanes of these queues, whose folders are there; they have joined.
fn members<'a>(fixture: &Fixture, active: &Active<'a>, queues: &[&str]) -> Vec<Lane<'a>> {
    let join = |name: &&str| {
        fs::create_dir_all(fixture.path("retry").join(name)).unwrap();
        let lane = fixture.spool.lane(&queue(name)).unwrap();
        lane.expect("nobody else delivers").joining(Some(active))
    };
    queues.iter().map(join).collect()
}

/// Pushes of one message each, to `ci` and `deploy`.
fn pushed(count: usize) -> (Fixture, Vec<Id>) {
    let fixture = Fixture::new();
    let push = |n: usize| fixture.push("/srv/a.git", &[&n.to_string()], &["ci", "deploy"]);
    let ids = (1..=count).map(push).collect();
    (fixture, ids)
}

fn next(lane: &Lane<'_>, after: Option<&Id>) -> Option<Item> {
    match lane.next_in_new(after) {
        Next::Item(item) => Some(item),
        Next::Full => {
            lane.leave_behind().unwrap();
            next(lane, after)
        }
        Next::Later => panic!("it is our turn"),
        Next::Left | Next::Nothing => None,
    }
}

/// Delivers what comes next; gives its `msg_id`.
fn deliver(lane: &Lane<'_>) -> Option<String> {
    let item = next(lane, None)?;
    let entry = lane.open_shared(&item, &Shared::default()).unwrap();
    let message = entry.message(0).unwrap();
    assert_eq!(lane.advance(&item, 1).unwrap(), None);
    Some(message.msg_id)
}

#[test]
fn an_entry_goes_when_all_have_it_and_leaves_no_other_trace() {
    let (fixture, ids) = pushed(2);
    let active = activate(&fixture);
    let lanes = members(&fixture, &active, &["ci", "deploy"]);
    let ((), steps) = fixture.traced(|| {
        assert_eq!(deliver(&lanes[0]).as_deref(), Some("1"));
        assert_eq!(deliver(&lanes[0]).as_deref(), Some("2"));
        assert_eq!(deliver(&lanes[0]), None);
        assert_eq!(fixture.ls("new"), [ids[0].as_str(), ids[1].as_str()]);
        assert_eq!(deliver(&lanes[1]).as_deref(), Some("1"));
        assert_eq!(deliver(&lanes[1]).as_deref(), Some("2"));
    });
    let unlinked = |id: &Id| format!("unlink new/{id}");
    assert_eq!(steps, [unlinked(&ids[0]), unlinked(&ids[1])]);
    assert_eq!(active.distribute().entries, 2);
    assert!(fixture.spool.is_empty().unwrap());
}

#[test]
fn who_has_trouble_leaves_and_keeps_the_order() {
    let (fixture, ids) = pushed(3);
    let active = activate(&fixture);
    let lanes = members(&fixture, &active, &["ci", "deploy"]);
    let (left, steps) = fixture.traced(|| {
        assert_eq!(deliver(&lanes[0]).as_deref(), Some("1"));
        assert_eq!(deliver(&lanes[0]).as_deref(), Some("2"));
        let item = next(&lanes[1], None).unwrap();
        let left = lanes[1].defer(&item, noon(), 1).unwrap();
        assert_eq!(lanes[1].next_in_new(None), Next::Left);
        assert_eq!(deliver(&lanes[0]).as_deref(), Some("3"));
        assert_eq!(active.distribute().entries, 3);
        left
    });
    // Until its links are durable, all of it is in `new/`.
    let begins = |with: &'static str| move |step: &String| step.starts_with(with);
    let flushed = steps.iter().rposition(begins("flush"));
    assert!(
        flushed < steps.iter().position(begins("unlink")),
        "{steps:#?}"
    );
    let waiting = lanes[1].waiting().unwrap().mains;
    assert_eq!(waiting[0], left);
    let waiting: Vec<_> = waiting.into_iter().map(|item| item.id).collect();
    assert_eq!(waiting, ids);
    assert!(fixture.ls("new").is_empty() && fixture.ls("retry/ci").is_empty());
}

#[test]
fn nobody_waits_for_who_is_far_behind() {
    let (fixture, _) = pushed(10);
    let active = activate(&fixture);
    let lanes = members(&fixture, &active, &["ci", "deploy"]);
    let ahead: Vec<_> = std::iter::from_fn(|| deliver(&lanes[0])).collect();
    assert_eq!(ahead.len(), 10);
    assert_eq!(deliver(&lanes[1]), None, "it has left");
    drop(active.distribute());
    drop(lanes);
    assert_eq!(fixture.deliver_all("deploy"), ahead);
    assert!(fixture.spool.is_empty().unwrap());
}

#[test]
fn what_comes_in_the_meantime_goes_along() {
    let (fixture, _) = pushed(1);
    let active = activate(&fixture);
    let lanes = members(&fixture, &active, &["ci"]);
    assert_eq!(deliver(&lanes[0]).as_deref(), Some("1"));
    fixture.push("/srv/a.git", &["2"], &["ci"]);
    assert_eq!(deliver(&lanes[0]).as_deref(), Some("2"));
    assert_eq!(deliver(&lanes[0]), None);
}

#[test]
fn between_two_turns_nothing_is_under_way() {
    let (fixture, ids) = pushed(3);
    let active = activate(&fixture);
    let lanes = members(&fixture, &active, &["ci", "deploy"]);
    assert_eq!(deliver(&lanes[0]).as_deref(), Some("1"));
    let item = next(&lanes[1], None).unwrap();
    assert!(matches!(active.end_turn(), Turn::More));
    assert_eq!(lanes[0].next_in_new(None), Next::Later);
    // What was begun goes on, from the queue.
    assert_eq!(fixture.ls("retry/deploy"), [item.to_string()]);
    assert_eq!(lanes[1].advance(&item, 1).unwrap(), None);
    assert!(fixture.ls("retry/deploy").is_empty());
    // A person drops the next one meanwhile.
    fixture.spool.drop_new(&ids[1..2]).unwrap();
    assert!(active.begin_turn().unwrap());
    for lane in &lanes {
        assert_eq!(lane.next_in_new(None), Next::Left, "it looks at its queue");
        lane.join();
    }
    assert_eq!(deliver(&lanes[0]).as_deref(), Some("3"));
    assert_eq!(deliver(&lanes[1]).as_deref(), Some("3"));
    let Turn::Over(report) = active.end_turn() else {
        panic!("nothing is left")
    };
    assert_eq!(report.entries, 2);
    assert_eq!(lanes[0].next_in_new(None), Next::Nothing);
}

#[test]
fn what_a_turn_left_in_a_queue_comes_first() {
    let (fixture, ids) = pushed(4);
    let active = activate(&fixture);
    let lanes = members(&fixture, &active, &["ci", "deploy"]);
    assert_eq!(deliver(&lanes[1]).as_deref(), Some("1"));
    // The second one is looked at already.
    let first = next(&lanes[0], None).unwrap();
    let second = next(&lanes[0], Some(&first.id)).unwrap();
    assert_eq!(lanes[0].advance(&first, 1).unwrap(), None);
    assert!(matches!(active.end_turn(), Turn::More));
    assert!(active.begin_turn().unwrap());
    assert_eq!(lanes[0].next_in_new(Some(&first.id)), Next::Left);
    assert_eq!(
        lanes[0].waiting().unwrap().mains,
        std::slice::from_ref(&second)
    );
    assert_eq!(lanes[0].advance(&second, 1).unwrap(), None);
    lanes[0].join();
    let third = next(&lanes[0], None).unwrap();
    assert_eq!(third.id, ids[2]);
}

#[test]
fn what_another_brought_to_a_queue_between_two_turns_comes_first() {
    let (fixture, ids) = pushed(8);
    let active = activate(&fixture);
    let lanes = members(&fixture, &active, &["ci", "deploy"]);
    // One is far ahead: nothing is under way for it.
    while let Next::Item(item) = lanes[0].next_in_new(None) {
        assert_eq!(lanes[0].advance(&item, 1).unwrap(), None);
    }
    assert_eq!(deliver(&lanes[1]).as_deref(), Some("1"));
    assert!(matches!(active.end_turn(), Turn::More));
    fixture.distribute();
    fixture.push("/srv/a.git", &["9"], &["ci", "deploy"]);
    assert!(active.begin_turn().unwrap());
    assert_eq!(lanes[0].next_in_new(None), Next::Left);
    let waiting = lanes[0].waiting().unwrap().mains;
    let waiting: Vec<_> = waiting.into_iter().map(|item| item.id).collect();
    assert_eq!(waiting, ids[4..]);
}

#[test]
fn a_turn_in_which_nobody_delivered_is_the_last() {
    let (fixture, ids) = pushed(6);
    let active = activate(&fixture);
    let _lanes = members(&fixture, &active, &["ci"]);
    let Turn::Over(report) = active.end_turn() else {
        panic!("it would never end")
    };
    assert_eq!(report.entries, ids.len());
    assert_eq!(fixture.ls("retry/ci").len(), ids.len());
}

#[test]
fn while_it_is_held_nobody_else_has_it() {
    let (fixture, _) = pushed(1);
    let active = activate(&fixture);
    let other = |build| {
        fixture
            .spool
            .activate(Lock::Try, &Rc::default(), build, nobody)
    };
    assert!(other(cannot_build).unwrap().is_none());
    drop(active.distribute());
    assert!(other(cannot_build).unwrap().is_some());
}

#[test]
fn a_queue_that_cannot_be_left_loses_nothing() {
    let (fixture, ids) = pushed(3);
    let active = activate(&fixture);
    let lanes = members(&fixture, &active, &["ci", "deploy"]);
    assert_eq!(deliver(&lanes[0]).as_deref(), Some("1"));
    let item = next(&lanes[1], None).unwrap();
    fs::remove_dir(fixture.path("retry/deploy")).unwrap();
    fs::write(fixture.path("retry/deploy"), "in the way").unwrap();
    assert!(lanes[1].defer(&item, noon(), 1).is_err());
    assert_eq!(deliver(&lanes[0]), None, "nothing overtakes it");
    drop(active.distribute());
    drop(lanes);
    let left: Vec<_> = ids.iter().map(Id::as_str).collect();
    assert_eq!(fixture.ls("new"), left);
    fs::remove_file(fixture.path("retry/deploy")).unwrap();
    fixture.distribute();
    assert_eq!(fixture.deliver_all("deploy"), ["1", "2", "3"]);
}

#[test]
fn what_could_not_be_made_durable_stays() {
    let (fixture, ids) = pushed(1);
    let active = activate(&fixture);
    let lanes = members(&fixture, &active, &["ci"]);
    assert_eq!(deliver(&lanes[0]).as_deref(), Some("1"));
    let (report, _) = disk::fault::killed_after(0, || active.distribute());
    assert!(report.stopped.is_some(), "the flush of `deploy` fails");
    // The disk is well again, but what it has lost, nobody knows.
    drop(active.distribute());
    assert_eq!(fixture.ls("new"), [ids[0].as_str()]);
}

#[test]
fn wherever_it_is_killed_nothing_is_lost() {
    let arrived = RefCell::new(vec![]);
    let act = |fixture: &Fixture| {
        arrived.borrow_mut().clear();
        let active = activate(fixture);
        let lanes = members(fixture, &active, &["ci", "deploy"]);
        let take = |lane: &Lane<'_>| {
            let item = next(lane, None)?;
            let entry = lane.open_shared(&item, &Shared::default()).ok()?;
            let id = entry.message(0).ok()?.msg_id;
            arrived.borrow_mut().push((lane.queue().to_string(), id));
            lane.advance(&item, 1).ok()
        };
        // One gets ahead, the other has trouble, and goes on from its queue.
        take(&lanes[0]);
        take(&lanes[0]);
        take(&lanes[1]);
        if let Some(item) = next(&lanes[1], None) {
            let _ = lanes[1].defer(&item, noon(), 1);
        }
        take(&lanes[0]);
        let _ = active.end_turn();
    };
    let states = at_every_crash(
        || pushed(4).0,
        act,
        |fixture, ()| {
            fixture.distribute();
            for name in ["ci", "deploy"] {
                let before = arrived.borrow().clone();
                let before = before.into_iter().filter(|(queue, _)| queue == name);
                let mut all: Vec<_> = before.map(|(_, id)| id).collect();
                all.extend(fixture.deliver_all(name));
                let mut first = vec![];
                for id in all {
                    if !first.contains(&id) {
                        first.push(id);
                    }
                }
                assert_eq!(first, ["1", "2", "3", "4"], "{name}");
            }
            assert!(fixture.spool.is_empty().unwrap());
        },
    );
    assert!(states > 8, "{states}");
}
