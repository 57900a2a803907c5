//! Repositories that were renamed while messages waited.

use std::fs;
use std::process::Command;

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
    assert_eq!(listed.lines().count(), 3, "{listed}");
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

/// A site whose repository is below `root`, with a spool that repositories share. Three pushes
/// wait: in a queue, in `new/`, and without messages. `None`: folders have no time of birth here.
fn three_below_root() -> Option<(Spooled, [String; 3])> {
    let site = Spooled::new();
    if fs::metadata(&site.bare).unwrap().created().is_err() {
        crate::support::leave_out_anyway(
            "no file system with times of birth: a rename is not recognised",
        );
        return None;
    }
    let shared = site.path("shared").display().to_string();
    let root = site.bare.parent().unwrap().display();
    let system = format!("root = \"{root}\"\nspool = \"{shared}\"\n");
    site.write("system.toml", system);
    site.configure("mode = \"spool\"", "");
    site.receiver.script(|_| Answer::status(503));
    let (first, _) = site.announce();
    site.refpost(["flush"]).run().well();
    site.receiver.take();
    let (second, _) = site.announce();
    let good = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.settings("mode = 1\n");
    let (third, _) = site.announce();
    site.settings(&good);
    site.receiver.script(|_| Answer::status(200));
    Some((site, [first, second, third]))
}

#[test]
fn what_waited_in_a_shared_spool_for_a_repository_renamed_below_root_stayed() {
    let Some((site, pushed)) = three_below_root() else {
        return;
    };
    let renamed = site.path("renamed.git");
    fs::rename(&site.bare, &renamed).unwrap();
    let (old, new) = (site.bare.display(), renamed.display());
    let said = site.refpost(["flush"]).run().stderr;
    let moved = format!("refpost: `{old}` was renamed: 3 entries moved to `{new}`\n");
    assert_eq!(said, moved);
    let mut arrived = site.receiver.take();
    eventually("they arrived", || {
        site.refpost(["queue", "retry", "--all"]).run();
        site.refpost(["flush"]).run().well();
        arrived.extend(site.receiver.take());
        arrived.len() == 3
    });
    assert_eq!(commits(&arrived), pushed);
}

#[test]
fn a_repository_that_came_after_another_is_not_that_one() {
    let Some((site, _)) = three_below_root() else {
        return;
    };
    let copy = site.path("copy.git");
    let mut copied = Command::new("cp");
    let copied = copied.arg("-a").args([&site.bare, &copy]).status();
    assert!(copied.unwrap().success());
    fs::remove_dir_all(&site.bare).unwrap();
    // Its folder may have the number of the inode that is free now.
    let other = site.path("other.git");
    fs::create_dir(&other).unwrap();
    for file in fs::read_dir(&copy).unwrap() {
        let file = file.unwrap();
        fs::rename(file.path(), other.join(file.file_name())).unwrap();
    }
    let said = site.refpost(["flush"]).run().stderr;
    let gone = format!("refpost: repository `{}` is gone\n", site.bare.display());
    assert!(said.contains(&gone), "{said}");
    assert!(!said.contains("was renamed"), "{said}");
    assert!(site.receiver.take().is_empty());
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
    let listed = queue(&["list", shared_]).well().stdout;
    let old = format!("  {}  ", site.bare.display());
    assert_eq!(listed.matches(&old).count(), 3, "{listed}");
    let (old, new) = (site.bare.to_str().unwrap(), renamed.to_str().unwrap());
    let flushed = site.refpost(["flush", shared_]).run();
    let hint = format!("hint: if it was moved: refpost queue move --renamed {old} NEW\n");
    assert!(flushed.stderr.contains(&hint), "{}", flushed.stderr);
    site.receiver.script(|_| Answer::status(200));
    let moved = queue(&["move", "--renamed", old, new]);
    assert_eq!(
        (moved.status, moved.stdout),
        (0, format!("3 entries moved to `{new}`\n")),
        "{}",
        moved.stderr
    );
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        queue(&["retry", "--all", "--repo", shared_]);
        site.refpost(["flush", shared_]).run();
        arrived.extend(site.receiver.take());
        arrived.len() == 3
    });
    assert_eq!(commits(&arrived), [first, second, third]);
    assert_eq!(names(&shared.join("new")), [""; 0]);
    let again = queue(&["move", "--renamed", old, new]);
    assert_eq!(again.status, 1);
}
