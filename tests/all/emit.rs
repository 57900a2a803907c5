//! `emit`: any topic, on the way of the messages of pushes.

use std::os::unix::fs::chown;

use serde_json::json;

use crate::support::spooled::to;
use crate::support::{KEY, Message, Python, Runner, Site, Spooled};

const TOPIC: &str = "pull-request.comment.added";

/// `emit` with this object, about `test.git`.
fn emit(site: &Site, topic: &str, msg: &str) -> Runner {
    let args = ["emit", "--topic", topic, "test.git"];
    site.refpost(args).stdin(msg)
}

/// What `--dry-run` prints, and says.
#[track_caller]
fn dry(site: &Site, topic: &str, msg: &str) -> (Message, String) {
    let ran = emit(site, topic, msg).arg("--dry-run").run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let body = ran.bytes.strip_suffix(b"\n").expect("a line");
    (Message::read(body), ran.stderr)
}

#[test]
fn in_mode_sync_it_is_signed_and_sent_at_once() {
    let site = Site::new();
    let ran = emit(&site, TOPIC, r#"{"pullrequest": {"id": 7}}"#).run();
    let said = ran.well().stdout;
    assert!(said.starts_with("1 message sent to `127.0.0.1-"), "{said}");
    let requests = site.receiver.take();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    if let Some((sha1, sha256)) = Python::sign(KEY, &request.body) {
        assert_eq!(request.header("X-Pagure-Signature"), Some(sha1.as_str()));
        assert_eq!(
            request.header("X-Pagure-Signature-256"),
            Some(sha256.as_str())
        );
    }
    assert_eq!(request.header("X-Pagure-Topic"), Some(TOPIC));
    assert_eq!(request.header("X-Pagure-Project"), Some("test"));
    let message = request.message();
    assert_eq!((message.topic(), &message.whole["i"]), (TOPIC, &json!(1)));
    assert_eq!(message["pullrequest"], json!({"id": 7}));
    assert_eq!(message["agent"], "alice");
    assert_eq!(message["project_fullname"], "test");
    let log = site.refpost(["log", "test.git"]).run().well().stdout;
    assert!(log.contains(TOPIC) && log.contains("200"), "{log}");
}

#[test]
fn in_mode_spool_it_waits_in_its_place_behind_pushes() {
    let site = Spooled::new();
    let (commit, _) = site.announce();
    let file = site.write("msg.json", "{\n  \"issue\": {\"id\": 1}\n}\n");
    let args = ["emit", "--topic", "issue.new", "--pusher", "bob", "--msg"];
    let ran = site.refpost(args).arg(&file).arg(&site.bare).run().well();
    assert_eq!(ran.stdout, "1 message queued for `one`\n");
    assert_eq!(site.names("new").len(), 2);
    assert_eq!(site.receiver.take().len(), 0);
    let arrived = site.flush_well();
    let messages: Vec<Message> = arrived.iter().map(|it| it.message()).collect();
    assert_eq!(messages[0]["end_commit"], commit);
    assert_eq!(messages[1].topic(), "issue.new");
    assert_eq!(messages[1]["agent"], "bob");
    assert_eq!(messages[1]["project"]["fullname"], "test");
}

/// A merge script: run by a forge in the repository, or by a hook.
#[test]
fn in_mode_background_it_leaves_by_itself_and_finds_the_hooks_repository() {
    let site = Spooled::with("mode = \"background\"");
    site.commit("file");
    site.hook(
        "post-receive",
        "REFPOST hook post-receive\n\
         echo '{\"pullrequest\": {\"id\": 3}}' | REFPOST emit --topic pull-request.closed",
    );
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.status, 0, "{}", push.said);
    assert!(
        push.said.contains("1 message queued for `one`"),
        "{}",
        push.said
    );
    // A flush that began with the push may have sent that while this was recorded.
    let mut requests = push.requests;
    while requests.len() < 2 {
        requests.extend(site.receiver.wait_for(1));
    }
    let topics: Vec<_> = requests
        .iter()
        .map(|it| it.message().topic().to_owned())
        .collect();
    assert_eq!(topics, ["git.receive", "pull-request.closed"]);
    // Without GIT_DIR, in the repository's folder.
    let here = site.refpost(["emit", "--topic", "project.edit"]);
    here.dir(&site.bare).stdin("{}").run().well();
    assert_eq!(
        site.receiver.wait_for(1)[0].message().topic(),
        "project.edit"
    );
}

