//! Root has each account do what is its own, and none of them holds up another.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::spooled::{eventually, late};
use crate::support::{Accounts, Answer, Several, SystemAccount};

/// A FIFO in the place of a file keeps whoever opens it, and root opens none.
#[test]
fn a_fifo_called_head_stopped_the_check_of_everybodys() {
    let Some(server) = Several::new() else { return };
    server.repository(server.bob.uid, "bob/b.git", "");
    let bare = server.repository(server.alice.uid, "alice/a.git", "");
    let planted = format!(
        "cd {} && rm HEAD config && mkfifo HEAD config",
        bare.display()
    );
    server.accounts.shell(server.alice.uid, &planted).well();
    server.root(&["flush", "--budget", "3s"]);
    assert!(server.arrived().contains(&"/bob/b.git".to_owned()));
    let out = server.accounts.path("out");
    let mut check = server.accounts.command(0, &server.accounts.binary);
    check.args(["check", "--server"]);
    check.stdout(std::fs::File::create(&out).unwrap());
    let mut check = check.spawn().unwrap();
    let said = format!("{}: checked 1 repository, ", server.bob.name);
    eventually("bob's is checked", || {
        std::fs::read_to_string(&out).unwrap().contains(&said)
    });
    // Alice's ends with it.
    let pid = nix::unistd::Pid::from_raw(check.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).unwrap();
    assert!(!check.wait().unwrap().success());
}

#[test]
fn one_account_with_many_long_paths_ended_the_flush_of_all() {
    let Some(server) = Several::new() else { return };
    server.repository(server.alice.uid, "alice/a.git", "");
    let deep = ["d"; 15].map(|part| part.repeat(200)).join("/");
    let line = format!(
        "cd {} && mkdir -p {deep} && cd {deep} && for i in $(seq 1000); do \
         mkdir -p $i/objects $i/refs $i/refpost; : > $i/HEAD; done",
        server.path("bob").display()
    );
    server.accounts.shell(server.bob.uid, &line).well();
    server.root(&["flush"]);
    assert_eq!(server.arrived(), ["/alice/a.git"]);
    server.accounts.shell(
        server.bob.uid,
        &format!("rm -rf {}/d*", server.path("bob").display()),
    );
}

#[test]
fn an_account_that_stops_its_flush_held_all_others() {
    let Some(server) = Several::new() else { return };
    server.repository(server.bob.uid, "bob/b.git", "");
    server.repository(server.alice.uid, "alice/a.git", "");
    server.repository(0, "r.git", "");
    // Hers waits for an answer, and a process of hers stops it meanwhile.
    server.receiver.script(|request| {
        if request.line.contains("alice") {
            late(Duration::from_secs(10), 200)
        } else {
            Answer::status(200)
        }
    });
    let mut stopper = server.accounts.command(server.alice.uid, "sh");
    let uid = server.alice.uid;
    let line = format!("while :; do pkill -STOP -u {uid} refpost; sleep 0.01; done");
    let stopper = stopper
        .args(["-c", &line])
        .process_group(0)
        .spawn()
        .unwrap();
    let _stopper = Group(stopper);
    let begun = Instant::now();
    let mut flush = server.accounts.command(0, &server.accounts.binary);
    flush
        .args(["flush", "--budget", "3s"])
        .stderr(Stdio::piped());
    let flush = flush.spawn().unwrap();
    let mut arrived = Vec::new();
    eventually("the others' arrived", || {
        arrived.extend(server.arrived());
        arrived.contains(&"/bob/b.git".to_owned()) && arrived.contains(&"/r.git".to_owned())
    });
    assert!(begun.elapsed() < Duration::from_secs(30));
    // Waited for no longer than anything can take that was begun: it is killed.
    let ended = flush.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(85), "{took:?}");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    let killed = format!("refpost: {}: its refpost was killed", server.alice.name);
    assert!(said.contains(&killed), "{said}");
}

/// A process and what it started, which end with the test.
struct Group(std::process::Child);

