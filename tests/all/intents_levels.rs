//! The levels of safety: post-receive only, guaranteed, guaranteed with `require`,
//! and hosts that offer `update` or `post-update` only.

use std::fs;

use crate::enable::{bare_site, snapshot};
use crate::support::{Push, Site};

const CREATED: &str = "git.branch.creation";
const DELETED: &str = "git.branch.deletion";
const RECEIVED: &str = "git.receive";
const TAGGED: &str = "git.tag.creation";
const UNTAGGED: &str = "git.tag.deletion";

/// What refpost itself said, hints and the rest of git's words left out.
pub(crate) fn said(push: &Push) -> Vec<&str> {
    let lines = push.remote().into_iter();
    lines.filter(|line| line.starts_with("refpost: ")).collect()
}

#[test]
fn guaranteed_links_three_hooks_and_disable_unlinks_them() {
    let site = bare_site();
    let before = snapshot(&site.bare.join("hooks"));
    let check = || site.refpost(["check", "test.git"]).run().stdout;
    let hook = |name: &str| site.bare.join("hooks").join(name).display().to_string();
    let names = ["pre-receive", "post-receive", "reference-transaction"];

    site.refpost(["enable", "test.git"]).run().well();
    let text = check();
    assert!(
        text.contains("refpost enable --guaranteed test.git records it before"),
        "{text}"
    );
    assert!(!text.contains("ok: guaranteed"), "{text}");

    let ran = site
        .refpost(["enable", "--guaranteed", "test.git"])
        .run()
        .well();
    let (pre, post, transaction) = (hook(names[0]), hook(names[1]), hook(names[2]));
    let expected = format!("linked `{pre}`\nalready linked `{post}`\nlinked `{transaction}`\n");
    assert_eq!(ran.stdout, expected);
    let text = check();
    assert!(
        text.contains("ok: guaranteed: a push is recorded before its refs move"),
        "{text}"
    );
    for name in names {
        assert!(
            text.contains(&format!("ok: hook `{}`\n", hook(name))),
            "{text}"
        );
    }

    // Two of three guarantee nothing.
    fs::remove_file(transaction.clone()).unwrap();
    assert!(!check().contains("ok: guaranteed"));
    site.guarantee();

    let ran = site.refpost(["disable", "test.git"]).run().well();
    let expected = format!("unlinked `{pre}`\nunlinked `{post}`\nunlinked `{transaction}`\n");
    assert_eq!(ran.stdout, expected);
    assert_eq!(snapshot(&site.bare.join("hooks")), before);
}

#[test]
fn guaranteed_hooks_share_their_places() {
    let site = bare_site();
    let record = site.path("record").display().to_string();
    for name in ["pre-receive", "post-receive", "reference-transaction"] {
        let text = format!("cat > /dev/null; echo {name} $1 >> {record}");
        site.hook(name, &text);
    }
    let before = snapshot(&site.bare.join("hooks"));
    site.guarantee();
    let text = site.refpost(["check", "test.git"]).run().stdout;
    assert!(text.contains("ok: guaranteed"), "{text}");
    site.commit("a");
    let push = site.push(&["main"]);
    assert_eq!(push.about(), [(CREATED, "main"), (RECEIVED, "main")]);
    assert_eq!(site.intents(), [""; 0], "it was found through two shells");
    site.assert_quiet();
    let record = fs::read_to_string(&record).unwrap();
    let lines: Vec<_> = record.lines().collect();
    for line in [
        "pre-receive",
        "reference-transaction committed",
        "post-receive",
    ] {
        assert!(lines.contains(&line), "{record}");
    }
    site.refpost(["disable", "test.git"]).run().well();
    assert_eq!(snapshot(&site.bare.join("hooks")), before);
}

