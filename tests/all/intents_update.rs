//! Hosts that offer `update` or `post-update` only.

use std::fs;

use crate::intents_levels::said;
use crate::support::Site;

const CREATED: &str = "git.branch.creation";
const DELETED: &str = "git.branch.deletion";
const RECEIVED: &str = "git.receive";
const TAGGED: &str = "git.tag.creation";

#[test]
fn update_alone_records_ref_by_ref() {
    let site = Site::new();
    site.link_only(&["update", "post-receive"]);
    let keep = site.path("kept").display().to_string();
    // What lies there when post-receive begins.
    site.hook(
        "post-receive",
        &format!("cp -r refpost/spool/intent {keep}\nexec REFPOST hook post-receive"),
    );
    site.commit("a");
    let push = site.push(&["main", "main:b", "main:refs/tags/v1"]);
    assert_eq!(
        push.about(),
        [
            (CREATED, "main"),
            (RECEIVED, "main"),
            (CREATED, "b"),
            (TAGGED, "v1")
        ]
    );
    assert_eq!(
        crate::support::names(keep.as_ref()).len(),
        3,
        "one for each ref"
    );
    site.assert_quiet();

    // Killed before it is told what moved.
    site.hook("post-receive", "kill -9 $PPID");
    site.commit("b");
    site.try_push(&["origin", "main", ":b"]);
    assert_eq!(site.intents().len(), 2);
    let flushed = site.flush();
    let mut about: Vec<_> = flushed.iter().map(crate::support::Message::about).collect();
    about.sort_unstable();
    assert_eq!(about, [(DELETED, "b"), (RECEIVED, "main")]);
    site.assert_quiet();
}

#[test]
fn post_update_alone_takes_old_values_from_intents() {
    for before in ["update", "pre-receive"] {
        let site = Site::new();
        site.link_only(&[before, "post-update"]);
        let first = site.commit("a");
        assert_eq!(
            site.push(&["main"]).about(),
            [(CREATED, "main"), (RECEIVED, "main")]
        );
        site.commit("b");
        let push = site.push(&["main", "main:b"]);
        assert_eq!(push.about(), [(RECEIVED, "main"), (CREATED, "b")]);
        assert_eq!(push.messages[0]["old_commit"], first, "{before}");
        let push = site.push(&[":b"]);
        assert_eq!(push.about(), [(DELETED, "b")]);
        site.assert_quiet();
    }
}

#[test]
fn post_update_alone_takes_old_values_from_the_reflog() {
    let site = Site::new();
    site.link_only(&["post-update"]);
    site.bare_git(&["config", "core.logAllRefUpdates", "always"]);
    let first = site.commit("a");
    assert_eq!(
        site.push(&["main"]).about(),
        [(CREATED, "main"), (RECEIVED, "main")]
    );
    site.commit("b");
    let push = site.push(&["main"]);
    assert_eq!(push.only()["old_commit"], first);
    site.assert_quiet();
}

#[test]
fn post_update_alone_says_what_it_cannot_tell() {
    let site = Site::new();
    site.link_only(&["post-update"]);
    site.commit("a");
    let push = site.push(&["main", "main:refs/tags/v1"]);
    assert_eq!(push.about(), []);
    assert_eq!(
        said(&push),
        [
            "refpost: cannot tell what `refs/heads/main` was before: it is not announced",
            "refpost: cannot tell what `refs/tags/v1` was before: it is not announced",
        ]
    );
    site.assert_quiet();
}

/// Wherever git looks for hooks.
#[test]
fn post_update_beside_post_receive_announces_nothing_twice() {
    for elsewhere in [false, true] {
        let site = Site::new();
        site.link_only(&["pre-receive", "post-receive", "post-update"]);
        if elsewhere {
            fs::rename(site.bare.join("hooks"), site.path("hooks")).unwrap();
            let hooks = site.path("hooks").display().to_string();
            site.bare_git(&["config", "core.hooksPath", &hooks]);
            site.bare_git(&["config", "core.logAllRefUpdates", "always"]);
        }
        site.commit("a");
        let push = site.push(&["main"]);
        assert_eq!(push.about(), [(CREATED, "main"), (RECEIVED, "main")]);
        assert_eq!(said(&push).len(), 1, "{}", push.said);
        site.assert_quiet();
    }
}
