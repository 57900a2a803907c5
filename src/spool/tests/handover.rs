//! Handing a queue over to another endpoint.

use proptest::prelude::*;

use super::crashes::at_every_crash;
use super::disk::fault::killed_after;
use super::*;
use crate::report;

/// Makes three pushes for `old`, which `deploy` gets too.
///
/// Of the first, message 1 has failed and message 2 steps aside; the second has failed whole; the
/// third waits.
fn for_old() -> Fixture {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1", "2", "3"], &["old", "deploy"]);
    fixture.push("/srv/a.git", &["4", "5"], &["old"]);
    fixture.push("/srv/b.git", &["6"], &["old", "deploy"]);
    fixture.distribute();
    let lane = fixture.lane("old");
    let in_order = lane.waiting().unwrap().in_order;
    let rest = lane.fail_one(&in_order[0], 3).unwrap().unwrap();
    lane.step_aside(&rest, 3, noon(), 1).unwrap();
    lane.fail_rest(&in_order[1]).unwrap();
    drop(lane);
    fixture
}

fn hand_over(fixture: &Fixture) -> Result<HandedOver, SpoolError> {
    let (old, new) = (queue("old"), queue("new"));
    fixture.spool.hand_over(&old, (&new, "new"), &|_, _| true)
}

fn all_in(name: &str) -> Kept {
    let deploy: &[&str] = &["1", "2", "3", "6"];
    kept(&[(name, &["1", "2", "3", "4", "5", "6"]), ("deploy", deploy)])
}

#[test]
fn what_waits_and_what_failed_goes_to_the_other_queue_in_push_order() {
    let fixture = for_old();
    fixture.push("/srv/a.git", &["7"], &["new"]);
    assert_eq!(fixture.distribute().entries, 1);
    let handed = hand_over(&fixture).unwrap();
    assert_eq!((handed.entries, handed.unread.len()), (5, 0));
    assert!(fixture.ls("retry/old").is_empty() && fixture.ls("failed/old").is_empty());
    assert!(fixture.ls("tmp").is_empty());
    let item = &fixture.spool.peek(&queue("new")).unwrap().in_order[0];
    let entry = fixture.spool.open_item(&queue("new"), item).unwrap();
    assert_eq!(entry.header().endpoint(&queue("new")), Some("new"));
    assert_eq!(entry.header().pusher.as_deref(), Some("alice"));
    // Messages that had stepped aside come last, as on a retry.
    let order = ["3", "4", "5", "6", "7", "1", "2"];
    assert_eq!(fixture.deliver_all("new"), order);
    assert_eq!(fixture.deliver_all("deploy"), ["1", "2", "3", "6"]);
    assert!(fixture.spool.is_empty().unwrap());
}

#[test]
fn only_what_is_wanted_goes() {
    let fixture = for_old();
    let (old, new) = (queue("old"), queue("new"));
    let is_wanted = |_: &Id, header: &Header| header.repository == Path::new("/srv/b.git");
    let handed = fixture.spool.hand_over(&old, (&new, "new"), &is_wanted);
    assert_eq!(handed.unwrap().entries, 1);
    assert_eq!(fixture.deliver_all("new"), ["6"]);
    assert_eq!(fixture.deliver_all("old"), ["3", "2"]);
}

#[test]
fn what_the_other_endpoint_got_of_the_same_push_is_not_sent_twice() {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1"], &["old", "new"]);
    fixture.push("/srv/a.git", &["2"], &["old"]);
    fixture.distribute();
    assert_eq!(fixture.deliver_all("new"), ["1"]);
    assert_eq!(hand_over(&fixture).unwrap().entries, 2);
    assert_eq!(fixture.deliver_all("new"), ["2"]);
    assert!(fixture.spool.is_empty().unwrap());
}

