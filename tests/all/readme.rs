//! The README's snippet for receivers, run against a real delivery, and its terminal texts,
//! compared with real ones.

use std::fs;
use std::path::Path;

use crate::support::{Environment, KEY, Receiver, Site};

/// The one fenced block below this comment of a page.
fn block(page: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(path).unwrap();
    let mark = format!("<!-- {name} -->\n");
    let (_, rest) = text
        .split_once(&mark)
        .unwrap_or_else(|| panic!("no {mark}"));
    let (fence, rest) = rest.trim_start().split_once('\n').unwrap();
    assert!(fence.starts_with("```"), "{fence}");
    rest.split_once("\n```").unwrap().0.to_owned()
}

#[test]
fn the_readmes_python_verifies_a_real_delivery() {
    let site = Site::new();
    site.commit("a");
    let push = site.push(&["main"]);
    if site
        .run("sh")
        .args(["-c", "command -v python3"])
        .run()
        .status
        != 0
    {
        crate::support::leave_out("python3 is not here: the README's snippet is not run");
        return;
    }
    let snippet = block("README.md", "ci: verify");
    for request in &push.requests {
        site.write("body", &request.body);
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        site.write("headers", headers.join("\n"));
        let run = |key: &str| {
            let program = site.write("snippet.py", prepared(&snippet, key));
            site.run("python3").arg(program).run()
        };
        let right = run(KEY);
        assert_eq!(right.status, 0, "{}", right.stderr);
        let wrong = run("another key");
        assert_ne!(wrong.status, 0);
        assert!(
            wrong.stderr.contains("invalid signature"),
            "{}",
            wrong.stderr
        );
    }
}

/// The snippet behind its three inputs.
fn prepared(snippet: &str, key: &str) -> String {
    format!(
        "payload = open('body', 'rb').read()\n\
         headers = dict(line.split(': ', 1) for line in open('headers').read().split('\\n'))\n\
         project_web_hook_key = {key:?}\n\
         {snippet}\n"
    )
}

/// A text in which paths, durations and words with several digits are `#`.
fn masked(text: &str) -> String {
    let varies = |word: &str| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let is_time = word.starts_with(|c: char| c.is_ascii_digit()) && word.len() > digits;
        word.contains('/') || digits > 1 || is_time
    };
    let lines = text.lines().map(|line| {
        let mut words: Vec<_> = line.split_whitespace().collect();
        for word in &mut words {
            if varies(word) {
                *word = "#";
            }
        }
        words.dedup_by(|a, b| *a == "#" && *b == "#");
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_shown(page: &str, name: &str, printed: &str) {
    let shown = masked(&block(page, &format!("test: {name}")));
    let printed = masked(printed);
    assert!(
        printed.contains(&shown),
        "{page} shows\n{shown}\nand it is\n{printed}"
    );
}

#[test]
fn the_readmes_demo_is_what_it_prints() {
    let ran = Environment::new().refpost(["demo"]).run().well();
    assert_shown("README.md", "demo", &ran.stdout);
}

#[test]
fn the_first_push_prints_what_the_pages_say() {
    let site = Site::new();
    let page = "docs/tutorial/first-push.md";
    let mut receiver = Receiver::start();
    let bare = site.bare("tools.git");
    let url = receiver.url("/pagure");
    let enabled = site.refpost(["enable", "--url", &url]).arg(&bare).run();
    assert_shown("README.md", "enable", &enabled.well().stdout);

    site.commit("README");
    let push = |work: &Site| {
        let push = work
            .git_run(&["push"])
            .arg(&bare)
            .arg("HEAD:refs/heads/main");
        push.run().stderr
    };
    assert_shown(page, "push", &push(&site));
    receiver.wait_for(2);
    let status = || site.refpost(["status"]).arg(&bare).run().well().stdout;
    let wait_for = |state: &str| {
        while !status().contains(state) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    wait_for("healthy");

    receiver.stop();
    site.commit("b");
    push(&site);
    wait_for("next try");
    let listed = site.refpost(["queue", "list", "--in"]).arg(&bare).run();
    assert_shown(page, "outage", &(status() + &listed.well().stdout));
}
