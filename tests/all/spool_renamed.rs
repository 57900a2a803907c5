//! Repositories that were renamed while messages waited.

use std::fs;

use crate::support::spooled::{commits, eventually};
use crate::support::{Answer, Spooled};

#[test]
fn what_waits_in_a_renamed_repository_is_its_own_still() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(503));
    let (first, _) = site.announce();
    site.flush_well();
    let (second, _) = site.announce();
    // One whose messages are not built yet.
    site.receiver.take();
    let renamed = site.path("renamed.git");
    fs::rename(&site.bare, &renamed).unwrap();
    site.receiver.script(|_| Answer::status(200));
    let here = |args: &[&str]| site.refpost(args).dir(&renamed).run().well().stdout;
    let listed = here(&["queue", "list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let said = here(&["queue", "retry", "--all"]);
    assert_eq!(said, "2 entries to be tried again now\n");
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        here(&["flush", "."]);
        arrived.extend(site.receiver.take());
        arrived.len() == 2
    });
    assert_eq!(commits(&arrived), [first, second]);
}
