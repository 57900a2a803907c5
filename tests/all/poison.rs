//! A message that a receiver always answers with 500, and what waits behind it.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::spooled::{commits, refuse};
use crate::support::{Answer, Spooled};

/// A site whose schedule is a second, with so many pushes that wait.
fn waiting(count: usize) -> (Spooled, Vec<String>) {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", "[retry]\nschedule = [\"1s\"]");
    let pushed = site.announce_many(count);
    (site, pushed)
}

/// Flushes so often, each time once the head is due. Gives the commits that were sent each time.
fn flush(site: &Spooled, times: usize) -> Vec<Vec<String>> {
    let once = |_| {
        thread::sleep(Duration::from_millis(2300));
        site.flush();
        commits(&site.receiver.take())
    };
    (0..times).map(once).collect()
}

#[test]
fn a_message_that_always_got_a_500_held_everything_behind_it() {
    for status in [500, 501, 505, 511] {
        let (site, pushed) = waiting(4);
        refuse(&site.receiver, status, &[&pushed[0]]);
        let sent = flush(&site, 3);
        assert_eq!(sent[0], pushed[..1], "{status}");
        assert_eq!(sent[1], pushed[..1], "{status}");
        // It is asked a third time, and then the one behind it; the others follow.
        assert_eq!(sent[2], pushed, "{status}");
        // It waits for itself, as one that was refused.
        let file = site.files();
        assert_eq!(file.len(), 1, "{file:?}");
        assert!(
            file[0].starts_with("retry/one/") && file[0].ends_with(",0"),
            "{file:?}"
        );
        site.receiver.script(|_| Answer::status(200));
        assert_eq!(flush(&site, 1), [vec![pushed[0].clone()]]);
        assert!(site.files().is_empty());
    }
}

#[test]
fn statuses_of_gateways_say_nothing_of_the_message() {
    for status in [502, 503, 504, 520, 599] {
        let (site, pushed) = waiting(2);
        refuse(&site.receiver, status, &[&pushed[0]]);
        for sent in flush(&site, 4) {
            assert_eq!(sent, pushed[..1], "{status}");
        }
    }
}

#[test]
fn a_receiver_that_answers_500_to_all_gets_one_message_more_for_each_probe() {
    let (site, pushed) = waiting(3);
    site.receiver.script(|_| Answer::status(500));
    let expected: [&[usize]; 7] = [&[0], &[0], &[0, 1], &[0, 1], &[0, 1], &[0, 2], &[0, 2]];
    for (sent, expected) in flush(&site, 7).into_iter().zip(expected) {
        let expected: Vec<_> = expected.iter().map(|n| pushed[*n].clone()).collect();
        assert_eq!(sent, expected);
    }
    // Once it is back, all come in their order.
    site.receiver.script(|_| Answer::status(200));
    assert_eq!(flush(&site, 1), [pushed]);
}

#[test]
fn two_such_messages_in_a_row_step_aside_together() {
    let (site, pushed) = waiting(4);
    refuse(&site.receiver, 500, &[&pushed[0], &pushed[1]]);
    let sent = flush(&site, 6);
    assert_eq!(
        sent[5],
        [&pushed[0], &pushed[2], &pushed[3]].map(Clone::clone)
    );
    assert_eq!(site.files().len(), 2, "{:?}", site.files());
    let attempts = site.attempts();
    let last: Vec<&Value> = attempts.iter().map(|line| &line["status"]).collect();
    assert_eq!(last.iter().filter(|status| ***status == 500).count(), 9);
}

/// A push of two branches, of which the receiver does not understand the first.
#[test]
fn the_next_message_of_the_same_push_is_tried_too() {
    let (site, _) = waiting(0);
    site.git(&["branch", "a"]);
    site.git(&["branch", "b"]);
    let push = site.try_push(&["origin", "a", "b"]);
    assert_eq!(push.status, 0, "{}", push.said);
    site.receiver.script(|request| {
        let text = String::from_utf8_lossy(&request.body);
        Answer::status(if text.contains("\"branch\": \"a\"") {
            500
        } else {
            200
        })
    });
    let count = |_| {
        thread::sleep(Duration::from_millis(2300));
        site.flush();
        site.receiver.take().len()
    };
    let sent: Vec<usize> = (0..3).map(count).collect();
    assert_eq!(sent, [1, 1, 2]);
    assert_eq!(site.files().len(), 1, "{:?}", site.files());
}

#[test]
fn a_message_behind_one_that_was_given_up_stepped_aside_untried() {
    let site = Spooled::new();
    let retry = "[retry]\nschedule = [\"1s\"]\ngive_up_after = \"1s\"";
    site.configure("mode = \"spool\"", retry);
    let pushed = site.announce_many(4);
    refuse(&site.receiver, 500, &[&pushed[0]]);
    assert_eq!(flush(&site, 2), [&pushed[..1], &pushed[..1]]);
    // From now on the third answer, which calls for a trial, gives it up as well.
    site.settle_clock();
    let sent: Vec<String> = flush(&site, 3).concat();
    assert_eq!(sent, pushed);
    assert_eq!(site.names("failed/one").len(), 1);
    assert_eq!(site.names("retry/one"), [""; 0]);
}
