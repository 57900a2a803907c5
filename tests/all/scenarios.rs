//! What Pagure itself sent for 41 pushes (tests/data/pagure), and what refpost
//! sends for them, whichever way it reads the repository: the same, but for the
//! differences that the contract lists.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::support::{Environment, ZEROS, only_git_opens, parse_bodies};

const CONFIG: &str = r#"
instance = "https://pagure.example.org"
unsigned = true
[project]
fullname = "test"
[people]
"bar@pingou.com" = { name = "pingou", fullname = "PY C" }
"pingou@example.org" = { name = "pingou", fullname = "PY C" }
"foo@bar.com" = { name = "foo", fullname = "foo bar" }
"#;

/// One way in which refpost differs from a recording.
enum Differs {
    /// `msg.FIELD` of message N is this instead.
    In(usize, &'static str, fn() -> Value),
    /// Message N is not sent.
    Without(usize),
    /// This message is sent on top.
    Also(fn() -> Value),
    /// Where Pagure's hook crashed, this is sent.
    InsteadOfCrash(fn() -> Value),
}
use Differs::{Also, In, InsteadOfCrash, Without};

/// Why, in the words of docs/reference/payloads.md.
type Reason = &'static str;

const NO_CARET: Reason = "a new branch's `old_commit` is zeros, without `^`";
const NEW_FILES: Reason = "a new branch's files are those that its new commits changed";
const EXACT: Reason = "a name that contains the default branch's is another name";
const RENAME: Reason = "a rename is a `D` and an `A`";
const NEW_SIDE: Reason = "of unrelated history only the new side counts";
const REWIND: Reason = "a ref that goes back is told";
const TAG_ONLY: Reason = "a tag that brings commits is only a tag";
const NO_CRASH: Reason = "Pagure crashes";

fn zeros() -> Value {
    json!(ZEROS)
}

fn alice() -> Value {
    json!([{"fullname": "Alice A", "name": null, "url_path": null}])
}

/// The tag of a blob or a tree that nobody signed: the pusher stands for it.
fn bare_tag(tag: &str, rev: &str) -> Value {
    json!({"topic": "git.tag.creation", "msg": {
        "agent": "alice", "authors": [{"fullname": "alice", "name": null, "url_path": null}],
        "pagure_instance": "https://pagure.example.org/", "project_fullname": "test",
        "rev": rev, "tag": tag,
    }})
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "a table reads better without `&`"
)]
fn receive(branch: &str, old: &str, new: &str, total: usize, forced: bool, files: Value) -> Value {
    json!({"topic": "git.receive", "msg": {
        "agent": "alice", "authors": alice(), "branch": branch, "changed_files": files,
        "end_commit": new, "forced": forced, "old_commit": old,
        "pagure_instance": "https://pagure.example.org/", "project_fullname": "test",
        "pull_request_id": null, "start_commit": new, "total_commits": total,
    }})
}

macro_rules! scenarios {
    ($($test:ident $name:literal [$(($reason:ident, $differs:expr)),* $(,)?];)*) => {
        const NAMES: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                compare($name, &[$(($reason, $differs)),*]);
            }
        )*
    };
}

