//! Root has each account do what is its own, as that account: none of them gets more by it
//! than it has.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::time::Duration;

use crate::support::spooled::{eventually, late};
use crate::support::{Answer, Several, SystemAccount, set_mode};

#[test]
fn each_account_delivers_its_own_and_root_roots() {
    let Some(server) = Several::new() else { return };
    server.repository(server.alice.uid, "alice/a.git", "");
    server.repository(server.bob.uid, "bob/b.git", "");
    server.repository(0, "r.git", "");
    server.root(&["flush"]).well();
    assert_eq!(server.arrived(), ["/alice/a.git", "/bob/b.git", "/r.git"]);
    for (name, uid) in [
        ("alice/a.git", server.alice.uid),
        ("bob/b.git", server.bob.uid),
    ] {
        let log = server.path(name).join("refpost/spool/log");
        assert_eq!(fs::metadata(log).unwrap().uid(), uid);
    }
}

/// What the account's own groups may read, its flush may: it is all of the account.
#[test]
fn a_key_that_the_accounts_group_may_read_was_out_of_reach() {
    let Some(server) = Several::new() else { return };
    let friend = SystemAccount::in_group(&server.accounts, "friend", &server.bob);
    server.accounts.folder("srv/friend", friend.uid);
    let group = fs::metadata(&server.bob.home).unwrap().gid();
    let key = server
        .accounts
        .environment
        .write("key", "a key of some length");
    chown(&key, Some(0), Some(group)).unwrap();
    set_mode(&key, 0o440);
    let bare = server.repository(friend.uid, "friend/a.git", "");
    let url = server.receiver.url("/key");
    let config = format!(
        "mode = \"spool\"\nurls = [\"{url}\"]\nkey_file = \"{}\"\n",
        key.display()
    );
    Several::file(friend.uid, &bare.join("refpost.toml"), &config);
    server.push(friend.uid, &bare);
    server.root(&["flush"]);
    assert!(server.arrived().contains(&"/key".to_owned()));
}

/// The folder's group is not the account's: a folder that was moved out of a drop has one
/// that may read the server's key.
#[test]
fn a_folder_with_another_group_lent_that_group_to_its_owner() {
    let Some(server) = Several::new() else { return };
    let group = fs::metadata(&server.bob.home).unwrap().gid();
    let key = server
        .accounts
        .environment
        .write("key", "bobs-key-of-some-length");
    chown(&key, Some(0), Some(group)).unwrap();
    set_mode(&key, 0o440);
    let more = format!(
        "headers = {{ X-Stolen = {{ file = \"{}\" }} }}\n",
        key.display()
    );
    let bare = server.repository(server.alice.uid, "alice/a.git", &more);
    chown(&bare, None, Some(group)).unwrap();
    let ran = server.root(&["flush"]);
    assert!(server.arrived().is_empty(), "{}", ran.stderr);
    assert!(ran.stderr.contains("permission denied"), "{}", ran.stderr);
}

/// The account's refpost has no terminal, no environment and no files of root's.
#[test]
fn the_flush_that_runs_as_the_account_had_roots_terminal_and_files() {
    let Some(server) = Several::new() else { return };
    server
        .receiver
        .script(|_| late(Duration::from_secs(5), 200));
    server.repository(server.alice.uid, "alice/a.git", "timeout = \"30s\"\n");
    let secret = server.accounts.environment.write("secret", "root's\n");
    let mut flush = server.accounts.command(0, "bash");
    let line = format!(
        "exec 9<{}; exec {} flush",
        secret.display(),
        server.accounts.binary.display()
    );
    flush
        .args(["-c", &line])
        .env("SECRET", "root's")
        .env("SSL_CERT_FILE", "/x");
    let mut flush = flush.spawn().unwrap();
    let mut seen = None;
    eventually("the account's flush is at work", || {
        seen = Several::process_of(server.alice.uid, "--found");
        seen.is_some()
    });
    let flushing = seen.unwrap();
    assert_eq!(flushing.variables(), ["HOME", "PATH"]);
    flushing.is_apart_as(server.alice.uid);
    for file in flushing.files() {
        assert_ne!(file, secret);
        assert!(!file.starts_with("/dev"), "{}", file.display());
    }
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(flush.id().try_into().unwrap()),
        nix::sys::signal::SIGTERM,
    )
    .unwrap();
    flush.wait().unwrap();
}

