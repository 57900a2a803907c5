//! The README's snippet for receivers, run against a real delivery.

use std::fs;
use std::path::Path;

use crate::support::{KEY, Site};

pub(crate) fn page_text(page: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    fs::read_to_string(path).unwrap()
}

/// The one fenced block below this comment of a page.
pub(crate) fn block(page: &str, name: &str) -> String {
    let text = page_text(page);
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