#[test]
fn a_guaranteed_push_is_announced_once() {
    for atomic in [&["--atomic"][..], &[]] {
        let site = Site::guaranteed();
        let push = |refspecs: &[&str]| {
            let push = site.try_push(&[&["--force"], atomic, &["origin"], refspecs].concat());
            assert_eq!(push.status, 0, "{}", push.said);
            assert_eq!(site.intents(), [""; 0]);
            site.assert_quiet();
            let about = push.about().into_iter();
            let mut about: Vec<_> = about.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
            about.sort();
            about
        };
        let told = |told: &[(&str, &str)]| -> Vec<(String, String)> {
            let mut told: Vec<_> = told
                .iter()
                .map(|(a, b)| ((*a).into(), (*b).into()))
                .collect();
            told.sort();
            told
        };
        site.commit("a");
        site.git(&["tag", "light"]);
        site.git(&["tag", "-a", "-m", "x", "heavy"]);
        assert_eq!(
            push(&["main"]),
            told(&[(CREATED, "main"), (RECEIVED, "main")])
        );
        assert_eq!(push(&["main"]), told(&[]), "nothing moved");
        assert_eq!(
            push(&["light", "heavy", "main:b"]),
            told(&[(TAGGED, "light"), (TAGGED, "heavy"), (CREATED, "b")])
        );
        site.commit("b");
        assert_eq!(
            push(&["main", ":b", ":heavy", "main:refs/heads/c"]),
            told(&[
                (RECEIVED, "main"),
                (DELETED, "b"),
                (UNTAGGED, "heavy"),
                (CREATED, "c"),
            ]),
        );
        site.git(&["commit", "-q", "--amend", "-m", "other"]);
        assert_eq!(push(&["main"]), told(&[(RECEIVED, "main")]), "forced");
        assert_eq!(
            push(&[":c", ":light"]),
            told(&[(DELETED, "c"), (UNTAGGED, "light")])
        );
        // What never was there cannot go: git says it did, as 0 → 0.
        assert_eq!(push(&[":refs/heads/none"]), told(&[]));
    }
}

#[test]
fn a_push_that_another_pre_receive_rejects_leaves_nothing_behind() {
    let site = Site::new();
    site.hook("pre-receive", "cat > /dev/null; exit 1");
    site.guarantee();
    site.commit("a");
    assert_ne!(site.try_push(&["origin", "main"]).status, 0);
    assert_eq!(
        site.intents(),
        [""; 0],
        "ours comes last, and so not at all"
    );
    site.assert_quiet();
}

/// One that runs after ours, as a host's own order may have it.
#[test]
fn a_push_that_a_later_hook_rejects_leaves_nothing_behind() {
    for name in ["pre-receive", "update", "reference-transaction"] {
        let site = Site::guaranteed();
        site.commit("a");
        site.push(&["main"]);
        match name {
            "pre-receive" => site.hook(name, "REFPOST hook pre-receive; exit 1"),
            "update" => site.hook(name, "exit 1"),
            _ => site.hook(name, "cat > /dev/null; test $1 != prepared"),
        }
        site.commit("b");
        let push = site.try_push(&["origin", "main", "main:b"]);
        assert_ne!(push.status, 0, "{name}: {}", push.said);
        assert_eq!(push.about(), [], "{name}");
        assert_eq!(site.intents().len(), 1, "{name}: recorded before");
        site.assert_quiet();
        // And later neither, when the refs do move: only once.
        let push = site.try_push(&["origin", "main", "main:b"]);
        assert_ne!(push.status, 0);
        fs::remove_file(site.bare.join("hooks").join(name)).unwrap();
        site.guarantee();
        let push = site.push(&["main", "main:b"]);
        assert_eq!(push.about(), [(RECEIVED, "main"), (CREATED, "b")], "{name}");
        site.assert_quiet();
    }
}

#[test]
fn of_a_push_rejected_in_part_exactly_what_moved_is_announced() {
    let site = Site::guaranteed();
    site.hook("update", "case $1 in */bad*) exit 1 ;; esac");
    site.commit("a");
    let push = site.try_push(&[
        "origin",
        "main",
        "main:bad",
        "main:bad2",
        "main:refs/tags/v1",
    ]);
    assert_ne!(push.status, 0);
    assert_eq!(
        push.about(),
        [(CREATED, "main"), (RECEIVED, "main"), (TAGGED, "v1")]
    );
    assert_eq!(site.intents(), [""; 0], "settled by the same push");
    site.assert_quiet();
    let push = site.try_push(&["--atomic", "origin", "main:bad", "main:b"]);
    assert_ne!(push.status, 0);
    assert_eq!(push.about(), [], "all or nothing");
    site.assert_quiet();
}

/// What keeps a push from being recorded, and what the cause reads like.
const OBSTACLES: [(&str, &str); 4] = [
    ("file", "not a directory"),
    ("no place", "no such file or directory"),
    ("full", "file too large"),
    ("config", "unknown key `ulrs`, did you mean `urls`?"),
];

fn obstructed(what: &str, require: bool) -> Site {
    let site = Site::guaranteed();
    let require = if require { "require = true\n" } else { "" };
    site.config(require);
    match what {
        "file" => {
            fs::create_dir_all(site.bare.join("refpost")).unwrap();
            fs::write(site.spool(), "in the way").unwrap();
        }
        // proc(5) takes no folders, not even root's.
        "no place" => site.config(&format!("{require}spool = \"/proc/refpost/spool\"\n")),
        // No file may grow, which is how a full disk or a quota shows.
        "full" => site.hook(
            "pre-receive",
            "trap '' XFSZ\nulimit -f 0\nexec REFPOST hook pre-receive",
        ),
        _ => site.config(&format!("{require}ulrs = []\n")),
    }
    site
}

