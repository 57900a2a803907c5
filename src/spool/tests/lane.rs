//! One endpoint's queue.

use std::fs;
use std::path::PathBuf;

use super::*;

fn later(seconds: u64) -> SystemTime {
    noon() + Duration::from_secs(seconds)
}

/// Makes three messages in one entry, one in the next, distributed.
fn two_entries() -> Fixture {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1", "2", "3"], &["ci"]);
    fixture.push("/srv/a.git", &["4"], &["ci"]);
    fixture.distribute();
    fixture
}

#[test]
fn a_lane_has_one_holder() {
    let fixture = two_entries();
    let spool = &fixture.spool;
    assert!(
        spool.lane(&queue("other")).unwrap().is_none(),
        "there is none"
    );
    let lane = fixture.lane("ci");
    assert!(spool.lane(&queue("ci")).unwrap().is_none());
    assert!(spool.clone().lane(&queue("ci")).unwrap().is_none());
    drop(lane);
    assert!(spool.lane(&queue("ci")).unwrap().is_some());
}

#[test]
fn a_delivery_moves_on_message_by_message() {
    let fixture = two_entries();
    let lane = fixture.lane("ci");
    let head = lane.waiting().unwrap().in_order.remove(0);
    let head = lane.defer(&head, later(60), 4).unwrap();
    let head = lane.advance(&head, 3).unwrap().unwrap();
    assert_eq!((head.part, head.attempts), (Part::From(1), 0));
    assert_eq!(next_message(&lane, &head).0.msg_id, "2");
    let head = lane.advance(&head, 3).unwrap().unwrap();
    assert_eq!(lane.advance(&head, 3).unwrap(), None);
    assert_eq!(fixture.ls("retry/ci").len(), 1);
}

#[test]
fn a_deferred_head_keeps_its_place() {
    let fixture = two_entries();
    let lane = fixture.lane("ci");
    let head = &lane.waiting().unwrap().in_order[0];
    let due = later(3600) + Duration::from_millis(1);
    let deferred = lane.defer(head, due, 1).unwrap();
    assert_eq!(deferred.due, later(3601), "never early");
    let waiting = lane.waiting().unwrap();
    assert_eq!(waiting.in_order[0], deferred);
    assert_eq!(waiting.in_order.len(), 2);
}

#[test]
fn a_refused_message_steps_aside_and_comes_back() {
    let fixture = two_entries();
    let lane = fixture.lane("ci");
    let head = lane.waiting().unwrap().in_order.remove(0);
    let head = lane.advance(&head, 3).unwrap().unwrap();
    let head = lane.step_aside(&head, 3, later(60), 1).unwrap().unwrap();
    assert_eq!(head.part, Part::From(2));
    let last = lane.step_aside(&head, 3, later(30), 1).unwrap();
    assert_eq!(last, None);
    let Waiting {
        in_order, refused, ..
    } = lane.waiting().unwrap();
    assert_eq!(in_order.len(), 1);
    let parts: Vec<_> = refused.iter().map(|one| one.part).collect();
    assert_eq!(parts, [Part::Only(2), Part::Only(1)], "by due time");
    assert_eq!(next_message(&lane, &refused[0]).0.msg_id, "3");
    // If refused again, it waits longer; if delivered, it alone is gone.
    assert_eq!(lane.step_aside(&refused[0], 3, later(90), 2).unwrap(), None);
    assert_eq!(lane.advance(&refused[1], 3).unwrap(), None);
    let refused = lane.waiting().unwrap().refused;
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].part, refused[0].attempts), (Part::Only(2), 2));
}

#[test]
fn what_is_given_up_is_named_by_its_part() {
    let fixture = two_entries();
    let lane = fixture.lane("ci");
    let mut in_order = lane.waiting().unwrap().in_order;
    let (single, head) = (in_order.remove(1), in_order.remove(0));
    let (first, second) = (head.id.clone(), single.id.clone());
    let head = lane.fail_one(&head, 3).unwrap().unwrap();
    assert_eq!(next_message(&lane, &head).0.msg_id, "2");
    lane.fail_rest(&head).unwrap();
    assert_eq!(lane.fail_one(&single, 1).unwrap(), None);
    let expected = [
        format!("{first},0"),
        format!("{first},1-"),
        second.to_string(),
    ];
    assert_eq!(fixture.ls("failed/ci"), expected);
    assert!(fixture.ls("retry/ci").is_empty());
    assert_eq!(fixture.kept(), kept(&[("ci", &["1", "2", "3", "4"])]));
}

