//! Objects that are missing or damaged, as a bad disk, a careless `git prune` or an
//! incomplete copy leaves them: what is told of a push all the same.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::support::{Message, Push, Site, ZEROS, parse_bodies};

/// `main` has three commits, each of one file in a folder, and was pushed; each object lies
/// by itself.
fn started() -> (Site, Vec<String>) {
    let site = Site::told_twice();
    site.bare_git(&["config", "receive.unpackLimit", "1000"]);
    let ids = ["x/a", "x/b", "x/c"].map(|file| site.commit(file)).to_vec();
    site.push(&["main"]);
    (site, ids)
}

fn path(site: &Site, id: &str) -> PathBuf {
    site.bare.join("objects").join(&id[..2]).join(&id[2..])
}

fn lose(site: &Site, id: &str) {
    fs::remove_file(path(site, id)).unwrap();
}

/// What the hook says of one ref update, through libgit2 and through git.
#[track_caller]
fn told(site: &Site, old: &str, new: &str, name: &str) -> Vec<Message> {
    let line = format!("{old} {new} {name}\n");
    let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
    let push: Push = site.push_by(hook.stdin(&line));
    assert_eq!(push.status, 0, "{}", push.said);
    let preview = site.refpost(["preview", "--repo", "test.git"]);
    let previewed = parse_bodies(&preview.stdin(line).run().well().bytes);
    assert_eq!(previewed.len(), push.messages.len(), "{}", push.said);
    push.messages
}

/// The parts of a `git.receive` that hang on what can be read.
fn facts(message: &Message) -> serde_json::Value {
    json!([
        message["old_commit"],
        message["start_commit"],
        message["total_commits"],
        message["forced"],
        message["incomplete"],
    ])
}

#[test]
fn a_missing_ancestor_held_back_the_push_and_all_later_ones() {
    let (site, ids) = started();
    site.head("ref: refs/heads/none");
    let new = site.commit("x/d");
    site.push(&["main"]);
    lose(&site, &ids[1]);
    let messages = told(&site, ZEROS, &new, "refs/heads/copy");
    assert_eq!(messages.len(), 2, "{messages:?}");
    let received = &messages[1];
    assert_eq!(facts(received), json!([ZEROS, ids[2], 2, false, true]));
    assert_eq!(received["end_commit"], new);
    assert_eq!(received["changed_files"].as_object().unwrap().len(), 4);
    assert!(received["changed_files_truncated"].is_null());
}

#[test]
fn what_leads_nowhere_near_a_missing_ancestor_is_told_as_ever() {
    let (site, ids) = started();
    let new = site.commit("x/d");
    site.push(&["main"]);
    lose(&site, &ids[0]);
    let messages = told(&site, &ids[2], &new, "refs/heads/main");
    assert_eq!(facts(&messages[0]), json!([ids[2], new, 1, false, null]));
}

#[test]
fn a_damaged_ancestor_ends_the_walk_as_a_missing_one_does() {
    let (site, ids) = started();
    site.git(&["checkout", "-q", "-b", "side", &ids[0]]);
    let new = site.commit("x/e");
    site.push(&["side"]);
    for damage in ["", "x", "commit 3\0xyz"] {
        fs::remove_file(path(&site, &ids[1])).unwrap();
        fs::write(path(&site, &ids[1]), damage).unwrap();
        let messages = told(&site, &ids[2], &new, "refs/heads/main");
        // What they have in common is behind it.
        assert_eq!(facts(&messages[0])[3], true);
        assert_eq!(facts(&messages[0])[4], true);
        assert_eq!(messages[0]["end_commit"], new);
    }
}

#[test]
fn of_a_merge_only_the_parent_that_is_there_is_followed() {
    let (site, ids) = started();
    site.git(&["checkout", "-q", "-b", "side", &ids[0]]);
    let lost = site.commit("y");
    let kept = site.commit("z");
    site.git(&["checkout", "-q", "main"]);
    site.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    let new = site.git(&["rev-parse", "HEAD"]);
    site.push(&["main"]);
    lose(&site, &lost);
    let messages = told(&site, &ids[2], &new, "refs/heads/main");
    assert_eq!(facts(&messages[0]), json!([ids[2], kept, 2, false, true]));
    let files: Vec<_> = messages[0].changed().into_iter().map(|it| it.0).collect();
    assert_eq!(files, ["y", "z"]);
}

#[test]
fn without_the_old_trees_the_commits_are_told() {
    let (site, ids) = started();
    let new = site.commit("x/d");
    site.push(&["main"]);
    let below = site.git(&["rev-parse", &format!("{}:x", ids[2])]);
    let whole = site.git(&["rev-parse", &format!("{}^{{tree}}", ids[2])]);
    for lost in [below, whole] {
        lose(&site, &lost);
        let messages = told(&site, &ids[2], &new, "refs/heads/main");
        assert_eq!(facts(&messages[0]), json!([ids[2], new, 1, false, true]));
        assert_eq!(messages[0]["changed_files"], json!({}));
        assert_eq!(messages[0]["changed_files_truncated"], true);
        assert_eq!(messages[0]["total_changed_files"], 0);
    }
}

#[test]
fn a_new_branch_is_told_though_the_default_one_is_lost() {
    let (site, ids) = started();
    site.git(&["checkout", "-q", "-b", "side"]);
    let new = site.commit("x/d");
    site.push(&["side"]);
    lose(&site, &ids[2]);
    let messages = told(&site, ZEROS, &new, "refs/heads/copy");
    assert_eq!(facts(&messages[1]), json!([ZEROS, new, 1, false, true]));
}

/// An author is nowhere but in the commit.
#[test]
fn what_only_the_commit_graph_knows_is_counted() {
    let (site, ids) = started();
    site.bare_git(&["commit-graph", "write", "--reachable"]);
    site.head("ref: refs/heads/none");
    for (lost, authors) in [(&ids[0], "Ada"), (&ids[1], "Ada")] {
        lose(&site, lost);
        let messages = told(&site, ZEROS, &ids[2], "refs/heads/copy");
        assert_eq!(facts(&messages[1]), json!([ZEROS, ids[0], 3, false, true]));
        assert_eq!(messages[1].authors(), [authors]);
    }
}
