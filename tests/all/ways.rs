//! Kinds of repositories (ids of SHA-1 and SHA-256, refs as files and in a reftable), each
//! read both ways, with libgit2 and through git, through everything that refpost does;
//! and what only git can open.

use std::fs;

use crate::support::{
    Environment, Git, Message, REFPOST, Ran, Received, Site, ZEROS, names, only_git_opens,
    parse_bodies, take_entries,
};

/// The branch creation and then what it brings.
const CREATED: &str = "git.branch.creation";
const RECEIVED: &str = "git.receive";

/// A site of this kind, guaranteed; `None` where git has no such refs.
fn site(hash: &str, refs: &str, way: &str) -> Option<Site> {
    let more = match refs {
        "reftable" => &["--ref-format=reftable"][..],
        _ => &[],
    };
    if refs == "reftable" && !Git::all()[0].has_reftable(&Environment::new()) {
        return None;
    }
    let site = Site::with_formats(hash, more);
    if way == "git" {
        only_git_opens(&site.bare);
    }
    let enable = ["enable", "--guaranteed", "test.git"];
    site.refpost(enable).run().well();
    Some(site)
}

fn told(site: &Site, refspecs: &[&str], expected: &[(&str, &str)]) {
    let push = site.push(refspecs);
    assert_eq!(push.about(), expected, "{refspecs:?}: {}", push.said);
    assert_eq!(names(&site.bare.join("refpost/spool/intent")), [""; 0]);
}

/// Branches, tags and notes come, move, are forced and go, during the push.
fn pushes(site: &Site, hash: &str) {
    let zeros = if hash == "sha1" { 40 } else { 64 };
    let zeros = "0".repeat(zeros);
    let one = site.commit("a");
    let push = site.push(&["main"]);
    assert_eq!(push.about(), [(CREATED, "main"), (RECEIVED, "main")]);
    let mut expected = Received {
        branch: "main",
        new: &one,
        without: None,
        old_commit: &zeros,
        from: None,
        forced: false,
    };
    site.assert_received(&push.messages[1], &expected);

    site.commit("folder/b");
    let two = site.commit("a");
    let moved = Received {
        new: &two,
        without: Some(&one),
        old_commit: &one,
        from: Some(&one),
        ..expected
    };
    site.assert_received(site.push(&["main"]).only(), &moved);

    site.git(&["checkout", "-q", "-b", "side", &one]);
    let fork = site.commit("c");
    let push = site.push(&["side"]);
    expected.branch = "side";
    let created = Received {
        new: &fork,
        without: Some(&two),
        from: Some(&one),
        ..expected
    };
    assert_eq!(push.messages.len(), 2, "{}", push.said);
    site.assert_received(&push.messages[1], &created);

    site.git(&["checkout", "-q", "-B", "side", &two]);
    let new = site.commit("d");
    let forced = Received {
        new: &new,
        without: Some(&fork),
        old_commit: &one,
        from: Some(&one),
        forced: true,
        ..created
    };
    site.assert_received(site.push(&["+side"]).only(), &forced);

    site.git(&["tag", "-a", "-m", "x", "signed", &two]);
    site.git(&["tag", "light", &one]);
    let tags = [
        ("git.tag.creation", "light"),
        ("git.tag.creation", "signed"),
    ];
    told(site, &["light", "signed"], &tags);
    let deleted = [
        ("git.branch.deletion", "side"),
        ("git.tag.deletion", "signed"),
    ];
    told(site, &[":side", ":signed"], &deleted);
    let other = format!("{new}:refs/other/x");
    told(site, &[&other], &[(RECEIVED, "refs/other/x")]);
}

/// Recorded by one process and sent by another, and refs that move without a push.
fn recorded(site: &Site) {
    let spool = site.bare.join("refpost/spool");
    let config = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    let config = config.replace("\"sync\"", "\"spool\"");
    site.write("test.git/refpost.toml", config);
    site.git(&["checkout", "-q", "main"]);
    let new = site.commit("e");
    let push = site.push_by(site.git_run(&["push", "-q", "origin", "main"]));
    assert_eq!((push.status, push.messages.len()), (0, 0), "{}", push.said);
    site.refpost(["flush", "test.git"]).run().well();
    let requests = site.receiver.take();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].message()["end_commit"], new);

    site.bare_git(&["update-ref", "refs/heads/moved", &new]);
    site.bare_git(&["update-ref", "-d", "refs/heads/moved"]);
    let entries = take_entries(&spool);
    assert_eq!(
        entries,
        [
            [format!("{CREATED} refs/heads/moved")],
            ["git.branch.deletion refs/heads/moved".to_owned()]
        ]
    );
    assert_eq!(names(&spool.join("intent")), [""; 0]);
}

/// Before the refs of a push move, its objects are somewhere else.
fn previewed(site: &Site) {
    let hook = site.bare.join("hooks/pre-receive");
    fs::remove_file(&hook).ok();
    let seen = site.path("seen");
    let script = format!("#!/bin/sh\n'{REFPOST}' preview > '{}'\n", seen.display());
    site.script(&hook, &script);
    let new = site.commit("f");
    let push = site.push_by(site.git_run(&["push", "-q", "origin", "main"]));
    assert_eq!(push.status, 0, "{}", push.said);
    let messages = parse_bodies(&fs::read(&seen).unwrap());
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["end_commit"], new);
    assert_eq!(messages[0].changed(), [("f".to_owned(), "A".to_owned())]);
}

fn everything(hash: &str, refs: &str) {
    for way in ["libgit2", "git"] {
        let Some(site) = site(hash, refs, way) else {
            return;
        };
        let check = site.refpost(["check", "test.git"]).run();
        assert!(check.stdout.contains("ok: guaranteed"), "{}", check.stdout);
        assert!(check.stdout.contains("\n0 errors, "), "{}", check.stdout);
        pushes(&site, hash);
        recorded(&site);
        previewed(&site);
    }
}

