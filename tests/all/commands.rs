//! The small commands: `verify`, `keygen`, `listen`, `ping`, `preview --http`,
//! `completions`, `man`, `--help`, `--version`.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::support::{
    Answer, Background, Environment, KEY, Python, Site, ZEROS, golden, golden_at, set_mode,
};

/// Pagure's own known answer.
const BODY: &str = r#"{"i": 1, "msg": {"pagure_instance": "http://localhost.localdomain/", "payload": ["a", "b", "c"], "project_fullname": "test"}, "msg_id": "2018-not_so_random", "timestamp": 2, "topic": "topic"}"#;
const SHA1: &str = "74b12f0b25bf7767014a0c0de9f3c10191e943d8";
const SHA256: &str = "f3d757796554466eac49a5282b24ee32a1ecfb65dedd6c6231fb207240a9fe58";

#[test]
fn verify_tells_right_from_wrong_by_its_exit_status() {
    let environment = Environment::new();
    environment.write("key", "aaabbbccc\n");
    let verify = |signature: &str, body: &str| {
        environment
            .refpost(["verify", "--key-file", "key", "--signature", signature])
            .stdin(body)
            .run()
    };
    for signature in [SHA1, SHA256, &SHA256.to_uppercase(), &format!(" {SHA1} ")] {
        let ran = verify(signature, BODY).well();
        assert_eq!(ran.stdout, "signature verified\n");
    }
    let wrong = "refpost: the signature does not match\n";
    let nonsense = ["", "x", &SHA1[1..], &SHA256[..40], &SHA1.replace('7', "8")];
    for signature in nonsense {
        let ran = verify(signature, BODY).fails(1, wrong);
        assert_eq!(ran.stdout, "");
    }
    verify(SHA1, &BODY[1..]).fails(1, wrong);
    verify(SHA1, &format!("{BODY}\n")).fails(
        1,
        "refpost: the signature does not match\n\
         hint: the body ends in a line break, which a body as sent does not\n",
    );
}

#[test]
fn verify_refuses_a_key_that_is_no_secret() {
    let environment = Environment::new();
    let key = environment.write("key", "aaabbbccc");
    set_mode(&key, 0o644);
    let verify = || environment.refpost(["verify", "--key-file", "key", "--signature", SHA1]);
    verify().stdin(BODY).run().fails(
        78,
        "refpost: cannot read key `key`: mode 0644 lets others read it\nhint: chmod o= key\n",
    );
    fs::remove_file(&key).unwrap();
    verify().stdin(BODY).run().fails(
        78,
        "refpost: cannot read key `key`: no such file or directory\n",
    );
}

