//! What commands say of templates, and which files are no templates.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::formats_rules::body;
use super::templates::{configure, endpoint, site_of};
use crate::support::{Site, set_mode};

#[test]
fn check_ping_and_preview_render_a_template() {
    let site = site_of(&[]);
    site.commit("a");
    site.git(&["push", "-q", "origin", "HEAD:refs/heads/main"]);
    let check = || {
        let ran = site.refpost(["check", "test.git"]).run();
        ran.stdout + &ran.stderr
    };
    let table = [
        (
            "{\"text\": \"{{ head.subject if head else summary }}\"}",
            "with a new branch with commits, a new branch, ",
        ),
        (
            "{{ repository.nme|tojson }}",
            "undefined value (in own.j2:1)",
        ),
        (
            "{{ ref.name|tojson }}",
            "warning: endpoint `own`: `ping` cannot test it: cannot render the template: undefined value",
        ),
        ("\n{% if %}", "cannot use template `"),
    ];
    for (template, expected) in table {
        configure(&site, &[endpoint(&site, "own", template, "")]);
        let said = check();
        assert!(said.contains(expected), "{template}: {said}");
    }
    let ping = || site.refpost(["ping", "test.git"]).run();
    let said = ping();
    assert_eq!(said.status, 1);
    assert!(
        said.stderr
            .contains("cannot ping `own`: cannot use template `"),
        "{}",
        said.stderr
    );

    configure(
        &site,
        &[endpoint(
            &site,
            "own",
            "[{{ event|tojson }}, {{ summary|tojson }}]",
            "",
        )],
    );
    let said = check();
    assert!(
        said.contains("its template renders every kind of push"),
        "{said}"
    );
    ping().well();
    let told = body(&site.receiver.take()[0]);
    assert_eq!(told, serde_json::json!(["ping", "tested the web-hook"]));

    let head = site.git(&["rev-parse", "HEAD"]);
    let line = format!("{} {head} refs/heads/main\n", "0".repeat(40));
    let preview = || {
        let preview = site.refpost(["preview", "test.git", "--format", "template"]);
        preview.stdin(line.as_bytes()).run()
    };
    let said = preview().well().stdout;
    assert_eq!(said, "[\"push\", \"created branch main with 1 commit\"]\n");
    // Without an endpoint: the facts.
    configure(&site, &[]);
    let said = preview().well().stdout;
    let facts: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(facts["head"]["id"], head.as_str());
    assert_documented(&facts);

    let url = ["--url", "https://x/"];
    for (command, more) in [("enable", &url[..]), ("demo", &[])] {
        let ran = site
            .refpost([command, "--format", "template"])
            .args(more)
            .run();
        assert_eq!(ran.status, 2);
        let expected = "it needs a template: write an `[[endpoint]]`";
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
}

/// Every key of the facts is in the page about them.
fn assert_documented(facts: &Value) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/templates.md");
    let page = fs::read_to_string(page).unwrap();
    let mut keys = Vec::new();
    collect("", facts, &mut keys);
    assert!(keys.len() > 40, "{keys:?}");
    for key in keys {
        assert!(page.contains(&format!("`{key}`")), "the page lacks `{key}`");
    }
}

fn collect(above: &str, value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                // A commit is one table of the page, a person in it another.
                let is_part = ["head", "commits", "author", "committer"].contains(&name.as_str());
                let key = format!("{above}{name}");
                let below = if is_part {
                    String::new()
                } else {
                    format!("{key}.")
                };
                keys.push(key);
                collect(&below, value, keys);
            }
        }
        Value::Array(all) => all.iter().for_each(|value| collect(above, value, keys)),
        _ => {}
    }
}

#[test]
fn a_template_that_others_can_change_is_not_used() {
    let site = site_of(&[]);
    let file = site.path("own.j2");
    configure(&site, &[endpoint(&site, "own", "\"x\"", "")]);
    let check = || {
        let ran = site.refpost(["check", "test.git"]).run();
        ran.stdout + &ran.stderr
    };
    set_mode(&file, 0o644);
    assert!(!check().contains("own.j2"), "{}", check());
    set_mode(&file, 0o646);
    assert!(
        check().contains("mode 0646 lets others write it"),
        "{}",
        check()
    );
    fs::remove_file(&file).unwrap();
    assert!(check().contains("cannot read template `"), "{}", check());
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(check().contains("it is no regular file"), "{}", check());
    fs::remove_file(&file).unwrap();
    fs::write(&file, "x".repeat((64 << 10) + 1)).unwrap();
    assert!(check().contains("it is longer than 64 KiB"), "{}", check());
}

#[test]
fn a_template_belongs_to_its_format_and_is_named_by_it() {
    let site = Site::new();
    let head = "[[endpoint]]\nname = \"own\"\nurl = \"https://x/\"\nunsigned = true\n";
    for (more, expected) in [
        (
            "format = \"template\"",
            "line 7: `own` has format `template` and no `template = { file = \"…\" }`",
        ),
        (
            "template = { file = \"x\" }",
            "line 7: `template` of `own` is of format `template` alone, and its format is `pagure`",
        ),
        (
            "format = \"slack\"\ncontent_type = \"text/plain\"",
            "line 8: `content_type` of `own` is of format `template` alone, and its format is `slack`",
        ),
        (
            "format = \"template\"\ntemplate = { file = \"x\" }\ncontent_type = \"text\\n\"",
            "this is no content type, expected one like `application/json`",
        ),
        (
            "format = \"template\"\ntemplate = { file = \"x\" }\ntopics = [\"create\"]",
            "format `template` has no topic `create`",
        ),
        ("template = \"x\"", "expected a table, `{ file = \"…\" }`"),
    ] {
        site.config_alone(&format!("{head}{more}\n"));
        let ran = site.refpost(["preview", "test.git"]).run();
        assert_eq!(ran.status, 78, "{more}");
        assert!(ran.stderr.contains(expected), "{more}: {}", ran.stderr);
    }
    site.config_alone("format = \"template\"\nurls = [\"https://x/\"]\n");
    let ran = site.refpost(["preview", "test.git"]).run();
    assert!(
        ran.stderr
            .contains("format `template` is of an `[[endpoint]]`"),
        "{}",
        ran.stderr
    );
}
