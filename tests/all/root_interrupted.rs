//! ^C at root's terminal: what root's refpost started for the accounts ends with it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::support::spooled::{eventually, processes, signal};
use crate::support::{Answer, Several};

/// Runs a command of root's as a shell at a terminal does, in a process group of its own.
fn at_a_terminal(server: &Several, args: &[&str]) -> Child {
    let mut command = server.accounts.command(0, &server.accounts.binary);
    command.args(args).process_group(0).spawn().unwrap()
}

/// Sends what the terminal sends to its foreground process group. Returns how the command ended.
fn interrupt(mut child: Child) -> (ExitStatus, Duration) {
    let begun = Instant::now();
    killpg(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    (child.wait().unwrap(), begun.elapsed())
}

/// The processes of an account, and those of the server's refpost.
fn left(server: &Several) -> Vec<u32> {
    let is_of = |process: &u32| {
        let owner = fs::metadata(format!("/proc/{process}")).map(|it| it.uid());
        owner.is_ok_and(|uid| uid == server.alice.uid || uid == server.bob.uid)
    };
    let mut left: Vec<u32> = processes(&[]).into_iter().filter(is_of).collect();
    left.extend(processes(&[server.accounts.binary.to_str().unwrap()]));
    left
}

#[test]
fn an_interrupted_flush_ends_each_accounts_and_loses_nothing() {
    let Some(server) = Several::new() else { return };
    for (account, name) in [
        (server.alice.uid, "alice/a.git"),
        (server.bob.uid, "bob/b.git"),
        (0, "r.git"),
    ] {
        server.repository(account, name, "timeout = \"3s\"\n");
    }
    server.receiver.script(|_| Answer::Nothing);
    let flush = at_a_terminal(&server, &["flush"]);
    server.receiver.wait_for(3);
    let (_, took) = interrupt(flush);
    // An attempt that was begun ends within its timeout.
    assert!(took < Duration::from_secs(20), "{took:?}");
    eventually("nothing runs", || left(&server).is_empty());
    server.receiver.take();
    server.receiver.script(|_| Answer::status(200));
    let ran = server.root(&["queue", "retry", "--all", "--server"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    server.root(&["flush"]);
    let mut arrived = Vec::new();
    eventually("each message arrived", || {
        arrived.extend(server.receiver.take());
        arrived.len() >= 6
    });
    eventually("nothing runs", || left(&server).is_empty());
    // A new branch is two messages.
    assert_eq!(arrived.len(), 6);
    let listed = server.root(&["queue", "list", "--server"]).well();
    assert_eq!(listed.stdout, "");
}

/// It gives no heed to SIGTERM, as a process that was stopped.
#[test]
fn an_interrupted_ping_ends_an_account_that_hangs() {
    let Some(server) = Several::new() else { return };
    server.repository(server.bob.uid, "bob/b.git", "timeout = \"60s\"\n");
    server.repository(server.alice.uid, "alice/a.git", "timeout = \"60s\"\n");
    server.receiver.script(|_| Answer::Nothing);
    let ping = at_a_terminal(&server, &["ping", "--server"]);
    server.receiver.wait_for(2);
    let hangs = Several::process_of(server.alice.uid, "--found").unwrap();
    signal("STOP", hangs.pid);
    let (status, took) = interrupt(ping);
    assert!(!status.success());
    assert!(took < Duration::from_secs(20), "{took:?}");
    eventually("nothing runs", || left(&server).is_empty());
}