#[test]
fn keygen_prints_another_key_each_time() {
    let environment = Environment::new();
    let key = || environment.refpost(["keygen"]).run().well().stdout;
    let keys = [key(), key()];
    for key in &keys {
        let digits = key.strip_suffix('\n').unwrap();
        assert_eq!(digits.len(), 64);
        assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    }
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn listen_prints_what_arrives_and_says_whether_it_is_signed_right() {
    let environment = Environment::new();
    environment.write("key", "aaabbbccc");
    let listen = environment.refpost(["listen", "--addr", "127.0.0.1:0", "--key-file", "key"]);
    let mut listen = Background::start(listen);
    let mut lines = BufReader::new(listen.0.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let first = next();
    let address = first.strip_prefix("listening on http://").unwrap();
    let mut stream = TcpStream::connect(address.trim_end_matches('/')).unwrap();
    let mut post = |signature: &str| {
        let length = BODY.len();
        let head = format!("POST /x HTTP/1.1\r\nX-pAgUrE-Signature-256: {signature}\r\n");
        let rest = format!("X-Odd: a\u{202e}b\r\nContent-Length: {length}\r\n\r\n{BODY}");
        stream
            .write_all(format!("{head}{rest}").as_bytes())
            .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let mut rest = [0; 1024];
        assert!(stream.read(&mut rest).unwrap() > 0);
    };
    post(SHA256);
    let mut shown = Vec::new();
    while shown.last().is_none_or(|line| line != "signature verified") {
        shown.push(next());
    }
    for line in [
        "POST /x HTTP/1.1",
        &format!("X-pAgUrE-Signature-256: {SHA256}"),
        r"X-Odd: a\u{202e}b",
        r#"  "topic": "topic""#,
    ] {
        assert!(shown.iter().any(|own| own == line), "{line}: {shown:#?}");
    }
    post(&SHA256.replace('f', "0"));
    while next() != "signature DOES NOT MATCH" {}
}

#[test]
fn ping_sends_a_signed_test_notification_and_prints_the_answer() {
    let site = Site::new();
    site.receiver
        .script(|_| Answer::Reply(202, Vec::new(), b"thanks \x1b[31m\nsecond line".to_vec()));
    let ran = site.refpost(["ping", "test.git"]).run().well();
    let name = ran.stdout.split('`').nth(1).unwrap();
    assert!(name.starts_with("127.0.0.1-"), "{name}");
    let (before, after) = ran.stdout.split_once(" in ").unwrap();
    assert_eq!(before, format!("`{name}` answered 202"));
    assert!(after.ends_with(" ms: thanks \\u{1b}[31m\n"), "{after}");

    let requests = site.receiver.take();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.line, "POST /hook HTTP/1.1");
    assert_eq!(request.header("X-Pagure-Topic"), Some("Test.notification"));
    let message = request.message();
    assert_eq!(message.topic(), "Test.notification");
    assert_eq!(message["content"], "Test message");
    assert_eq!(message["project_fullname"], "test");
    if let Some((sha1, sha256)) = Python::sign(KEY, &request.body) {
        assert_eq!(request.header("X-Pagure-Signature"), Some(&*sha1));
        assert_eq!(request.header("X-Pagure-Signature-256"), Some(&*sha256));
    }
}

#[test]
fn ping_exits_with_1_if_an_endpoint_does_not_take_it() {
    let site = Site::new();
    for (status, words) in [
        (500, "is down: it answered 500"),
        (404, "refused it with 404"),
        (302, "refused it with 302"),
        (410, "answered 410: it says that it is gone for good"),
    ] {
        site.receiver.script(move |_| Answer::status(status));
        let ran = site.refpost(["ping", "test.git"]).run();
        assert_eq!((ran.status, ran.stderr.as_str()), (1, ""), "{status}");
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
}

#[test]
fn ping_can_choose_one_endpoint() {
    let site = Site::new();
    let (one, two) = (site.receiver.url("/one"), site.receiver.url("/two"));
    site.config_alone(&format!(
        "unsigned = true\n[[endpoint]]\nname = \"one\"\nurl = \"{one}\"\n\
         [[endpoint]]\nname = \"two\"\nurl = \"{two}\"\n"
    ));
    site.refpost(["ping", "test.git", "--endpoint", "two"])
        .run()
        .well();
    let lines: Vec<_> = site
        .receiver
        .take()
        .into_iter()
        .map(|own| own.line)
        .collect();
    assert_eq!(lines, ["POST /two HTTP/1.1"]);
    site.refpost(["ping", "test.git", "--endpoint", "three"])
        .run()
        .fails(
            1,
            "refpost: cannot ping `three`: there is no such endpoint\n\
         hint: `refpost check` lists the endpoints\n",
        );
    assert!(site.receiver.take().is_empty());
}

#[test]
fn preview_with_http_shows_requests_and_hides_secrets() {
    let site = Site::new();
    site.config_alone(
        r#"
        instance = "https://git.example.org"
        key = "the-key-itself"
        [[endpoint]]
        name = "ci"
        url = "https://user-name:pass-word@ci.example.org:8443/path-of-it?query=1"
        headers = { X-Token = "the-token" }
        "#,
    );
    let oid = site.commit("a");
    site.git(&["push", "-q", "origin", "main:refs/keep/x"]);
    let ran = site
        .refpost(["preview", "test.git", "--http"])
        .stdin(format!("{ZEROS} {oid} refs/tags/v1\n"))
        .run()
        .well();
    for secret in [
        "the-key",
        "user-name",
        "pass-word",
        "path-of-it",
        "query=1",
        "the-token",
    ] {
        assert!(!ran.stdout.contains(secret), "{secret}: {}", ran.stdout);
    }
    let (head, body) = ran.stdout.split_once("\n\n").unwrap();
    let body = body.strip_suffix("\n\n").unwrap();
    let (sha1, sha256) = Python::sign("the-key-itself", body.as_bytes()).unwrap_or_else(|| {
        (
            header(head, "X-Pagure-Signature"),
            header(head, "X-Pagure-Signature-256"),
        )
    });
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        head,
        format!(
            "POST /… HTTP/1.1\nHost: ci.example.org:8443\nContent-Length: {}\nAuthorization: …\n\
             Content-Type: application/json\nAccept: */*\nUser-Agent: refpost/{version}\n\
             X-Pagure: https://git.example.org/\nX-Pagure-Project: test\n\
             X-Pagure-Signature: {sha1}\nX-Pagure-Signature-256: {sha256}\n\
             X-Pagure-Topic: git.tag.creation\nX-Token: …",
            body.len()
        )
    );
    assert!(site.receiver.take().is_empty());
}

fn header(head: &str, name: &str) -> String {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(own, _)| *own == name).unwrap().1.to_owned()
}

