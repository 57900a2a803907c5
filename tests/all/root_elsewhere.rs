//! Paths that an account sets up to lead root, or itself, to what is another's.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::spooled::{eventually, signal};
use crate::support::{Accounts, Background, Several};

/// What root opens below a folder of hostile repositories are folders alone.
#[test]
fn roots_commands_opened_files_of_others() {
    let Some(server) = Several::new() else { return };
    if Command::new("strace").arg("-V").output().is_err() {
        crate::support::leave_out("there is no strace: what root opens is not tested");
        return;
    }
    let bare = server.repository(server.alice.uid, "alice/a.git", "");
    symlink("/etc", bare.parent().unwrap().join("link")).unwrap();
    // What has the name of a file and is none, in a repository and where one should be.
    let hostile = server.path("bob");
    let plant = format!(
        "cd {0} && mkdir -p x.git/objects x.git/refs x.git/refpost/spool/new && cd x.git && mkfifo \
         HEAD config refpost.toml && ln -s /etc/shadow description && mkfifo refpost/spool/new/x",
        hostile.display()
    );
    server.accounts.shell(server.bob.uid, &plant).well();
    for args in [&["flush"][..], &["status"], &["check", "--server"]] {
        opens_folders_alone(&server, args);
    }
    assert_eq!(server.arrived(), ["/alice/a.git"]);
}

/// Of what is below `srv`, a command of root's opens folders alone before a process of it becomes
/// another account.
#[track_caller]
fn opens_folders_alone(server: &Several, args: &[&str]) {
    let trace = server.accounts.path("trace");
    let mut strace = server.accounts.command(0, "strace");
    let calls = "trace=open,openat,openat2,execve,setresuid";
    strace.args(["-f", "-y", "-e", calls, "-qq", "-o"]);
    strace.arg(&trace).arg(&server.accounts.binary);
    Accounts::run(strace.args(args));
    let text = fs::read_to_string(&trace).unwrap();
    let srv = server.path("").display().to_string();
    let srv = srv.trim_end_matches('/');
    let mut others = Vec::new();
    let mut looked = 0;
    for line in text.lines() {
        let (process, call) = line.split_once(' ').unwrap();
        if call.contains("setresuid(") {
            others.push(process);
        }
        if others.contains(&process) || !call.contains("open") || !call.contains(srv) {
            continue;
        }
        looked += 1;
        assert!(call.contains("O_DIRECTORY"), "{args:?}: {line}");
    }
    assert!(looked > 3 && others.len() >= 2, "{args:?}: {text}");
}

#[test]
fn a_folder_that_another_can_turn_was_worked_on_by_root() {
    let Some(server) = Several::new() else { return };
    // Root's repository lies in a folder that alice can turn.
    let bare = server.repository(0, "r.git", "");
    let moved = server.path("alice/r.git");
    fs::rename(bare, &moved).unwrap();
    let ran = server.root(&["flush"]);
    let said = format!(
        "refpost: cannot work on `{}` as root: others can move `{}`\n",
        moved.display(),
        server.path("alice").display()
    );
    assert!(ran.stderr.starts_with(&said), "{}", ran.stderr);
    assert!(server.arrived().is_empty());
}

/// Everything below a folder, and what it is.
fn snapshot(server: &Several, folder: &Path) -> String {
    let line = format!(
        "find {} -printf '%p %y %u %m %s %T@ %l\\n' | sort",
        folder.display()
    );
    server.accounts.shell(0, &line).well().stdout
}

