//! Names that break other tools: of refs, of files, of people.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use crate::support::{Site, ZEROS};

fn started() -> Site {
    let site = Site::told_twice();
    site.commit("a");
    site.push(&["main"]);
    site
}

/// Commits by raw bytes: what stands in `author`, and an `encoding` header.
fn raw_commit(site: &Site, author: &[u8], encoding: &str) -> String {
    let tree = site.git(&["rev-parse", "HEAD^{tree}"]);
    let parent = site.git(&["rev-parse", "HEAD"]);
    let mut text = format!("tree {tree}\nparent {parent}\nauthor ").into_bytes();
    text.extend(author);
    text.extend(b" <x@example.org> 1800000000 +0000\n");
    text.extend(b"committer C <c@example.org> 1800000000 +0000\n");
    if !encoding.is_empty() {
        text.extend(format!("encoding {encoding}\n").bytes());
    }
    text.extend(b"\nmessage\n");
    let hash = site.git_run(&[
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--stdin",
        "--literally",
    ]);
    let id = hash.stdin(text).run().well().stdout.trim().to_owned();
    site.git(&["reset", "-q", "--hard", &id]);
    id
}

#[test]
fn an_author_is_decoded_as_the_commit_says() {
    let site = started();
    let table: &[(&[u8], &str, &str)] = &[
        (b"Jos\xe9 Garc\xeda", "ISO-8859-1", "José García"),
        (b"\x8aime \x80", "windows-1251", "Љime Ђ"),
        (b"\xb1\xb3\xcc\xbe", "euc-jp", "嘘名"),
        (b"\x8e\xa0 \x83e", "Shift_JIS", "滋 テ"),
        ("Zoë 日本 😀".as_bytes(), "", "Zoë 日本 😀"),
        ("Zoë".as_bytes(), "UTF-8", "Zoë"),
        (b"Jos\xe9", "", "Jos\u{fffd}"),
        (b"Jos\xe9 A", "no-such-label", "Jos\u{fffd} A"),
        (b"\"Quoted\" O'Name \\ x", "", "\"Quoted\" O'Name \\ x"),
        (
            "before\u{2028}after\u{85}end".as_bytes(),
            "",
            "before\u{2028}after\u{85}end",
        ),
        (
            b"bell \x07 esc \x1b[31m del \x7f",
            "",
            "bell \u{7} esc \u{1b}[31m del \u{7f}",
        ),
        (b"", "", ""),
    ];
    for (bytes, encoding, name) in table {
        raw_commit(&site, bytes, encoding);
        let push = site.push(&["main"]);
        assert_eq!(push.only().authors(), [*name], "{encoding}");
    }
}

#[test]
fn paths_that_become_one_key_are_counted() {
    let site = started();
    for name in [&b"caf\xe9"[..], b"caf\xe8", b"other"] {
        site.file(OsStr::from_bytes(name), "x");
    }
    site.commit_by("Ada");
    let push = site.push(&["main"]);
    let message = push.only();
    let files = json!({"caf\u{fffd}": "A", "other": "A"});
    assert_eq!(message["changed_files"], files);
    assert_eq!(message["changed_files_truncated"], true);
    assert_eq!(message["total_changed_files"], 3);
}

/// Names of encodings are iconv(3)'s, which are more, and others, than those of the web.
#[test]
fn an_encoding_is_what_git_takes_it_for() {
    let site = started();
    let table: &[(&[u8], &str)] = &[
        (b"\xb0\xa1\x8c\x63", "CP949"),
        (b"\x8e\xa0\xfa\x40", "cp932"),
        (b"\xc4\xe3\x80", "CP936"),
        (b"\xb1\xb3\xcc\xbe", "eucJP"),
        (b"Jos\x82", "CP850"),
        (b"Jos\xe9", "latin-1"),
        (b"Jos\xe9", "latin1"),
        (b"\x1b$)C\x0e0!\x0f", "ISO-2022-KR"),
        (b"\x1b$B4A;z\x1b(B", "ISO-2022-JP"),
        (b"abcd", "UTF-16"),
        (b"Jos\x80", "iso-8859-1"),
        (b"\x80", "ascii"),
        (b"\xff\xff", "euc-jp"),
        (b"Jos\xe9", ""),
        (b"Jos\xe9", "utf8"),
        (b"+AOk-", "UTF-7"),
    ];
    for (bytes, encoding) in table {
        raw_commit(&site, bytes, encoding);
        let push = site.push(&["main"]);
        let log = ["log", "-1", "--encoding=UTF-8", "--format=%an%n%ae", "main"];
        let told = site.run("git").dir(&site.bare).args(log).run().well().bytes;
        let told = String::from_utf8_lossy(&told).into_owned();
        let (name, _) = told.split_once('\n').unwrap();
        assert_eq!(push.only().authors(), [name.trim()], "{encoding}");
    }
}

