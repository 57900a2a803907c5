//! Objects and ids that a stranger made up: told as git reads them, or not at all.

use crate::support::{Received, Site, ZEROS, parse_bodies};

/// A site whose git looks at what it is sent; `main` was pushed, with three commits.
fn started() -> (Site, Vec<String>) {
    let site = Site::told_twice();
    site.bare_git(&["config", "receive.fsckObjects", "true"]);
    let ids = ["a", "b", "c"].map(|file| site.commit(file)).to_vec();
    site.push(&["main"]);
    (site, ids)
}

/// An object by its bytes.
fn write(site: &Site, kind: &str, text: &str) -> String {
    let hash = ["hash-object", "-t", kind, "-w", "--stdin", "--literally"];
    let ran = site.git_run(&hash).stdin(text).run().well();
    ran.stdout.trim().to_owned()
}

/// A commit with this parent, and this line behind its committer.
fn commit(site: &Site, parent: &str, line: &str) -> String {
    let tree = site.git(&["rev-parse", &format!("{parent}^{{tree}}")]);
    let text = format!(
        "tree {tree}\nparent {parent}\nauthor M <m@x> 1800000000 +0000\n\
         committer M <m@x> 1800000000 +0000\n{line}\n\nmessage\n"
    );
    write(site, "commit", &text)
}

#[test]
fn a_parent_behind_the_committer_is_none() {
    let (site, ids) = started();
    let missing = "1234567890".repeat(4);
    let long = "1234567890abcdef".repeat(4);
    let mut old = ids[2].clone();
    for (parent, hidden) in [(&ids[0], &ids[2]), (&ids[1], &missing), (&ids[0], &long)] {
        let new = commit(&site, parent, &format!("parent {hidden}"));
        let push = site.push(&[&format!("+{new}:refs/heads/main")]);
        let base = site.merge_base(&old, &new);
        let expected = Received {
            branch: "main",
            new: &new,
            without: Some(&old),
            old_commit: &base,
            from: Some(&base),
            forced: true,
        };
        site.assert_received(push.only(), &expected);
        old = new;
    }
}

#[test]
fn a_tagger_that_stands_elsewhere_is_none() {
    let (site, ids) = started();
    site.bare_git(&["config", "receive.fsckObjects", "false"]);
    let blob = site.git(&["rev-parse", &format!("{}:a", ids[0])]);
    let text = format!("object {blob}\ntype blob\ntag x\nmore\ntagger M <m@x> 1 +0000\n");
    let tag = write(&site, "tag", &text);
    let push = site.push(&[&format!("{tag}:refs/tags/x")]);
    assert_eq!(push.only().authors(), ["alice"]);
}

/// libgit2 makes room for an id of its own length, and writes the one that it is given.
#[test]
fn an_id_of_another_hash_is_an_error_on_stdin_and_in_a_spool() {
    let (site, _) = started();
    let (long, zeros) = ("ab".repeat(32), "0".repeat(64));
    let said = format!("cannot read object `{long}`: its id has the length of another hash");
    for (old, new) in [(&zeros, &long), (&long, &"cd".repeat(32))] {
        let line = format!("{old} {new} refs/heads/long\n");
        let preview = site.refpost(["preview", "--repo", "test.git"]);
        let ran = preview.stdin(&line).run();
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    }
    let line = format!("{long} {zeros} refs/heads/long\n");
    let preview = site.refpost(["preview", "--repo", "test.git"]);
    let gone = parse_bodies(&preview.stdin(line).run().well().bytes);
    assert_eq!(gone[0]["rev"], long);

    let line = format!("{zeros} {long} refs/heads/long\n");
    let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
    let ran = hook.stdin(line).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    let ran = site.refpost(["flush", "test.git"]).run();
    assert!((0..=2).contains(&ran.status), "{}", ran.stderr);
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
}

#[test]
fn a_commit_of_before_the_epoch_is_listed_where_git_lists_it() {
    let (site, ids) = started();
    let tree = site.git(&["rev-parse", "main^{tree}"]);
    site.bare_git(&["config", "receive.fsckObjects", "false"]);
    for date in ["-5", "99999999999999999999999", "x", "12x"] {
        let first = format!(
            "tree {tree}\nparent {}\nauthor M <m@x> 1 +0000\ncommitter M <m@x> {date} +0000\n\nx\n",
            ids[1]
        );
        let first = write(&site, "commit", &first);
        let second = commit(&site, &first, "");
        let merge = format!(
            "tree {tree}\nparent {second}\nparent {}\nauthor M <m@x> 1 +0000\n\
             committer M <m@x> 2 +0000\n\nx\n",
            ids[2]
        );
        let new = write(&site, "commit", &merge);
        let push = site.push(&[&format!("{new}:refs/heads/new")]);
        let expected = Received {
            branch: "new",
            new: &new,
            without: Some(&ids[2]),
            old_commit: ZEROS,
            from: Some(&ids[2]),
            forced: false,
        };
        site.assert_received(&push.messages[1], &expected);
        site.push(&[":new"]);
    }
}
