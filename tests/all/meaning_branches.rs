//! What a push of branches means: the rows of docs/reference/payloads.md, "Commits and
//! files", each held to git itself.

use crate::support::{Received, Site, ZEROS};

/// A site whose `main` has three commits and was pushed.
fn started() -> (Site, String) {
    let site = Site::told_twice();
    for file in ["a", "b", "c"] {
        site.commit(file);
    }
    site.push(&["main"]);
    let tip = site.git(&["rev-parse", "HEAD"]);
    (site, tip)
}

#[test]
fn the_default_branch_created_lists_all_that_it_has() {
    let site = Site::told_twice();
    site.commit("a");
    site.commit_by("Bob");
    let new = site.commit("dir/b");
    let push = site.push(&["main"]);
    assert_eq!(
        push.about(),
        [("git.branch.creation", "main"), ("git.receive", "main")]
    );
    assert_eq!(push.messages[0]["rev"], new);
    assert_eq!(push.messages[0].authors(), ["Ada"]);
    site.assert_received(
        &push.messages[1],
        &Received {
            branch: "main",
            new: &new,
            without: None,
            old_commit: ZEROS,
            from: None,
            forced: false,
        },
    );
    assert_eq!(push.messages[1].authors(), ["Ada", "Bob"]);
}

#[test]
fn another_branch_created_lists_what_the_default_branch_lacks() {
    let (site, base) = started();
    site.git(&["checkout", "-q", "-b", "topic/x", "HEAD~1"]);
    site.commit("d");
    site.commit_by("Zoe");
    let new = site.commit("e");
    let push = site.push(&["topic/x"]);
    assert_eq!(
        push.about(),
        [
            ("git.branch.creation", "topic/x"),
            ("git.receive", "topic/x")
        ]
    );
    let fork = site.merge_base(&base, &new);
    assert_ne!(fork, base);
    site.assert_received(
        &push.messages[1],
        &Received {
            branch: "topic/x",
            new: &new,
            without: Some(&base),
            old_commit: ZEROS,
            from: Some(&fork),
            forced: false,
        },
    );
    assert_eq!(push.messages[1]["total_commits"], 3);
    assert_eq!(
        push.messages[1]["changed_files"],
        serde_json::json!({"d": "A", "e": "A"})
    );
}

#[test]
fn a_branch_created_without_new_commits_is_only_its_creation() {
    let (site, tip) = started();
    let push = site.push(&["main:refs/heads/copy", "main~1:refs/heads/older"]);
    assert_eq!(
        push.about(),
        [
            ("git.branch.creation", "copy"),
            ("git.branch.creation", "older")
        ]
    );
    assert_eq!(push.messages[0]["rev"], tip);
}

#[test]
fn a_branch_of_unrelated_history_lists_its_whole_tree() {
    let (site, base) = started();
    site.git(&["checkout", "-q", "--orphan", "pages"]);
    let new = site.commit("index.html");
    let push = site.push(&["pages"]);
    site.assert_received(
        &push.messages[1],
        &Received {
            branch: "pages",
            new: &new,
            without: Some(&base),
            old_commit: ZEROS,
            from: None,
            forced: false,
        },
    );
    assert_eq!(push.messages[1].changed().len(), 4);
}

#[test]
fn a_fast_forward_lists_what_is_new() {
    let (site, old) = started();
    site.commit("a");
    site.commit_by("Bob");
    let new = site.commit("d");
    let push = site.push(&["main"]);
    site.assert_received(
        push.only(),
        &Received {
            branch: "main",
            new: &new,
            without: Some(&old),
            old_commit: &old,
            from: Some(&old),
            forced: false,
        },
    );
}

