//! Several spools at once: what is wrong with one hides and stops no other.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::Spooled;
use crate::support::spooled::{announce_to, commits, sibling};

/// Three repositories, a push in each.
fn three() -> (Spooled, Vec<String>) {
    let site = Spooled::new();
    let (first, _) = site.announce();
    let others = ["second.git", "third.git"].map(|name| sibling(&site, name));
    let rest = others.each_ref().map(|bare| announce_to(&site, bare));
    (site, [first].into_iter().chain(rest).collect())
}

#[test]
fn a_path_that_is_gone_stops_no_other() {
    let (site, pushed) = three();
    let bare = |name: &str| site.path(name);
    let paths = [
        site.bare.clone(),
        bare("gone.git"),
        bare("second.git"),
        bare("third.git"),
    ];
    let list = site.refpost(["queue", "list"]);
    let listed = list.arg(bare("gone.git")).run();
    assert_eq!(listed.status, 1);
    let status = site.refpost(["status"]).args(&paths).run();
    assert_eq!(status.status, 1);
    assert_eq!(status.stdout.matches("1 in `new/`").count(), 3);
    let ran = site.refpost(["flush"]).args(&paths).run();
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("gone.git`: no such file"),
        "{}",
        ran.stderr
    );
    let mut arrived = commits(&site.receiver.take());
    arrived.sort();
    let mut pushed = pushed;
    pushed.sort();
    assert_eq!(arrived, pushed);
}

#[test]
fn what_is_in_the_place_of_a_queue_hides_no_other() {
    let (site, _) = three();
    let spool = site.path("second.git").join("refpost/spool");
    fs::create_dir_all(spool.join("retry")).unwrap();
    fs::create_dir_all(spool.join("failed")).unwrap();
    for junk in ["retry/notes", "failed/notes"] {
        symlink("elsewhere", spool.join(junk)).unwrap();
    }
    let status = site.refpost(["status"]).arg(site.path("")).run();
    assert_eq!(status.stdout.matches("1 in `new/`").count(), 3);
    assert!(status.stderr.contains("notes`"), "{}", status.stderr);
    let list = site.refpost(["queue", "list"]);
    let listed = list.arg(site.path("")).run();
    assert_eq!(listed.stdout.lines().count(), 4);
    assert!(listed.stderr.contains("failed/notes`"), "{}", listed.stderr);
}

#[test]
fn a_spool_that_cannot_be_read_hides_no_other() {
    let (site, _) = three();
    let spool = site.path("second.git").join("refpost/spool");
    fs::create_dir_all(&spool).unwrap();
    fs::remove_dir_all(spool.join("retry")).ok();
    fs::write(spool.join("retry"), "").unwrap();
    for command in [&["status"][..], &["queue", "list"]] {
        let ran = site.refpost(command).arg(site.path("")).run();
        assert_eq!(ran.status, 1, "{}", ran.stdout);
        assert!(ran.stderr.contains("spool/retry`"), "{}", ran.stderr);
        assert!(ran.stdout.contains("third.git"), "{}", ran.stdout);
    }
}

#[test]
fn a_repository_that_is_named_is_meant_though_nothing_of_ours_is_in_it() {
    let site = Spooled::new();
    let own = site.bare.join("refpost.toml");
    let config = fs::read_to_string(&own).unwrap();
    fs::remove_file(own).unwrap();
    let spool = site.path("spool");
    site.write(
        "system.toml",
        format!("spool = \"{}\"\n{config}", spool.display()),
    );
    let bare = sibling(&site, "plain.git");
    let pushed = announce_to(&site, &bare);
    assert!(!bare.join("refpost").exists() && !bare.join("refpost.toml").exists());
    let here = |args: &[&str]| site.refpost(args).dir(&bare).run().well().stdout;
    assert!(here(&["queue", "list"]).contains("plain.git"));
    assert!(here(&["status"]).contains("1 in `new/`"));
    site.refpost(["flush"]).arg(&bare).run().well();
    assert_eq!(commits(&site.receiver.take()), [pushed]);
}
