//! Exit codes say what happened: nothing that failed ends with 0.

use std::fs::OpenOptions;

use crate::support::{Environment, REFPOST, Runner, Site};

/// Runs a command whose standard output goes to a full disk. Returns its exit code and what it
/// complained of.
fn into_full(runner: Runner) -> (i32, String) {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = runner.stdout(full);
    (ran.status, ran.stderr)
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let site = Site::new();
    let bare = site.bare.to_str().unwrap();
    let system = "system.toml";
    for line in [
        &["keygen"][..],
        &["man"],
        &["completions", "bash"],
        &["--help"],
        &["status", "--help"],
        &["--version"],
        &["status", bare],
        &["status", "--json", bare],
        &["check", bare],
        &["check", "--show", bare],
        &["ping", bare],
        &["--config", system, "queue", "drop", "--all", "--in", bare],
    ] {
        let (status, said) = into_full(site.refpost(line));
        let told = "refpost: cannot write standard output: no space left on device\n";
        assert_eq!((status, said.as_str()), (1, told), "{line:?}");
    }
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let environment = Environment::new();
    for command in ["man", "--help", "keygen", "completions bash"] {
        let line = format!("set -o pipefail; {REFPOST} {command} | true");
        for _ in 0..3 {
            environment.run("bash").args(["-c", &line]).run().well();
        }
    }
}

#[test]
fn a_push_goes_on_when_the_hook_cannot_print() {
    let environment = Environment::new();
    let bare = environment.bare("a.git");
    let hook = environment.refpost(["hook", "post-receive"]).dir(bare);
    assert_eq!(into_full(hook), (0, String::new()));
}