#[test]
fn a_forced_push_is_measured_from_the_merge_base() {
    let (site, old) = started();
    site.git(&["reset", "-q", "--hard", "HEAD~2"]);
    site.commit("x");
    let new = site.commit("y");
    let push = site.push(&["+main"]);
    let base = site.merge_base(&old, &new);
    site.assert_received(
        push.only(),
        &Received {
            branch: "main",
            new: &new,
            without: Some(&old),
            old_commit: &base,
            from: Some(&base),
            forced: true,
        },
    );
    assert_eq!(
        push.only()["changed_files"],
        serde_json::json!({"x": "A", "y": "A"})
    );
}

#[test]
fn a_forced_push_to_unrelated_history_counts_only_the_new_side() {
    let (site, old) = started();
    site.git(&["checkout", "-q", "--orphan", "fresh"]);
    site.git(&["rm", "-q", "-r", "-f", "."]);
    let new = site.commit("a");
    let push = site.push(&["+fresh:main"]);
    site.assert_received(
        push.only(),
        &Received {
            branch: "main",
            new: &new,
            without: Some(&old),
            old_commit: &old,
            from: Some(&old),
            forced: true,
        },
    );
    assert_eq!(push.only()["total_commits"], 1);
}

#[test]
fn a_rewind_tells_that_nothing_is_new() {
    let (site, old) = started();
    site.git(&["reset", "-q", "--hard", "HEAD~2"]);
    let new = site.git(&["rev-parse", "HEAD"]);
    let push = site.push(&["+main"]);
    let message = push.only();
    site.assert_received(
        message,
        &Received {
            branch: "main",
            new: &new,
            without: Some(&old),
            old_commit: &old,
            from: Some(&old),
            forced: true,
        },
    );
    assert_eq!(message["total_commits"], 0);
    assert_eq!(message["start_commit"], new);
    assert_eq!(message["end_commit"], new);
    assert_eq!(
        message["changed_files"],
        serde_json::json!({"b": "D", "c": "D"})
    );
}

#[test]
fn a_deleted_branch_is_only_its_deletion() {
    let (site, tip) = started();
    site.push(&["main:refs/heads/gone"]);
    let push = site.push(&[":refs/heads/gone"]);
    assert_eq!(push.about(), [("git.branch.deletion", "gone")]);
    assert_eq!(push.only()["rev"], tip);
    assert_eq!(push.only().authors(), ["Ada"]);
}

#[test]
fn a_deleted_branch_whose_object_is_gone_is_told_all_the_same() {
    let (site, tip) = started();
    site.push(&["main:refs/heads/broken"]);
    let missing = "1234567890123456789012345678901234567890";
    std::fs::write(site.bare.join("refs/heads/broken"), format!("{missing}\n")).unwrap();
    let push = site.push(&[":refs/heads/broken"]);
    assert_eq!(push.about(), [("git.branch.deletion", "broken")]);
    assert_eq!(push.only()["rev"], missing);
    assert_eq!(push.only().authors(), ["alice"], "nobody else is known");
    let push = site.push(&["main:refs/heads/after"]);
    assert_eq!(push.only()["rev"], tip);
}

#[test]
fn a_merge_lists_both_of_its_sides() {
    let (site, old) = started();
    site.git(&["checkout", "-q", "-b", "side", "HEAD~2"]);
    site.commit("s1");
    site.commit_by("Side");
    site.commit("s2");
    site.git(&["checkout", "-q", "main"]);
    site.commit("m");
    site.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    let new = site.git(&["rev-parse", "HEAD"]);
    let push = site.push(&["main"]);
    site.assert_received(
        push.only(),
        &Received {
            branch: "main",
            new: &new,
            without: Some(&old),
            old_commit: &old,
            from: Some(&old),
            forced: false,
        },
    );
    assert_eq!(push.only()["total_commits"], 5);
}

