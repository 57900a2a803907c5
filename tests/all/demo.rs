//! `refpost demo`: the README's first command.

use std::fs;

use crate::support::Environment;

#[test]
fn the_demo_shows_a_verified_message_and_leaves_nothing_behind() {
    let environment = Environment::new();
    let ran = environment.refpost(["demo"]).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        ran.stdout.matches("\nsignature verified\n").count(),
        2,
        "{}",
        ran.stdout
    );
    for part in [
        "POST /hook HTTP/1.1\n",
        "\nX-Pagure-Topic: git.branch.creation\n",
        "\nX-Pagure-Topic: git.receive\n",
        "\nX-Pagure-Signature-256: ",
        "    \"changed_files\": {\n      \"README\": \"A\"\n    },\n",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    for folder in ["tmp", "home"] {
        let left: Vec<_> = fs::read_dir(environment.path(folder)).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn the_demo_is_not_disturbed_by_where_it_runs() {
    let environment = Environment::new();
    environment.write("broken.toml", "this is no TOML");
    environment.write(
        "gitconfig",
        "[init]\n\ttemplateDir = /nowhere\n[commit]\n\tgpgSign = true\n",
    );
    let ran = environment
        .refpost(["demo"])
        .env("REFPOST_CONFIG", environment.path("broken.toml"))
        .env("GIT_DIR", "/nowhere")
        .env("GIT_WORK_TREE", "/nowhere")
        .env("http_proxy", "http://127.0.0.1:1/")
        .run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("signature verified"));
    assert_eq!(fs::read_dir(environment.path("tmp")).unwrap().count(), 0);
}
