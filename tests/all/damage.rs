//! A repository that is damaged, and what is still told of it.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Push, Site};

/// A site whose last push, of `broken`, lost an object before the hook ran, so
/// that its messages cannot be built.
fn damaged() -> (Site, Push) {
    damaged_by("rm -f OBJECT")
}

/// The same, if something else happened to the object.
fn damaged_by(what: &str) -> (Site, Push) {
    let site = Site::new();
    site.commit("a");
    site.push(&["main"]);
    site.bare_git(&["config", "receive.unpackLimit", "1000"]);
    let hook = site.bare.join("hooks/post-receive");
    let binary = fs::read_link(&hook).unwrap();
    site.git(&["checkout", "-q", "-b", "broken"]);
    site.commit("b");
    site.commit("c");
    let lost = site.git(&["rev-parse", "HEAD^{tree}"]);
    let path = format!("objects/{}/{}", &lost[..2], &lost[2..]);
    fs::remove_file(&hook).unwrap();
    let script = format!(
        "#!/bin/sh\n{}\nexec '{}' hook post-receive\n",
        what.replace("OBJECT", &path),
        binary.display()
    );
    site.script("test.git/hooks/post-receive", &script);
    let push = site.try_push(&["origin", "broken"]);
    fs::remove_file(&hook).unwrap();
    symlink(&binary, &hook).unwrap();
    (site, push)
}

#[test]
fn a_push_whose_objects_are_gone_is_told_and_recorded() {
    let (site, push) = damaged();
    assert_eq!(push.status, 0, "{}", push.said);
    assert!(push.messages.is_empty(), "{:?}", push.about());
    let said = push.remote();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].ends_with("(your push was accepted)"), "{said:?}");
    let listed = site.refpost(["queue", "list", "test.git"]).run().well();
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);
}

/// libgit2 waits for the rest of such a file for ever.
#[test]
fn an_object_that_ends_too_soon_keeps_nobody_waiting() {
    let (site, push) = damaged_by("head -c 40 OBJECT >half; mv -f half OBJECT");
    assert_eq!(push.status, 0, "{}", push.said);
    let said = push.remote();
    assert_eq!(said.len(), 1, "{said:?}");
    let why = "it is missing or damaged (`git fsck` says more): recorded, to be announced once that is \
               mended (your push was accepted)";
    assert!(said[0].ends_with(why), "{said:?}");
    let new = site.git(&["rev-parse", "HEAD"]);
    let line = format!("{} {new} refs/heads/broken\n", "0".repeat(40));
    let preview = site.refpost(["preview", "test.git"]);
    let ran = preview.stdin(line).run();
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("missing or damaged"), "{}", ran.stderr);
}

/// Whether later pushes wait behind it or pass it: what the pusher is told is true.
#[test]
fn what_is_called_sent_has_arrived() {
    let (site, _) = damaged();
    let push = site.try_push(&["origin", "main:refs/tags/later"]);
    assert_eq!(push.status, 0, "{}", push.said);
    let says_sent = push.said.contains("sent to");
    assert_eq!(says_sent, push.messages.len() == 1, "{}", push.said);
}

#[test]
fn check_finds_a_push_that_cannot_be_announced() {
    let (site, _) = damaged();
    let ran = site.refpost(["check", "test.git"]).run();
    assert!(
        !ran.stdout.contains("0 errors, 0 warnings"),
        "{}",
        ran.stdout
    );
}