#[test]
fn require_refuses_a_push_that_cannot_be_recorded() {
    for (what, cause) in OBSTACLES {
        let site = obstructed(what, true);
        site.commit("a");
        let push = site.try_push(&["origin", "main", "main:b"]);
        assert_ne!(push.status, 0, "{what}: {}", push.said);
        let said = said(&push);
        assert_eq!(said.len(), 1, "{what}: {}", push.said);
        let line = said[0];
        assert!(
            line.starts_with("refpost: cannot record the push: "),
            "{line}"
        );
        assert!(line.to_lowercase().contains(cause), "{line}");
        assert!(
            line.ends_with("(the push is refused, as `require` has it)"),
            "{line}"
        );
        assert_eq!(
            site.bare_git(&["for-each-ref"]),
            "",
            "{what}: nothing moved"
        );
        assert_eq!(push.about(), []);
    }
}

#[test]
fn without_require_the_same_push_goes_through_and_says_so() {
    for (what, cause) in OBSTACLES {
        let site = obstructed(what, false);
        site.commit("a");
        let push = site.try_push(&["origin", "main"]);
        assert_eq!(push.status, 0, "{what}: {}", push.said);
        assert_ne!(site.bare_git(&["for-each-ref"]), "", "{what}");
        let said = said(&push);
        if what == "config" {
            // Both hooks record what they can, in the repository's own spool.
            assert_eq!(said.len(), 1, "{}", push.said);
            assert!(said[0].ends_with("(your push was accepted)"), "{}", said[0]);
            site.config("");
            let flushed = site.flush();
            assert_eq!(flushed.len(), 2);
            site.assert_quiet();
            continue;
        }
        let line = said[0];
        assert!(
            line.starts_with("refpost: cannot record the push: "),
            "{line}"
        );
        assert!(line.to_lowercase().contains(cause), "{line}");
        assert!(line.ends_with("(the push goes on)"), "{line}");
        if what == "full" {
            // post-receive itself had room again.
            assert_eq!(push.about(), [(CREATED, "main"), (RECEIVED, "main")]);
        } else {
            assert!(said[1].ends_with("(your push was accepted)"), "{}", said[1]);
        }
    }
}

#[test]
fn require_lets_a_push_that_is_recorded_through() {
    let site = Site::guaranteed();
    site.config("require = true\n");
    site.commit("a");
    assert_eq!(
        site.push(&["main"]).about(),
        [(CREATED, "main"), (RECEIVED, "main")]
    );
    site.assert_quiet();
}

#[test]
fn require_refuses_a_move_outside_a_push_too() {
    let site = obstructed("file", true);
    let blob = site.bare_git(&["hash-object", "-w", "--stdin"]);
    let ran = site.run("git").dir(&site.bare);
    let ran = ran.args(["update-ref", "refs/tags/x", &blob]).run();
    assert_ne!(ran.status, 0);
    assert!(
        ran.stderr
            .contains("(the transaction is refused, as `require` has it)"),
        "{}",
        ran.stderr
    );
    assert_eq!(site.bare_git(&["for-each-ref"]), "");
}

#[test]
fn require_refuses_through_update_alone() {
    let site = obstructed("file", true);
    site.link_only(&["update", "post-receive"]);
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert_ne!(push.status, 0);
    assert_eq!(said(&push).len(), 1, "{}", push.said);
    assert_eq!(site.bare_git(&["for-each-ref"]), "");
}

#[test]
fn no_endpoint_means_no_intent() {
    let site = Site::guaranteed();
    site.config_alone("require = true\n");
    site.commit("a");
    let push = site.push(&["main"]);
    assert_eq!((push.about(), said(&push)), (vec![], vec![]));
    assert!(!site.bare.join("refpost").exists());
}

/// `require` in a file that is broken is what TOML makes of it, and not what a line looks like.
#[test]
fn a_broken_file_asks_for_what_toml_reads_in_it() {
    for (text, is_refused) in [
        ("\"require\" = true\nulrs = []\n", true),
        ("ulrs = []\nrequire = true # so it is\nx = [\n", true),
        ("ulrs = \"\"\"\nrequire = true\n\"\"\"\n", false),
        ("ulrs = []\n[project]\nrequire = true\n", false),
    ] {
        let site = obstructed("config", false);
        site.config(text);
        site.commit("a");
        let push = site.try_push(&["origin", "main"]);
        assert_eq!(push.status != 0, is_refused, "{text}: {}", push.said);
    }
}
