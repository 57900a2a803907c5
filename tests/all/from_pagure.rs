//! contrib/from-pagure: what it writes makes refpost say what Pagure said.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, iter};

use serde_json::{Value, json};

use crate::support::{Answer, Environment, KEY, Python, Ran, Receiver, Site, ZEROS, parse_bodies};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn answer(name: &str) -> String {
    data(&format!("pagure-api/{name}"))
        .to_str()
        .unwrap()
        .to_owned()
}

fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Runs the script; `None` where there is no python3, which is said.
fn from_pagure(environment: &Environment, args: &[&str]) -> Option<Ran> {
    let python = ["-c", "command -v python3"];
    if environment.run("sh").args(python).run().status != 0 {
        crate::support::leave_out("python3 is not here: contrib/from-pagure is not run");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/from-pagure");
    Some(environment.run("python3").arg(script).args(args).run())
}

/// The settings of Pagure's own project as the API returns them, and a push that
/// Pagure has announced: the same message, `repo` and signatures included.
#[test]
fn a_push_after_the_move_is_announced_as_pagure_announced_it() {
    let site = Site::new();
    let hook = site.receiver.url("/hook");
    let mut options = read(answer("options.json"));
    options["settings"]["Web-hooks"] = json!(format!("\r\n {hook} \r\n"));
    let options = site.write("options.json", options.to_string());
    site.write("system.toml", "mode = \"sync\"\npush_budget = \"60s\"\n");
    fs::remove_file(site.bare.join("refpost.toml")).unwrap();
    let output = site.bare.join("refpost.toml");
    let args = [
        &answer("project.json"),
        options.to_str().unwrap(),
        &answer("token.json"),
        "--people",
        &answer("people.tsv"),
        "--output",
        output.to_str().unwrap(),
    ];
    let Some(ran) = from_pagure(&site, &args) else {
        return;
    };
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert_eq!(
        ran.stderr,
        "from-pagure: fedmsg_notifications, stomp_notifications: refpost sends to URLs only\n\
         from-pagure: `Enforce_signed-off_commits_in_pull-request` has no counterpart: \
         it is about issues and pull requests\n"
    );
    let mode = fs::metadata(&output).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    site.refpost(["check", "--show", "test.git"]).run().well();

    let scenarios = read(data("pagure/scenarios.json"));
    let is_it = |own: &&Value| own["name"] == "02-normal-several-commits";
    let recorded = scenarios.as_array().unwrap().iter().find(is_it).unwrap();
    let bundle = data("pagure/scenarios.bundle");
    site.git(&[
        "fetch",
        "-q",
        bundle.to_str().unwrap(),
        "refs/keep/*:refs/keep/*",
    ]);
    let line: Vec<_> = recorded["stdin"]
        .as_str()
        .unwrap()
        .split_whitespace()
        .collect();
    site.push(&[&format!("{}:refs/heads/main", line[0])]);
    let push = site.push(&[&format!("{}:refs/heads/main", line[1])]);

    let mut msg = push.only().whole["msg"].clone();
    let repo = msg.as_object_mut().unwrap().remove("repo").unwrap();
    assert_eq!(repo, read(answer("project.json")));
    // As in the recordings.
    let authors = msg["authors"].as_array_mut().unwrap();
    authors.sort_by_key(|author| author["fullname"].as_str().unwrap().to_owned());
    assert_eq!(msg, recorded["pagure"][0]["msg"]);

    let request = &push.requests[0];
    let (sha1, sha256) = Python::sign(KEY, &request.body).unwrap();
    for (name, value) in [
        ("X-Pagure", "https://pagure.example.org/"),
        ("X-Pagure-Project", "test"),
        ("X-Pagure-Signature", &sha1),
        ("X-Pagure-Signature-256", &sha256),
        ("X-Pagure-Topic", "git.receive"),
    ] {
        assert_eq!(request.header(name), Some(value));
    }
    let again = from_pagure(&site, &args).unwrap();
    let shown = output.display();
    again.fails(
        1,
        &format!("from-pagure: cannot write `{shown}`: it is there already\n"),
    );
}

/// A fork in a namespace, with quotes, an empty name, a parent: only what TOML has no
/// word for is lost, and the script says so.
#[test]
fn a_fork_keeps_all_but_nulls() {
    let environment = Environment::new();
    let bare = environment.bare("test3.git");
    let text = fs::read(answer("fork.json")).unwrap();
    let both = [
        &text[..],
        b"\n",
        &fs::read(answer("connector.json")).unwrap(),
    ]
    .concat();
    environment.write("answers", both);
    let Some(ran) = from_pagure(&environment, &["answers", "--key-file", "key"]) else {
        return;
    };
    let key = environment.path("key");
    assert_eq!(
        ran.stderr,
        format!(
            "from-pagure: no options among the answers: add `urls`, or the server's file has them\n\
             from-pagure: `parent`: parent: null in Pagure's messages, absent in refpost's\n\
             from-pagure: `milestones.v1.0`: date: null in Pagure's messages, absent in refpost's\n\
             from-pagure: wrote the key to `{}`\n",
            key.display()
        )
    );
    assert_eq!(fs::read_to_string(&key).unwrap(), format!("{KEY}\n"));
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    environment.write("test3.git/refpost.toml", &ran.bytes);
    environment.write("system.toml", "urls = [\"https://ci.example.org/pagure\"]");

    let commit = ["commit-tree", "-m", "first"];
    let tree = environment.git(&bare, &["mktree"]);
    let commit: Vec<_> = commit.into_iter().chain(iter::once(&*tree)).collect();
    let commit = environment.git(&bare, &commit);
    environment.git(&bare, &["update-ref", "refs/heads/main", &commit]);
    let line = format!("{ZEROS} {commit} refs/heads/main\n");
    let preview = environment
        .refpost(["preview", "test3.git"])
        .stdin(line)
        .run()
        .well();
    let mut expected = read(answer("fork.json"));
    expected["parent"].as_object_mut().unwrap().remove("parent");
    expected["milestones"]["v1.0"] = json!({"active": true});
    for message in parse_bodies(&preview.bytes) {
        assert_eq!(message["repo"], expected);
        assert_eq!(message["project_fullname"], "forks/foo/somenamespace/test3");
    }
}

#[test]
fn a_section_is_for_the_servers_file_and_has_no_key() {
    let environment = Environment::new();
    let answers = [
        &answer("project.json"),
        &answer("options.json"),
        "--section",
    ];
    let Some(ran) = from_pagure(&environment, &answers) else {
        return;
    };
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("no key among the answers"));
    let section: toml::Table = ran.stdout.parse().unwrap();
    let section = &section["repository"][0];
    assert_eq!(section["match"][0].as_str(), Some("test"));
    assert_eq!(section["project"]["id"].as_integer(), Some(1));
    assert_eq!(
        section["urls"].as_array().unwrap(),
        &[
            "https://ci.example.org/pagure".into(),
            toml::Value::from("https://weblate.example.org/hooks/pagure/")
        ]
    );
    let token = answer("token.json");
    let ran = from_pagure(&environment, &[&answers[..], &[&token]].concat()).unwrap();
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    assert!(
        ran.stderr.ends_with("hint: --key-file FILE\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_is_no_answer_is_told() {
    let environment = Environment::new();
    environment.write("list", "[]");
    environment.write("cut", "{\"name\": ");
    let error = answer("error.json");
    for (args, told) in [
        (
            &[&*error][..],
            format!("`{error}`: Pagure answered: Project not found"),
        ),
        (&["list"], "`list`: it is no answer of Pagure's API".into()),
        (
            &["cut"],
            "`cut`: Expecting value: line 1 column 10 (char 9)".into(),
        ),
        (&["nothing"], "`nothing`: No such file or directory".into()),
    ] {
        let Some(ran) = from_pagure(&environment, args) else {
            return;
        };
        ran.fails(1, &format!("from-pagure: cannot read {told}\n"));
    }
    let ran = from_pagure(&environment, &[&answer("options.json")]).unwrap();
    assert!(ran.stderr.contains("there is no project among the answers"));
}

/// `--url` asks for the three answers itself, and shows the token to nobody else.
#[test]
fn answers_are_fetched_with_a_token() {
    let pagure = Receiver::start();
    pagure.script(|request| {
        let is_known = request.header("Authorization") == Some("token sekrit");
        let (status, name) = match request.line.split(' ').nth(1).unwrap() {
            "/api/0/test" => (200, "project.json"),
            "/api/0/test/options" if is_known => (200, "options.json"),
            "/api/0/test/webhook/token" if is_known => (200, "token.json"),
            _ => (404, "error.json"),
        };
        Answer::Reply(status, Vec::new(), fs::read(answer(name)).unwrap())
    });
    let environment = Environment::new();
    environment.write("token", "sekrit\n");
    let url = pagure.url("/api/0/test");
    let asked = ["--url", &url, "--token-file", "token"];
    let Some(fetched) = from_pagure(&environment, &asked) else {
        return;
    };
    let files = ["project.json", "options.json", "token.json"].map(answer);
    let read = from_pagure(&environment, &files.each_ref().map(|name| &**name)).unwrap();
    assert_eq!(fetched.status, 0, "{}", fetched.stderr);
    assert_eq!(fetched.stdout, read.stdout);
    assert_eq!(pagure.take().len(), 3);

    let here = ["--send-to", "http://127.0.0.1:8080/"];
    let open = from_pagure(&environment, &[&asked[..2], &here].concat()).unwrap();
    assert!(
        open.stdout
            .contains("\nurls = [\"http://127.0.0.1:8080/\"]\n")
    );
    assert!(open.stderr.contains("no key among the answers"));
    assert_eq!(pagure.take().len(), 1);

    let absent = pagure.url("/api/0/absent");
    let told = format!("from-pagure: cannot read `{absent}`: Pagure answered: Project not found\n");
    from_pagure(&environment, &["--url", &absent])
        .unwrap()
        .fails(1, &told);
}

#[test]
fn a_whole_instance_was_asked_for_one_by_one() {
    let environment = Environment::new();
    let names = ["test", "forks/foo/somenamespace/test3"];
    for (name, file) in names.iter().zip(["project.json", "fork.json"]) {
        fs::create_dir_all(environment.path(format!("srv/{name}.git"))).unwrap();
        fs::create_dir_all(environment.path(format!("{file}.d"))).unwrap();
        environment.write(format!("{file}.d/a.json"), fs::read(answer(file)).unwrap());
        let token = fs::read(answer("token.json")).unwrap();
        environment.write(format!("{file}.d/b.json"), token);
    }
    environment.write("list", "project.json.d\nnone.d\n\nfork.json.d\n");
    let args = ["--list", "list", "--root", "srv"];
    let Some(ran) = from_pagure(&environment, &args) else {
        return;
    };
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.ends_with("from-pagure: wrote 2 of 3\n")
            && ran
                .stderr
                .contains("from-pagure: `none.d`: cannot read it: No such file"),
        "{}",
        ran.stderr
    );
    for name in names {
        let file = environment.path(format!("srv/{name}.git/refpost.toml"));
        let text: toml::Table = fs::read_to_string(&file).unwrap().parse().unwrap();
        assert_eq!(text["project"]["fullname"].as_str(), Some(name));
        assert_eq!(text["key"].as_str(), Some(KEY));
    }
    // Nothing is written over, and a name leads to its address.
    let pagure = Receiver::start();
    pagure.script(|request| {
        let path = request.line.split(' ').nth(1).unwrap();
        let is_fork = path == "/api/0/fork/foo/somenamespace/test3";
        let (status, name) = if is_fork {
            (200, "fork.json")
        } else {
            (404, "error.json")
        };
        Answer::Reply(status, Vec::new(), fs::read(answer(name)).unwrap())
    });
    environment.write("names", format!("{}\n", names[1]));
    let url = pagure.url("/api/0");
    let args = ["--list", "names", "--root", "srv", "--url", &url];
    let ran = from_pagure(&environment, &args).unwrap();
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("it is there already\n"),
        "{}",
        ran.stderr
    );
    let file = environment.path(format!("srv/{}.git/refpost.toml", names[1]));
    fs::remove_file(&file).unwrap();
    from_pagure(&environment, &args).unwrap();
    assert!(file.exists());
}
