//! The tutorial, run as it is written, and terminal texts of the README beside real ones.

use std::net::TcpListener;

use super::readme::{block, page_text};
use crate::support::{Environment, REFPOST};

const PAGE: &str = "docs/tutorial/first-push.md";

/// Waits in scripts for something that another process does.
const WAIT: &str = r#"
wait_for() {
    for _ in $(seq 1000); do
        if eval "$1"; then return; fi
        sleep 0.02
    done
    echo "never came: $1" >&2
    exit 1
}
"#;

/// A text in which paths, durations and words with several digits are `#`.
pub(crate) fn masked(text: &str) -> String {
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

/// Returns the shell blocks of the tutorial, in their order.
fn shell_blocks() -> Vec<String> {
    let text = page_text(PAGE);
    let parts = text.split("\n```sh\n").skip(1);
    let blocks: Vec<String> = parts
        .map(|part| part.split_once("\n```").unwrap().0.to_owned())
        .collect();
    assert_eq!(blocks.len(), 5, "{blocks:?}");
    blocks
}

#[test]
fn the_first_push_is_as_the_page_says() {
    let environment = Environment::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let port = free.unwrap().port().to_string();
    let folder = environment.path("tmp");
    let blocks = shell_blocks();
    let here = |block: &str| {
        let block = block.replace("cd /tmp", &format!("cd {}", folder.display()));
        block.replace("8080", &port)
    };
    let key = here(&blocks[1]);
    let (key, listen) = key.rsplit_once('\n').unwrap();
    let listen =
        format!("{listen} >> received &\nlistener=$!\nwait_for 'grep -q listening received'");
    // The flush in the background has tried the second push before anybody looks.
    let outage = here(&blocks[3]).replace(
        "refpost status",
        "wait_for 'refpost status ../tools.git | grep -q ago'\nrefpost status",
    );
    let arrived = |count: u32| {
        let file = folder.join("received");
        let file = file.display();
        format!("wait_for '[ \"$(grep -c verified {file})\" = {count} ]'")
    };
    let script = [
        "set -euo pipefail\n".to_owned(),
        format!("mkdir bin\nln -s {REFPOST} bin/refpost\nPATH=$PWD/bin:$PATH"),
        WAIT.to_owned(),
        here(&blocks[0]),
        key.to_owned(),
        listen.clone(),
        here(&blocks[2]),
        arrived(2),
        "kill $listener\nwait $listener || true".to_owned(),
        outage,
        format!(
            "(cd {}\n{listen}\necho $listener > listener)",
            folder.display()
        ),
        here(&blocks[4]),
        arrived(3),
        format!("kill $(cat {}/listener)", folder.display()),
    ]
    .join("\n");
    let ran = environment.run("bash").args(["-c", &script]).run();
    assert_eq!(ran.status, 0, "{}\n{}", ran.stdout, ran.stderr);
    let printed = ran.stdout + &ran.stderr;
    assert_shown("README.md", "enable", &printed);
    for text in ["push", "outage"] {
        assert_shown(PAGE, text, &printed);
    }
}
