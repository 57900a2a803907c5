//! `format = "template"`: a body of one's own.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::formats_rules::{KEY, body, pushed};
use crate::support::spooled::eventually;
use crate::support::{Answer, Request, Site, set_mode};

/// Names, subjects and branches that have an effect where they are not escaped.
const HOSTILE: &str = "@everyone \"O'Neil\" \\ <b>&amp;</b> **x** [a](http://x) `id` \u{202e}";

/// An endpoint with a template.
fn endpoint(site: &Site, name: &str, template: &str, more: &str) -> String {
    let url = site.receiver.url(&format!("/{name}"));
    let file = site.write(format!("{name}.j2"), template);
    format!(
        "[[endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\nformat = \"template\"\n\
         template = {{ file = \"{}\" }}\n{more}",
        file.display()
    )
}

fn site_of(endpoints: &[String]) -> Site {
    let site = Site::new();
    configure(&site, endpoints);
    site
}

fn configure(site: &Site, endpoints: &[String]) {
    site.config_alone(&format!(
        "instance = \"https://git.example.org\"\n{}",
        endpoints.concat()
    ));
}

/// The requests to one endpoint.
fn to<'a>(name: &str, requests: &'a [Request]) -> Vec<&'a Request> {
    let start = format!("POST /{name} ");
    let all = requests.iter();
    all.filter(|one| one.line.starts_with(&start)).collect()
}

#[test]
fn each_endpoint_gets_what_its_own_template_makes() {
    let site = site_of(&[]);
    let json = "{\"who\": {{ pusher.name|tojson }}, \"ids\": [{% for c in commits %}\
                {{ c.id|tojson }}{{ ',' if not loop.last }}{% endfor %}],\n \"at\": {{ ref|tojson }}}\n";
    let text = "{{ summary }}: {{ head.subject }}\n{{ repository.clone_http }}";
    let more = format!("key = \"{KEY}\"\n");
    configure(
        &site,
        &[
            endpoint(&site, "json", json, &more),
            endpoint(
                &site,
                "text",
                text,
                "content_type = \"text/plain; charset=utf-8\"\n",
            ),
            format!(
                "[[endpoint]]\nname = \"hook\"\nurl = \"{}\"\nunsigned = true\n",
                site.receiver.url("/hook")
            ),
        ],
    );
    let ids = [site.commit("a"), site.commit("b")];
    let requests = pushed(&site, "HEAD:refs/heads/a/b");
    let [json, text] = ["json", "text"].map(|name| {
        let all = to(name, &requests);
        assert_eq!(all.len(), 1, "{name}");
        all[0]
    });
    let told = body(json);
    assert_eq!(told["who"], "alice");
    assert_eq!(told["ids"], serde_json::json!(ids));
    let at = serde_json::json!({"full": "refs/heads/a/b", "name": "a/b", "kind": "branch"});
    assert_eq!(told["at"], at);
    assert_eq!(json.header("Content-Type"), Some("application/json"));
    let signature = json.header("X-Hub-Signature-256").unwrap();
    site.write("key", KEY);
    let verify = ["verify", "--key-file", "key", "--signature", signature];
    site.refpost(verify).stdin(&json.body).run().well();
    let expected = "created branch a/b with 2 commits: change\nhttps://git.example.org/test.git";
    assert_eq!(text.body, expected.as_bytes());
    assert_eq!(
        text.header("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(text.header("X-Hub-Signature-256"), None);
    // Pagure's two messages come as ever.
    assert_eq!(to("hook", &requests).len(), 2);
}

#[test]
fn a_template_that_fails_is_put_by_with_its_facts_and_holds_up_nothing() {
    let site = site_of(&[]);
    let other = || endpoint(&site, "other", "{{ summary|tojson }}", "");
    let of = |template: &str| [endpoint(&site, "own", template, ""), other()];
    // A deleted branch has no head.
    configure(&site, &of("{{ (summary ~ head.id)|tojson }}"));
    let old = site.commit("a");
    assert_eq!(pushed(&site, "HEAD:refs/heads/b").len(), 2);
    let ran = site
        .git_run(&["push", "origin", ":b", "HEAD:refs/heads/c"])
        .run();
    assert_eq!(ran.status, 0);
    let lines: Vec<_> = ran
        .stderr
        .lines()
        .filter(|line| line.contains("render"))
        .collect();
    assert_eq!(lines.len(), 1, "{}", ran.stderr);
    let expected = "cannot render a message for `own`, which is kept in `failed/`: cannot render \
                    the template: undefined value (in own.j2:1)";
    assert!(lines[0].contains(expected), "{}", lines[0]);
    // What came with it was delivered, and what comes after it is.
    let requests = site.receiver.take();
    assert_eq!(to("other", &requests).len(), 2);
    assert_eq!(to("own", &requests).len(), 1);
    assert_eq!(to("own", &pushed(&site, "HEAD:refs/heads/d")).len(), 1);

    let listed = site
        .refpost(["queue", "list", "--in", "test.git"])
        .run()
        .well()
        .stdout;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.contains(" failed `own` 1 message"), "{listed}");
    let logged = site.refpost(["log", "test.git"]).run().well().stdout;
    assert!(logged.contains("template"), "{logged}");

    // It fails again while nothing is mended, and stays.
    let retry = || {
        site.refpost(["queue", "retry", "--all", "--in", "test.git"])
            .run()
    };
    let ran = retry();
    assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    let expected = "cannot render a message for `own` again: cannot render the template";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    assert_eq!(site.receiver.take().len(), 0);

    // Its facts are those of the push.
    configure(&site, &of("[{{ summary|tojson }}, {{ old|tojson }}]"));
    retry().well();
    let requests = site.receiver.wait_for(1);
    assert_eq!(
        body(&requests[0]),
        serde_json::json!(["deleted branch b", old])
    );
    eventually("nothing is left", || {
        let listed = site.refpost(["queue", "list", "--in", "test.git"]).run();
        listed.stdout.is_empty()
    });
}

#[test]
fn a_rendered_body_stays_as_it_was_frozen() {
    let site = site_of(&[]);
    configure(
        &site,
        &[endpoint(&site, "own", "\"{{ ref.name }} before\"", "")],
    );
    site.receiver.script(|_| Answer::status(503));
    site.commit("a");
    pushed(&site, "HEAD:refs/heads/b");
    site.receiver.script(|_| Answer::status(200));
    configure(
        &site,
        &[endpoint(
            &site,
            "own",
            "\"after\"",
            "content_type = \"text/plain\"\n",
        )],
    );
    site.refpost(["queue", "retry", "--all", "--in", "test.git"])
        .run()
        .well();
    let requests = site.receiver.wait_for(1);
    assert_eq!(body(&requests[0]), "b before");
    assert_eq!(requests[0].header("Content-Type"), Some("application/json"));
}

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
            "with a test message: cannot render the template: undefined value",
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
        let preview = site.refpost(["preview", "--repo", "test.git", "--format", "template"]);
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
        let ran = site.refpost(["preview", "--repo", "test.git"]).run();
        assert_eq!(ran.status, 78, "{more}");
        assert!(ran.stderr.contains(expected), "{more}: {}", ran.stderr);
    }
    site.config_alone("format = \"template\"\nurls = [\"https://x/\"]\n");
    let ran = site.refpost(["preview", "--repo", "test.git"]).run();
    assert!(
        ran.stderr
            .contains("format `template` is of an `[[endpoint]]`"),
        "{}",
        ran.stderr
    );
}
