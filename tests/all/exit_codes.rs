//! Exit codes say what happened: nothing that failed ends with 0.

use std::fs::{self, OpenOptions};

use crate::support::{Answer, Environment, KEY, REFPOST, Runner, Site};

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
fn a_config_that_is_named_and_cannot_be_read_fails_everywhere_alike() {
    let site = Site::new();
    let bare = site.bare.to_str().unwrap();
    for line in [
        &["keygen"][..],
        &["man"],
        &["completions", "bash"],
        &["flush"],
        &["flush", bare],
        &["flush", "--watch", bare],
        &["status", bare],
        &["queue", "list", "--in", bare],
        &["queue", "drop", "--all", "--in", bare],
        &["log", bare],
        &["check", bare],
        &["check", "--all", bare],
        &["ping", bare],
        &["preview", "--repo", bare],
        &["enable", bare],
        &["disable", bare],
        &["emit", "--topic", "a.b"],
        &["verify", "--key-file", "x", "--signature", "x"],
        &["listen"],
        &["demo"],
        &["work"],
    ] {
        let ran = site.refpost(["--config", "/nope"]).args(line).run();
        let told = "refpost: cannot read config `/nope`: no such file or directory\n";
        assert_eq!((ran.status, ran.stderr.as_str()), (78, told), "{line:?}");
        assert_eq!(ran.stdout, "", "{line:?}");
    }
}

#[test]
fn a_duration_of_any_length_ends_no_command_with_a_panic() {
    let site = Site::new();
    let bare = site.bare.to_str().unwrap();
    for long in ["300000000000y", "584000000000y", "101y"] {
        for line in [
            &["flush", bare, "--budget", long][..],
            &["queue", "list", "--in", bare, "--older-than", long],
        ] {
            let ran = site.refpost(line).run();
            assert_eq!(ran.status, 2, "{line:?}: {}", ran.stderr);
            let why = "no duration (it is longer than 100 years)";
            assert!(ran.stderr.contains(why), "{line:?}: {}", ran.stderr);
        }
        for key in [
            &format!("push_budget = \"{long}\""),
            &format!("[retry]\ngive_up_after = \"{long}\""),
            &format!("[retry]\nschedule = [\"{long}\"]"),
            &format!("[retry]\nbuild_after = \"{long}\""),
        ] {
            let url = site.receiver.url("/hook");
            let urls = format!("urls = [\"{url}\"]\nkey = \"{KEY}\"\nmode = \"sync\"\n");
            site.write("test.git/refpost.toml", format!("{urls}{key}\n"));
            let ran = site.refpost(["ping", bare]).run();
            assert_eq!(ran.status, 78, "{key}: {}", ran.stderr);
            assert!(ran.stderr.contains("it is longer than 100 years"));
        }
    }
    site.config(
        "[retry]\ngive_up_after = \"100y\"\nschedule = [\"100y\"]\nbuild_after = \"100y\"\n",
    );
    let text = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.write("test.git/refpost.toml", text.replace("60s", "100y"));
    site.receiver.script(|_| Answer::status(500));
    site.commit("a");
    site.try_push(&["origin", "main"]);
    for line in [
        &["flush", bare, "--budget", "100y"][..],
        &["queue", "list", "--in", bare, "--older-than", "100y"],
        &["status", bare],
        &["status", "--json", bare],
    ] {
        let ran = site.refpost(line).run();
        assert_eq!(ran.status, 0, "{line:?}: {}", ran.stderr);
    }
}

#[test]
fn a_hook_outside_a_repository_says_so() {
    let environment = Environment::new();
    let folder = environment.path("home");
    for hook in ["post-receive", "post-update", "pre-receive", "update r 1 2"] {
        let hook = hook.split(' ');
        let ran = environment.refpost(["hook"]).args(hook).dir(&folder).run();
        assert_eq!(ran.status, 0);
        let said = format!("`{}` is no repository", folder.display());
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    }
}

#[test]
fn a_push_goes_on_when_the_hook_cannot_print() {
    let environment = Environment::new();
    let bare = environment.bare("a.git");
    let hook = environment.refpost(["hook", "post-receive"]).dir(bare);
    assert_eq!(into_full(hook), (0, String::new()));
}