#[test]
fn enable_as_root_gave_a_file_in_anothers_hooks_to_the_one_who_made_a_link() {
    let Some(server) = Several::new() else { return };
    let bobs = server.repository(server.bob.uid, "bob/b.git", "");
    let alices = server.repository(server.alice.uid, "alice/a.git", "");
    let line = format!(
        "cd {} && rm -r hooks && ln -s {}/hooks hooks",
        alices.display(),
        bobs.display()
    );
    server.accounts.shell(server.alice.uid, &line).well();
    let own =
        "rm hooks/post-receive && printf '#!/bin/sh\\n' > hooks/post-receive && chmod +x hooks/*";
    let line = format!("cd {} && {own}", bobs.display());
    server.accounts.shell(server.bob.uid, &line).well();
    let srv = server.path("");
    let ran = server.root(&[
        "enable",
        "--all",
        srv.to_str().unwrap(),
        "--match",
        "alice/*",
    ]);
    assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    for name in ["hooks", "hooks/post-receive"] {
        let owner = fs::symlink_metadata(bobs.join(name)).unwrap().uid();
        assert_eq!(owner, server.bob.uid, "{name}");
    }
    assert!(!bobs.join("hooks/post-receive.d").exists());
    server.root(&["enable", bobs.to_str().unwrap()]).well();
    let chain = fs::metadata(bobs.join("hooks/post-receive")).unwrap();
    assert_eq!(chain.uid(), server.bob.uid);
}

/// The account's refpost wrote Pagure's format, whatever root asked for.
#[test]
fn the_format_that_root_named_was_forgotten_on_the_way_to_the_account() {
    let Some(server) = Several::new() else { return };
    let bare = server.path("alice/a.git");
    let path = bare.to_str().unwrap();
    let init = ["init", "-q", "--bare", "-b", "main", path];
    let uid = server.alice.uid;
    server.accounts.git(uid, bare.parent().unwrap(), &init);
    let url = server.receiver.url("/github");
    let args = ["enable", path, "--url", &url, "--format", "github"];
    server.root(&args).well();
    let config = fs::read_to_string(bare.join("refpost.toml")).unwrap();
    assert!(config.contains("format = \"github\""), "{config}");
}

#[test]
fn status_queue_and_check_as_root_are_each_accounts_own() {
    let Some(server) = Several::new() else { return };
    server.receiver.script(|_| Answer::status(503));
    let uids = [server.alice.uid, server.bob.uid];
    let names = [&server.alice.name, &server.bob.name];
    let bares = [(uids[0], "alice/a.git"), (uids[1], "bob/b.git")]
        .map(|(uid, name)| server.repository(uid, name, ""));
    server.root(&["flush"]);
    let status = server.root(&["status"]).well().stdout;
    let listed = server.root(&["queue", "list"]).well().stdout;
    for (name, bare) in names.iter().zip(&bares) {
        let start = format!("{name}: failing  ");
        let mut lines = status.lines();
        assert!(lines.any(|line| line.starts_with(&start)), "{status}");
        let bare = bare.strip_prefix(server.path("")).unwrap();
        let bare = bare.to_str().unwrap().trim_end_matches(".git");
        let mut lines = listed
            .lines()
            .filter(|line| line.starts_with(&format!("{name}: ")));
        assert!(lines.any(|line| line.contains(bare)), "{listed}");
    }
    let json = server.root(&["status", "--json"]).well().stdout;
    let objects = json.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut accounts: Vec<String> = objects
        .map(|object: serde_json::Value| object["account"].as_str().unwrap().to_owned())
        .collect();
    accounts.sort();
    accounts.dedup();
    let mut sorted = names;
    sorted.sort();
    assert_eq!(accounts, sorted.map(String::as_str));
    let checked = server.root(&["check", "--server"]).stdout;
    for name in names {
        assert!(
            checked.contains(&format!("{name}: checked 1 repository, ")),
            "{checked}"
        );
    }

    // What one of them has, the others need not have.
    let id = listed
        .lines()
        .rfind(|line| line.starts_with(names[1].as_str()))
        .unwrap();
    let id = id.split(' ').next_back().unwrap();
    let shown = server.root(&["queue", "show", id]).well().stdout;
    assert!(
        shown.contains(&format!("repository: {}", bares[1].display())),
        "{shown}"
    );
    let dropped = server.root(&["queue", "drop", id]).well().stdout;
    assert_eq!(dropped, format!("{}: 1 entry dropped\n", names[1]));
    let nothing = "refpost: nothing of that kind waits or has failed\n\
                   hint: `refpost queue list` shows what does\n";
    server.root(&["queue", "drop", id]).fails(1, nothing);
}