#[test]
fn a_criss_cross_merge_has_the_merge_base_that_git_names() {
    let (site, _) = started();
    for (branch, file) in [("left", "l"), ("right", "r")] {
        site.git(&["checkout", "-q", "-b", branch, "main"]);
        site.commit(file);
    }
    let (left, right) = (
        site.git(&["rev-parse", "left"]),
        site.git(&["rev-parse", "right"]),
    );
    for (branch, other) in [("left", &right), ("right", &left)] {
        site.git(&["checkout", "-q", branch]);
        site.git(&["merge", "-q", "-m", "cross", other]);
        site.commit(&format!("{branch}-after"));
    }
    let (old, new) = (
        site.git(&["rev-parse", "left"]),
        site.git(&["rev-parse", "right"]),
    );
    site.push(&["left:moving"]);
    let push = site.push(&["+right:moving"]);
    let base = site.merge_base(&old, &new);
    site.assert_received(
        push.only(),
        &Received {
            branch: "moving",
            new: &new,
            without: Some(&old),
            old_commit: &base,
            from: Some(&base),
            forced: true,
        },
    );
}

#[test]
fn commits_that_are_out_of_time_order_are_listed_as_git_lists_them() {
    let (site, old) = started();
    for (at, date) in ["2001-01-01", "2031-01-01", "1999-01-01", "2001-01-01"]
        .iter()
        .enumerate()
    {
        let commit = site.git_run(&["commit", "-q", "--allow-empty", "-m", "skew"]);
        let date = format!("{date}T00:00:00Z");
        let commit = commit
            .env("GIT_COMMITTER_DATE", &date)
            .env("GIT_AUTHOR_DATE", date);
        commit
            .env("GIT_AUTHOR_NAME", format!("Author {at}"))
            .run()
            .well();
    }
    site.git(&["checkout", "-q", "-b", "side", &old]);
    site.commit("s");
    site.git(&["checkout", "-q", "main"]);
    site.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    let new = site.git(&["rev-parse", "HEAD"]);
    let push = site.push(&["main"]);
    site.assert_received(
        push.only(),
        &Received {
            branch: "main",
            new: &new,
            without: Some(&old),
            old_commit: &old,
            from: Some(&old),
            forced: false,
        },
    );
}

#[test]
fn an_empty_commit_changes_no_file() {
    let (site, old) = started();
    let new = site.commit_by("Nobody Else");
    let push = site.push(&["main"]);
    assert_eq!(push.only()["changed_files"], serde_json::json!({}));
    assert_eq!(push.only()["total_commits"], 1);
    assert_eq!(push.only()["start_commit"], new);
    assert_eq!(push.only()["old_commit"], old);
    assert_eq!(push.only().authors(), ["Nobody Else"]);
}

#[test]
fn the_messages_of_a_push_come_in_the_order_of_its_updates() {
    let (site, _) = started();
    site.push(&["main:gone", "main:moved"]);
    site.commit("d");
    site.git(&["tag", "v1"]);
    site.git(&["notes", "add", "-m", "note"]);
    let record = site.path("order");
    let hook = site.bare.join("hooks/pre-receive");
    site.script(
        &hook,
        &format!("#!/bin/sh\ncut -d ' ' -f 3 > {}\n", record.display()),
    );
    let refspecs = [
        "main",
        "v1",
        "main:new",
        ":gone",
        "main:moved",
        "refs/notes/commits",
    ];
    let push = site.push(&refspecs);
    let order = std::fs::read_to_string(record).unwrap();
    let mut expected = Vec::new();
    for name in order.lines() {
        expected.extend(match name {
            "refs/heads/main" => vec![("git.receive", "main")],
            "refs/tags/v1" => vec![("git.tag.creation", "v1")],
            // It has nothing that main has not.
            "refs/heads/new" => vec![("git.branch.creation", "new")],
            "refs/heads/gone" => vec![("git.branch.deletion", "gone")],
            "refs/heads/moved" => vec![("git.receive", "moved")],
            "refs/notes/commits" => vec![("git.receive", "refs/notes/commits")],
            other => panic!("{other}"),
        });
    }
    assert_eq!(push.about(), expected);
    assert_eq!(expected.len(), 6);
}
