//! Retrying and dropping by hand, beside a process that delivers.

use super::*;

fn peeked(fixture: &Fixture) -> Vec<Item> {
    let waiting = fixture.spool.peek(&queue("ci")).unwrap();
    waiting
        .in_order
        .into_iter()
        .chain(waiting.refused)
        .collect()
}

/// Makes one push of three messages, distributed.
fn one_entry() -> (Fixture, Id) {
    let fixture = Fixture::new();
    let id = fixture.push("/srv/a.git", &["1", "2", "3"], &["ci"]);
    fixture.distribute();
    (fixture, id)
}

/// Makes one push of three messages, all of them refused.
fn refused() -> Fixture {
    let (fixture, _) = one_entry();
    let lane = fixture.lane("ci");
    let mut rest = lane.waiting().unwrap().in_order.pop();
    while let Some(item) = rest {
        rest = lane.step_aside(&item, 3, noon(), 1).unwrap();
    }
    fixture
}

#[test]
fn each_refused_message_of_a_push_is_retried() {
    let fixture = refused();
    let now = noon() - Duration::from_mins(1);
    let chosen = peeked(&fixture);
    let count = fixture.spool.retry_waiting(&queue("ci"), &chosen, now);
    assert_eq!(count.unwrap(), 3);
    let parts: Vec<_> = peeked(&fixture)
        .iter()
        .map(|item| (item.part, item.due, item.attempts))
        .collect();
    let due = |n| (Part::Only(n), now, 0);
    assert_eq!(parts, [due(0), due(1), due(2)]);
}

#[test]
fn of_several_refused_messages_the_chosen_one_is_dropped() {
    let fixture = refused();
    let chosen = &peeked(&fixture)[1..2];
    assert_eq!(fixture.spool.drop_waiting(&queue("ci"), chosen).unwrap(), 1);
    let left: Vec<_> = peeked(&fixture).iter().map(|item| item.part).collect();
    assert_eq!(left, [Part::Only(0), Part::Only(2)]);
    // It is gone, and counted no more.
    assert_eq!(fixture.spool.drop_waiting(&queue("ci"), chosen).unwrap(), 0);
}

#[test]
fn what_was_renamed_since_it_was_chosen_is_found() {
    let (fixture, _) = one_entry();
    let chosen = peeked(&fixture);
    let lane = fixture.lane("ci");
    let rest = lane.advance(&chosen[0], 3).unwrap().unwrap();
    let rest = lane.step_aside(&rest, 3, noon(), 1).unwrap().unwrap();
    lane.defer(&rest, noon(), 2).unwrap();
    assert_eq!(
        fixture.spool.drop_waiting(&queue("ci"), &chosen).unwrap(),
        1
    );
    assert!(fixture.ls("retry/ci").is_empty());
}

#[test]
fn nothing_comes_back_of_what_is_dropped_while_it_is_delivered() {
    type Step = fn(&Lane, &Item) -> Result<(), SpoolError>;
    let steps: [Step; 4] = [
        |lane, item| Ok(lane.advance(item, 3).map(drop)?),
        |lane, item| Ok(lane.defer(item, noon(), 1).map(drop)?),
        |lane, item| Ok(lane.step_aside(item, 3, noon(), 1).map(drop)?),
        |lane, item| lane.fail_one(item, 3).map(drop),
    ];
    for step in steps {
        let (fixture, _) = one_entry();
        let lane = fixture.lane("ci");
        let chosen = lane.waiting().unwrap().in_order;
        let entry = lane.open(&chosen[0]).unwrap();
        let dropped = fixture.spool.drop_waiting(&queue("ci"), &chosen);
        assert_eq!(dropped.unwrap(), 1);
        assert_eq!(entry.message(0).unwrap().msg_id, "1", "it is on its way");
        assert!(step(&lane, &chosen[0]).unwrap_err().is_gone());
        let opened = lane.open(&chosen[0]).map_err(SpoolError::from);
        assert!(opened.unwrap_err().is_gone());
        assert!(fixture.spool.is_empty().unwrap());
    }
}

#[test]
fn what_is_retried_while_its_last_message_is_delivered_is_done() {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    fixture.distribute();
    let lane = fixture.lane("ci");
    let item = lane.waiting().unwrap().in_order.remove(0);
    let item = lane.defer(&item, noon(), 1).unwrap();
    let retried = fixture
        .spool
        .retry_waiting(&queue("ci"), std::slice::from_ref(&item), noon());
    assert_eq!(retried.unwrap(), 1);
    assert_eq!(lane.advance(&item, 1).unwrap(), None);
    assert!(fixture.spool.is_empty().unwrap());
}

#[test]
fn two_names_of_one_item_are_retried_once() {
    let (fixture, _) = one_entry();
    let item = peeked(&fixture).remove(0);
    // A crash while it was distributed again, within the second.
    let deferred = Item {
        attempts: 1,
        ..item.clone()
    };
    let dir = fixture.path("retry/ci");
    let names = [&item, &deferred].map(|item| dir.join(item.to_string()));
    std::fs::hard_link(&names[0], &names[1]).unwrap();
    let retried = fixture
        .spool
        .retry_waiting(&queue("ci"), &[deferred], item.due);
    assert_eq!(retried.unwrap(), 1);
    assert_eq!(fixture.deliver_all("ci"), ["1", "2", "3"]);
}

#[test]
fn what_left_new_in_the_meantime_is_dropped_where_it_is() {
    let (fixture, id) = one_entry();
    let new = fixture.push("/srv/a.git", &["4"], &["ci", "deploy"]);
    assert_eq!(fixture.spool.drop_new(&[id, new.clone()]).unwrap(), 2);
    assert!(fixture.spool.is_empty().unwrap());
    assert_eq!(fixture.spool.drop_new(&[new]).unwrap(), 0);
}