#[test]
fn every_shell_gets_a_completion_script() {
    let environment = Environment::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = environment.refpost(["completions", shell]).run().well();
        assert!(
            ran.stdout.contains("REFPOST_COMPLETE"),
            "{shell}: {}",
            ran.stdout
        );
        if shell == "bash" {
            let parse = environment.run("bash").args(["-n", "/dev/stdin"]);
            parse.stdin(&ran.bytes).run().well();
        }
    }
}

#[test]
fn the_man_page_renders_without_a_warning() {
    let environment = Environment::new();
    let page = environment.refpost(["man"]).run().well();
    assert!(page.stdout.contains(".TH refpost 1"));
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "\"EXIT STATUS\"",
        "ENVIRONMENT",
        "FILES",
    ] {
        assert!(page.stdout.contains(&format!(".SH {section}")), "{section}");
    }
    let has_groff = environment
        .run("sh")
        .args(["-c", "command -v groff"])
        .run()
        .status
        == 0;
    if !has_groff {
        crate::support::leave_out("groff is not here: the man page is not rendered");
        return;
    }
    let groff = environment
        .run("groff")
        .args(["-man", "-Tutf8", "-ww", "-K", "utf8"]);
    let rendered = groff.stdin(&page.bytes).run().well();
    assert!(
        rendered.stdout.contains("Send signed web-hook messages"),
        "{}",
        rendered.stdout
    );
}

#[test]
fn help_is_what_the_golden_file_says() {
    let environment = Environment::new();
    golden(
        "help-short.txt",
        &environment.refpost(["-h"]).run().well().stdout,
    );
}

/// The page is the help of all commands, as `REFPOST_UPDATE_GOLDEN` writes it.
#[test]
fn the_page_of_commands_is_their_help() {
    let environment = Environment::new();
    let mut page = "# Commands\n\n\
                    The help of each command, as `refpost help COMMAND` prints it, without `--help` \
                    and the global\noptions, which are below [refpost](#refpost).\n"
        .to_owned();
    let mut add = |command: &[&str]| {
        let mut args = command.to_vec();
        args.push("--help");
        let help = environment.refpost(args).run().well().stdout;
        let title = [&["refpost"], command].concat().join(" ");
        let text = if command.is_empty() {
            help.clone()
        } else {
            without_common(&help)
        };
        write!(page, "\n## {title}\n\n```text\n{}\n```\n", text.trim_end()).unwrap();
        let (_, commands) = help.split_once("Commands:\n").unwrap_or_default();
        let commands = commands.lines().take_while(|line| !line.is_empty());
        let names = commands.filter_map(|line| line.split_whitespace().next());
        let names = names.filter(|name| *name != "help").map(str::to_owned);
        names.collect::<Vec<_>>()
    };
    for name in add(&[]) {
        for inner in add(&[&name]) {
            add(&[&name, &inner]);
        }
    }
    golden_at(Path::new("docs/reference/commands.md"), &page);
}

/// A command's help without `--help`, which ends the options, and the global options.
fn without_common(help: &str) -> String {
    let (mut text, mut is_common) = (String::new(), false);
    for line in help.lines() {
        let was_common = is_common;
        if line.starts_with("  -h, --help") {
            is_common = true;
        } else if !line.is_empty() && !line.starts_with(' ') {
            is_common = line == "Global options:";
        }
        if !is_common {
            if was_common && !text.ends_with("\n\n") {
                text += "\n";
            }
            text += line;
            text += "\n";
        }
    }
    let text = text.trim_end();
    text.strip_suffix("\nOptions:").unwrap_or(text).to_owned()
}

#[test]
fn the_version_is_the_packages() {
    let environment = Environment::new();
    let version = concat!("refpost ", env!("CARGO_PKG_VERSION"), "\n");
    for flag in ["--version", "-V"] {
        assert_eq!(environment.refpost([flag]).run().well().stdout, version);
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let environment = Environment::new();
    for args in [
        &[][..],
        &["nonsense"],
        &["preview", "--nope"],
        &["completions", "tcsh"],
        &["verify"],
        &["hook"],
        &["hook", "applypatch-msg"],
        &["listen", "--addr", "nowhere"],
    ] {
        let ran = environment.refpost(args).run();
        assert_eq!(ran.status, 2, "{args:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("Usage") || ran.stderr.contains("--help"),
            "{args:?}"
        );
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}