/// One whole id among others was passed over, and the beginning of one was refused.
#[test]
fn an_id_that_no_account_has_was_passed_over_in_silence() {
    let Some(server) = Several::new() else { return };
    server.receiver.script(|_| Answer::status(503));
    server.repository(server.alice.uid, "alice/a.git", "");
    server.repository(server.bob.uid, "bob/b.git", "");
    server.root(&["flush"]);
    let listed = server.root(&["queue", "list", "--json"]).well().stdout;
    let objects = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut ids: Vec<String> = objects
        .map(|one: serde_json::Value| one["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    let [first, second] = &ids[..] else {
        panic!("{listed}");
    };
    let pairs = first.bytes().zip(second.bytes());
    let common = pairs.take_while(|(a, b)| a == b).count();
    let nowhere = "20010203T224804.571260618Z-git1-2c38aee6bf6736ce";
    let told = format!("refpost: cannot find entry `{nowhere}`\n");
    let ran = server.root(&["queue", "retry", first, nowhere]);
    assert!(ran.stdout.ends_with(": 1 entry to be tried again now\n"));
    ran.fails(1, &told);
    let unclear = format!(
        "refpost: cannot tell which entry `{}` is: 2 ids begin with it\n\
         hint: one of: {first}, {second}\n",
        &first[..common]
    );
    for verb in ["show", "retry", "drop"] {
        let ran = server.root(&["queue", verb, &first[..common]]);
        assert_eq!(ran.stdout, "", "{verb}");
        ran.fails(1, &unclear);
        let ran = server.root(&["queue", verb, "20010203T", "20010204T"]);
        assert_eq!((ran.status, &*ran.stdout), (1, ""), "{verb}");
    }
    // The beginning of an id leads to the account that has it.
    let shown = server.root(&["queue", "show", &first[..=common]]).well();
    assert!(shown.stdout.contains(first.as_str()), "{}", shown.stdout);
    let ran = server.root(&["queue", "drop", &second[..=common]]).well();
    assert!(ran.stdout.ends_with(": 1 entry dropped\n"));
    let left = server.root(&["queue", "list", "--json"]).well().stdout;
    assert_eq!(left.lines().count(), 1);
    assert!(left.contains(first.as_str()));
}

#[test]
fn the_servers_spool_is_flushed_by_the_account_that_owns_it() {
    let Some(server) = Several::new() else { return };
    let service = SystemAccount::new(&server.accounts, "service");
    let spool = server.accounts.folder("spool", service.uid);
    server.accounts.folder("srv/service", service.uid);
    let text = format!(
        "mode = \"spool\"\nroot = \"{}\"\nspool = \"{}\"\nunsigned = true\n[[endpoint]]\nname = \"ci\"\nurl = \"{}\"\n",
        server.path("").display().to_string().trim_end_matches('/'),
        spool.display(),
        server.receiver.url("/ci")
    );
    server.accounts.public("system.toml", &text);
    let bare = server.path("service/a.git");
    let line = format!(
        "git init -q --bare -b main {0} && ln -s {1} {0}/hooks/post-receive",
        bare.display(),
        server.accounts.binary.display()
    );
    server.accounts.shell(service.uid, &line).well();
    server.push(service.uid, &bare);
    server.root(&["flush"]).well();
    assert_eq!(server.arrived(), ["/ci"]);
    assert_eq!(fs::metadata(spool.join("log")).unwrap().uid(), service.uid);
}
