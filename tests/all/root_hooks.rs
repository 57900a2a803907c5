//! A hook that root runs in another account's repository is that account's.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::support::spooled::{eventually, late};
use crate::support::{Accounts, Background, Several, ZEROS};

/// A repository of alice's whose guaranteed hooks root may run, with this `mode`.
fn guaranteed(server: &Several, mode: &str) -> PathBuf {
    let bare = server.repository(server.alice.uid, "alice/a.git", "");
    server.root(&["flush"]).well();
    server.arrived();
    let text = bare.to_str().unwrap();
    server.root(&["enable", text, "--guaranteed"]).well();
    let trust = format!("[safe]\n\tdirectory = {text}\n");
    server.accounts.public("gitconfig", &trust);
    let config = fs::read_to_string(bare.join("refpost.toml")).unwrap();
    let config = config.replace("\"spool\"", mode);
    Several::file(server.alice.uid, &bare.join("refpost.toml"), &config);
    bare
}

/// What root's hook made there, the account's own could not use.
#[test]
fn a_hook_that_root_ran_in_anothers_repository_was_roots() {
    let Some(server) = Several::new() else { return };
    let bare = guaranteed(&server, "\"spool\"");
    server.push(0, &bare);
    let spool = bare.join("refpost/spool");
    let all = server.accounts.shell(
        0,
        &format!("find {} ! -uid {}", spool.display(), server.alice.uid),
    );
    assert_eq!(all.stdout, "");
    let config = fs::read_to_string(bare.join("refpost.toml")).unwrap();
    let background = config.replace("\"spool\"", "\"background\"");
    Several::file(server.alice.uid, &bare.join("refpost.toml"), &background);
    server.push(0, &bare);
    // A new branch is two messages.
    assert_eq!(server.receiver.wait_for(4).len(), 4);
    let all = server.accounts.shell(
        0,
        &format!("find {} ! -uid {}", spool.display(), server.alice.uid),
    );
    assert_eq!(all.stdout, "");
}

/// Root's terminal, on which an account could type, and a key in a variable of root's.
#[test]
fn a_hook_that_root_ran_in_anothers_repository_had_roots_terminal_and_variables() {
    let Some(server) = Several::new() else { return };
    let bare = guaranteed(&server, "\"sync\"\npush_budget = \"20s\"");
    server
        .receiver
        .script(|_| late(Duration::from_secs(3), 200));
    // `reference-transaction` has the standard error of the git that root runs by hand.
    let line = format!(
        "git -C {} update-ref refs/heads/new $(git -C {0} for-each-ref --format='%(objectname)')",
        bare.display()
    );
    let typescript = server.accounts.path("typescript");
    let mut script = server.accounts.command(0, "script");
    script.args(["-qefc", &line]).arg(&typescript);
    script.stdout(Stdio::null()).env("GL_USER", "ada");
    // One that git hands on to hooks, as others that it does not know.
    script.env("GIT_CONFIG_COUNT", "1");
    script.env("GIT_CONFIG_KEY_0", "http.extraHeader");
    script.env("GIT_CONFIG_VALUE_0", "Authorization: root's");
    script.env("TOKEN", "root's").env("SSL_CERT_FILE", "/x");
    let mut script = Background(script.spawn().unwrap());
    let mut seen = None;
    eventually("alice's hook is at work", || {
        seen = Several::process_of(server.alice.uid, "committed");
        seen.is_some()
    });
    let hook = seen.unwrap();
    hook.is_apart_as(server.alice.uid);
    for file in hook.files() {
        let is_none = file == Path::new("/dev/null") || !file.starts_with("/dev");
        assert!(is_none, "{}", file.display());
    }
    let honoured = ["PATH", "HOME", "GL_USER", "REFPOST_CONFIG"];
    let of_git = ["DIR", "EXEC_PATH", "CONFIG_GLOBAL", "CONFIG_NOSYSTEM"];
    for name in hook.variables() {
        let is_gits = name
            .strip_prefix("GIT_")
            .is_some_and(|it| of_git.contains(&it));
        let is_known = honoured.contains(&&*name) || is_gits;
        assert!(is_known, "{name}");
    }
    assert!(script.0.wait().unwrap().success());
    let said = fs::read_to_string(&typescript).unwrap();
    let name = &server.alice.name;
    let line = format!("refpost: {name}: 2 messages sent to `one`");
    assert!(said.contains(&line), "{said}");
    let requests = server.receiver.take();
    let body = String::from_utf8_lossy(&requests[0].body);
    assert!(body.contains("\"agent\": \"ada\""), "{body}");
}