#[test]
fn names_that_are_no_entries_are_left_and_listed_but_for_those_with_a_dot() {
    let fixture = two_entries();
    let others = [
        "failed/ci/b",
        "failed/notes",
        "junk",
        "new/README",
        "notes.txt",
        "retry/README",
        "retry/ci/core",
    ];
    fs::create_dir_all(fixture.path("failed/ci")).unwrap();
    fs::create_dir(fixture.path("lost+found")).unwrap();
    for name in others
        .iter()
        .chain(&["retry/ci/.nfs1", "new/.DS_Store", ".DS_Store"])
    {
        fs::write(fixture.path(name), "").unwrap();
    }
    assert_eq!(fixture.lane("ci").waiting().unwrap().in_order.len(), 2);
    assert!(others.iter().all(|name| fixture.path(name).exists()));
    assert_eq!(fixture.spool.foreign().unwrap(), others.map(PathBuf::from));
    assert_eq!(fixture.spool.queues().unwrap().len(), 1);
}

#[test]
fn an_entry_that_went_bad_in_its_queue_is_set_aside() {
    let fixture = two_entries();
    let lane = fixture.lane("ci");
    let head = &lane.waiting().unwrap().in_order[0];
    fs::write(fixture.path("retry/ci").join(head.to_string()), "x").unwrap();
    assert!(lane.open(head).unwrap_err().is_corrupt());
    lane.set_aside(head).unwrap();
    assert_eq!(fixture.ls("failed/unreadable"), [head.id.as_str()]);
    assert_eq!(lane.waiting().unwrap().in_order.len(), 1);
}

#[test]
fn of_two_names_for_one_thing_the_one_further_on_stays() {
    let fixture = two_entries();
    let lane = fixture.lane("ci");
    let head = lane.waiting().unwrap().in_order.remove(0);
    let path = |item: &Item| fixture.path("retry/ci").join(item.to_string());
    let first = path(&Item {
        due: later(500),
        ..head.clone()
    });
    let head = lane.advance(&head, 3).unwrap().unwrap();
    let head = lane.step_aside(&head, 3, later(60), 1).unwrap().unwrap();
    let refused = lane.waiting().unwrap().refused.remove(0);
    let again = path(&Item {
        attempts: 7,
        due: later(30),
        ..refused.clone()
    });
    fs::hard_link(path(&refused), &again).unwrap();
    // Brought back from `failed/`, after a crash.
    fs::hard_link(path(&head), &first).unwrap();
    let waiting = lane.waiting().unwrap();
    assert_eq!(waiting.in_order[0], head);
    assert_eq!(waiting.refused.len(), 1);
    assert_eq!(waiting.refused[0].attempts, 7);
    assert_eq!(fixture.ls("retry/ci").len(), 3);
}

#[test]
fn a_survey_needs_names_only() {
    let fixture = two_entries();
    let lane = fixture.lane("ci");
    let head = lane.waiting().unwrap().in_order.remove(0);
    let oldest = head.id.time();
    let head = lane.fail_one(&head, 3).unwrap().unwrap();
    let head = lane.step_aside(&head, 3, later(60), 1).unwrap().unwrap();
    let head = lane.defer(&head, later(90), 3).unwrap();
    let id = fixture.push("/srv/a.git", &["5"], &["ci"]);
    for name in fixture.ls("retry/ci") {
        fs::write(fixture.path("retry/ci").join(name), "not read").unwrap();
    }
    let survey = fixture.spool.survey().unwrap();
    assert_eq!(survey.new, 1);
    assert_eq!(survey.oldest_new, Some(id.time()));
    assert_eq!(survey.unreadable, 0);
    let expected = QueueSurvey {
        queue: queue("ci"),
        waiting: 2,
        refused: 1,
        failed: 1,
        due: Some(head.due),
        head: Some(head),
        oldest: Some(oldest),
    };
    assert_eq!(survey.queues, [expected]);
    let nothing = Fixture::new().spool.survey().unwrap();
    assert_eq!((nothing.new, nothing.queues.len()), (0, 0));
}
