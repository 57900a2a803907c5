//! contrib/templates, bodies for chats; the templates in the docs.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::formats_rules::{body, pushed};
use super::templates::{configure, endpoint, site_of, to};

/// Names, subjects and branches that have an effect where they are not escaped.
const HOSTILE: &str = "@everyone \"O'Neil\" \\ <b>&amp;</b> **x** [a](http://x) `id` \u{202e}";

#[test]
fn the_templates_of_contrib_make_json_of_every_push() {
    let site = site_of(&[]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/templates");
    let mut names: Vec<String> = fs::read_dir(folder.clone())
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["discord", "matrix", "msteams", "ntfy", "zulip"]);
    let endpoints: Vec<String> = names
        .iter()
        .map(|name| {
            let text = fs::read_to_string(folder.join(format!("{name}.j2"))).unwrap();
            endpoint(&site, name, &text, "")
        })
        .collect();
    configure(&site, &endpoints);
    // A push of each kind, with what a template must escape.
    let ran = site.refpost(["check", "test.git"]).run();
    for name in &names {
        let expected = format!("endpoint `{name}`: its template renders every kind of push");
        assert!(
            ran.stdout.contains(&expected),
            "{}{}",
            ran.stdout,
            ran.stderr
        );
    }
    let commit = |number: usize| {
        site.file("file", number.to_string());
        site.git(&["add", "-A"]);
        let message = format!("{HOSTILE}\u{7} {}\n\nbody\t@here", "long ".repeat(30));
        site.git_run(&["commit", "-q", "-m", &message])
            .env("GIT_AUTHOR_NAME", HOSTILE.replace(['<', '>'], ""))
            .run()
            .well();
    };
    (0..12).for_each(commit);
    site.git(&["tag", "-a", "-m", HOSTILE, "v\"1@here"]);
    for refspec in [
        "HEAD:refs/heads/@everyone\"b",
        "+HEAD~2:refs/heads/@everyone\"b",
        "HEAD:refs/heads/@everyone\"b",
        ":refs/heads/@everyone\"b",
        "v\"1@here",
        ":v\"1@here",
    ] {
        let requests = pushed(&site, refspec);
        assert_eq!(requests.len(), names.len(), "{refspec}");
        for name in &names {
            let told = body(to(name, &requests)[0]);
            assert_harmless(&told, name);
            if name == "discord" {
                assert!(told["content"].as_str().unwrap().chars().count() <= 2000);
            }
        }
    }
    site.refpost(["ping", "test.git"]).run().well();
    let requests = site.receiver.take();
    let told: Vec<Value> = requests.iter().map(body).collect();
    assert_eq!(told.len(), names.len());
}

#[test]
fn the_templates_of_the_docs_render_every_push() {
    let site = site_of(&[]);
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for page in ["reference/templates.md", "guides/from-curl.md"] {
        let text = fs::read_to_string(docs.join(page)).unwrap();
        let (_, block) = text.split_once("```jinja\n").unwrap();
        let (template, _) = block.split_once("```").unwrap();
        configure(&site, &[endpoint(&site, "own", template, "")]);
        let ran = site.refpost(["check", "test.git"]).run();
        let expected = "endpoint `own`: its template renders every kind of push";
        assert!(
            ran.stdout.contains(expected),
            "{page}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
}

/// No text for people in a body notifies anybody or has a control character; texts in mark-up have
/// none of other people's.
fn assert_harmless(value: &Value, name: &str) {
    match value {
        Value::String(text) if text.starts_with("http") => {}
        Value::String(text) => {
            assert!(
                !text.contains("@everyone") && !text.contains("@here"),
                "{name}: {text}"
            );
            let is_bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(is_bad), "{name}: {text:?}");
            if name == "discord" {
                assert!(!text.contains("[a](http://x)"), "{text}");
            }
        }
        Value::Array(all) => all.iter().for_each(|value| assert_harmless(value, name)),
        Value::Object(all) => all.values().for_each(|value| {
            assert_harmless(value, name);
            if let Some(html) = all.get("html").and_then(Value::as_str) {
                assert!(!html.contains("<b>&"), "{html}");
            }
        }),
        _ => {}
    }
}
