//! Folders of queues that are removed once they are empty.

use std::fs;
use std::rc::Rc;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::crashes::at_every_crash;
use super::disk::fault::interrupted_at;
use super::*;

#[test]
fn the_folder_of_a_queue_goes_with_its_last_message() {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1", "2"], &["ci", "deploy"]);
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["1", "2"]);
    assert_eq!(fixture.ls("retry"), ["deploy"]);
    // One that holds something else stays.
    fs::write(fixture.path("retry/deploy/a person's"), "").unwrap();
    assert_eq!(fixture.deliver_all("deploy"), ["1", "2"]);
    assert_eq!(fixture.ls("retry"), ["deploy"]);
}

/// Runs `act`, which must succeed, and `meanwhile` before its first system call; then before its
/// second, and so on.
///
/// `look` gets the result of `meanwhile`.
fn beside<T: Default + 'static>(
    prepare: impl Fn() -> Fixture,
    act: impl Fn(&Fixture),
    meanwhile: impl Fn(&Fixture) -> T + Clone + 'static,
    look: impl Fn(&Fixture, T),
) {
    for steps in 0..200 {
        let fixture = Rc::new(prepare());
        let result = Rc::new(Cell::new(T::default()));
        let (other, told, meanwhile) = (fixture.clone(), result.clone(), meanwhile.clone());
        let ((), came) =
            interrupted_at(steps, || act(&fixture), move || told.set(meanwhile(&other)));
        look(&fixture, result.take());
        if !came {
            return;
        }
    }
    panic!("it never ends");
}

fn enqueued() -> Fixture {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1", "2"], &["ci"]);
    fixture.push("/srv/a.git", &["3"], &["ci"]);
    fixture
}

/// Delivers as another process, and removes the folder.
fn deliver(fixture: &Fixture) -> Vec<String> {
    fixture.deliver_all("ci")
}

/// Asserts that all messages arrive, at first in order.
#[track_caller]
fn arrives(fixture: &Fixture, mut arrived: Vec<String>, order: &[&str]) {
    fixture.distribute();
    arrived.extend(fixture.deliver_all("ci"));
    let mut first: Vec<String> = vec![];
    for id in arrived {
        if !first.contains(&id) {
            first.push(id);
        }
    }
    assert_eq!(first, order);
    assert!(fixture.ls("retry").is_empty());
}

#[test]
fn a_folder_that_goes_while_entries_are_linked_into_it_is_made_again() {
    beside(
        enqueued,
        |fixture| drop(fixture.distribute()),
        deliver,
        |fixture, arrived| arrives(fixture, arrived, &["1", "2", "3"]),
    );
}

/// Makes items that have failed, or are about to.
fn given_up() -> Fixture {
    let fixture = enqueued();
    fixture.distribute();
    let lane = fixture.lane("ci");
    for item in lane.waiting().unwrap().in_order {
        lane.fail_rest(&item).unwrap();
    }
    drop(lane);
    assert!(fixture.ls("retry").is_empty());
    fixture
}

fn retry(fixture: &Fixture) {
    for failed in fixture.spool.failed(&queue("ci")).unwrap() {
        fixture.spool.retry_failed(&failed, noon()).unwrap();
    }
}

#[test]
fn a_folder_that_goes_while_what_failed_is_retried_is_made_again() {
    beside(given_up, retry, deliver, |fixture, arrived| {
        arrives(fixture, arrived, &["1", "2", "3"]);
        assert!(fixture.ls("failed/ci").is_empty());
    });
}

#[test]
fn a_folder_of_what_failed_that_goes_while_more_fails_is_made_again() {
    let fail = |fixture: &Fixture| {
        let lane = fixture.lane("ci");
        for item in lane.waiting().unwrap().in_order {
            lane.fail_rest(&item).unwrap();
        }
    };
    let distributed = || {
        let fixture = enqueued();
        fixture.distribute();
        fixture
    };
    let sweep = |fixture: &Fixture| {
        let _ = fixture.spool.sweep(noon()).unwrap();
    };
    beside(distributed, fail, sweep, |fixture, ()| {
        assert!(fixture.ls("retry").is_empty());
        retry(fixture);
        arrives(fixture, vec![], &["1", "2", "3"]);
        sweep(fixture);
        assert!(fixture.ls("failed").is_empty());
    });
}

