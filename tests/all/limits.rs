//! Signals and limits of a process that met a hook at a bad moment.

use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::support::spooled::{commits, processes, signal};
use crate::support::{Answer, Spooled, ZEROS};

/// With `ulimit -f`, SIGXFSZ ended the hook: with --guaranteed the push was refused, and without,
/// neither announced nor told.
#[test]
fn a_limit_of_file_sizes_ended_the_hook() {
    let site = Spooled::new();
    site.hook(
        "post-receive",
        "ulimit -f 0\nexec REFPOST hook post-receive",
    );
    let (_, push) = site.announce();
    assert!(push.said.contains("cannot enqueue"), "{}", push.said);
    assert!(push.said.contains("file too large"), "{}", push.said);
    assert!(
        push.said.contains("(your push was accepted)"),
        "{}",
        push.said
    );

    site.hook("pre-receive", "ulimit -f 0\nexec REFPOST hook pre-receive");
    site.hook("post-receive", "exec REFPOST hook post-receive");
    let (commit, push) = site.announce();
    assert!(push.said.contains("(the push goes on)"), "{}", push.said);
    let sent = commits(&site.flush_well());
    assert_eq!(sent.last(), Some(&commit), "{}", push.said);
}

/// A pusher's ^C, a session that ends, an alarm that was set by who started git.
#[test]
fn a_signal_ended_the_hook_after_refs_had_moved() {
    let site = Spooled::new();
    site.hook("post-receive", "exit 0");
    for name in [
        "HUP", "INT", "QUIT", "TERM", "ALRM", "VTALRM", "PROF", "USR1", "USR2", "IO", "PWR",
        "STKFLT", "XCPU", "XFSZ", "PIPE", "34", "64",
    ] {
        let (commit, _) = site.announce();
        let before = site.names("new").len();
        let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
        let mut hook = hook.env("GIT_DIR", ".").spawn_fed();
        // Once it reads, its handlers are there.
        thread::sleep(Duration::from_millis(400));
        signal(name, hook.id());
        thread::sleep(Duration::from_millis(50));
        let line = format!("{ZEROS} {commit} refs/heads/main\n");
        let mut stdin = hook.stdin.take().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        drop(stdin);
        assert_eq!(hook.wait().unwrap().code(), Some(0), "SIG{name}");
        assert_eq!(site.names("new").len(), before + 1, "SIG{name}");
    }
}

/// Before refs move, a hook that is ended refuses the push, and nothing is lost.
#[test]
fn a_signal_ends_a_hook_before_refs_move() {
    let site = Spooled::new();
    let hook = site.refpost(["hook", "pre-receive"]).dir(&site.bare);
    let mut hook = hook.env("GIT_DIR", ".").spawn_fed();
    thread::sleep(Duration::from_millis(200));
    signal("TERM", hook.id());
    assert_eq!(hook.wait().unwrap().code(), None);
}

/// `KillUserProcesses`, a control group and a PID namespace kill what a push has started.
#[test]
fn a_killed_session_took_the_flush_along_and_the_next_push_delivers() {
    let site = Spooled::with("mode = \"background\"");
    site.receiver.script(|_| Answer::Nothing);
    let (first, push) = site.announce();
    let bare = site.bare.to_str().unwrap();
    // It may have come before the push ended.
    if push.requests.is_empty() {
        site.receiver.wait_for(1);
    }
    for flush in processes(&["flush", "--detached", bare]) {
        signal("KILL", flush);
    }
    site.receiver.script(|_| Answer::status(200));
    let (second, push) = site.announce();
    let mut came = commits(&push.requests);
    while came.len() < 2 {
        came.extend(commits(&site.receiver.wait_for(1)));
    }
    assert_eq!(came, [first, second]);
}

/// The runtime of a sync push took the whole hook along where a descriptor was missing.
#[test]
fn too_few_descriptors_ended_the_hook_after_it_had_recorded() {
    let site = Spooled::with("mode = \"sync\"");
    let mut told = vec![];
    let mut pushed = vec![];
    for limit in 6..26 {
        let line =
            format!("(ulimit -n {limit}; exec REFPOST hook post-receive)\necho \"exit $?\" >&2");
        site.hook("post-receive", &line);
        let (commit, push) = site.announce();
        assert!(!push.said.contains("panicked"), "{limit}: {}", push.said);
        // Below some limit the program itself cannot be loaded.
        if push.said.contains("exit 127") {
            continue;
        }
        assert!(push.said.contains("exit 0"), "{limit}: {}", push.said);
        if push.said.contains("your push was accepted") {
            told.push(commit);
        } else {
            pushed.push(commit);
        }
        let sent = commits(&push.requests);
        pushed.retain(|commit| !sent.contains(commit));
    }
    site.flush();
    let sent = commits(&site.receiver.take());
    for commit in pushed {
        assert!(sent.contains(&commit), "{commit} is lost; told: {told:?}");
    }
}