scenarios! {
    s01 "01-first-push-default" [(NO_CARET, In(1, "old_commit", zeros))];
    s02 "02-normal-several-commits" [];
    s03 "03-merge-commit" [];
    s04 "04-new-branch" [
        (NO_CARET, In(1, "old_commit", zeros)),
        (NEW_FILES, In(1, "changed_files", || json!({"feat": "A"}))),
    ];
    s05 "05-new-branch-no-new-commits" [];
    s06 "06-new-branch-from-old-commit" [];
    s07 "07-new-branch-name-contains-default" [
        (NO_CARET, In(1, "old_commit", zeros)),
        (NEW_FILES, In(1, "changed_files", || json!({"mm": "A"}))),
        (EXACT, In(1, "authors", alice)),
        (EXACT, In(1, "start_commit", || json!("2179663d72541d17d7e56965759233fc3ce033ae"))),
        (EXACT, In(1, "total_commits", || json!(1))),
    ];
    s08 "08-forced-push-amend" [];
    s09 "09-forced-rewind" [(REWIND, Also(|| receive(
        "feature",
        "2d293f1281621ce7fb4fa3604fada33deb12ab24",
        "acc3d2e1e05b628bbfd0afdd8c4be539b1727537",
        0,
        true,
        json!({"feat": "M"}),
    )))];
    s10 "10-forced-unrelated-newer" [
        (NEW_SIDE, In(0, "authors", alice)),
        (NEW_SIDE, In(0, "start_commit", || json!("5bce5d5e44149bf4ef267a9930062ff452e25adc"))),
        (NEW_SIDE, In(0, "total_commits", || json!(1))),
        (RENAME, In(0, "changed_files", || json!({
            "README": "D", "b": "D", "d": "D", "e": "D", "f": "D", "feat": "D", "m": "D",
            "o": "A", "t": "D",
        }))),
    ];
    s11 "11-forced-unrelated-older" [
        (NEW_SIDE, In(0, "end_commit", || json!("9a59ea2d33668ef4f36217cb10d34a1e263b05b3"))),
        (NEW_SIDE, In(0, "total_commits", || json!(1))),
        (NEW_SIDE, In(0, "changed_files", || json!({"o": "D", "o2": "A"}))),
    ];
    s12 "12-branch-deletion" [];
    s13 "13-annotated-tag-creation" [];
    s14 "14-lightweight-tag-creation" [];
    s15 "15-lightweight-tag-off-any-branch" [(TAG_ONLY, Without(1))];
    s16 "16-tag-name-contains-default" [(TAG_ONLY, Without(1))];
    s17 "17-nested-tag" [];
    s18 "18-normal-single" [];
    s19 "19-tag-update-forward-lightweight" [];
    s20 "20-tag-update-forward-annotated" [];
    s21 "21-tag-update-backward" [(REWIND, Also(|| receive(
        "refs/tags/light",
        "5eb4982e240e3e37bab40b960663d60209bbb6e9",
        "dabd57ffdf40d044beb9923bba9ead3d6284b24a",
        0,
        true,
        json!({"m": "M", "t": "D"}),
    )))];
    s22 "22-tag-deletion-annotated" [];
    s23 "23-tag-deletion-lightweight" [];
    s24 "24-tag-of-a-blob" [(NO_CRASH, InsteadOfCrash(|| {
        bare_tag("blobtag", "0cfbf08886fca9a91cb753ec8734c84fcbe52c9f")
    }))];
    s25 "25-tag-of-a-tree" [(NO_CRASH, InsteadOfCrash(|| {
        bare_tag("treetag", "4515bc89a9bd53bbc4811a72dae40b106377d180")
    }))];
    s26 "26-notes-creation" [(NO_CARET, In(0, "old_commit", zeros))];
    s27 "27-notes-update" [];
    s28 "28-notes-deletion" [];
    s29 "29-multi-ref-push" [];
    s30 "30-other-ref-namespace" [
        (NO_CARET, In(0, "old_commit", zeros)),
        (NEW_FILES, In(0, "changed_files", || json!({"feat": "A"}))),
    ];
    s31 "31-default-branch-deletion" [];
    s40 "40-unicode-and-odd-names" [];
    s41 "41-single-rename" [(RENAME, In(0, "changed_files", || {
        json!({"new name.txt": "A", "old name.txt": "D"})
    }))];
    s42 "42-rename-among-others" [(RENAME, In(0, "changed_files", || {
        json!({"aaa": "A", "n/moved.txt": "A", "new name.txt": "D", "zz": "A"})
    }))];
    s43 "43-two-renames" [(RENAME, In(0, "changed_files", || {
        json!({"aa.txt": "A", "keep": "M", "n/moved.txt": "D", "y": "A", "z": "D"})
    }))];
    s44 "44-copy" [];
    s45 "45-mode-change-and-delete" [];
    s46 "46-type-change" [];
    s47 "47-empty-commit" [];
    s48 "48-non-utf8-file-name" [(NO_CRASH, InsteadOfCrash(|| receive(
        "main",
        "ce7748f8a53be3d6fcf9c665bdf639a8ea4fc69e",
        "3cf784b0ca766e0e3d0a1aea4193015657375327",
        1,
        false,
        json!({"caf\u{fffd}": "A"}),
    )))];
    s49 "49-latin1-author-with-encoding-header" [];
}