impl Drop for Group {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        nix::sys::signal::killpg(group, nix::sys::signal::SIGKILL).ok();
        self.0.wait().ok();
    }
}

#[test]
fn sigchld_that_is_ignored_ended_roots_flush() {
    let Some(server) = Several::new() else { return };
    server.repository(server.alice.uid, "alice/a.git", "");
    server.repository(server.bob.uid, "bob/b.git", "");
    let line = format!(
        "trap '' CHLD; exec {} flush",
        server.accounts.binary.display()
    );
    let mut shell = server.accounts.command(0, "bash");
    Accounts::run(shell.args(["-c", &line])).well();
    assert_eq!(server.arrived(), ["/alice/a.git", "/bob/b.git"]);
}

#[test]
fn slow_receivers_of_three_accounts_took_three_times_the_budget() {
    let Some(server) = Several::new() else { return };
    let carol = SystemAccount::new(&server.accounts, "carol");
    server.accounts.folder("srv/carol", carol.uid);
    let timeout = "timeout = \"2s\"\n";
    server.repository(server.alice.uid, "alice/slow.git", timeout);
    server.repository(server.bob.uid, "bob/slow.git", timeout);
    server.repository(carol.uid, "carol/slow.git", timeout);
    server.repository(0, "r.git", "");
    server.receiver.script(|request| {
        if request.line.contains("slow") {
            late(Duration::from_mins(1), 200)
        } else {
            Answer::status(200)
        }
    });
    let begun = Instant::now();
    server.root(&["flush", "--budget", "4s"]);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(server.arrived().contains(&"/r.git".to_owned()));
}

/// A search of folders that takes longer than the budget, as that of a million does.
#[test]
fn the_folders_of_one_account_used_up_the_time_of_all() {
    let Some(server) = Several::new() else { return };
    server.repository(server.alice.uid, "alice/a.git", "");
    server.repository(server.bob.uid, "bob/b.git", "");
    let mut slow = server.accounts.command(0, "strace");
    slow.args(["-qq", "-o"]).arg(server.accounts.path("trace"));
    slow.args(["-e", "inject=getdents64:delay_enter=1000000"]);
    slow.arg(&server.accounts.binary);
    let ran = Accounts::run(slow.args(["flush", "--budget", "2s"]));
    assert_eq!((ran.status, &*ran.stderr), (0, ""));
    let mut arrived = server.arrived();
    arrived.sort();
    assert_eq!(arrived, ["/alice/a.git", "/bob/b.git"]);
}

#[test]
fn an_account_that_there_is_not_is_told_and_the_others_go_on() {
    let Some(server) = Several::new() else { return };
    server.accounts.folder("srv/gone", 4299);
    server.repository(4299, "gone/a.git", "");
    server.repository(server.bob.uid, "bob/b.git", "");
    let said = "refpost: what belongs to `4299` is passed over: there is no such account\n\
                hint: chown it, or remove it\n";
    server.root(&["flush"]).fails(1, said);
    assert_eq!(server.arrived(), ["/bob/b.git"]);
}

/// What an account's refpost says is told behind its name, and no more than a bound.
#[test]
fn an_account_filled_roots_mail_in_another_ones_name() {
    let Some(server) = Several::new() else { return };
    let bare = server.repository(server.alice.uid, "alice/a.git", "");
    let line = format!(
        "cd {}/refpost/spool/new && for i in $(seq 3000); do \
         mkfifo \"x$i\"; done; printf x > \"$(printf 'x\\nrefpost: bob\\033[2J')\"",
        bare.display()
    );
    server.accounts.shell(server.alice.uid, &line);
    let ran = server.root(&["flush"]);
    assert!(ran.stderr.len() < 64 << 10, "{}", ran.stderr.len());
    let name = format!("refpost: {}: ", server.alice.name);
    let more = format!(
        "refpost: `{}` says more than is told here",
        server.alice.name
    );
    for line in ran.stderr.lines() {
        assert!(line.starts_with(&name) || line == more, "{line}");
    }
}
