//! The README's snippet for receivers, run against a real delivery.

use std::fs;
use std::path::Path;

use crate::support::{KEY, Site};

/// What Pagure's documentation shows, corrected so that it runs.
const SNIPPET: &str = r"
import hmac
import hashlib

payload =  # content you received in the POST request
headers =  # headers of the POST request
project_web_hook_key =  # private web-hook key of the project

hashhex = hmac.new(
    project_web_hook_key.encode(), payload, hashlib.sha1).hexdigest()

if not hmac.compare_digest(hashhex, headers.get('X-Pagure-Signature')):
    raise Exception('Message received with an invalid signature')
";

/// The one fenced block below `<!-- ci: NAME -->` of the README.
fn block(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let Ok(text) = fs::read_to_string(path) else {
        eprintln!("warning: there is no README.md: its snippet is taken from the test");
        return SNIPPET.to_owned();
    };
    let mark = format!("<!-- ci: {name} -->\n");
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
        eprintln!("warning: python3 is not here: the README's snippet is not run");
        return;
    }
    let snippet = block("verify");
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

/// The snippet with its three inputs: the lines that set them to nothing of use
/// are those that a reader fills in too.
fn prepared(snippet: &str, key: &str) -> String {
    let inputs = [
        ("payload", "open('body', 'rb').read()".to_owned()),
        (
            "headers",
            "dict(line.split(': ', 1) for line in open('headers').read().split('\\n'))".to_owned(),
        ),
        ("project_web_hook_key", format!("{key:?}")),
    ];
    let mut lines: Vec<String> = snippet.lines().map(str::to_owned).collect();
    for (name, value) in inputs {
        let start = format!("{name} =");
        let line = lines.iter_mut().find(|line| line.starts_with(&start));
        *line.unwrap_or_else(|| panic!("the snippet sets `{name}`")) = format!("{name} = {value}");
    }
    lines.join("\n")
}