#[test]
fn a_folder_that_goes_while_a_spool_is_adopted_is_made_again() {
    let central = |fixture: &Fixture| Fixture {
        spool: Spool::new(fixture.dir.path().join("central"), Access::Owner),
        ..Fixture::new()
    };
    let distributed = || {
        let fixture = enqueued();
        fixture.distribute();
        fixture
    };
    beside(
        distributed,
        move |fixture| drop(central(fixture).spool.adopt(&fixture.spool).unwrap()),
        move |fixture| deliver(&central(fixture)),
        |fixture, arrived| {
            assert!(fixture.ls("retry").is_empty());
            arrives(&central(fixture), arrived, &["1", "2", "3"]);
        },
    );
}

#[test]
fn a_folder_that_goes_while_a_queue_is_handed_over_is_made_again() {
    let hand_over = |fixture: &Fixture| {
        fixture.push("/srv/a.git", &["4"], &["old"]);
        fixture.distribute();
        let (old, ci) = (queue("old"), queue("ci"));
        let handed = fixture.spool.hand_over(&old, (&ci, "ci"), &|_, _| true);
        assert_eq!(handed.unwrap().entries, 1);
    };
    beside(Fixture::new, hand_over, deliver, |fixture, arrived| {
        arrives(fixture, arrived, &["4"]);
    });
}

#[test]
fn whoever_is_killed_leaves_an_empty_folder_at_most() {
    let deliver_and_go_on = |fixture: &Fixture| {
        let lane = fixture.lane("ci");
        for item in lane.waiting().unwrap().in_order {
            let _ = lane.remove(&item);
        }
        drop(lane);
        let _ = fixture.enqueue(&draft("/srv/a.git", &["4"], &["ci"]));
        let _ = fixture.spool.distribute(Lock::Try, cannot_build);
    };
    let distributed = || {
        let fixture = enqueued();
        fixture.distribute();
        fixture
    };
    at_every_crash(distributed, deliver_and_go_on, |fixture, ()| {
        let left = fixture.ls("new").len() + fixture.ls("retry/ci").len();
        fixture.distribute();
        let arrived = fixture.deliver_all("ci");
        assert!(left == 0 || !arrived.is_empty());
        // The next flush removes it.
        fixture.spool.remove_if_empty(&queue("ci"));
        assert!(fixture.ls("retry").is_empty());
    });
}

#[test]
fn whoever_waits_for_a_folder_that_is_removed_gets_the_new_one() {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    fixture.distribute();
    let spool = &fixture.spool;
    let held = fixture.lane("ci");
    thread::scope(|scope| {
        let waits = scope.spawn(|| spool.lane_within(&queue("ci"), Lock::Wait).unwrap());
        // Long enough for the folder to be open there; otherwise this shows less.
        thread::sleep(Duration::from_millis(100));
        for item in held.waiting().unwrap().in_order {
            held.remove(&item).unwrap();
        }
        fs::remove_dir(fixture.path("retry/ci")).unwrap();
        fixture.push("/srv/a.git", &["2"], &["ci"]);
        fixture.distribute();
        let other = fixture.lane("ci");
        drop(held);
        thread::sleep(Duration::from_millis(20));
        assert!(!waits.is_finished(), "two have one queue");
        drop(other);
        let lane = waits.join().unwrap().unwrap();
        assert_eq!(lane.waiting().unwrap().in_order.len(), 1);
    });
}

#[test]
fn many_at_once_lose_nothing_and_deliver_in_order() {
    const PUSHES: usize = 300;
    let fixture = Fixture::new();
    let spool = &fixture.spool;
    let (arrived, mut pushed) = (Mutex::new(vec![]), vec![]);
    let end = Instant::now() + Duration::from_secs(30);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while Instant::now() < end && arrived.lock().unwrap().len() < PUSHES {
                    let Some(lane) = spool.lane(&queue("ci")).unwrap() else {
                        continue;
                    };
                    for item in lane.waiting().unwrap().in_order {
                        arrived.lock().unwrap().push(item.id.clone());
                        lane.remove(&item).unwrap();
                    }
                }
            });
        }
        for n in 0..PUSHES {
            pushed.push(fixture.push("/srv/a.git", &[&n.to_string()], &["ci"]));
            fixture.distribute();
        }
    });
    assert_eq!(arrived.into_inner().unwrap(), pushed);
    assert!(fixture.ls("retry").is_empty());
}