/// A `spool` in a repository's own file is its writer's word.
#[test]
fn a_repository_that_names_the_spool_of_another_account_reaches_it_as_its_own_account() {
    let Some(server) = Several::new() else { return };
    // They wait outside of `root`, so that nobody but alice leads root there.
    let apart = server.accounts.folder("apart", server.bob.uid);
    let bobs = server.repository(server.bob.uid, "../apart/b.git", "");
    chown(&apart, Some(0), Some(0)).unwrap();
    let roots = server.repository(0, "../apart/r.git", "");
    let before = snapshot(&server, &apart);
    for (at, other) in [bobs, roots].iter().enumerate() {
        let bare = server.repository(server.alice.uid, &format!("alice/{at}.git"), "");
        let config = fs::read_to_string(bare.join("refpost.toml")).unwrap();
        let spool = other.join("refpost/spool");
        let config = format!("spool = \"{}\"\n{config}", spool.display());
        Several::file(server.alice.uid, &bare.join("refpost.toml"), &config);
    }
    let ran = server.root(&["flush"]);
    assert_eq!(ran.status, 1);
    let name = format!("refpost: {}: ", server.alice.name);
    assert!(
        ran.stderr.contains("apart/b.git/refpost/spool"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("apart/r.git/refpost/spool"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.lines().all(|line| line.starts_with(&name)),
        "{}",
        ran.stderr
    );
    for args in [
        &["status"][..],
        &["queue", "list"],
        &["check", "--server"],
        &["queue", "drop", "--server"],
    ] {
        server.root(args);
    }
    assert!(
        server
            .arrived()
            .iter()
            .all(|path| path.starts_with("/alice/"))
    );
    assert_eq!(snapshot(&server, &apart), before);
}

/// Between root's look and the account's, its folder is turned into a link.
#[test]
fn a_folder_that_becomes_a_link_once_it_was_found_leads_to_nothing_of_another() {
    let Some(server) = Several::new() else { return };
    if Command::new("strace").arg("-V").output().is_err() {
        crate::support::leave_out("there is no strace: no process is stopped at a known place");
        return;
    }
    let apart = server.accounts.folder("apart", server.bob.uid);
    let bobs = server.repository(server.bob.uid, "../apart/b.git", "");
    // Whatever of it alice may read.
    server
        .accounts
        .shell(0, &format!("chmod -R a+rX {}", bobs.display()))
        .well();
    let before = snapshot(&server, &apart);
    let bare = server.repository(server.alice.uid, "alice/a.git", "");
    let trace = server.accounts.path("trace");
    let mut strace = server.accounts.command(0, "strace");
    strace.args(["-f", "-y", "-e", "trace=open,openat,openat2,setresuid"]);
    // The account's process stops where it takes its number on; root has found its paths.
    strace.args(["-e", "inject=setresuid:signal=SIGSTOP", "-o"]);
    strace.arg(&trace).arg(&server.accounts.binary).arg("flush");
    let mut flush = Background(strace.stderr(Stdio::null()).spawn().unwrap());
    let traced = || fs::read_to_string(&trace).unwrap_or_default();
    eventually("it is stopped", || traced().contains("stopped by SIGSTOP"));
    let away = server.path("alice/away");
    fs::rename(&bare, &away).unwrap();
    symlink(&bobs, &bare).unwrap();
    let line = traced();
    let line = line
        .lines()
        .find(|it| it.contains("stopped by SIGSTOP"))
        .unwrap();
    let pid: u32 = line.split(' ').next().unwrap().parse().unwrap();
    signal("CONT", pid);
    flush.0.wait().unwrap();
    assert!(server.arrived().is_empty());
    assert_eq!(snapshot(&server, &apart), before);
    let (place, traced) = (apart.display().to_string(), traced());
    let opened = traced.lines().filter(|it| it.contains(&place));
    // Whose the folder is, it looks up.
    let files: Vec<_> = opened
        .filter(|it| !(it.contains("O_PATH") && it.contains("O_DIRECTORY")))
        .collect();
    assert!(files.is_empty(), "{files:#?}");
    // It would have gone on its way.
    fs::remove_file(&bare).unwrap();
    fs::rename(&away, &bare).unwrap();
    server.root(&["flush"]).well();
    assert_eq!(server.arrived(), ["/alice/a.git"]);
}