#[test]
fn endpoints_choose_by_the_topic_and_not_by_refs() {
    let site = Spooled::new();
    let rest = format!(
        "refs = [\"refs/heads/main\"]\n{}topics = [\"git.*\"]\n{}topics = [\"issue.*\"]\n",
        site.endpoint("pushes"),
        site.endpoint("issues"),
    );
    site.configure("mode = \"spool\"", &rest);
    let ran = emit(&site, "issue.new", "{}").run().well();
    assert_eq!(ran.stdout, "1 message queued for `one`, `issues`\n");
    let arrived = site.flush_well();
    assert_eq!(arrived.len(), 2);
    assert_eq!(to("/pushes", &arrived).len(), 0);
    // The same bytes for both.
    assert_eq!(arrived[0].body, arrived[1].body);

    site.configure("mode = \"spool\"", "topics = [\"git.*\"]");
    let ran = emit(&site, "issue.new", "{}").run().well();
    assert_eq!(ran.stdout, "nothing sent: no endpoint wants `issue.new`\n");
    let (_, said) = dry(&site, "issue.new", "{}");
    assert_eq!(said, "refpost: no endpoint wants `issue.new`\n");
    site.configure("mode = \"spool\"\nquiet = true", "");
    let ran = emit(&site, "issue.new", "{}").run().well();
    assert_eq!(ran.stdout, "");
    assert_eq!(site.names("new").len(), 1);
}

