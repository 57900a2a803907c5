//! What a hook is given: lines, arguments, its own name, git's environment.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Message, REFPOST, Ran, Runner, Site, ZEROS, parse_bodies};

fn started() -> (Site, String) {
    let site = Site::new();
    let tip = site.commit("a");
    site.push(&["main"]);
    (site, tip)
}

/// The binary by another name, as git runs a hook: in the repository, `GIT_DIR`
/// set.
fn hook(site: &Site, program: &Path, input: impl AsRef<[u8]>) -> Runner {
    site.run(program)
        .dir(&site.bare)
        .env("GIT_DIR", ".")
        .stdin(input)
}

#[track_caller]
fn arrived(site: &Site, ran: &Ran) -> Vec<Message> {
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let requests = site.receiver.take();
    requests
        .iter()
        .map(crate::support::Request::message)
        .collect()
}

#[test]
fn a_malformed_line_is_named_and_the_good_ones_are_announced() {
    let (site, tip) = started();
    let half = &tip[..39];
    let no_id = "is no object id: 40 or 64 hex digits are expected";
    let input = format!(
        "{ZEROS} {tip} refs/tags/one\n\
         nonsense\n\
         {ZEROS} {tip} refs/tags/two\n\
         {half} {tip} refs/tags/x\n\
         {half}z {tip} refs/tags/x\n\
         {ZEROS} {tip}\n\
         \n\
         {ZEROS} {tip} HEAD\n\
         {ZEROS} {tip}{zeros} refs/tags/x\n\
         {ZEROS} main~1 refs/tags/x\n\
         {ZEROS} {tip} refs/tags/three",
        zeros = &ZEROS[..24],
    );
    let complaints = format!(
        "\
        refpost: cannot read line 2 of the ref updates: expected `old new ref`\n\
        refpost: cannot read line 4 of the ref updates: `{half}` {no_id}\n\
        refpost: cannot read line 5 of the ref updates: `{half}z` {no_id}\n\
        refpost: cannot read line 6 of the ref updates: expected `old new ref`\n\
        refpost: cannot read line 7 of the ref updates: expected `old new ref`\n"
    );
    let last = format!(
        "refpost: cannot read line 8 of the ref updates: the ref name does not start with `refs/`\n\
        refpost: cannot read line 9 of the ref updates: the two object ids differ in length\n\
        refpost: cannot read line 10 of the ref updates: `main~1` {no_id}\n"
    );

    let preview = site.refpost(["preview", "test.git"]).stdin(&input).run();
    assert_eq!(preview.status, 1);
    assert_eq!(preview.stderr, format!("{complaints}{last}"));
    let tags = |messages: &[Message]| -> Vec<String> {
        messages
            .iter()
            .map(|own| own["tag"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(tags(&parse_bodies(&preview.bytes)), ["one", "two", "three"]);

    let ran = hook(&site, &site.bare.join("hooks/post-receive"), &input).run();
    assert!(
        ran.stderr
            .starts_with(&format!("{complaints}refpost: 3 lines more like that\n")),
        "{}",
        ran.stderr
    );
    assert_eq!(tags(&arrived(&site, &ran)), ["one", "two", "three"]);
}

#[test]
fn what_is_in_a_malformed_line_never_reaches_the_terminal() {
    let (site, _) = started();
    let input = b"\x1b[31mred \xff\xfe \x07\nmore\x1b]0;title\x07\n";
    let ran = hook(&site, &site.bare.join("hooks/post-receive"), input).run();
    assert_eq!(ran.status, 0);
    assert!(
        ran.stderr.bytes().all(|byte| byte == b'\n' || byte >= b' '),
        "{:?}",
        ran.stderr
    );
    assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.stderr);
}

#[test]
fn a_line_of_two_zeros_moved_nothing() {
    let (site, tip) = started();
    let input = format!("{ZEROS} {ZEROS} refs/heads/never\n{tip} {tip} refs/heads/main\n");
    let preview = site
        .refpost(["preview", "test.git"])
        .stdin(&input)
        .run()
        .well();
    assert_eq!(preview.stdout, "");
    let ran = hook(&site, &site.bare.join("hooks/post-receive"), &input)
        .run()
        .well();
    assert!(arrived(&site, &ran).is_empty());
}

#[test]
fn a_push_that_deletes_what_is_not_there_is_not_announced() {
    let (site, _) = started();
    let push = site.try_push(&["origin", ":refs/heads/never-was"]);
    assert!(push.messages.is_empty(), "{:?}", push.about());
}

#[test]
fn an_empty_input_is_nothing() {
    let (site, _) = started();
    hook(&site, &site.bare.join("hooks/post-receive"), "")
        .run()
        .well();
    site.refpost(["preview", "test.git"]).run().well();
    assert!(site.receiver.take().is_empty());
}

#[test]
fn ten_thousand_lines_are_ten_thousand_messages() {
    let (site, tip) = started();
    let mut input = String::new();
    for number in 0..10_000 {
        writeln!(input, "{ZEROS} {tip} refs/tags/v{number}").unwrap();
    }
    let preview = site
        .refpost(["preview", "test.git"])
        .stdin(input)
        .run()
        .well();
    let bodies: Vec<_> = preview.stdout.lines().collect();
    assert_eq!(bodies.len(), 10_000);
    for (at, body) in bodies.iter().enumerate() {
        assert!(
            body.starts_with(&format!("{{\"i\": {}, ", at + 1)),
            "{body}"
        );
        assert!(body.contains(&format!("\"tag\": \"v{at}\"}}")), "{body}");
    }
}

#[test]
fn ids_of_64_digits_are_read_in_a_sha256_repository() {
    let site = Site::with_format("sha256");
    let first = site.commit("a");
    assert_eq!(first.len(), 64);
    let push = site.push(&["main"]);
    assert_eq!(
        push.about(),
        [("git.branch.creation", "main"), ("git.receive", "main")]
    );
    assert_eq!(
        push.messages[1]["old_commit"],
        "0".repeat(64),
        "zeros of the repository's length"
    );
    assert_eq!(push.messages[1]["end_commit"], first);
    assert_eq!(
        push.messages[1]["changed_files"],
        serde_json::json!({"a": "A"})
    );
    site.git(&["tag", "-a", "-m", "x", "v1"]);
    let tag = site.git(&["rev-parse", "v1"]);
    assert_eq!(site.push(&["v1"]).only()["rev"], tag);
    site.git(&["checkout", "-q", "--orphan", "other"]);
    let new = site.commit("b");
    let push = site.push(&["+other:main"]);
    assert_eq!(push.only()["old_commit"], first);
    assert_eq!(push.only()["end_commit"], new);
    assert_eq!(site.push(&[":v1"]).only()["rev"], tag);
}

#[test]
fn the_name_that_it_is_called_by_makes_it_a_hook_through_any_links() {
    let (site, tip) = started();
    let folder = site.path("links");
    fs::create_dir(&folder).unwrap();
    let mut target = Path::new(REFPOST).to_owned();
    for number in 0..10 {
        let link = folder.join(format!("link-{number}"));
        symlink(&target, &link).unwrap();
        target = link;
    }
    let hook_path = site.bare.join("hooks/post-receive");
    fs::remove_file(&hook_path).unwrap();
    symlink("../../links/link-9", &hook_path).unwrap();
    let push = site.push(&["main:linked"]);
    assert_eq!(push.about(), [("git.branch.creation", "linked")]);

    // Found by PATH, as plain names are.
    symlink(REFPOST, folder.join("post-receive")).unwrap();
    let input = format!("{ZEROS} {tip} refs/tags/v1\n");
    let ran = hook(&site, &folder.join("post-receive"), &input).run();
    assert_eq!(arrived(&site, &ran).len(), 1);
}

#[test]
fn the_hook_can_be_spelled_out() {
    let (site, tip) = started();
    let input = format!("{ZEROS} {tip} refs/tags/v1\n");
    let ran = hook(&site, Path::new(REFPOST), &input)
        .args(["hook", "post-receive"])
        .run();
    assert_eq!(arrived(&site, &ran)[0].about(), ("git.tag.creation", "v1"));
    let script = format!("#!/bin/sh\nexec '{REFPOST}' hook post-receive \"$@\"\n");
    fs::remove_file(site.bare.join("hooks/post-receive")).unwrap();
    site.script("test.git/hooks/post-receive", &script);
    assert_eq!(
        site.push(&["main:scripted"]).about(),
        [("git.branch.creation", "scripted")]
    );
}

#[test]
fn git_dir_can_be_relative_absolute_or_not_there() {
    let (site, tip) = started();
    let input = format!("{ZEROS} {tip} refs/tags/v1\n");
    let hook_path = site.bare.join("hooks/post-receive");
    let at = |folder: &Path, git_dir: &str| {
        site.run(&hook_path)
            .dir(folder)
            .env("GIT_DIR", git_dir)
            .stdin(&input)
            .run()
    };
    let absolute = site.bare.to_str().unwrap();
    for (folder, git_dir) in [
        (site.bare.as_path(), "."),
        (&site.path(""), "test.git"),
        (&site.bare.join("hooks"), ".."),
        (&site.path("home"), absolute),
    ] {
        let messages = arrived(&site, &at(folder, git_dir));
        assert_eq!(messages.len(), 1, "{git_dir}");
        assert_eq!(messages[0]["repo"]["name"], "test", "{git_dir}");
    }
    let ran = site.run(&hook_path).dir(&site.bare).stdin(&input).run();
    assert_eq!(arrived(&site, &ran).len(), 1);
}

#[test]
fn objects_of_alternates_are_found() {
    let (site, _) = started();
    // What a new commit has lies only in another repository.
    let other = site.bare("other.git");
    site.commit("b");
    let new = site.git(&["rev-parse", "HEAD"]);
    site.git(&["push", "-q", other.to_str().unwrap(), "main"]);
    let input = format!("{ZEROS} {new} refs/heads/borrowed\n");
    let objects = other.join("objects");
    let hook_path = site.bare.join("hooks/post-receive");
    let ran = hook(&site, &hook_path, &input)
        .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &objects)
        .run();
    let messages = arrived(&site, &ran);
    assert_eq!(messages.len(), 2, "{}", ran.stderr);
    assert_eq!(messages[1]["changed_files"], serde_json::json!({"b": "A"}));

    let preview = site
        .refpost(["preview"])
        .dir(&site.bare)
        .env("GIT_DIR", ".")
        .stdin(&input);
    let ran = preview
        .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &objects)
        .run()
        .well();
    assert_eq!(parse_bodies(&ran.bytes).len(), 2);

    fs::create_dir_all(site.bare.join("objects/info")).unwrap();
    let line = format!("{}\n", objects.display());
    fs::write(site.bare.join("objects/info/alternates"), line).unwrap();
    let ran = hook(&site, &hook_path, &input).run();
    assert_eq!(arrived(&site, &ran).len(), 2);
}

