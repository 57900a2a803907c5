//! Failed items, and sweeping.

use std::fs::{self, File};

use super::*;

fn failed(fixture: &Fixture) -> Vec<Failed> {
    fixture.spool.failed(&queue("ci")).unwrap()
}

/// Makes two entries of which message 1, messages 2 and 3, and message 4 have failed.
fn given_up() -> Fixture {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1", "2", "3"], &["ci"]);
    fixture.push("/srv/a.git", &["4"], &["ci"]);
    fixture.distribute();
    let lane = fixture.lane("ci");
    for item in lane.waiting().unwrap().in_order {
        let (_, total) = next_message(&lane, &item);
        if let Some(rest) = lane.fail_one(&item, total).unwrap() {
            lane.fail_rest(&rest).unwrap();
        }
    }
    drop(lane);
    fixture
}

#[test]
fn a_retry_brings_back_the_same_part_due_now() {
    let fixture = given_up();
    let now = noon() + Duration::from_millis(500);
    for failed in failed(&fixture) {
        fixture.spool.retry_failed(&failed, now).unwrap();
    }
    assert!(failed(&fixture).is_empty());
    let Waiting {
        in_order, refused, ..
    } = fixture.spool.peek(&queue("ci")).unwrap();
    let in_order: Vec<_> = in_order
        .iter()
        .map(|item| (item.part, item.due, item.attempts))
        .collect();
    let due = noon();
    assert_eq!(in_order, [(Part::From(1), due, 0), (Part::From(0), due, 0)]);
    assert_eq!((refused.len(), refused[0].part), (1, Part::Only(0)));
    assert_eq!(fixture.deliver_all("ci"), ["2", "3", "4", "1"]);
}

#[test]
fn a_drop_removes_one_part() {
    let fixture = given_up();
    fixture.spool.drop_failed(&failed(&fixture)[1]).unwrap();
    assert_eq!(fixture.kept(), kept(&[("ci", &["1", "4"])]));
}

#[test]
fn the_sweep_takes_what_is_old_and_nothing_else() {
    let fixture = given_up();
    fixture.push("/srv/a.git", &["5"], &["ci"]);
    let now = SystemTime::now();
    let hour = Duration::from_hours(1);
    for (name, hours) in [("old", 37), ("young", 35)] {
        let file = File::create(fixture.path("tmp").join(name)).unwrap();
        file.set_modified(now - hour * hours).unwrap();
    }
    // An item pushed long ago that fails today is kept for 30 days.
    assert_eq!(fixture.spool.sweep(now).unwrap(), Swept::default());
    let swept = fixture.spool.sweep(now + hour).unwrap();
    assert_eq!((swept.tmp, swept.failed), (1, 0));
    assert_eq!(fixture.ls("tmp"), ["young"]);
    for days in 1..=29 {
        let swept = fixture.spool.sweep(now + hour * 24 * days).unwrap();
        assert_eq!(swept.failed, 0);
    }
    let swept = fixture.spool.sweep(now + hour * (24 * 30 - 1)).unwrap();
    assert_eq!(swept.failed, 0);
    let swept = fixture.spool.sweep(now + hour * (24 * 30 + 1)).unwrap();
    assert_eq!(swept.failed, 3);
    assert!(fixture.ls("failed").is_empty() && fixture.ls("retry").is_empty());
    assert_eq!(fixture.kept(), kept(&[("ci", &["5"])]));
}

#[test]
fn a_clock_that_was_set_back_sweeps_nothing() {
    let fixture = given_up();
    fs::write(fixture.path("tmp/x"), "").unwrap();
    assert_eq!(fixture.spool.sweep(UNIX_EPOCH).unwrap(), Swept::default());
}

#[test]
fn a_clock_that_is_a_month_ahead_once_empties_no_failed() {
    let fixture = given_up();
    let (now, hour) = (SystemTime::now(), Duration::from_hours(1));
    for hours in [0, 1, 31 * 24, 2, 3, 32 * 24, 4] {
        let swept = fixture.spool.sweep(now + hour * hours).unwrap();
        assert_eq!(swept, Swept::default(), "after {hours} hours");
    }
    assert_eq!(failed(&fixture).len(), 3);
}

#[test]
fn no_spool_is_an_empty_spool() {
    let fixture = Fixture::new();
    let spool = &fixture.spool;
    assert_eq!(spool.sweep(noon()).unwrap(), Swept::default());
    assert!(spool.queues().unwrap().is_empty());
    assert!(spool.failed_queues().unwrap().is_empty());
    assert!(spool.is_empty().unwrap());
    assert!(!spool.root().exists());
}