#[test]
fn every_recorded_scenario_is_a_test() {
    let recorded = RECORDED.as_array().unwrap();
    let names: Vec<_> = recorded
        .iter()
        .map(|scenario| scenario["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, NAMES);
    assert_eq!(names.len(), 41);
}

pub(crate) static RECORDED: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read(data("scenarios.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
});

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/pagure")
        .join(name)
}

fn compare(name: &str, differences: &[(Reason, Differs)]) {
    let recorded = RECORDED.as_array().unwrap();
    let scenario = recorded.iter().find(|own| own["name"] == name).unwrap();
    let expected = expected(scenario["pagure"].as_array().unwrap(), differences);
    let environment = Environment::new();
    let repository = repository(&environment, scenario);
    let expected = json!(expected);
    let libgit2 = json!(preview(&environment, scenario));
    assert_eq!(libgit2, expected, "refpost on the left");
    only_git_opens(&repository);
    let git = json!(preview(&environment, scenario));
    assert_eq!(git, expected, "refpost, reading through git, on the left");
}

/// Pagure's messages with the differences made, each of which must make one.
fn expected(pagure: &[Value], differences: &[(Reason, Differs)]) -> Vec<Value> {
    let mut messages = pagure.to_vec();
    for (reason, differs) in differences {
        let before = messages.clone();
        match differs {
            In(at, field, value) => {
                let old = messages[*at]["msg"].get_mut(field).unwrap();
                *old = value();
            }
            Without(at) => drop(messages.remove(*at)),
            Also(message) => messages.push(message()),
            InsteadOfCrash(message) => {
                let last = messages.last_mut().unwrap();
                assert!(last["crash"].is_string(), "Pagure did not crash: {last}");
                *last = message();
            }
        }
        assert_ne!(before, messages, "this is no difference: {reason}");
    }
    messages
}

/// What refpost sends, in the form of the recordings.
fn preview(environment: &Environment, scenario: &Value) -> Vec<Value> {
    let ran = environment
        .refpost(["preview", "test.git", "--pusher", "alice"])
        .without("REFPOST_PUSHER")
        .stdin(scenario["stdin"].as_str().unwrap())
        .run()
        .well();
    let messages = parse_bodies(&ran.bytes);
    messages
        .into_iter()
        .map(|message| {
            let mut msg = message.whole["msg"].clone();
            let repo = msg.as_object_mut().unwrap().remove("repo").unwrap();
            assert_eq!(repo["name"], "test");
            assert_eq!(repo["full_url"], "https://pagure.example.org/test");
            // As in the recordings.
            let authors = msg["authors"].as_array_mut().unwrap();
            authors.sort_by_key(|author| author["fullname"].as_str().unwrap().to_owned());
            json!({"msg": msg, "topic": message.whole["topic"]})
        })
        .collect()
}

/// Makes the repository as it was after a recorded push.
pub(crate) fn repository(environment: &Environment, scenario: &Value) -> PathBuf {
    let bare = environment.bare("test.git");
    environment.write("test.git/refpost.toml", CONFIG);
    let bundle = data("scenarios.bundle");
    environment.git(
        &bare,
        &[
            "fetch",
            "-q",
            bundle.to_str().unwrap(),
            "+refs/keep/*:refs/keep/*",
        ],
    );
    let kept = environment.git(&bare, &["for-each-ref", "--format=delete %(refname)"]);
    let refs = scenario["refs"].as_object().unwrap();
    let creations = refs
        .iter()
        .map(|(name, oid)| format!("create {name} {}\n", oid.as_str().unwrap()));
    let updates = format!("{kept}\n{}", creations.collect::<String>());
    environment
        .run("git")
        .dir(&bare)
        .args(["update-ref", "--stdin"])
        .stdin(updates)
        .run()
        .well();
    let head = scenario["head"].as_str().unwrap();
    std::fs::write(bare.join("HEAD"), format!("{head}\n")).unwrap();
    bare
}