#[test]
fn a_dry_run_shows_the_body_and_leaves_no_trace() {
    let site = Site::new();
    let (message, said) = dry(&site, "issue.new", r#"{"issue": {"id": 1}}"#);
    assert_eq!(message["issue"], json!({"id": 1}));
    assert!(
        said.starts_with("refpost: would be sent to `127.0.0.1-"),
        "{said}"
    );
    assert!(!site.spool().exists());
    assert_eq!(site.receiver.connections(), 0);
}

/// [`Message::read`] holds each body against Python's bytes.
#[test]
fn what_is_given_arrives_as_it_was() {
    let site = Site::new();
    let text = r#"{"z": "é日😀\u0000\u007f", "a": {"B": 1, "é": [], "b": {}},
        "big": 18446744073709551615, "least": -9223372036854775808,
        "floats": [1E2, 1.10, 1e-7, -0.0, 12345678901234567.0], "zero": 0}"#;
    let ran = emit(&site, "x", text).arg("--dry-run").run();
    for same in [
        r#""big": 18446744073709551615"#,
        r#""least": -9223372036854775808"#,
        r#""floats": [100.0, 1.1, 1e-07, -0.0, 1.2345678901234568e+16]"#,
        r#""zero": 0"#,
        r#""z": "\u00e9\u65e5\ud83d\ude00\u0000\u007f""#,
    ] {
        assert!(ran.stdout.contains(same), "{same}: {}", ran.stdout);
    }
    Message::read(ran.bytes.strip_suffix(b"\n").unwrap());
    // What is there is not replaced, and a project is named once.
    let (message, _) = dry(&site, "x", r#"{"agent": null, "project": {"name": "y"}}"#);
    assert_eq!(message["agent"], json!(null));
    assert_eq!(message["project"], json!({"name": "y"}));
    for names_it in ["repo", "pullrequest"] {
        let (message, _) = dry(&site, "x", &format!("{{\"{names_it}\": 1}}"));
        assert!(message.whole["msg"].get("project").is_none());
    }
    let same = r#"{"project_fullname": "test"}"#;
    assert_eq!(dry(&site, "x", same).0["project_fullname"], "test");
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_place_and_nothing_is_recorded() {
    let site = Site::new();
    let read = "refpost: cannot read message `standard input`: ";
    let deep = format!("{{\"a\": {}}}", "[".repeat(200));
    let wide = format!("{{{}", " ".repeat(8 << 20));
    for (msg, why) in [
        ("", "line 1, column 0: EOF while parsing a value\n"),
        (
            "{\"a\": 1,\n  b: 2}",
            "line 2, column 3: key must be a string\n",
        ),
        (
            "{\"a\": 1, \"a\": 2}",
            "line 1, column 12: key `a` stands there twice\n",
        ),
        ("{\"a\": NaN}", "line 1, column 7: expected value\n"),
        ("{} {}", "line 1, column 4: trailing characters\n"),
        ("[{}]", "it is an array, and `msg` is an object\n"),
        ("\"x\"", "it is a string, and `msg` is an object\n"),
        (&deep, "line 1, column 133: recursion limit exceeded\n"),
        (
            &wide,
            "it is longer than 8388608 bytes, 8 times `max_body`\n\
             hint: leave something out, or raise `max_body` in the configuration\n",
        ),
    ] {
        let ran = emit(&site, "x", msg).run();
        ran.fails(1, &format!("{read}{why}"));
    }
    let long = format!(
        "{{\"a\": \"x\", \"comments\": \"{}\"}}",
        "é".repeat(200_000)
    );
    let ran = emit(&site, "issue.edit", &long).run();
    assert_eq!(ran.status, 1);
    let mut lines = ran.stderr.lines();
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("refpost: cannot emit `issue.edit`: its body would have 1200")
            && first.ends_with("1200002 of them in `comments`; `max_body` is 1048576"),
        "{first}"
    );
    let ran = emit(&site, "x", r#"{"pagure_instance": "https://else/"}"#).run();
    assert!(
        ran.stderr
            .contains("`pagure_instance` of its `msg` is not `https://")
    );
    let missing = site.refpost(["emit", "--topic", "x", "--msg", "none", "test.git"]);
    missing.run().fails(
        1,
        "refpost: cannot read `none`: no such file or directory\n",
    );
    assert!(!site.spool().exists());
    assert_eq!(site.receiver.connections(), 0);
}

#[test]
fn a_topic_is_what_a_header_can_carry() {
    let site = Site::new();
    let longest = "x".repeat(128);
    for good in ["x", "Test.notification", "a-b_c.D9", &longest] {
        assert_eq!(dry(&site, good, "{}").0.topic(), good);
    }
    let longer = "x".repeat(129);
    for bad in [
        "",
        "a b",
        "a\r\nX: y",
        "é",
        ".a",
        "a.",
        "a..b",
        "a/b",
        &longer,
    ] {
        let ran = emit(&site, bad, "{}").run();
        assert_eq!(ran.status, 2, "{bad}");
        assert!(
            ran.stderr.contains("a topic is at most 128 ASCII letters"),
            "{bad}"
        );
    }
    assert_eq!(site.refpost(["emit", "test.git"]).run().status, 2);
}

#[test]
fn a_broken_configuration_stops_it() {
    let site = Site::new();
    site.config("ulrs = []");
    let ran = emit(&site, "x", "{}").run();
    assert_eq!(ran.status, 78);
    assert!(
        ran.stderr.contains("did you mean `urls`?"),
        "{}",
        ran.stderr
    );
    assert!(!site.spool().exists());
    site.config_alone("");
    let ran = emit(&site, "x", "{}").run().well();
    assert_eq!(ran.stdout, "nothing sent: no endpoint wants `x`\n");
}

/// What could not be announced before is older: it goes first.
#[test]
fn what_a_killed_push_owes_leaves_before_it() {
    let site = Site::guaranteed();
    site.hook("post-receive", "kill -9 $PPID");
    site.commit("a");
    site.try_push(&["origin", "main"]);
    assert_eq!(site.intents().len(), 1);
    let ran = emit(&site, "x", "{}").run().well();
    assert!(ran.stdout.contains("(behind older ones"), "{}", ran.stdout);
    let requests = site.receiver.wait_for(3);
    let topics: Vec<_> = requests
        .iter()
        .map(|it| it.message().topic().to_owned())
        .collect();
    assert_eq!(topics, ["git.branch.creation", "git.receive", "x"]);
    site.assert_quiet();
}

#[test]
fn a_spool_that_cannot_be_written_fails_it() {
    let site = Spooled::new();
    site.announce();
    std::fs::remove_dir_all(site.spool()).unwrap();
    std::fs::write(site.spool(), "").unwrap();
    let ran = emit(&site, "x", "{}").run();
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    assert!(
        ran.stderr.starts_with("refpost: cannot ") && ran.stderr.ends_with("not a directory\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn root_leaves_nothing_in_the_spool_of_another_account() {
    if !nix::unistd::geteuid().is_root() {
        crate::support::leave_out("only root gives repositories away, so that is not tested");
        return;
    }
    let site = Site::new();
    let url = site.receiver.url("/");
    site.write(
        "system.toml",
        format!("urls = [\"{url}\"]\nunsigned = true\n"),
    );
    std::fs::remove_file(site.bare.join("refpost.toml")).unwrap();
    site.write("gitconfig", "[safe]\n\tdirectory = *\n");
    chown(&site.bare, Some(4201), Some(4201)).unwrap();
    let spool = site.spool();
    emit(&site, "x", "{}").run().fails(
        1,
        "refpost: cannot work on `test.git` as root: it belongs to `4201`\n\
         hint: run it as that account: runuser -u 4201 -- refpost …\n",
    );
    assert!(!spool.exists());
}

#[test]
fn an_integer_that_would_become_another_one_is_refused() {
    let site = Site::new();
    for number in ["18446744073709551616", "-9223372036854775809"] {
        let ran = emit(&site, "issue.new", &format!("{{\"issue\": {number}}}")).run();
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        let why = "a number needs more than 64 bits";
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
    let most = u64::MAX;
    let (message, _) = dry(&site, "issue.new", &format!("{{\"issue\": {most}}}"));
    assert_eq!(message["issue"], most);
}