#[test]
fn objects_in_quarantine_are_found() {
    let (site, _) = started();
    let new = site.commit("b");
    // As in pre-receive: the objects are where GIT_OBJECT_DIRECTORY says.
    let quarantine = site.path("work/.git/objects");
    let input = format!("{ZEROS} {new} refs/heads/incoming\n");
    let preview = site
        .refpost(["preview"])
        .dir(&site.bare)
        .env("GIT_DIR", ".")
        .stdin(input);
    let ran = preview
        .env("GIT_OBJECT_DIRECTORY", &quarantine)
        .env("GIT_QUARANTINE_PATH", &quarantine)
        .env(
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            site.bare.join("objects"),
        )
        .run()
        .well();
    assert_eq!(parse_bodies(&ran.bytes).len(), 2);
}

/// git2 takes no path to objects that is not UTF-8; git is asked then.
#[test]
fn a_repository_may_have_any_path() {
    let (site, tip) = started();
    let any = site.bare.with_file_name(OsStr::from_bytes(b"caf\xe9.git"));
    fs::rename(&site.bare, &any).unwrap();
    let input = format!("{ZEROS} {tip} refs/heads/other\n");
    let program = any.join("hooks/post-receive");
    let ran = site.run(program).dir(&any).env("GIT_DIR", ".");
    assert_eq!(arrived(&site, &ran.stdin(input).run()).len(), 1);
}

#[test]
fn the_pusher_is_the_first_that_is_named() {
    let (site, tip) = started();
    let order = [
        "REFPOST_PUSHER",
        "GL_USER",
        "GL_USERNAME",
        "GITEA_PUSHER_NAME",
        "SOFT_SERVE_USERNAME",
        "REMOTE_USER",
    ];
    let input = format!("{ZEROS} {tip} refs/tags/v1\n");
    let hook_path = site.bare.join("hooks/post-receive");
    let agent = |from: usize, empty: usize| {
        let mut run = hook(&site, &hook_path, &input).without("REFPOST_PUSHER");
        for (at, name) in order.iter().enumerate().skip(from) {
            run = run.env(
                name,
                if at < empty {
                    String::new()
                } else {
                    format!("by-{name}")
                },
            );
        }
        let ran = run.run();
        arrived(&site, &ran)[0]["agent"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (at, name) in order.iter().enumerate() {
        assert_eq!(agent(at, 0), format!("by-{name}"));
        assert_eq!(agent(0, at), format!("by-{name}"), "empty ones say nothing");
    }
    let system = site.run("id").arg("-un").run().well().stdout;
    assert_eq!(agent(order.len(), 0), system.trim());
}
