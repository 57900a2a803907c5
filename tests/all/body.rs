//! The body is, byte for byte, what Python's `json.dumps(sort_keys=True)` gives.
//! `Message::read` holds every body of every test to that; here are hostile ones.

use std::fmt::Write;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::{Environment, Site, ZEROS, canonical, parse_bodies};

/// Text that breaks writers of JSON, terminals and parsers of lines.
fn hostile() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        '"',
        '\\',
        '/',
        '\n',
        '\r',
        '\t',
        '\u{8}',
        '\u{c}',
        '\u{1}',
        '\u{1f}',
        '\u{7f}',
        '\u{80}',
        '\u{9f}',
        '\u{a0}',
        'é',
        '\u{2028}',
        '\u{2029}',
        '\u{202e}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{fdd0}',
        '\u{feff}',
        '\u{fffd}',
        '\u{ffff}',
        '\u{10000}',
        '😀',
        '\u{10ffff}',
        '\'',
        '<',
    ]);
    let one = prop_oneof![4 => odd, 2 => any::<char>(), 1 => prop::char::range(' ', '~')];
    prop::collection::vec(one, 0..12)
        .prop_map(|chars| chars.into_iter().filter(|&c| c != '\0').collect())
}

/// The same with bytes that are no text among them.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), 0xc0..=0xffu8];
    (hostile(), prop::collection::vec(byte, 0..4), hostile()).prop_map(|(a, b, c)| {
        let bytes = [a.as_bytes(), &b, c.as_bytes()].concat();
        bytes.into_iter().filter(|&byte| byte != 0).collect()
    })
}

#[derive(Clone, Debug)]
struct Case {
    description: String,
    full_name: String,
    pusher: String,
    /// No line break, for it ends a line of the input.
    reference: Vec<u8>,
    /// No slash, for it would be a folder.
    path: Vec<u8>,
    /// Nothing that ends a name in a commit.
    author: Vec<u8>,
}

fn cases() -> impl Strategy<Value = Case> {
    let without = |bytes: Vec<u8>, unwanted: &'static [u8]| -> Vec<u8> {
        bytes
            .into_iter()
            .filter(|byte| !unwanted.contains(byte))
            .collect()
    };
    (
        hostile(),
        hostile(),
        hostile(),
        hostile_bytes(),
        hostile_bytes(),
        hostile_bytes(),
    )
        .prop_map(
            move |(description, full_name, pusher, reference, path, author)| Case {
                description,
                full_name,
                pusher: format!("p{pusher}"),
                reference: without(reference, b"\n"),
                path: without(path, b"/"),
                author: without(author, b"\n<>"),
            },
        )
}

#[test]
fn hostile_text_comes_out_as_python_writes_it() {
    let environment = Environment::new();
    environment.bare("test.git");
    let mut runner = TestRunner::new(Config {
        cases: 96,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&cases(), |case| {
            check(&environment, &case);
            Ok(())
        })
        .unwrap();
}

fn check(environment: &Environment, case: &Case) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let config = format!(
        "unsigned = true\n[project]\nfullname = \"test\"\ndescription = {}\nuser = {{ name = \"u\", fullname = {} }}\n\
         tags = [{}]\n",
        quoted(&case.description),
        quoted(&case.full_name),
        quoted(&case.description),
    );
    environment.write("test.git/refpost.toml", config);
    let mut path = String::new();
    for byte in &case.path {
        write!(path, "\\{byte:03o}").unwrap();
    }
    let author = [b"author N", &case.author[..], b"N <a@x> 1700000000 +0000\n"].concat();
    let stream = [
        b"commit refs/heads/x\n",
        &author[..],
        b"committer C <c@x> 1700000000 +0000\ndata 0\ndeleteall\n",
        format!("M 644 inline \"p{path}\"\ndata 0\n").as_bytes(),
    ]
    .concat();
    let bare = environment.path("test.git");
    let import = environment.run("git").dir(&bare);
    let import = import
        .args(["fast-import", "--quiet", "--force"])
        .stdin(stream)
        .run();
    assert_eq!(import.status, 0, "{}", import.stderr);
    let id = environment.git(&bare, &["rev-parse", "refs/heads/x"]);
    let name = [b"refs/heads/r", &case.reference[..]].concat();
    let line = [format!("{ZEROS} {id} ").as_bytes(), &name, b"\n"].concat();
    let ran = environment
        .refpost(["preview", "test.git"])
        .env("REFPOST_PUSHER", &case.pusher)
        .stdin(line)
        .run()
        .well();
    let messages = parse_bodies(&ran.bytes);
    assert_eq!(messages.len(), 2);
    for message in &messages {
        assert_eq!(message["agent"], case.pusher);
        assert_eq!(message["branch"], text(&name)["refs/heads/".len()..]);
        assert_eq!(message["repo"]["description"], case.description);
        assert_eq!(message["repo"]["tags"], json!([case.description]));
        assert_eq!(message["repo"]["user"]["fullname"], case.full_name);
        let author = text(&[b"N", &case.author[..], b"N"].concat());
        assert_eq!(message.authors(), [author]);
    }
    let path = text(&[b"p", &case.path[..]].concat());
    assert_eq!(messages[1]["changed_files"], json!({path: "A"}));
}

