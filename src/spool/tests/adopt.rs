//! Moving the contents of one spool into another.

use super::*;

fn place(name: &str, fixture: &Fixture) -> Spool {
    Spool::new(fixture.dir.path().join(name), Access::Owner)
}

/// Makes items in `new/`, in `retry/`, in order and refused, and in `failed/`.
fn of_everything() -> Fixture {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1", "2", "3", "4"], &["ci", "deploy"]);
    fixture.distribute();
    let lane = fixture.lane("ci");
    let head = lane.waiting().unwrap().in_order.remove(0);
    let head = lane.fail_one(&head, 4).unwrap().unwrap();
    let head = lane.step_aside(&head, 4, noon(), 1).unwrap().unwrap();
    lane.defer(&head, noon(), 3).unwrap();
    drop(lane);
    fixture.push("/srv/a.git", &["5"], &["ci"]);
    fixture
}

fn listing(spool: &Spool) -> Vec<Vec<String>> {
    let dirs = ["new", "retry/ci", "retry/deploy", "failed/ci"];
    dirs.iter().map(|dir| ls(&spool.root().join(dir))).collect()
}

#[test]
fn everything_moves_under_its_own_name() {
    let mut fixture = of_everything();
    let central = place("central", &fixture);
    let before = listing(&fixture.spool);
    let adopted = central.adopt(&fixture.spool).unwrap();
    assert_eq!((adopted.files, adopted.busy.len()), (5, 0));
    assert_eq!(listing(&central), before);
    assert!(fixture.spool.is_empty().unwrap());
    fixture.spool = central;
    let all = ["1", "2", "3", "4", "5"];
    assert_eq!(fixture.kept(), kept(&[("ci", &all), ("deploy", &all[..4])]));
}

#[test]
fn nothing_to_adopt_makes_no_spool() {
    let fixture = Fixture::new();
    let central = place("central", &fixture);
    assert_eq!(central.adopt(&fixture.spool).unwrap(), Adopted::default());
    assert!(!central.root().exists());
}

#[test]
fn a_queue_that_is_being_delivered_stays() {
    let fixture = of_everything();
    let central = place("central", &fixture);
    let lane = fixture.lane("deploy");
    let adopted = central.adopt(&fixture.spool).unwrap();
    assert_eq!(adopted.busy, [queue("deploy")]);
    assert_eq!(lane.waiting().unwrap().in_order.len(), 1);
}

#[test]
fn across_file_systems_it_is_copied() {
    let fixture = Fixture::new();
    let id = fixture.push("/srv/a.git", &["1"], &["ci"]);
    let central = place("central", &fixture);
    central.create_layout().unwrap();
    central
        .copy(&fixture.spool.new_name(&id), &central.new_name(&id))
        .unwrap();
    let entry = central.open_new(&id).unwrap();
    assert_eq!(entry.message(0).unwrap(), message("1"));
    assert_eq!(mode(&central.new_name(&id).path()), 0o600);
    assert!(ls(&central.root().join("tmp")).is_empty());
    // Once more, after a crash: the same.
    central
        .copy(&fixture.spool.new_name(&id), &central.new_name(&id))
        .unwrap();
}