#[test]
fn what_both_endpoints_got_was_lost_once_it_had_been_moved_there_and_back() {
    let fixture = || {
        let fixture = Fixture::new();
        fixture.push("/srv/a.git", &["1", "2"], &["old", "new"]);
        fixture.push("/srv/a.git", &["3", "4"], &["old", "new", "deploy"]);
        fixture.distribute();
        let lane = fixture.lane("new");
        let in_order = lane.waiting().unwrap().in_order;
        lane.advance(&in_order[0], 2).unwrap();
        lane.fail_one(&in_order[1], 2).unwrap();
        drop(lane);
        fixture
    };
    let there = |fixture: &Fixture| {
        let _ = hand_over(fixture);
    };
    let back = |fixture: &Fixture| {
        let (old, new) = (queue("old"), queue("new"));
        let handed = fixture.spool.hand_over(&new, (&old, "old"), &|_, _| true);
        assert_eq!(handed.unwrap().unread.len(), 0);
        assert!(fixture.ls("retry/new").is_empty() && fixture.ls("failed/new").is_empty());
    };
    let states = at_every_crash(fixture, there, |fixture, ()| {
        there(fixture);
        let deploy: &[&str] = &["3", "4"];
        let expected = kept(&[("new", &["2", "3", "4"]), ("deploy", deploy)]);
        assert_eq!(fixture.kept(), expected);
        back(fixture);
        assert_eq!(fixture.deliver_all("old"), ["2", "4", "3"]);
        assert_eq!(fixture.deliver_all("deploy"), ["3", "4"]);
        assert!(fixture.spool.is_empty().unwrap());
    });
    assert!(states > 20, "{states}");
}

#[test]
fn two_queues_handed_over_to_one_lose_nothing() {
    let fixture = Fixture::new();
    let mut built = built(&["1", "2"], &["old", "older"]);
    built.recipients[0].messages = Selection::Only(vec![0]);
    built.recipients[1].messages = Selection::Only(vec![1]);
    let content = Content::Built(built);
    let draft = Draft {
        content,
        ..draft("/srv/a.git", &[], &[])
    };
    fixture.enqueue(&draft).unwrap();
    fixture.distribute();
    hand_over(&fixture).unwrap();
    let (older, new) = (queue("older"), queue("new"));
    let handed = fixture.spool.hand_over(&older, (&new, "new"), &|_, _| true);
    assert_eq!(handed.unwrap().entries, 1);
    let mut arrived = fixture.deliver_all("new");
    arrived.sort();
    assert_eq!(arrived, ["1", "2"]);
}

#[test]
fn a_queue_that_is_being_delivered_is_waited_for_and_then_left() {
    for busy in ["old", "new"] {
        let fixture = for_old();
        fixture.push("/srv/a.git", &["7"], &["new"]);
        let before = fixture.kept();
        let lane = fixture.lane(busy);
        let error = hand_over(&fixture).unwrap_err();
        assert!(report::chain(&error).contains("for two seconds"), "{error}");
        drop(lane);
        assert_eq!(fixture.kept(), before);
    }
}

#[test]
fn an_entry_that_cannot_be_read_stays_and_is_told() {
    let fixture = for_old();
    let [failed] = &fixture.ls("failed/old")[1..] else {
        panic!("one part of an entry, and one entry");
    };
    std::fs::write(fixture.path("failed/old").join(failed), "cut").unwrap();
    let handed = hand_over(&fixture).unwrap();
    assert_eq!((handed.entries, handed.unread.len()), (4, 1));
    assert_eq!(fixture.ls("failed/old"), [failed.as_str()]);
}

#[test]
fn a_crash_loses_nothing_and_a_second_run_completes_it() {
    let act = |fixture: &Fixture| {
        let _ = hand_over(fixture);
    };
    let states = at_every_crash(for_old, act, |fixture, ()| {
        // Either place has it.
        let mut there = fixture.kept();
        let old = there.remove("old").unwrap_or_default();
        there.entry("new".to_owned()).or_default().extend(old);
        assert_eq!(there, all_in("new"));
        hand_over(fixture).unwrap();
        assert_eq!(fixture.kept(), all_in("new"));
        assert!(fixture.ls("retry/old").is_empty() && fixture.ls("failed/old").is_empty());
        let order = ["3", "4", "5", "6", "1", "2"];
        assert_eq!(fixture.deliver_all("new"), order, "and nothing twice");
    });
    assert!(states > 30, "{states}");
}

#[test]
fn what_was_delivered_between_a_crash_and_the_second_run_is_repeated_at_the_worst() {
    let act = |fixture: &Fixture| {
        let _ = hand_over(fixture);
    };
    at_every_crash(for_old, act, |fixture, ()| {
        let mut arrived = fixture.deliver_all("new");
        hand_over(fixture).unwrap();
        arrived.extend(fixture.deliver_all("new"));
        arrived.sort();
        arrived.dedup();
        assert_eq!(arrived, ["1", "2", "3", "4", "5", "6"]);
    });
}

