//! `queue` beside whoever delivers, and several messages of one push.

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::support::spooled::{commits, eventually, late};
use crate::support::{Answer, Background, Request, Spooled};

#[test]
fn dropping_waits_for_no_slow_receiver_and_says_what_was_there() {
    let site = Spooled::new();
    let pushed = site.announce_many(12);
    let ids = site.names("new");
    site.receiver
        .script(|_| late(Duration::from_millis(150), 200));
    let flush = Background::start(site.refpost(["flush"]).arg(&site.bare));
    site.receiver.wait_for(1);
    // Whether they are in `new/` still, or have been brought to their queue.
    let last: Vec<_> = ids[8..].iter().map(String::as_str).collect();
    let ran = site.queue(&[&["drop"], &last[..]].concat()).well();
    assert_eq!(ran.stdout, "4 entries dropped\n");
    assert_eq!(commits(&site.receiver.wait_for(7)), pushed[1..8]);
    eventually("the spool is empty", || site.files().is_empty());
    drop(flush);
    assert!(site.receiver.take().is_empty());
    site.queue(&["drop", &ids[0]]).fails(
        1,
        "refpost: nothing of that kind waits or has failed\n\
         hint: `refpost queue list` shows what does\n",
    );
}

#[test]
fn each_refused_message_of_a_push_is_retried() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(404));
    for tag in ["x", "y"] {
        site.git(&["tag", tag]);
    }
    let push = site.try_push(&["origin", "main", "x", "y"]);
    assert_eq!(push.status, 0, "{}", push.said);
    site.flush();
    let refused = site.receiver.take().len();
    assert!(refused > 1, "{refused}");
    site.receiver.script(|_| Answer::status(200));
    let ran = site.queue(&["retry", "--all"]).well();
    assert_eq!(
        ran.stdout,
        format!("{refused} entries to be tried again now\n")
    );
    site.receiver.wait_for(refused);
    eventually("the spool is empty", || site.files().is_empty());
}

#[test]
fn nothing_overtakes_what_is_retried_while_it_is_delivered() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", "[retry]\nschedule = [\"1s\"]");
    site.receiver.script(|_| Answer::status(503));
    // Two messages, then one.
    site.commit("file");
    let push = site.try_push(&["origin", "main", "main:other"]);
    assert_eq!(push.status, 0, "{}", push.said);
    let (second, _) = site.announce();
    site.flush();
    site.receiver.take();
    let (asked, is_asked) = channel();
    site.receiver.script(move |_| {
        asked.send(()).ok();
        late(Duration::from_millis(600), 200)
    });
    let watch = Background::start(site.refpost(["flush", "--watch"]).arg(&site.bare));
    is_asked.recv().unwrap();
    site.queue(&["retry", "--all"]).well();
    eventually("the spool is empty", || site.files().is_empty());
    drop(watch);
    let is_second = |request: &Request| String::from_utf8_lossy(&request.body).contains(&second);
    let arrived: Vec<_> = site.receiver.take().iter().map(is_second).collect();
    assert_eq!(
        arrived,
        [false, false, false, true],
        "the first is repeated"
    );
}
