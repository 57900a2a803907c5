//! A push that cannot be announced is recorded, and announced in its place in the
//! order once that can be done.

use std::fs;

use serde_json::json;

use crate::support::spooled::{commits, eventually, names};
use crate::support::{KEY, Push, Python, REFPOST, Spooled, set_mode};

const RECORDED: &str = "recorded, to be announced once that is mended";

/// The pusher was told once, why and that nothing is lost.
#[track_caller]
fn assert_recorded(push: &Push, why: &str) {
    let said = push.remote();
    let lines: Vec<_> = said
        .iter()
        .filter(|line| line.starts_with("refpost: "))
        .collect();
    let [line] = lines[..] else {
        panic!("{said:?}");
    };
    assert!(line.contains(why) && line.contains(RECORDED), "{line}");
}

#[test]
fn what_is_pushed_while_the_config_is_broken_comes_in_its_place() {
    let site = Spooled::new();
    let good = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    let (first, _) = site.announce();
    site.settings("ulrs = []\n");
    let second = site.commit("file");
    let push = site.git_run(&["push", "origin", "main"]);
    let push = site.push_by(push.env("REFPOST_PUSHER", "bob"));
    assert_eq!(push.status, 0, "{}", push.said);
    assert_recorded(&push, "unknown key `ulrs`, did you mean `urls`?");
    let (third, push) = site.announce();
    assert_recorded(&push, "unknown key");
    assert_eq!(site.names("new").len(), 3);

    // A flush says what it waits for, and touches nothing.
    let ran = site.flush();
    assert_eq!(ran.status, 0);
    assert!(ran.stderr.contains("unknown key `ulrs`"), "{}", ran.stderr);
    assert!(site.receiver.take().is_empty());

    site.settings(&good);
    let (fourth, _) = site.announce();
    let requests = site.flush_well();
    assert_eq!(commits(&requests), [first, second, third, fourth]);
    let agents: Vec<_> = requests
        .iter()
        .map(|one| one.message()["agent"].clone())
        .collect();
    assert_eq!(json!(agents), json!(["alice", "bob", "alice", "alice"]));
    eventually("the spool is empty", || site.files().is_empty());
}

/// docs/guides/backup-and-upgrade.md: a backup need not have `tmp/`.
#[test]
fn a_spool_without_tmp_is_delivered() {
    let site = Spooled::new();
    let good = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.settings("broken");
    let (commit, push) = site.announce();
    assert_recorded(&push, "cannot load config");
    site.settings(&good);
    fs::remove_dir(site.spool().join("tmp")).unwrap();
    assert_eq!(commits(&site.flush_well()), [commit]);
}

#[test]
fn a_broken_config_does_not_stop_another_repository() {
    let site = Spooled::new();
    let other = site.bare("other.git");
    fs::copy(site.bare.join("refpost.toml"), other.join("refpost.toml")).unwrap();
    std::os::unix::fs::symlink(REFPOST, other.join("hooks/post-receive")).unwrap();
    let server = format!("spool = \"{}\"", site.path("spool").display());
    site.write("system.toml", server);
    site.announce();
    site.settings("nonsense");
    site.announce();
    site.git(&["push", "-q", other.to_str().unwrap(), "main"]);
    let ran = site.refpost(["flush"]).arg(site.path("")).run();
    assert!(ran.stderr.contains("cannot load config"), "{}", ran.stderr);
    let messages = site.receiver.take();
    let fullnames = messages
        .iter()
        .map(|one| one.message()["project_fullname"].clone());
    let mut fullnames: Vec<_> = fullnames.collect();
    fullnames.dedup();
    assert_eq!(json!(fullnames), json!(["other"]));
}

#[test]
fn what_is_pushed_while_the_servers_config_is_broken_comes_in_its_place() {
    for more in ["", "spool = \"SPOOL\"\n"] {
        let site = Spooled::new();
        let server = more.replace("SPOOL", site.path("spool").to_str().unwrap());
        site.write("system.toml", &server);
        let (first, _) = site.announce();
        site.write("system.toml", format!("{server}instance = 7\n"));
        let (second, push) = site.announce();
        assert_recorded(&push, "system.toml");
        assert_recorded(&push, "`instance`");
        site.write("system.toml", &server);
        let (third, _) = site.announce();
        assert_eq!(
            commits(&site.flush_well()),
            [first, second, third],
            "{more}"
        );
        eventually("the spool is empty", || site.files().is_empty());
        assert_eq!(names(&site.path("spool/new")), [""; 0]);
    }
}

