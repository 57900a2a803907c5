//! Giving what waits for a broker to its endpoints.

use super::disk::fault::{fill, interrupted_at};
use super::*;

/// Makes pushes for the broker, whose workers deliver to `ci` and `web`.
fn for_broker(pushes: usize) -> Fixture {
    let fixture = Fixture::new();
    for n in 0..pushes {
        let id = n.to_string();
        let built = built(&[&id], &["@broker"]);
        let to = super::built(&[], &["ci", "web"]).recipients;
        fixture.enqueue(&forwarded(built, to)).unwrap();
    }
    fixture.distribute();
    fixture
}

fn forwarded(mut built: Built<Message>, to: Vec<Recipient>) -> Draft {
    built.recipients[0].forward = Some(Forward {
        path: PathBuf::from("a.git"),
        to,
    });
    Draft {
        content: Content::Built(built),
        ..draft("/srv/a.git", &[], &[])
    }
}

fn ids(fixture: &Fixture, queue: &str) -> BTreeSet<String> {
    let items = fixture.ls(&format!("retry/{queue}")).into_iter();
    items.map(|name| Item::id_in(&name).to_owned()).collect()
}

/// Each flush gave them to the endpoints once more.
#[test]
fn what_is_given_away_leaves_the_brokers_queue_though_the_disk_is_full() {
    let mut steps = 0;
    loop {
        let fixture = for_broker(4);
        let act = || fixture.deliver_here(&|| true);
        let (ended, was_full) = interrupted_at(steps, act, || fill(true));
        fill(false);
        assert!(was_full || ended.is_ok());
        let left = ids(&fixture, "@broker");
        for queue in ["ci", "web"] {
            let given = ids(&fixture, queue);
            assert!(given.is_disjoint(&left), "{steps}: {given:?} {left:?}");
        }
        fixture.deliver_here(&|| true).unwrap();
        for queue in ["ci", "web"] {
            assert_eq!(fixture.deliver_all(queue), ["0", "1", "2", "3"]);
        }
        if !was_full {
            break;
        }
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
}

/// A push, and the loop of a watch, waited for all of a backlog.
#[test]
fn as_much_is_given_as_there_is_time_for() {
    let fixture = for_broker(150);
    let looks = Cell::new(0);
    let goes_on = || {
        looks.set(looks.get() + 1);
        looks.get() == 1
    };
    assert!(fixture.deliver_here(&goes_on).unwrap());
    let (given, left) = (fixture.ls("retry/ci"), fixture.ls("retry/@broker"));
    assert_eq!((given.len(), left.len()), (64, 150 - 64));
}
