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
    let preview = site.refpost(["preview", "test.git"]);
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

/// A pushed commit whose tree is lost between git and the hook; the bare repository, its tree.
fn without_its_tree(site: &Site) -> (String, PathBuf) {
    let new = site.commit("x/d");
    site.git(&[
        "push",
        "-q",
        site.bare.to_str().unwrap(),
        "main:refs/keep/it",
    ]);
    site.receiver.take();
    let tree = site.git(&["rev-parse", "HEAD^{tree}"]);
    let tree = path(site, &tree);
    fs::rename(&tree, tree.with_extension("lost")).unwrap();
    (new, tree)
}

/// The hook alone, which cannot build its messages.
#[track_caller]
fn recorded(site: &Site, line: &str) {
    let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
    let ran = hook.stdin(line).run();
    assert!(
        ran.stderr.contains("recorded, to be announced"),
        "{}",
        ran.stderr
    );
}

fn flushed(site: &Site) -> (String, Vec<Message>) {
    let ran = site.refpost(["flush", "test.git"]).run();
    let requests = site.receiver.take();
    (
        ran.stderr,
        requests
            .iter()
            .map(crate::support::Request::message)
            .collect(),
    )
}

#[test]
fn a_push_whose_tree_is_missing_holds_its_own_branch_and_is_told_at_last() {
    let (site, ids) = started();
    site.config("[retry]\nbuild_after = \"2s\"\n");
    let (new, _) = without_its_tree(&site);
    recorded(&site, &format!("{} {new} refs/heads/main\n", ids[2]));
    let (said, messages) = flushed(&site);
    assert!(messages.is_empty(), "{said}");
    assert!(
        said.contains("1 recorded push is held back by that in"),
        "{said}"
    );
    assert!(said.contains("pushes of other refs pass"), "{said}");
    // Another branch passes, and what is behind it on the same branch does not.
    let other = told(&site, ZEROS, &ids[1], "refs/heads/other");
    assert_eq!(other[0].about(), ("git.branch.creation", "other"));
    let line = format!("{} {} refs/heads/main\n", ids[0], ids[1]);
    let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
    let behind = hook.stdin(line).run();
    assert!(
        behind.stderr.contains("behind older ones"),
        "{}",
        behind.stderr
    );

    std::thread::sleep(std::time::Duration::from_secs(2));
    let (said, messages) = flushed(&site);
    assert_eq!(messages.len(), 2, "{said}");
    assert_eq!(facts(&messages[0]), json!([ids[2], new, 0, false, true]));
    assert_eq!(messages[0]["end_commit"], new);
    assert_eq!(messages[0]["changed_files"], json!({}));
    assert_eq!(messages[0]["changed_files_truncated"], true);
    assert_eq!(messages[0].authors(), ["Ada"]);
    assert_eq!(messages[1]["end_commit"], ids[1]);
    assert!(messages[1]["incomplete"].is_null());
}

#[test]
fn refs_to_what_is_missing_are_told_by_what_their_ids_say() {
    let (site, ids) = started();
    site.config("[retry]\nbuild_after = \"0s\"\n");
    let gone = "1234567890".repeat(4);
    let lines = [
        format!("{ZEROS} {gone} refs/heads/new\n"),
        format!("{ZEROS} {gone} refs/tags/new\n"),
        format!("{ZEROS} {gone} refs/notes/new\n"),
        format!("{gone} {} refs/heads/main\n", ids[2]),
        format!("{} {gone} refs/tags/moved\n", ids[2]),
    ];
    recorded(&site, &lines.concat());
    let (said, messages) = flushed(&site);
    let about: Vec<_> = messages.iter().map(Message::about).collect();
    let expected = [
        ("git.branch.creation", "new"),
        ("git.receive", "new"),
        ("git.tag.creation", "new"),
        ("git.receive", "refs/notes/new"),
        ("git.receive", "main"),
        ("git.receive", "refs/tags/moved"),
    ];
    assert_eq!(about, expected, "{said}");
    for message in &messages {
        assert_eq!(message["incomplete"], true);
    }
    assert_eq!(messages[0].authors(), ["alice"]);
    assert_eq!(facts(&messages[1]), json!([ZEROS, gone, 0, false, true]));
    assert_eq!(facts(&messages[4]), json!([gone, ids[2], 0, false, true]));
    assert_eq!(messages[4].authors(), ["Ada"]);
    assert_eq!(facts(&messages[5]), json!([ids[2], gone, 0, false, true]));
}

/// Each waited for as long again once the one before it was told.
#[test]
fn pushes_of_one_ref_that_miss_objects_waited_one_after_the_other() {
    let (site, _) = started();
    site.config("[retry]\nbuild_after = \"3s\"\n");
    let gone = |n: usize| n.to_string().repeat(40);
    for n in 1..=3 {
        recorded(
            &site,
            &format!("{} {} refs/heads/main\n", gone(n), gone(n + 1)),
        );
    }
    let (said, messages) = flushed(&site);
    assert!(messages.is_empty(), "{said}");
    assert!(
        said.contains("3 recorded pushes are held back by that in"),
        "{said}"
    );
    std::thread::sleep(std::time::Duration::from_secs(3));
    let (said, messages) = flushed(&site);
    let ends: Vec<_> = messages
        .iter()
        .map(|one| one["end_commit"].clone())
        .collect();
    assert_eq!(ends, [gone(2), gone(3), gone(4)], "{said}");
}

/// The object may be in what is out of reach.
#[test]
fn no_time_passes_while_what_objects_are_borrowed_from_is_away() {
    let (site, ids) = started();
    site.config("[retry]\nbuild_after = \"0s\"\n");
    let (new, tree) = without_its_tree(&site);
    let base = site.path("base");
    let alternates = site.bare.join("objects/info/alternates");
    fs::write(&alternates, format!("{}\n", base.display())).unwrap();
    recorded(&site, &format!("{} {new} refs/heads/main\n", ids[2]));
    let (said, messages) = flushed(&site);
    assert!(messages.is_empty(), "{said}");
    assert!(said.contains("pushes of other refs pass"), "{said}");
    assert!(!said.contains('{'), "{said}");
    // It is back, with the object.
    let folder = base.join(tree.parent().unwrap().file_name().unwrap());
    fs::create_dir_all(&folder).unwrap();
    let copy = folder.join(tree.file_name().unwrap());
    fs::copy(tree.with_extension("lost"), copy).unwrap();
    let (said, messages) = flushed(&site);
    assert_eq!(messages.len(), 1, "{said}");
    assert_eq!(facts(&messages[0]), json!([ids[2], new, 1, false, null]));
}

/// Each of them was asked for again because the other one was being asked for.
#[test]
fn two_pushes_that_miss_their_objects_kept_a_flush_busy_for_ever() {
    let (site, ids) = started();
    site.config("[retry]\nbuild_after = \"1h\"\n");
    let (new, _) = without_its_tree(&site);
    for name in ["one", "two", "three"] {
        recorded(&site, &format!("{ZEROS} {new} refs/heads/{name}\n"));
    }
    let line = format!("{ZEROS} {} refs/heads/other\n", ids[1]);
    let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
    hook.stdin(line).run();
    let begun = std::time::Instant::now();
    let (said, _) = flushed(&site);
    assert!(begun.elapsed().as_secs() < 20);
    assert!(
        said.contains("3 recorded pushes are held back by that in"),
        "{said}"
    );
    assert_eq!(said.matches("held back").count(), 1, "{said}");
}
