//! What another process that holds a lock costs: a bounded wait, and no message.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use crate::support::Site;

/// Leaves an intent of a push that was refused, which the next push settles.
fn abandon_an_intent(site: &Site) {
    site.hook("pre-receive", "REFPOST hook pre-receive\nexit 1");
    site.commit("refused");
    assert!(
        site.try_push(&["origin", "main:refs/heads/refused"])
            .said
            .contains("rejected")
    );
    assert_eq!(site.intents().len(), 1);
    fs::remove_file(site.bare.join("hooks/pre-receive")).unwrap();
    site.guarantee();
}

#[test]
fn a_push_does_not_wait_for_ever_for_a_locked_spool() {
    let site = Site::guaranteed();
    site.spooled();
    site.commit("first");
    site.push(&["main"]);
    abandon_an_intent(&site);
    let new = File::open(site.spool().join("new")).unwrap();
    new.lock().unwrap();
    site.commit("second");
    let started = Instant::now();
    let push = site.push(&["main"]);
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(
        push.said
            .contains("another process has held it for two seconds"),
        "{}",
        push.said
    );
    assert!(
        push.said.contains("recorded, to be announced"),
        "{}",
        push.said
    );
    drop(new);
    let flushed = site.flush();
    let topics: Vec<&str> = flushed.iter().map(|message| message.about().0).collect();
    assert_eq!(
        topics,
        ["git.branch.creation", "git.receive", "git.receive"]
    );
}