#[test]
fn an_id_that_was_handed_over_keeps_its_place() {
    let id = |host: &str, random| Id::new(noon(), host, random);
    for host in ["git1", "g-", "-", &"x".repeat(32)] {
        let [first, second] = [1, 2].map(|random| id(host, random).handed_over("old"));
        assert!(first < second);
        let later = Id::new(noon() + Duration::from_nanos(1), "a", 0);
        assert!(second < later && second != id(host, 2));
        for id in [&first, &first.handed_over("other")] {
            assert_eq!(Id::parse(id.as_str()).as_ref(), Some(id));
        }
        assert_ne!(first, id(host, 1).handed_over("other"));
        assert_ne!(first.handed_over("b"), id(host, 1).handed_over("b"));
    }
}

/// What has become of the messages of one push for one endpoint.
#[derive(Clone, Debug)]
struct Past {
    gets: Vec<usize>,
    /// What each of its first messages met, by number: sent, failed, stepped aside, all given up.
    met: Vec<u8>,
}

fn past() -> impl Strategy<Value = Past> {
    let gets = prop::sample::subsequence(vec![0, 1, 2], 1..=3);
    let met = prop::collection::vec(0..4u8, 0..4);
    (gets, met).prop_map(|(gets, met)| Past { gets, met })
}

/// Makes a push of three messages with these pasts for `old` and `new`.
fn with_pasts(old: &Past, new: &Past) -> Fixture {
    let fixture = Fixture::new();
    let mut built = built(&["0", "1", "2"], &["old", "new"]);
    built.recipients[0].messages = Selection::Only(old.gets.clone());
    built.recipients[1].messages = Selection::Only(new.gets.clone());
    let draft = Draft {
        content: Content::Built(built),
        ..draft("/srv/a.git", &[], &[])
    };
    fixture.enqueue(&draft).unwrap();
    fixture.distribute();
    for (name, past) in [("old", old), ("new", new)] {
        let lane = fixture.lane(name);
        let total = u32::try_from(past.gets.len()).unwrap();
        let mut left = lane.waiting().unwrap().in_order.pop();
        for met in &past.met {
            let Some(item) = left else { break };
            left = match met {
                0 => lane.advance(&item, total).unwrap(),
                1 => lane.fail_one(&item, total).unwrap(),
                2 => lane.step_aside(&item, total, noon(), 1).unwrap(),
                _ => {
                    lane.fail_rest(&item).unwrap();
                    None
                }
            };
        }
    }
    fixture
}

fn waiting_or_failed(fixture: &Fixture, name: &str) -> BTreeSet<String> {
    fixture.kept().remove(name).unwrap_or_default()
}

fn retry_and_deliver(fixture: &Fixture, name: &str) -> Vec<String> {
    for failed in fixture.spool.failed(&queue(name)).unwrap() {
        fixture.spool.retry_failed(&failed, noon()).unwrap();
    }
    let mut arrived = fixture.deliver_all(name);
    arrived.sort();
    arrived
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Two parts of one entry, with other messages each, had one id in the new queue. One of them
    /// was taken for what a crash had left, and removed.
    #[test]
    fn queues_that_get_other_messages_of_a_push_lost_some(
        old in past(),
        new in past(),
        killed in 0..120usize,
    ) {
        let expected = |fixture: &Fixture| {
            let mut all = waiting_or_failed(fixture, "old");
            all.retain(|one| !new.gets.contains(&one.parse().unwrap()));
            all.extend(waiting_or_failed(fixture, "new"));
            all
        };
        let fixture = with_pasts(&old, &new);
        let (all, moves) = (expected(&fixture), !waiting_or_failed(&fixture, "old").is_empty());
        hand_over(&fixture).unwrap();
        prop_assert_eq!(waiting_or_failed(&fixture, "old"), BTreeSet::new());
        prop_assert_eq!(&waiting_or_failed(&fixture, "new"), &all);
        let once: Vec<String> = all.iter().cloned().collect();
        if moves {
            // And back.
            let (from, to) = (queue("new"), queue("old"));
            fixture.spool.hand_over(&from, (&to, "old"), &|_, _| true).unwrap();
            prop_assert_eq!(retry_and_deliver(&fixture, "old"), once);
        } else {
            prop_assert_eq!(retry_and_deliver(&fixture, "new"), once);
        }
        prop_assert!(fixture.spool.is_empty().unwrap());

        let fixture = with_pasts(&old, &new);
        let _ = killed_after(killed, || hand_over(&fixture));
        hand_over(&fixture).unwrap();
        let arrived: BTreeSet<String> = retry_and_deliver(&fixture, "new").into_iter().collect();
        prop_assert_eq!(arrived, all);
    }
}
