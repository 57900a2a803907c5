//! `refpost demo`: the README's first command.

use std::fs;

use crate::support::Environment;

#[test]
fn the_demo_shows_an_outage_on_one_page_and_leaves_nothing_behind() {
    let environment = Environment::new();
    let ran = environment.refpost(["demo"]).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr, "");
    let mut rest = &*ran.stdout;
    for part in [
        "remote: refpost: 2 messages sent to `receiver`\n",
        "    POST /hook HTTP/1.1\n",
        "    X-Pagure-Signature-256: ",
        "    X-Pagure-Topic: git.receive\n",
        "      \"changed_files\": {\"README\":\"A\"},\n",
        "    signature verified\n",
        "remote: refpost: 1 message queued for `receiver` (it is down: connection refused)\n",
        "    down   receiver  http://127.0.0.1:",
        "    1 of 1 endpoint fails, 1 entry waits, the oldest ",
        "    1 entry to be tried again now\n",
        "    signature verified\n",
        "    none of 1 endpoint fails, nothing waits\n",
    ] {
        let (_, after) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("{part}: {}", ran.stdout));
        rest = after;
    }
    let lines = ran.stdout.lines().count();
    assert!(lines <= 50, "{lines} lines: {}", ran.stdout);
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
    assert!(
        ran.stdout.ends_with("fails, nothing waits\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(fs::read_dir(environment.path("tmp")).unwrap().count(), 0);
}
