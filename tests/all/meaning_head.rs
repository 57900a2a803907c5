//! Where HEAD points decides which branch is the default one.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Message, Push, Received, Site, ZEROS};

fn expect_all(site: &Site, push: &Push, at: usize, branch: &str, new: &str) {
    site.assert_received(
        &push.messages[at],
        &Received {
            branch,
            new,
            without: None,
            old_commit: ZEROS,
            from: None,
            forced: false,
        },
    );
}

#[test]
fn while_head_is_unborn_every_branch_lists_all_that_it_has() {
    let site = Site::told_twice();
    site.head("ref: refs/heads/trunk");
    site.commit("a");
    let first = site.commit("b");
    let push = site.push(&["main"]);
    assert_eq!(
        push.about(),
        [("git.branch.creation", "main"), ("git.receive", "main")]
    );
    expect_all(&site, &push, 1, "main", &first);
    // The pushes after it work too.
    let second = site.commit("c");
    let push = site.push(&["main"]);
    site.assert_received(
        push.only(),
        &Received {
            branch: "main",
            new: &second,
            without: Some(&first),
            old_commit: &first,
            from: Some(&first),
            forced: false,
        },
    );
    let push = site.push(&["main~1:refs/heads/other"]);
    expect_all(&site, &push, 1, "other", &first);
    let push = site.push(&[":other"]);
    assert_eq!(push.about(), [("git.branch.deletion", "other")]);
}

#[test]
fn the_default_branch_can_come_last() {
    let site = Site::told_twice();
    site.commit("a");
    site.push(&["main:side"]);
    let new = site.commit("b");
    let push = site.push(&["main"]);
    expect_all(&site, &push, 1, "main", &new);
}

#[test]
fn of_several_first_branches_only_the_default_one_brings_what_they_share() {
    let site = Site::told_twice();
    let shared = site.commit("a");
    site.git(&["checkout", "-q", "-b", "another"]);
    let own = site.commit("b");
    let push = site.push(&["another", "main"]);
    let of = |name: &str| {
        let mut at = push.messages.iter().enumerate();
        at.find(|(_, own)| own.about() == ("git.receive", name))
            .unwrap()
            .0
    };
    expect_all(&site, &push, of("main"), "main", &shared);
    site.assert_received(
        &push.messages[of("another")],
        &Received {
            branch: "another",
            new: &own,
            without: Some(&shared),
            old_commit: ZEROS,
            from: Some(&shared),
            forced: false,
        },
    );
}

#[test]
fn a_detached_head_stands_for_the_default_branch() {
    let site = Site::told_twice();
    let first = site.commit("a");
    site.push(&["main"]);
    site.head(&first);
    let new = site.commit("b");
    let push = site.push(&["main:topic"]);
    site.assert_received(
        &push.messages[1],
        &Received {
            branch: "topic",
            new: &new,
            without: Some(&first),
            old_commit: ZEROS,
            from: Some(&first),
            forced: false,
        },
    );
}

#[test]
fn names_that_contain_the_default_branchs_name_are_other_names() {
    let site = Site::told_twice();
    let base = site.commit("a");
    site.push(&["main"]);
    let new = site.commit("b");
    for name in ["domain", "main-2024", "mainline", "x/main", "remain/ed"] {
        let push = site.push(&[&format!("main:refs/heads/{name}")]);
        site.assert_received(
            &push.messages[1],
            &Received {
                branch: name,
                new: &new,
                without: Some(&base),
                old_commit: ZEROS,
                from: Some(&base),
                forced: false,
            },
        );
    }
    let push = site.push(&["main:refs/tags/main-2025"]);
    assert_eq!(push.about(), [("git.tag.creation", "main-2025")]);
}

#[test]
fn the_default_branch_can_be_deleted_and_come_back() {
    let site = Site::told_twice();
    site.bare_git(&["config", "receive.denyDeleteCurrent", "ignore"]);
    let tip = site.commit("a");
    site.push(&["main"]);
    let push = site.push(&[":main"]);
    assert_eq!(push.about(), [("git.branch.deletion", "main")]);
    assert_eq!(push.only()["rev"], tip);
    let push = site.push(&["main"]);
    assert_eq!(
        push.about(),
        [("git.branch.creation", "main"), ("git.receive", "main")]
    );
    expect_all(&site, &push, 1, "main", &tip);
}

/// As git made it once (git-symbolic-ref(1)).
#[test]
fn head_may_be_a_symbolic_link() {
    let site = Site::told_twice();
    let head = site.bare.join("HEAD");
    fs::remove_file(&head).unwrap();
    symlink("refs/heads/main", &head).unwrap();
    let tip = site.commit("a");
    let push = site.push(&["main"]);
    assert_eq!(
        push.about(),
        [("git.branch.creation", "main"), ("git.receive", "main")]
    );
    expect_all(&site, &push, 1, "main", &tip);
}