#[test]
fn sha1_and_files() {
    everything("sha1", "files");
}

#[test]
fn sha256_and_files() {
    everything("sha256", "files");
}

#[test]
fn sha1_and_a_reftable() {
    everything("sha1", "reftable");
}

#[test]
fn sha256_and_a_reftable() {
    everything("sha256", "reftable");
}

/// A repository that only git opens, with a commit, pushed; and another one, not pushed.
fn only_git() -> (Site, String, String) {
    let site = Site::new();
    only_git_opens(&site.bare);
    let old = site.commit("a");
    site.push(&["main"]);
    let new = site.commit("b");
    (site, old, new)
}

fn without_git(site: &Site, args: &[&str], line: &str) -> Ran {
    let run = site.refpost(args).dir(&site.bare).env("PATH", "/nowhere");
    run.stdin(line).run()
}

#[test]
fn without_git_a_push_is_recorded_and_told_once_git_is_back() {
    let (site, old, new) = only_git();
    site.git(&["push", "-q", "origin", "main:refs/x/y"]);
    site.receiver.take();
    let line = format!("{old} {new} refs/heads/main\n");
    let ran = without_git(&site, &["hook", "post-receive"], &line);
    let why = format!(
        "refpost: cannot open repository `{}`: unsupported extension name extensions.noop-v1: \
         recorded, to be announced once that is mended (your push was accepted)\n\
         hint: git may be able to read it, and is not found: install it, or set PATH\n",
        site.bare.display()
    );
    let ran = ran.fails(0, &why);
    assert_eq!(ran.stdout, "");
    assert_eq!(site.receiver.take().len(), 0);
    site.refpost(["flush", "test.git"]).run().well();
    let requests = site.receiver.take();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].message()["end_commit"], new);
}

/// libgit2 reads the configuration of a repository that it cannot open, but not all of it.
#[test]
fn what_is_included_under_a_condition_counts() {
    let (site, old, new) = only_git();
    let text = "[includeIf \"gitdir:**/test.git\"]\n\tpath = more\n";
    let config = site.bare.join("config");
    fs::write(&config, fs::read_to_string(&config).unwrap() + text).unwrap();
    fs::write(site.bare.join("more"), "[gitweb]\n\tdescription = Mine\n").unwrap();
    let line = format!("{old} {new} refs/heads/main\n");
    let ran = site.refpost(["preview", "test.git"]);
    site.push(&["main:x"]);
    let messages = parse_bodies(&ran.stdin(line).run().well().bytes);
    assert_eq!(messages[0]["repo"]["description"], "Mine");
}

/// One object that is gone spoils nothing else, and is not looked for elsewhere.
#[test]
fn what_is_missing_is_not_fetched() {
    let (site, old, _) = only_git();
    let promised = site.path("promised.git");
    let all = [
        "clone",
        "-q",
        "--bare",
        "--no-local",
        "test.git",
        "promised.git",
    ];
    site.run("git").args(all).run().well();
    let tree = site.bare_git(&["rev-parse", &format!("{old}^{{tree}}")]);
    let (folder, file) = tree.split_at(2);
    let lost = site.bare.join("objects").join(folder).join(file);
    fs::remove_file(&lost).unwrap();
    let url = format!("file://{}", promised.display());
    for (name, value) in [
        ("remote.origin.url", url.as_str()),
        ("remote.origin.promisor", "true"),
        ("extensions.partialClone", "origin"),
    ] {
        site.bare_git(&["config", name, value]);
    }
    site.head("ref: refs/heads/none");
    let line = format!("{ZEROS} {old} refs/heads/x\n");
    let ran = site.refpost(["preview", "test.git"]);
    let ran = ran.stdin(line).run();
    let why = format!(
        "refpost: cannot read tree `{tree}`: it is missing or damaged (`git fsck` says more)\n"
    );
    assert_eq!((ran.status, ran.stderr), (1, why));
    assert!(!lost.exists());
    let line = format!("{ZEROS} {old} refs/tags/x\n");
    let ran = site.refpost(["preview", "test.git"]);
    let messages = parse_bodies(&ran.stdin(line).run().well().bytes);
    assert_eq!(messages[0].about(), ("git.tag.creation", "x"));
}

/// git gives up at an object that is damaged; what comes after it is told all the same.
#[test]
fn what_is_damaged_spoils_nothing_else() {
    let (site, old, new) = only_git();
    site.push(&["main:x"]);
    let (folder, file) = new.split_at(2);
    let damaged = site.bare.join("objects").join(folder).join(file);
    let bytes = fs::read(&damaged).unwrap();
    fs::remove_file(&damaged).unwrap();
    // What it is can still be read.
    fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let line = format!("{new} {ZEROS} refs/heads/x\n{ZEROS} {old} refs/tags/x\n");
    let ran = site.refpost(["preview", "test.git"]);
    let messages = parse_bodies(&ran.stdin(line).run().well().bytes);
    let about: Vec<_> = messages.iter().map(Message::about).collect();
    assert_eq!(
        about,
        [("git.branch.deletion", "x"), ("git.tag.creation", "x")]
    );
    assert_eq!(messages[0].authors(), ["alice"]);
    assert_eq!(messages[1].authors(), ["Ada"]);
    let line = format!("{old} {new} refs/heads/main\n");
    let ran = site.refpost(["preview", "test.git"]);
    let ran = ran.stdin(line).run();
    let why = format!(
        "refpost: cannot read object `{new}`: it is missing or damaged (`git fsck` says more)\n"
    );
    ran.fails(1, &why);
}
