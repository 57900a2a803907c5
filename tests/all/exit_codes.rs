//! Exit codes say what happened: nothing that failed ends with 0.

use std::fs::{self, OpenOptions};

use crate::support::{
    Accounts, Answer, Environment, KEY, REFPOST, Runner, Several, Site, set_mode,
};

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
        &["--config", system, "queue", "drop", "--all", "--repo", bare],
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
        &["queue", "list", bare],
        &["queue", "drop", "--all", "--repo", bare],
        &["log", bare],
        &["check", bare],
        &["check", "--server"],
        &["ping", bare],
        &["preview", bare],
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
            &["queue", "list", bare, "--older-than", long],
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
        &["queue", "list", bare, "--older-than", "100y"],
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

const ALICE: u32 = 4401;
const BOB: u32 = 4402;

/// Commands about one repository or folder.
const ABOUT: [&[&str]; 7] = [
    &["status"],
    &["status", "--json"],
    &["status", "--exit-code"],
    &["flush"],
    &["flush", "--strict"],
    &["queue", "list"],
    &["queue", "drop", "--all", "--repo"],
];

#[test]
fn a_repository_that_is_not_trusted_is_not_examined() {
    let Some(accounts) = Accounts::new() else {
        return;
    };
    let srv = accounts.folder("srv", ALICE);
    accounts.git(ALICE, &srv, &["init", "-q", "--bare", "a.git"]);
    let bare = srv.join("a.git");
    accounts
        .shell(
            ALICE,
            &format!("echo 'urls = []' > {}/refpost.toml", bare.display()),
        )
        .well();
    for at in [&bare, &srv] {
        let at = at.to_str().unwrap();
        for line in ABOUT {
            let ran = accounts.refpost(BOB, &[line, &[at]].concat());
            assert_eq!(ran.status, 1, "{line:?}: {}", ran.stderr);
            assert_eq!(ran.stdout, "", "{line:?}");
            assert!(ran.stderr.starts_with("refpost: cannot trust repository"));
            let ran = accounts.refpost(ALICE, &[line, &[at]].concat());
            assert_eq!(ran.status, 0, "{line:?}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_folder_that_cannot_be_read_is_not_examined() {
    let Some(accounts) = Accounts::new() else {
        return;
    };
    let shut = accounts.folder("shut", BOB);
    set_mode(&shut, 0o700);
    for at in [shut.to_str().unwrap(), "/nope"] {
        for line in ABOUT {
            let ran = accounts.refpost(ALICE, &[line, &[at]].concat());
            assert_eq!((ran.status, &*ran.stdout), (1, ""), "{line:?} {at}");
            assert!(ran.stderr.contains(at), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_folder_without_repositories_was_examined_well() {
    let site = Site::new();
    let empty = site.path("empty");
    fs::create_dir_all(empty.join("below")).unwrap();
    let told = format!(
        "refpost: cannot find any repository below `{}`\n",
        empty.display()
    );
    for line in ABOUT {
        let run = site.refpost(line.iter()).arg(&empty).run();
        assert_eq!(run.stdout, "", "{line:?}");
        run.fails(1, &told);
    }
    // One in which no repository uses refpost is nothing to complain of, nor is an empty `root`.
    site.git(&[
        "init",
        "-q",
        "--bare",
        empty.join("a.git").to_str().unwrap(),
    ]);
    site.refpost(["flush"]).arg(&empty).run().well();
    let root = format!("root = \"{}\"\n", empty.join("below").display());
    let system = site.write("system.toml", root);
    site.refpost(["--config", system.to_str().unwrap(), "flush", "--server"])
        .run()
        .well();
}

#[test]
fn root_passes_nothing_over_with_exit_code_0() {
    let Some(server) = Several::new() else { return };
    let bare = server.repository(server.alice.uid, "alice/a.git", "");
    let at = bare.to_str().unwrap();
    server.root(&["flush"]).well();
    for line in ABOUT {
        let ran = server.root(&[line, &[at]].concat());
        assert_eq!(ran.status, 0, "{line:?}: {}", ran.stderr);
    }
    let spool = bare.join("refpost/spool");
    let line = format!("rm -r {0} && touch {0}", spool.display());
    server.accounts.shell(server.alice.uid, &line).well();
    for line in ABOUT {
        let ran = server.root(&[line, &[at]].concat());
        assert_eq!(ran.status, 1, "{line:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(spool.to_str().unwrap()),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_flush_that_reports_an_error_of_a_spool_fails_and_a_receiver_that_is_down_is_none() {
    let site = Site::new();
    let bare = site.bare.to_str().unwrap();
    site.config_alone("urls = [\"http://127.0.0.1:9/\"]\nunsigned = true\n");
    site.commit("a");
    site.try_push(&["origin", "main"]);
    let ran = site.refpost(["flush", bare]).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    // A configuration that is broken is mended, and what waits is delivered then.
    site.config_alone("nonsense = 1\n");
    assert_eq!(site.refpost(["flush", bare]).run().status, 0);
    for line in ["status", "status --exit-code", "queue list"] {
        let ran = site.refpost(line.split(' ')).dir(&site.bare).run();
        assert_eq!(ran.status, 1, "{line}: {}", ran.stderr);
    }
    site.config("");
    let spool = site.bare.join("refpost/spool");
    for place in ["new", "retry", "intent"] {
        let place = spool.join(place);
        let aside = spool.join("aside");
        let was_there = fs::rename(&place, &aside).is_ok();
        fs::write(&place, "no folder").unwrap();
        let ran = site.refpost(["flush", bare]).run();
        assert_eq!(ran.status, 1, "{}: {}", place.display(), ran.stderr);
        assert!(
            ran.stderr.contains(place.to_str().unwrap()),
            "{}",
            ran.stderr
        );
        fs::remove_file(&place).unwrap();
        if was_there {
            fs::rename(&aside, &place).unwrap();
        }
    }
    let ran = site.refpost(["flush", bare]).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[test]
fn status_says_by_its_exit_code_whether_an_endpoint_fails_or_refuses_or_gave_up() {
    for (answer, says) in [(200, 0), (500, 3), (403, 3), (413, 3)] {
        let site = Site::new();
        let bare = site.bare.to_str().unwrap();
        site.receiver.script(move |_| Answer::status(answer));
        let status = |more: &[&str]| {
            let line = [&["status", bare], more].concat();
            site.refpost(line).run()
        };
        assert_eq!(status(&["--exit-code"]).status, 0);
        site.commit("a");
        site.try_push(&["origin", "main"]);
        for more in [&["--exit-code"][..], &["--exit-code", "--json"]] {
            let ran = status(more);
            assert_eq!(ran.status, says, "{answer}: {}{}", ran.stdout, ran.stderr);
        }
        assert_eq!(status(&[]).status, 0);
        // What could not be examined comes first.
        assert_eq!(status(&["--exit-code", "/nope"]).status, 1);
    }
}

#[test]
fn an_endpoint_that_is_misspelt_is_an_error() {
    let site = Site::new();
    let bare = site.bare.to_str().unwrap();
    let url = site.receiver.url("/hook");
    site.config_alone(&format!(
        "key = \"{KEY}\"\n[[endpoint]]\nname = \"deploy\"\nurl = \"{url}\"\n"
    ));
    let queue = |line: &str| {
        let scope = (!line.starts_with("list")).then_some("--repo");
        let run = site.refpost(["queue"]).args(line.split(' '));
        run.args(scope).arg(bare).run()
    };
    queue("list --endpoint deploy").well();
    let told = "refpost: cannot find endpoint `typo`: it is not configured, and nothing waits for \
                it\nhint: `refpost status` lists the endpoints\n";
    for line in [
        "list --endpoint typo",
        "list --endpoint typo --json",
        "retry --all --endpoint typo",
        "drop --all --endpoint typo",
    ] {
        let ran = queue(line).fails(1, told);
        assert_eq!(ran.stdout, "", "{line}");
    }
    let log = |name: &str| site.refpost(["log", "--endpoint", name]).arg(bare).run();
    log("deploy").well();
    let told = "refpost: cannot find endpoint `typo`: it is not configured, and no log has it\n\
                hint: `refpost status` lists the endpoints\n";
    assert_eq!(log("typo").fails(1, told).stdout, "");
    // One that is not configured any more is listed while something waits for it.
    site.receiver.script(|_| Answer::status(500));
    site.commit("a");
    site.try_push(&["origin", "main"]);
    site.config("");
    assert_ne!(queue("list --endpoint deploy").well().stdout, "");
    queue("list --endpoint deploy --older-than 1h").well();
    assert_ne!(log("deploy").well().stdout, "");
}