/// git itself pushes such commits about; fsck is off unless somebody asks for it.
#[test]
fn a_commit_with_a_malformed_author_is_announced() {
    let mut unannounced = Vec::new();
    for author in [
        "author no address at all\n",
        "author <> \n",
        "author A <a@x\n",
        "author A <a@x> never\n",
        "",
    ] {
        let site = started();
        let tree = site.git(&["rev-parse", "HEAD^{tree}"]);
        let text = format!("tree {tree}\n{author}committer C <c@x> 1 +0000\n\nx\n");
        let hash = site.git_run(&[
            "hash-object",
            "-t",
            "commit",
            "-w",
            "--stdin",
            "--literally",
        ]);
        let id = hash.stdin(text).run().stdout.trim().to_owned();
        let odd = format!("{id}:refs/heads/odd");
        let push = site.try_push(&["origin", &odd, "main:refs/tags/fine"]);
        assert_eq!(push.status, 0, "{}", push.said);
        if push.messages.len() != 3 {
            unannounced.push((author, push.said));
        }
    }
    assert!(unannounced.is_empty(), "{unannounced:#?}");
}

#[test]
fn accounts_and_unknown_names_appear_once_each() {
    let site = started();
    site.config(
        "instance = \"https://git.example.org\"\n[people]\n\
         \"one@x\" = { name = \"ann\", fullname = \"Ann\" }\n\
         \"two@x\" = { name = \"ann\", fullname = \"Ann\" }\n",
    );
    for (name, email) in [
        ("Zed", "zed@x"),
        ("Ann at home", "one@x"),
        ("Ann", "unknown@x"),
        ("Zed", "other@x"),
        ("Ann at work", "two@x"),
        ("zed", "zed@x"),
    ] {
        let commit = site.git_run(&["commit", "-q", "--allow-empty", "-m", "x"]);
        let commit = commit
            .env("GIT_AUTHOR_NAME", name)
            .env("GIT_AUTHOR_EMAIL", email);
        commit.run().well();
    }
    let push = site.push(&["main"]);
    assert_eq!(
        push.only()["authors"],
        json!([
            {"fullname": "Zed", "name": null, "url_path": null},
            {"full_url": "https://git.example.org/user/ann", "fullname": "Ann", "name": "ann",
             "url_path": "user/ann"},
            {"fullname": "Ann", "name": null, "url_path": null},
            {"fullname": "zed", "name": null, "url_path": null},
        ])
    );
}

#[test]
fn file_names_are_kept_whatever_they_are() {
    let site = started();
    let names: &[&[u8]] = &[
        b"new\nline",
        b"tab\tname",
        b"quote\"d",
        b"back\\slash",
        b" space ",
        b"caf\xe9",
        "é😀".as_bytes(),
        b"\x01\x7f",
        b"-dash",
        "日本/語.md".as_bytes(),
        b"a{b}=>c",
    ];
    for name in names {
        site.file(OsStr::from_bytes(name), "x");
    }
    let old = site.git(&["rev-parse", "HEAD"]);
    let new = site.commit_by("Ada");
    let push = site.push(&["main"]);
    let mut expected: Vec<_> = names
        .iter()
        .map(|name| (String::from_utf8_lossy(name).into_owned(), "A".to_owned()))
        .collect();
    expected.sort();
    assert_eq!(push.only().changed(), expected);
    assert_eq!(push.only().changed(), site.diff(Some(&old), &new));
}

#[test]
fn ref_names_are_kept_whatever_they_are() {
    let site = started();
    let tip = site.git(&["rev-parse", "HEAD"]);
    let long = ["segment-of-thirty-characters-x"; 8].join("/");
    let names = [
        "é",
        "日本/語",
        "😀",
        "quote\"d",
        "apo'strophe",
        "a;b&c|d",
        "$(x)",
        "100%",
        "<b>",
        "a,b",
        "refs/heads/x",
        "heads/x",
        "tags/y",
        "HEAD",
        "main/../x".split('.').next().unwrap(),
        "-dash",
        "\u{a0}nbsp",
        "\u{202e}bidi",
        &long,
    ];
    for name in names.iter().filter(|name| !name.ends_with('/')) {
        for (space, topic) in [
            ("heads", "git.branch.creation"),
            ("tags", "git.tag.creation"),
        ] {
            let push = site.push(&[&format!("main:refs/{space}/{name}")]);
            assert_eq!(push.only().about(), (topic, *name));
            assert_eq!(push.only()["rev"], tip);
        }
    }
    assert!(long.len() > 200);
}

#[test]
fn a_ref_name_that_is_no_utf8_is_announced() {
    let site = started();
    site.commit("b");
    let name = OsStr::from_bytes(b"main:refs/heads/caf\xe9");
    let push = site.git_run(&["push", "origin"]).arg(name);
    let push = site.push_by(push);
    assert_eq!(push.status, 0, "{}", push.said);
    assert_eq!(
        push.about(),
        [
            ("git.branch.creation", "caf\u{fffd}"),
            ("git.receive", "caf\u{fffd}")
        ]
    );
    assert_eq!(push.messages[1]["old_commit"], ZEROS);
}
