//! Repositories that were renamed while messages waited.

use std::fs;

use crate::support::spooled::{commits, eventually, names};
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

#[test]
fn what_waits_in_a_shared_spool_for_a_renamed_repository_is_moved_to_its_new_path() {
    let site = Spooled::new();
    let shared = site.path("shared");
    site.configure(
        &format!("mode = \"spool\"\nspool = \"{}\"", shared.display()),
        "",
    );
    site.receiver.script(|_| Answer::status(503));
    let (first, _) = site.announce();
    site.refpost(["flush"]).arg(&shared).run().well();
    // The other is not yet brought to its queue, and the third could only be recorded.
    let (second, _) = site.announce();
    let good = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.settings(&format!("spool = \"{}\"\nmode = 1\n", shared.display()));
    let system = format!("spool = \"{}\"\n", shared.display());
    site.write("system.toml", system);
    let (third, _) = site.announce();
    site.settings(&good);
    site.receiver.take();
    let renamed = site.path("renamed.git");
    fs::rename(&site.bare, &renamed).unwrap();
    let queue = |args: &[&str]| site.refpost(["queue"]).args(args).run();
    let shared_ = shared.to_str().unwrap();
    let listed = queue(&["list", "--in", shared_]).well().stdout;
    let old = format!("of `{}`", site.bare.display());
    assert_eq!(listed.matches(&old).count(), 3, "{listed}");
    let (old, new) = (site.bare.to_str().unwrap(), renamed.to_str().unwrap());
    let flushed = site.refpost(["flush", shared_]).run();
    let hint = format!("hint: if it was moved: refpost queue move --repository {old} NEW\n");
    assert!(flushed.stderr.contains(&hint), "{}", flushed.stderr);
    site.receiver.script(|_| Answer::status(200));
    let moved = queue(&["move", "--repository", old, new]);
    assert_eq!(
        (moved.status, moved.stdout),
        (0, format!("3 entries moved to `{new}`\n")),
        "{}",
        moved.stderr
    );
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        queue(&["retry", "--all", "--in", shared_]);
        site.refpost(["flush", shared_]).run();
        arrived.extend(site.receiver.take());
        arrived.len() == 3
    });
    assert_eq!(commits(&arrived), [first, second, third]);
    assert_eq!(names(&shared.join("new")), [""; 0]);
    let again = queue(&["move", "--repository", old, new]);
    assert_eq!(again.status, 1);
}