#[test]
fn what_is_pushed_while_the_key_is_unreadable_comes_in_its_place() {
    for mode in ["sync", "spool", "background"] {
        let site = Spooled::new();
        let key = site.write("key", KEY);
        let url = site.receiver.url("/hook");
        site.settings(&format!(
            "mode = \"{mode}\"\nkey_file = \"{}\"\nurls = [\"{url}\"]\n",
            key.display()
        ));
        set_mode(&key, 0o644);
        let (first, push) = site.announce();
        let said = push.remote().join("\n");
        assert!(
            said.contains("1 message queued for `receiver-"),
            "{mode}: {said}"
        );
        if mode == "sync" {
            assert!(said.contains("cannot read key"), "{said}");
        }
        eventually("a flush says so", || {
            let ran = site.flush();
            assert_eq!(ran.status, 0);
            ran.stderr.contains("mode 0644 lets others read it")
        });
        fs::remove_file(&key).unwrap();
        let (second, _) = site.announce();
        // Unless a flush of the push's is at it right now.
        eventually("a flush says so", || {
            site.flush().stderr.contains("cannot read key")
        });
        assert!(site.receiver.take().is_empty());
        // A fault of ours does not count against the receiver.
        assert!(site.attempts().is_empty());

        site.write("key", "another key");
        let mut requests = site.announce();
        requests.1.requests.extend(site.flush_well());
        eventually("all arrived", || {
            requests.1.requests.extend(site.receiver.take());
            requests.1.requests.len() == 3
        });
        let (third, push) = requests;
        assert_eq!(commits(&push.requests), [first, second, third], "{mode}");
        for request in &push.requests {
            if let Some((sha1, _)) = Python::sign("another key", &request.body) {
                assert_eq!(request.header("X-Pagure-Signature"), Some(sha1.as_str()));
            }
        }
    }
}

#[test]
fn what_is_pushed_while_an_object_is_missing_comes_in_its_place() {
    let site = Spooled::new();
    // The hook finds the tree of what was pushed gone, as after a bad sector.
    fs::remove_file(site.bare.join("hooks/post-receive")).unwrap();
    site.script(
        "test.git/hooks/post-receive",
        &format!(
            "#!/bin/sh\n[ -z \"$LOST\" ] || mv \"$LOST\" \"$LOST.lost\"\n\
             exec '{REFPOST}' hook post-receive\n"
        ),
    );
    let first = site.commit("file");
    let tree = site.git(&["rev-parse", "HEAD^{tree}"]);
    let (folder, rest) = tree.split_at(2);
    let object = site.bare.join("objects").join(folder).join(rest);
    let push = site.git_run(&["push", "origin", "main"]);
    let push = site.push_by(push.env("LOST", object.as_os_str()));
    assert_eq!(push.status, 0, "{}", push.said);
    assert_recorded(&push, &tree);

    // A later push of the branch waits for it, though nothing of its own is missing.
    site.git(&["checkout", "-q", "-b", "other", "HEAD~"]);
    let second = site.commit("else");
    site.push(&["+other:main"]);
    let ran = site.flush();
    assert_eq!(ran.status, 0);
    assert!(ran.stderr.contains(&tree), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("2 recorded pushes are held back by that in"),
        "{}",
        ran.stderr
    );
    assert!(site.receiver.take().is_empty());

    fs::rename(format!("{}.lost", object.display()), &object).unwrap();
    let requests = site.flush_well();
    let told: Vec<_> = requests
        .iter()
        .map(|request| {
            let message = request.message();
            (message.topic().to_owned(), message["end_commit"].clone())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("git.receive".to_owned(), json!(first)),
            ("git.receive".to_owned(), json!(second)),
        ]
    );
}

#[test]
fn without_a_config_nothing_is_wanted() {
    let site = Spooled::new();
    fs::remove_file(site.bare.join("refpost.toml")).unwrap();
    let (_, push) = site.announce();
    assert_eq!(push.remote(), [""; 0]);
    assert!(!site.bare.join("refpost").exists());
    // Nor is there with one that has no endpoint.
    site.settings("urls = []\n");
    let (_, push) = site.announce();
    assert_eq!(push.remote(), [""; 0]);
    assert!(!site.bare.join("refpost").exists());
}

#[test]
fn a_recorded_push_shows_in_the_queue() {
    let site = Spooled::new();
    site.settings("broken");
    let (commit, _) = site.announce();
    let listed = site.queue(&["list"]);
    assert!(
        listed.stdout.contains("  1 ref update, not built  "),
        "{}",
        listed.stdout
    );
    let shown = site.queue(&["show", &site.names("new")[0]]);
    assert!(
        shown.stdout.contains(&format!("{commit} refs/heads/main")),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("pusher: alice"), "{}", shown.stdout);
}

#[test]
fn a_recorded_push_that_nobody_wants_any_more_is_logged() {
    let site = Spooled::new();
    site.settings("broken");
    site.announce();
    site.settings("urls = []\n");
    site.flush().well();
    assert!(site.names("new").is_empty());
    let log = site.refpost(["log"]).dir(&site.bare).run().well().stdout;
    let note = "  1 ref not announced: no endpoint is configured  ";
    assert!(log.contains(note), "{log}");
}
