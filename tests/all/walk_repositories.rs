//! Repositories in which history is not what the commits alone say, or does not lie
//! in one place: each held to git itself, through a push.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Environment, REFPOST, Received, Site, ZEROS};

/// `main` has three commits by three authors, was pushed, and has a commit-graph. No
/// branch is the default one, so that a new one lists all that it has.
fn three() -> (Site, Vec<String>) {
    let site = Site::told_twice();
    let ids: Vec<_> = ["One", "Two", "Three"]
        .iter()
        .map(|name| {
            site.file("file", name);
            site.commit_by(name)
        })
        .collect();
    site.push(&["main"]);
    site.bare_git(&["commit-graph", "write", "--reachable"]);
    site.head("ref: refs/heads/none");
    site.bare_git(&["config", "advice.graftFileDeprecated", "false"]);
    (site, ids)
}

/// A new branch at `new` is told as git tells it, with so many commits.
#[track_caller]
fn lists(site: &Site, new: &str, total: usize) {
    let push = site.push(&["main:refs/heads/copy"]);
    assert_eq!(push.messages.len(), 2, "{}", push.said);
    let received = Received {
        branch: "copy",
        new,
        without: None,
        old_commit: ZEROS,
        from: None,
        forced: false,
    };
    site.assert_received(&push.messages[1], &received);
    assert_eq!(push.messages[1]["total_commits"], total);
}

/// A root commit with the tree of `like`.
fn root_like(site: &Site, like: &str) -> String {
    let tree = format!("{like}^{{tree}}");
    let commit = ["commit-tree", "-m", "stands in", &tree];
    let run = site.run("git").dir(&site.bare).args(commit);
    let ran = run.env("GIT_AUTHOR_NAME", "Stand-in").run().well();
    ran.stdout.trim().to_owned()
}

#[test]
fn without_any_of_these_all_is_listed() {
    let (site, ids) = three();
    lists(&site, &ids[2], 3);
}

/// Whoever may push one would speak in the name of others, and a clone does not have it.
#[test]
fn a_replace_ref_forges_nothing() {
    let (site, ids) = three();
    site.bare_git(&["replace", &ids[1], &root_like(&site, &ids[0])]);
    lists(&site, &ids[2], 3);
    site.push(&[":copy"]);
    site.bare_git(&["pack-refs", "--all", "--prune"]);
    site.bare_git(&["replace", &ids[2], &root_like(&site, &ids[1])]);
    lists(&site, &ids[2], 3);
}

#[test]
fn a_graft_changes_no_message_and_check_says_so() {
    let (site, ids) = three();
    let line = format!("# why\n{} {}\n", ids[2], ids[0]);
    fs::write(site.bare.join("info/grafts"), line).unwrap();
    lists(&site, &ids[2], 3);
    let ran = site.refpost(["check", "test.git"]).run();
    let warning = "warning: the repository has grafts (`info/grafts`)";
    assert!(ran.stdout.contains(warning), "{}", ran.stdout);
}

#[test]
fn history_ends_at_the_edge_of_a_shallow_repository() {
    let (site, ids) = three();
    fs::write(site.bare.join("shallow"), format!("{}\n", ids[1])).unwrap();
    lists(&site, &ids[2], 2);
}

#[test]
fn a_chain_of_commit_graphs_may_lie_in_two_repositories() {
    let site = Site::told_twice();
    let base = Environment::bare(&site, "base.git");
    let write = ["commit-graph", "write", "--reachable", "--split=no-merge"];
    let first = site.commit("a");
    let hidden = site.commit("b");
    site.commit("c");
    site.git(&["push", "-q", base.to_str().unwrap(), "main"]);
    Environment::git(&site, &base, &write);
    let objects = format!("{}\n", base.join("objects").display());
    fs::write(site.bare.join("objects/info/alternates"), objects).unwrap();
    let old = site.commit("d");
    site.push(&["main"]);
    site.bare_git(&write);
    let folder = site.bare.join("objects/info/commit-graphs");
    let chain = fs::read_to_string(folder.join("commit-graph-chain")).unwrap();
    let here = |line: &&str| folder.join(format!("graph-{line}.graph")).exists();
    assert_eq!(chain.lines().count(), 2);
    assert_eq!(chain.lines().filter(here).count(), 1);

    site.git(&["checkout", "-q", "-b", "side", &first]);
    let new = site.commit("x");
    let copy = format!("{new}:refs/heads/copy");
    site.push(&[&copy]);
    // Known to the commit-graph alone: who reads it does not miss it.
    let (folder, file) = hidden.split_at(2);
    fs::remove_file(base.join("objects").join(folder).join(file)).unwrap();
    let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
    let push = site.push_by(hook.stdin(format!("{old} {new} refs/heads/main\n")));
    let received = Received {
        branch: "main",
        new: &new,
        without: Some(&old),
        old_commit: &first,
        from: Some(&first),
        forced: true,
    };
    site.assert_received(push.only(), &received);
}

#[test]
fn packs_may_have_one_index_together() {
    for format in ["sha1", "sha256"] {
        let site = Site::with_format(format);
        let mut old = String::new();
        for file in ["a", "b", "c"] {
            old = site.commit(file);
            site.push(&["main"]);
            site.bare_git(&["repack", "-q", "-d"]);
        }
        site.bare_git(&["multi-pack-index", "write"]);
        let new = site.commit("d");
        let push = site.push(&["main"]);
        let received = Received {
            branch: "main",
            new: &new,
            without: Some(&old),
            old_commit: &old,
            from: Some(&old),
            forced: false,
        };
        site.assert_received(push.only(), &received);
    }
}

#[test]
fn a_partial_clone_needs_no_blob() {
    let site = Site::told_twice();
    let base = Environment::bare(&site, "base.git");
    site.commit("a");
    let old = site.commit("b");
    site.git(&["push", "-q", base.to_str().unwrap(), "main"]);
    Environment::git(&site, &base, &["config", "uploadpack.allowFilter", "true"]);
    let config = fs::read(site.bare.join("refpost.toml")).unwrap();
    fs::remove_dir_all(&site.bare).unwrap();
    let url = format!("file://{}", base.display());
    let clone = [
        "clone",
        "-q",
        "--bare",
        "--filter=blob:none",
        &url,
        "test.git",
    ];
    Environment::git(&site, &site.path(""), &clone);
    site.write("test.git/refpost.toml", config);
    fs::create_dir_all(site.bare.join("hooks")).unwrap();
    symlink(REFPOST, site.bare.join("hooks/post-receive")).unwrap();
    let missing = site.bare_git(&["rev-list", "--objects", "--missing=print", "--all"]);
    assert!(missing.contains("\n?"), "{missing}");
    let new = site.commit("a");
    let push = site.push(&["main"]);
    let received = Received {
        branch: "main",
        new: &new,
        without: Some(&old),
        old_commit: &old,
        from: Some(&old),
        forced: false,
    };
    site.assert_received(push.only(), &received);
}