/// gitnamespaces(7): many repositories in one.
#[test]
fn under_a_namespace_its_own_head_counts() {
    let site = Site::new();
    let old = site.commit("a");
    site.push(&["main"]);
    let new = site.commit("b");
    for name in ["one", "one/two"] {
        let push = |refspec: &str| {
            let push = site.git_run(&["push", "origin", refspec]);
            site.push_by(push.env("GIT_NAMESPACE", name))
        };
        // It has no HEAD yet.
        let told = push("main:refs/heads/trunk");
        assert_eq!(told.about()[1], ("git.receive", "trunk"), "{}", told.said);
        expect_all(&site, &told, 1, "trunk", &new);
        let namespace = name.replace('/', "/refs/namespaces/");
        let namespace = format!("refs/namespaces/{namespace}/");
        let (head, trunk) = ("HEAD", "refs/heads/trunk");
        let [head, trunk] = [head, trunk].map(|name| format!("{namespace}{name}"));
        site.bare_git(&["symbolic-ref", &head, &trunk]);
        let told = push("main~1:refs/heads/main");
        assert_eq!(told.about(), [("git.branch.creation", "main")]);
        let told = push("+main~1:refs/heads/trunk");
        assert_eq!(told.only()["end_commit"], old);
        site.bare_git(&["update-ref", "-d", &trunk]);
        let told = push("main:refs/heads/trunk");
        assert_eq!(told.about()[1], ("git.receive", "trunk"), "{}", told.said);
        expect_all(&site, &told, 1, "trunk", &new);
    }
}

/// A push into a namespace, with `git --namespace` or the variable.
fn push_into(site: &Site, name: &str, refspec: &str) -> Push {
    if name == "one" {
        return site.push_by(site.git_run(&["--namespace", name, "push", "origin", refspec]));
    }
    let push = site.git_run(&["push", "origin", refspec]);
    site.push_by(push.env("GIT_NAMESPACE", name))
}

#[test]
fn a_guaranteed_push_into_a_namespace_is_announced_once() {
    let site = Site::guaranteed();
    let old = site.commit("a");
    site.push(&["main"]);
    let new = site.commit("b");
    for name in ["one", "one/two"] {
        let told = push_into(&site, name, "main:refs/heads/main");
        assert_eq!(
            told.about(),
            [("git.branch.creation", "main"), ("git.receive", "main")],
            "{}",
            told.said
        );
        let told = push_into(&site, name, "+main~1:refs/heads/main");
        assert_eq!(told.only()["end_commit"], old);
        assert_eq!(told.only().about(), ("git.receive", "main"));
        let told = push_into(&site, name, ":refs/heads/main");
        assert_eq!(told.about(), [("git.branch.deletion", "main")]);
        site.assert_quiet();
    }
    // What moves without a push has the name that git gives it, in whatever environment.
    let full = "refs/namespaces/one/refs/heads/main";
    let update = site.run("git").dir(&site.bare).env("GIT_NAMESPACE", "one");
    let ran = update.args(["update-ref", full, &new]).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let told = site.receiver.take();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].message()["branch"], full);
    site.assert_quiet();
}

/// The same ref of the repository itself was looked at: it had not moved.
#[test]
fn a_push_into_a_namespace_that_was_killed_is_announced() {
    let site = Site::guaranteed();
    site.commit("a");
    site.push(&["main"]);
    push_into(&site, "one", "main:refs/heads/main");
    let new = site.commit("b");
    site.hook("post-receive", "kill -9 $PPID");
    push_into(&site, "one", "main:refs/heads/main");
    // In another namespace the same move is another one.
    push_into(&site, "two", "main~1:refs/heads/main");
    assert_eq!(site.intents().len(), 2);
    let flushed = site.flush();
    let about: Vec<_> = flushed.iter().map(Message::about).collect();
    assert_eq!(
        about,
        [
            ("git.receive", "main"),
            ("git.branch.creation", "main"),
            ("git.receive", "main")
        ]
    );
    assert_eq!(flushed[0]["end_commit"], new);
    site.assert_quiet();
}

/// It is told names alone, and looks for where they are.
#[test]
fn post_update_in_a_namespace_finds_its_refs_there() {
    let site = Site::new();
    let old = site.commit("a");
    site.push(&["main"]);
    push_into(&site, "one", "main:refs/heads/main");
    site.link_only(&["pre-receive", "post-update"]);
    let new = site.commit("b");
    let told = push_into(&site, "one", "main:refs/heads/main");
    let only = told.only();
    assert_eq!(
        (&only["old_commit"], &only["end_commit"]),
        (&old.into(), &new.into())
    );
    site.assert_quiet();
}