#[test]
fn known_answers_hold_without_python_too() {
    let site = Site::new();
    site.config_alone(
        "unsigned = true\ninstance = \"https://git.example.org\"\n[project]\nid = 7\n\
         fullname = \"tools/té\\u2028st\"\ndescription = \"\\u007f😀\\\"\\\\/\"\n\
         date_created = 1\ndate_modified = 2\nuser = { name = \"u\", fullname = \"U\" }\n\
         priorities = { \"10\" = \"b\", \"9\" = 1.5, \"é\" = true }\n",
    );
    let tip = site.commit("a");
    site.git(&["push", "-q", "origin", "main"]);
    let line = format!("{ZEROS} {tip} refs/tags/v1\n");
    let ran = site
        .refpost(["preview", "test.git"])
        .stdin(line)
        .run()
        .well();
    let (_, body) = ran.stdout.split_once("{\"i\": 1, \"msg\": ").unwrap();
    let (msg, rest) = body.split_once(", \"msg_id\": \"").unwrap();
    assert_eq!(
        msg,
        format!(
            "{{\"agent\": \"alice\", \"authors\": [{{\"fullname\": \"Ada\", \"name\": null, \
             \"url_path\": null}}], \"pagure_instance\": \"https://git.example.org/\", \
             \"project_fullname\": \"tools/t\\u00e9\\u2028st\", \"repo\": {{\"access_groups\": \
             {{\"admin\": [], \"collaborator\": [], \"commit\": [], \"ticket\": []}}, \
             \"access_users\": {{\"admin\": [], \"collaborator\": [], \"commit\": [], \"owner\": \
             [\"u\"], \"ticket\": []}}, \"close_status\": [], \"custom_keys\": [], \
             \"date_created\": \"1\", \"date_modified\": \"2\", \"description\": \
             \"\\u007f\\ud83d\\ude00\\\"\\\\/\", \"full_url\": \
             \"https://git.example.org/tools/t\\u00e9\\u2028st\", \"fullname\": \
             \"tools/t\\u00e9\\u2028st\", \"id\": 7, \"milestones\": {{}}, \"name\": \
             \"t\\u00e9\\u2028st\", \"namespace\": \"tools\", \"parent\": null, \"priorities\": \
             {{\"10\": \"b\", \"9\": 1.5, \"\\u00e9\": true}}, \"tags\": [], \"url_path\": \
             \"tools/t\\u00e9\\u2028st\", \"user\": {{\"full_url\": \
             \"https://git.example.org/user/u\", \"fullname\": \"U\", \"name\": \"u\", \
             \"url_path\": \"user/u\"}}}}, \"rev\": \"{tip}\", \"tag\": \"v1\"}}"
        )
    );
    assert!(
        rest.ends_with(", \"topic\": \"git.tag.creation\"}\n"),
        "{rest}"
    );
}

#[test]
fn the_oracle_is_there_or_says_that_it_is_not() {
    match canonical("{\"b\":1,\"a\":\"é\u{7f}😀\"}".as_bytes()) {
        Some(bytes) => assert_eq!(
            bytes,
            b"{\"a\": \"\\u00e9\\u007f\\ud83d\\ude00\", \"b\": 1}"
        ),
        None => crate::support::leave_out("only known answers were compared"),
    }
}

#[test]
fn the_project_is_derived_where_the_config_is_silent() {
    let site = Site::new();
    std::fs::create_dir_all(site.path("srv/tools")).unwrap();
    let root = site.path("srv");
    site.git(&[
        "clone",
        "-q",
        "--bare",
        "../test.git",
        root.join("tools/x.git").to_str().unwrap(),
    ]);
    site.write("srv/tools/x.git/refpost.toml", "unsigned = true");
    let description = |text: &str| site.write("srv/tools/x.git/description", text);
    let tip = site.commit("a");
    site.git(&[
        "push",
        "-q",
        root.join("tools/x.git").to_str().unwrap(),
        "main",
    ]);
    let repo = |system: &str| {
        site.write(
            "system.toml",
            format!("instance = \"https://g.example.org\"\n{system}"),
        );
        let preview = site.refpost(["preview", "srv/tools/x.git"]);
        let ran = preview
            .stdin(format!("{tip} {ZEROS} refs/heads/x\n"))
            .run()
            .well();
        parse_bodies(&ran.bytes)[0]["repo"].clone()
    };
    description("Unnamed repository; edit this file 'description' to name the repository.\n");
    let derived = repo(&format!("root = \"{}\"", root.display()));
    assert_eq!(derived["fullname"], "tools/x");
    assert_eq!(derived["namespace"], "tools");
    assert_eq!(derived["name"], "x");
    assert_eq!(derived["url_path"], "tools/x");
    assert_eq!(derived["full_url"], "https://g.example.org/tools/x");
    assert_eq!(derived["description"], "", "git's placeholder is none");
    let owner = site.run("id").arg("-un").run().well().stdout;
    assert_eq!(derived["user"]["name"], owner.trim());
    assert_eq!(derived["access_users"]["owner"], json!([owner.trim()]));
    description("Tools é\nsecond line\n");
    let alone = repo("");
    assert_eq!(
        alone["fullname"], "x",
        "without a root it is the folder's name"
    );
    assert_eq!(alone["namespace"], json!(null));
    assert_eq!(alone["description"], "Tools é");
    assert_eq!(repo("")["id"], alone["id"], "the number stays");
}

/// TOML has values that JSON has not.
#[test]
fn a_date_in_a_milestone_is_sent_as_text() {
    let site = Site::new();
    site.config(
        "[project]\npriorities = { 1 = 07:30:00 }\ncustom_keys = [[1979-05-27T07:32:00Z]]\n\
         [project.milestones.\"1.0\"]\ndate = 2027-01-31\nactive = true\n",
    );
    site.commit("a");
    let push = site.push(&["main"]);
    let repo = &push.messages[0]["repo"];
    let date = json!({"1.0": {"active": true, "date": "2027-01-31"}});
    assert_eq!(repo["milestones"], date);
    assert_eq!(repo["priorities"], json!({"1": "07:30:00"}));
    assert_eq!(repo["custom_keys"], json!([["1979-05-27T07:32:00Z"]]));
}
