//! Objects and ids that a stranger made up: told as git reads them, or not at all.

use std::fmt::Write as _;

use crate::support::{Received, Request, Site, ZEROS, names, parse_bodies};

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
fn an_id_of_another_hash_is_told_and_holds_nothing() {
    for (format, digits, other) in [("sha1", 40, 64), ("sha256", 64, 40)] {
        let site = Site::with_format(format);
        let tip = site.commit("a");
        site.push(&["main"]);
        let (zeros, own_zeros) = ("0".repeat(other), "0".repeat(digits));
        let (one, two) = ("ab".repeat(other / 2), "cd".repeat(other / 2));
        for (old, new) in [(&zeros, &one), (&one, &two), (&one, &zeros)] {
            let first = if *old == zeros { new } else { old };
            let said = format!(
                "refpost: `refs/heads/odd` is not announced: object id `{first}` has the length \
                 of another hash\n"
            );
            let lines = format!("{old} {new} refs/heads/odd\n{own_zeros} {tip} refs/tags/v1\n");
            let preview = site.refpost(["preview", "test.git"]);
            let ran = preview.stdin(&lines).run();
            assert_eq!((ran.status, &ran.stderr), (1, &said));
            assert_eq!(
                parse_bodies(&ran.bytes)[0].about(),
                ("git.tag.creation", "v1")
            );

            let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
            let ran = hook.stdin(&lines).run();
            assert_eq!(ran.status, 0);
            assert!(ran.stderr.starts_with(&said), "{}", ran.stderr);
            let arrived = site.receiver.take();
            assert_eq!(arrived[0].message().about(), ("git.tag.creation", "v1"));
            assert_eq!(names(&site.spool().join("new")), [""; 0]);
        }
        let log = site.refpost(["log", "test.git"]).run().well().stdout;
        let note = "1 ref not announced: object ids with the length of another hash";
        assert_eq!(log.matches(note).count(), 3, "{log}");
    }
}

/// An entry with such an id was owed, and with it every later push of the repository; where
/// repositories share a spool, a flush died of it, and sent nothing of any.
#[test]
fn an_id_of_another_hash_in_a_spool_holds_nothing() {
    for (is_guaranteed, is_shared) in [(false, false), (true, false), (true, true)] {
        let (site, _) = started();
        let mut spool = site.spool();
        if is_shared {
            spool = site.path("shared");
            let server = format!("spool = \"{}\"\n", spool.display());
            site.write("system.toml", server);
        }
        if is_guaranteed {
            site.guarantee();
        }
        site.spooled();
        holds_nothing(&site);
        for folder in ["new", "intent", "failed/unreadable"] {
            assert_eq!(names(&spool.join(folder)), [""; 0]);
        }
    }
}

fn holds_nothing(site: &Site) {
    let config = std::fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.write("test.git/refpost.toml", "broken");
    let (id, zeros) = ("ab".repeat(32), "0".repeat(64));
    let tip = site.commit("d");
    let mut lines = format!("{ZEROS} {tip} refs/heads/main\n");
    for n in 0..7 {
        writeln!(lines, "{zeros} {id} refs/heads/odd{n}").unwrap();
    }
    site.git(&["push", "-q", "origin", "main:refs/notes/x"]);
    let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
    hook.stdin(lines).run();
    site.write("test.git/refpost.toml", config);
    let ran = site.refpost(["flush", "test.git"]).run();
    assert_eq!(ran.status, 0);
    let told = ran.stderr.matches("has the length of another hash").count();
    assert_eq!(told, 5, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("2 refs more like that\n"),
        "{}",
        ran.stderr
    );
    let arrived = site.receiver.take();
    let about = |one: &Request| one.message().topic().to_owned();
    let about: Vec<_> = arrived.iter().map(about).collect();
    assert_eq!(about, ["git.receive", "git.branch.creation", "git.receive"]);
    site.assert_quiet();
    let log = site.refpost(["log", "test.git"]).run().well().stdout;
    assert!(log.contains("7 refs not announced"), "{log}");
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

/// git takes a mode of no kind that it knows for that of a submodule, and of all kinds but
/// files it keeps no other bit.
#[test]
fn a_mode_of_no_kind_was_told_as_another_type() {
    let (site, ids) = started();
    site.bare_git(&["config", "receive.fsckObjects", "false"]);
    let blob = |at: usize| {
        let id = site.git(&["rev-parse", &format!("{}:{}", ids[2], ["a", "b"][at])]);
        (0..20)
            .map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap())
            .collect::<Vec<_>>()
    };
    let mut old = ids[2].clone();
    for (at, modes) in [["644", "120000"], ["50000", "120755"], ["160000", "120111"]]
        .iter()
        .enumerate()
    {
        let entry =
            |mode: &str, name: &str, id| [format!("{mode} {name}\0").as_bytes(), id].concat();
        let tree = [
            entry(modes[0], "a", &blob(at % 2)),
            entry(modes[1], "b", &blob(1)),
        ];
        let write = ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"];
        let tree = site.git_run(&write).stdin(tree.concat()).run().well();
        let new = site.git(&["commit-tree", "-m", "odd", "-p", &old, tree.stdout.trim()]);
        let push = site.push(&[&format!("{new}:refs/heads/main")]);
        let expected = Received {
            branch: "main",
            new: &new,
            without: Some(&old),
            old_commit: &old,
            from: Some(&old),
            forced: false,
        };
        site.assert_received(push.only(), &expected);
        old = new;
    }
}
