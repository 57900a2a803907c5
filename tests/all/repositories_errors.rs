//! Errors of `[[repository]]` sections: each with its line, whichever section it is in.

use std::fs;

use crate::support::{Environment, Ran, set_mode};

/// Asks for a preview of nothing under this text as the server's file.
fn load(text: &str) -> (Environment, Ran) {
    let environment = Environment::new();
    let bare = environment.path("a.git");
    for folder in ["objects", "refs"] {
        fs::create_dir_all(bare.join(folder)).unwrap();
    }
    fs::write(bare.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    environment.write("system.toml", text);
    let preview = environment.refpost(["preview", "a.git"]);
    let ran = preview.run();
    (environment, ran)
}

/// Above each text: a root, and a section that is as it should be.
const BEFORE: &str = "root = \"/srv/git\"\n\
    [[repository]]\nmatch = [\"a\"]\nkey = \"k\"\nretry = { schedule = [\"1m\"] }\n\
    endpoint = [{ name = \"ci\", url = \"https://ci.example.org/\", timeout = \"1s\" }]\n";

#[test]
fn an_error_in_a_section_names_its_own_line() {
    let table = [
        (
            "[[repository]]\nmatch = [\"b\"]\nulrs = []",
            "line 9: unknown key `ulrs`, did you mean `urls`?",
        ),
        (
            "[[repository]]\nmatch = [\"b\"]\n[[repository.endpoint]]\nname = \"ci\"\ntopic = []",
            "line 11: unknown key `topic`, did you mean `topics`?",
        ),
        (
            "[[repositories]]\nmatch = [\"b\"]",
            "line 7: unknown key `repositories`, did you mean `repository`?",
        ),
        (
            "[[repository]]\nmatch = [\"b\"]\nurls = [\"ftp://hidden\"]",
            "line 9: `repository[1].urls`: URL number 1: scheme `ftp` is not supported, expected \
             `https` or `http`",
        ),
        (
            "[[repository]]\nmatch = [\"b\"]\n\nroot = \"/srv\"",
            "line 10: `root` is the whole server's, and cannot be set in a `[[repository]]`",
        ),
        (
            "[[repository]]\nmatch = [\"b\"]\n[repository.network]\nallow = \"any\"",
            "line 9: `network` is the whole server's, and cannot be set in a `[[repository]]`",
        ),
        (
            "[[repository]]\nmatch = [\"b\"]\n[[repository.repository]]\nmatch = [\"c\"]",
            "line 9: `repository` is the whole server's, and cannot be set in a `[[repository]]`",
        ),
        (
            "[[repository]]\nurls = []",
            "line 7: a `[[repository]]` needs a `match`, such as `match = [\"infra/**\"]`",
        ),
        (
            "[[repository]]\nmatch = []",
            "line 8: `repository[1].match`: it is empty: `[\"**\"]` is every repository",
        ),
        (
            "[[repository]]\nmatch = \"b\"",
            "line 8: `repository[1].match`: invalid type: text, expected an array of patterns \
             like `[\"infra/**\", \"!infra/secret\"]`",
        ),
        (
            "[[repository]]\nmatch = [\"b\", \"\"]",
            "line 8: `repository[1].match[1]`: a pattern is empty",
        ),
        (
            "[[repository]]\nmatch = [\"b[\"]",
            "line 8: `repository[1].match[0]`: pattern `b[`: Pattern syntax error near position 1: \
             invalid range pattern",
        ),
        (
            "[[repository]]\nmatch = [\"b**\"]",
            "line 8: `repository[1].match[0]`: pattern `b**`: Pattern syntax error near position 0: \
             recursive wildcards must form a single path component",
        ),
        (
            "[[repository]]\nmatch = [\"!b\", \"**\"]",
            "line 8: `repository[1].match`: `!b` stands first, where there is nothing to take away \
             from: begin with `**`",
        ),
        (
            "[[repository]]\nmatch = [\"b\"]\nkey = \"hidden\"\nkey_file = \"k\"",
            "line 10: `key` and `key_file` are two answers to one question: take one",
        ),
        (
            "[[repository]]\nmatch = [\"b\"]\n[repository.retry]\nschedule = []",
            "line 10: `retry.schedule` needs one delay at least",
        ),
        (
            "[delivery]\nin_flight = 0",
            "line 8: `delivery.in_flight` must be 1 to 1024",
        ),
        (
            "[[repository]]\nmatch = [\"b\"]\n[repository.delivery]\nin_flight = 2",
            "line 9: `delivery` is the whole server's, and cannot be set in a `[[repository]]`",
        ),
        (
            "[[repository]]\nmatch = [\"b\"]\n[repository.alerts]\ncommand = [\"true\"]",
            "line 9: `alerts` is the whole server's, and cannot be set in a `[[repository]]`",
        ),
        (
            "[alerts]\ncommand = []",
            "line 8: `alerts.command` has no program: leave the key out",
        ),
        (
            "[alerts]\nalert_after = \"1h\"",
            "line 7: `alerts` needs a `command` or an `endpoint`",
        ),
        (
            "[alerts]\nendpoint = \"no\"",
            "line 8: `alerts.endpoint`: no `[[endpoint]]` of this file is named `no`",
        ),
        (
            "[[repository]]\nmatch = [\"b\"]\n[[repository.endpoint]]\nname = \"ci\"\n\
             url = \"https://x/\"\ntimeout = \"0s\"",
            "line 12: `timeout` of `ci` must be longer than nothing, and 60s at most",
        ),
        // In TOML these are the whole server's, whatever stands above them.
        (
            "[[endpoint]]\nname = \"b\"\nurl = \"https://x/\"",
            "line 7: `[[endpoint]]` is no part of the `[[repository]]` above it: write \
             `[[repository.endpoint]]`, or move it above all of them",
        ),
        (
            "[project]\ndescription = \"b\"",
            "line 7: `[project]` is no part of the `[[repository]]` above it: write \
             `[repository.project]`, or move it above all of them",
        ),
    ];
    for (text, error) in table {
        let (environment, ran) = load(&format!("{BEFORE}{text}"));
        let file = environment.path("system.toml");
        let shown = file.display();
        let expected = format!("refpost: cannot load config `{shown}`: {error}\n");
        assert_eq!((ran.status, ran.stderr), (78, expected), "{text}");
    }
    for fine in [
        "",
        "[network]\nallow = \"any\"",
        "[[repository]]\nmatch = [\"/b/\"]\nkey = \"l\"",
    ] {
        load(&format!("{BEFORE}{fine}")).1.well();
    }
}

#[test]
fn a_path_below_no_root_is_an_error_and_a_whole_path_is_not() {
    let (environment, ran) = load("[[repository]]\nmatch = [\"/srv/**\", \"!infra/a\"]");
    let file = environment.path("system.toml");
    ran.fails(
        78,
        &format!(
            "refpost: cannot load config `{}`: line 1: `!infra/a` is a path below `root`, which is \
             not set\nhint: set `root` in this file; or begin the pattern with `/`, for a \
             repository's whole path\n",
            file.display()
        ),
    );
    load("[[repository]]\nmatch = [\"/srv/**\", \"!/srv/b\"]")
        .1
        .well();
}

#[test]
fn sections_are_for_the_servers_file() {
    let environment = Environment::new();
    environment.bare("a.git");
    for (text, error) in [
        (
            "\n[[repository]]\nmatch = [\"a\"]",
            "line 2: `repository` can only be set in the server's file, not by a repository",
        ),
        (
            "match = [\"a\"]",
            "line 1: `match` is a key of a `[[repository]]` in the server's file",
        ),
    ] {
        environment.write("a.git/refpost.toml", text);
        let ran = environment.refpost(["preview", "a.git"]).run();
        assert_eq!(ran.status, 78);
        assert!(
            ran.stderr.ends_with(&format!("{error}\n")),
            "{}",
            ran.stderr
        );
    }
}

/// The file's mode is about secrets in sections too, whichever repositories they are for.
#[test]
fn a_secret_in_a_section_is_a_secret_of_the_file() {
    let (environment, ran) = load(BEFORE);
    ran.well();
    let file = environment.path("system.toml");
    set_mode(&file, 0o644);
    let shown = file.display();
    environment.refpost(["preview", "a.git"]).run().fails(
        78,
        &format!(
            "refpost: cannot load config `{shown}`: it holds a secret, and mode 0644 lets \
                 others read it\nhint: chmod o= {shown}\n"
        ),
    );
}

/// Relative names in a section are below the folder of the server's file.
#[test]
fn a_key_of_a_section_is_looked_for_beside_the_servers_file() {
    let text = "[[repository]]\nmatch = [\"/**\"]\nkey_file = \"keys/a\"\n";
    let (environment, ran) = load(text);
    ran.well();
    let show = environment
        .refpost(["check", "--show", "a.git"])
        .run()
        .well();
    let file = environment.path("keys/a");
    let line = format!("key_file = {file:?}  # ");
    assert!(show.stdout.contains(&line), "{}", show.stdout);
}
