//! Spools that lack folders: a backup was restored that leaves out those that are empty.

use std::fs;
use std::path::Path;

use crate::support::spooled::{commits, names};
use crate::support::{Answer, Spooled};

/// Removes the empty folders below this one, as such a backup does.
fn without_empty_folders(folder: &Path) {
    for name in names(folder) {
        let below = folder.join(name);
        if below.is_dir() {
            without_empty_folders(&below);
            let _ = fs::remove_dir(&below);
        }
    }
}

#[test]
fn what_waited_in_a_spool_without_its_empty_folders_was_invisible() {
    let site = Spooled::new();
    let spool = site.path("spools/ours");
    let top = format!("mode = \"spool\"\nspool = \"{}\"", spool.display());
    site.configure(&top, "");
    let (commit, _) = site.announce();
    fs::remove_dir_all(spool.join("sizes")).unwrap();
    without_empty_folders(&spool);
    assert_eq!(names(&spool), ["new"]);
    let spools = site.path("spools");
    let list = || {
        let run = site.refpost(["queue", "list", "--json"]).arg(&spools).run();
        run.well().stdout
    };
    assert_eq!(list().lines().count(), 1);
    site.receiver.script(|_| Answer::status(503));
    site.refpost(["flush"]).arg(&site.bare).run().well();
    site.receiver.take();
    without_empty_folders(&spool);
    assert!(!spool.join("failed").exists() && !spool.join("new").exists());
    assert_eq!(list().lines().count(), 1);
    site.receiver.script(|_| Answer::status(200));
    site.refpost(["queue", "retry", "--all", "--repo"])
        .arg(&site.bare)
        .run()
        .well();
    // `queue retry` has started a flush of its own.
    assert_eq!(commits(&site.receiver.wait_for(1)), [commit]);
}

#[test]
fn folders_that_look_a_little_like_a_spool_are_searched() {
    let site = Spooled::new();
    site.announce();
    let folder = site.path("srv");
    fs::create_dir_all(folder.join("failed/cur")).unwrap();
    fs::create_dir_all(folder.join("tmp")).unwrap();
    fs::create_dir_all(folder.join("new")).unwrap();
    fs::rename(&site.bare, folder.join("new/a.git")).unwrap();
    let list = site.refpost(["queue", "list", "--json"]).arg(&folder).run();
    assert_eq!(list.well().stdout.lines().count(), 1);
}

#[test]
fn a_push_was_lost_to_a_spool_without_new() {
    for (top, folder) in [
        ("mode = \"spool\"", "new"),
        ("mode = \"sync\"", "new"),
        ("mode = \"spool\"", "retry"),
        ("mode = \"spool\"", "failed"),
    ] {
        let site = Spooled::with(top);
        site.announce();
        site.flush();
        site.receiver.take();
        fs::remove_dir_all(site.spool().join(folder)).unwrap();
        let (commit, push) = site.announce();
        assert!(
            !push.said.contains("cannot"),
            "{top} {folder}: {}",
            push.said
        );
        site.flush();
        let requests = [push.requests, site.receiver.take()].concat();
        assert_eq!(commits(&requests), [commit], "{top} {folder}");
    }
}
