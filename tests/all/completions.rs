//! What a shell offers, and that no push is taken for a question of a shell.

use std::fs;

use crate::support::spooled::objects;
use crate::support::{Answer, REFPOST, Spooled};

/// What is offered for the last of these words, in the repository.
fn offered(site: &Spooled, words: &[&str]) -> Vec<String> {
    let run = site.refpost(["--", "refpost"]).args(words).dir(&site.bare);
    let run = run.env("REFPOST_COMPLETE", "bash");
    let run = run.env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    let ran = run.env("_CLAP_IFS", "\n").run().well();
    ran.stdout
        .lines()
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn values_were_not_offered() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(503));
    site.announce();
    site.flush();
    let listed = objects(&site.queue(&["list", "--json"]).well().stdout);
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(offered(&site, &["queue", "retry", "2"]), [id]);
    assert_eq!(
        offered(&site, &["queue", "drop", "--endpoint", "o"]),
        ["one"]
    );
    assert_eq!(offered(&site, &["log", "--endpoint", "x"]), [""; 0]);
    assert_eq!(offered(&site, &["queue", "dr"]), ["drop"]);
    assert!(offered(&site, &["status", "obj"]).contains(&"objects/".to_owned()));
    let root = site.path("srv");
    fs::create_dir_all(&root).unwrap();
    site.write(
        "system.toml",
        format!("root = \"{}\"\n", site.path("").display()),
    );
    let typed = site.path("test");
    let repositories = offered(&site, &["flush", typed.to_str().unwrap()]);
    assert!(
        repositories.contains(&site.bare.display().to_string()),
        "{repositories:?}"
    );
    // Without the variable, or with that of other programs, it is a wrong command line.
    for variable in ["COMPLETE", "_REFPOST_COMPLETE"] {
        let run = site
            .refpost(["--", "refpost", "queue", "dr"])
            .env(variable, "bash");
        let ran = run.run();
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{variable}");
    }
}

#[test]
fn a_push_with_a_variable_of_a_shells_completion_printed_a_script_and_was_lost() {
    let site = Spooled::new();
    let hook = site.bare.join("hooks/post-receive");
    for chained in [false, true] {
        if chained {
            fs::remove_file(&hook).unwrap();
            site.hook("post-receive", &format!("exec {REFPOST} hook post-receive"));
        }
        for variable in ["COMPLETE", "REFPOST_COMPLETE"] {
            site.commit("file");
            let push = site.git_run(&["push", "origin", "main"]);
            let pushed = push.env(variable, "bash").run();
            assert_eq!(pushed.status, 0, "{}", pushed.stderr);
            assert!(!pushed.stderr.contains("complete"), "{}", pushed.stderr);
            assert_eq!(site.flush_well().len(), 1, "{variable} {chained}");
        }
    }
}