/// Root's process hands on all that git writes, and ends as the account's does.
#[test]
fn a_hook_that_root_runs_in_anothers_repository_gets_all_refs_and_may_refuse_them() {
    let Some(server) = Several::new() else { return };
    let bare = guaranteed(&server, "\"spool\"");
    let tip = server.accounts.git(0, &bare, &["rev-list", "--all"]).stdout;
    // More than a pipe holds.
    let line = |at| format!("{ZEROS} {} refs/heads/{at}\n", tip.trim_end());
    let lines: String = (0..1000).map(line).collect();
    let input = server.accounts.environment.write("lines", lines);
    let mut hook = server.accounts.command(0, &server.accounts.binary);
    hook.args(["hook", "post-receive"]).current_dir(&bare);
    let ran = Accounts::run(hook.stdin(File::open(input).unwrap()));
    let name = &server.alice.name;
    let said = format!("refpost: {name}: 2000 messages queued for `one`\n");
    assert_eq!((ran.status, &*ran.stderr), (0, &*said));
    let config = bare.join("refpost.toml");
    let text = fs::read_to_string(&config).unwrap();
    let text = format!("require = true\nnonsense = 1\n{text}");
    Several::file(server.alice.uid, &config, &text);
    let mut push = server.accounts.command(0, "git");
    let refspec = format!("{}:refs/heads/new", tip.trim_end());
    let ran = Accounts::run(push.current_dir(&bare).args(["push", ".", &refspec]));
    assert_ne!(ran.status, 0);
    let why = "(the push is refused, as `require` has it)";
    let said = ran.stderr.contains(why) && ran.stderr.contains(&format!("refpost: {name}: "));
    assert!(said, "{}", ran.stderr);
}

/// `ProtectProc=invisible` of the unit hides root's git from the account's flush.
#[test]
fn a_push_whose_git_was_hidden_counted_as_dead_and_was_lost() {
    let Some(server) = Several::new() else { return };
    let bare = guaranteed(&server, "\"spool\"");
    let (waiting, go) = (server.accounts.path("waiting"), server.accounts.path("go"));
    let held = format!(
        "touch {}; until test -e {}; do sleep 0.01; done",
        waiting.display(),
        go.display()
    );
    // It dies once the ref has moved.
    for (name, text) in [("update", &*held), ("post-receive", "kill -9 $PPID")] {
        let hook = bare.join("hooks").join(name);
        fs::remove_file(&hook).ok();
        server
            .accounts
            .environment
            .script(&hook, &format!("#!/bin/sh\n{text}\n"));
    }
    let line = format!(
        "w=$(mktemp -d) && cd $w && git init -q -b main && git commit -q --allow-empty -m x \
         && git push -q {} main; rm -rf $w",
        bare.display()
    );
    let mut push = server.accounts.command(0, "sh");
    let mut push = Background(push.args(["-c", &line]).spawn().unwrap());
    eventually("it is under way", || waiting.exists());
    let hidden = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"";
    let mut flush = server.accounts.command(0, "unshare");
    flush.args(["-m", "sh", "-c", hidden, "sh", "setpriv", "--init-groups"]);
    let alice = &*server.alice.name;
    flush.args(["--reuid", alice, "--regid", alice]);
    flush.arg(&server.accounts.binary).arg("flush").arg(&bare);
    Accounts::run(&mut flush).well();
    fs::write(&go, "").unwrap();
    push.0.wait().unwrap();
    server.root(&["flush"]).well();
    assert_eq!(server.arrived(), ["/alice/a.git"]);
}
