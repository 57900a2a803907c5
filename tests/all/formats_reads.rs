//! What a push reads in each format.

use std::fs;
use std::process::Command;

use crate::support::{REFPOST, Spooled, leave_out};

/// Number of objects that the hook of a push of one commit opens, with this `format`.
fn opened(format: &str) -> usize {
    let site = Spooled::new();
    let old = site.bare_git(&["rev-parse", "main"]);
    let (new, _) = site.announce();
    site.configure("mode = \"spool\"", format);
    let trace = site.path("trace");
    let strace = site.run("strace").args(["-y", "-e", "trace=openat", "-o"]);
    let hook = strace.arg(&trace).args([REFPOST, "hook", "post-receive"]);
    let hook = hook.dir(&site.bare).env("GIT_DIR", ".");
    let ran = hook.stdin(format!("{old} {new} refs/heads/main\n")).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let text = fs::read_to_string(&trace).unwrap();
    let calls = text.lines().filter(|call| !call.contains("O_PATH"));
    // Relative to the folder that has the first two digits of the ids.
    let of_object = |call: &&str| call.contains("/objects/") && call.contains(">, \"");
    calls.filter(of_object).count()
}

/// The ends of the move and their trees; a forge's format has its own needs.
#[test]
fn pagures_messages_cost_no_read_for_the_formats_of_forges() {
    if Command::new("strace").arg("-V").output().is_err() {
        return leave_out("strace is missing");
    }
    let pagure = opened("");
    assert_eq!(pagure, 4);
    assert!(opened("format = \"github\"") >= pagure);
}
