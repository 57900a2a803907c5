//! `announce` sends a ref update again; `key` prints what its receiver verifies with.

use crate::support::{KEY, Message, Site};

/// The messages that have arrived at the site's receiver.
fn arrived(site: &Site) -> Vec<Message> {
    let requests = site.receiver.take();
    requests.iter().map(|it| it.message()).collect()
}

#[test]
fn a_receiver_that_lost_a_message_could_not_get_it_again() {
    let site = Site::new();
    let first = site.commit("one");
    site.push(&["main"]);
    let second = site.commit("two");
    let pushed = site.push(&["main"]);
    let pushed = pushed.only();

    let args = [&first[..], &second, "refs/heads/main", "--repo", "test.git"];
    let again = site.refpost(["announce"]).args(args).run().well();
    assert!(
        again.stdout.starts_with("1 message sent to"),
        "{}",
        again.stdout
    );
    let again = arrived(&site).pop().unwrap();
    assert_eq!(again["msg"], pushed["msg"]);
    for key in [
        "old_commit",
        "end_commit",
        "branch",
        "authors",
        "changed_files",
    ] {
        assert_eq!(again[key], pushed[key], "{key}");
    }
    assert_ne!(again.msg_id(), pushed.msg_id());

    // Revisions stand for ids, and zeros for no object.
    let zeros = "0".repeat(40);
    let args = [
        &zeros[..],
        "main^{commit}",
        "refs/heads/main",
        "--repo",
        "test.git",
    ];
    site.refpost(["announce"]).args(args).run().well();
    let topics: Vec<String> = arrived(&site)
        .iter()
        .map(|it| it.topic().to_owned())
        .collect();
    assert_eq!(topics, ["git.branch.creation", "git.receive"]);
}

#[test]
fn a_revision_that_names_nothing_was_gits_to_explain() {
    let site = Site::new();
    site.commit("one");
    site.push(&["main"]);
    let bare = site.bare.canonicalize().unwrap();
    for nosuch in ["nosuch", "main~9", "main:nosuch", "-x", ""] {
        let args = [
            "--repo",
            "test.git",
            "--",
            nosuch,
            "main",
            "refs/heads/main",
        ];
        let ran = site.refpost(["announce"]).args(args).run();
        let told = format!(
            "refpost: `{nosuch}` names no object in `{}`\n",
            bare.display()
        );
        assert_eq!((ran.status, ran.stderr), (1, told), "{nosuch}");
    }
}

#[test]
fn one_endpoint_of_several_is_named() {
    let site = Site::new();
    let (one, two) = (site.receiver.url("/one"), site.receiver.url("/two"));
    site.config_alone(&format!(
        "key = \"{KEY}\"\n[[endpoint]]\nname = \"one\"\nurl = \"{one}\"\n\
         [[endpoint]]\nname = \"two\"\nurl = \"{two}\"\nkey = \"another-key-of-thirty-two-bytes!\"\n"
    ));
    let first = site.commit("one");
    let second = site.commit("two");
    site.try_push(&["origin", "main"]);
    site.receiver.take();
    let announce = |more: &[&str]| {
        let args = [
            "announce",
            &first,
            &second,
            "refs/heads/main",
            "--repo",
            "test.git",
        ];
        site.refpost(args).args(more).run()
    };
    announce(&["--endpoint", "two"]).well();
    let lines: Vec<_> = site.receiver.take().into_iter().map(|it| it.line).collect();
    assert_eq!(lines, ["POST /two HTTP/1.1"]);
    let ran = announce(&["--endpoint", "three"]);
    ran.fails(
        1,
        "refpost: cannot announce to `three`: there is no such endpoint\n\
         hint: `refpost check` lists the endpoints\n",
    );

    let pull = format!("{first} {second} refs/pull/1/head\n");
    let two = "[[endpoint]]\nname = \"two\"\nurl = \"http://127.0.0.1:1/\"\n";
    site.config_alone(&format!(
        "key = \"{KEY}\"\n{two}refs = [\"refs/heads/*\"]\n"
    ));
    let preview = site.refpost(["preview"]).dir(&site.bare).stdin(&pull);
    let ran = preview.env("REFPOST_LOG", "debug").run();
    assert_eq!(
        ran.stderr,
        "refpost: debug: `two` does not get `git.receive`: its `refs` do not match \
         `refs/pull/1/head`\n"
    );
    let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
    let hook = hook.env("GIT_DIR", ".").env("REFPOST_LOG", "debug");
    assert_eq!(hook.stdin(&pull).run().stderr, "");
    site.config_alone(&format!(
        "key = \"{KEY}\"\n[[endpoint]]\nname = \"one\"\nurl = \"{one}\"\n\
         [[endpoint]]\nname = \"two\"\nurl = \"http://127.0.0.1:1/\"\nkey = \"another\"\n"
    ));

    let key = |more: &[&str]| site.refpost(["key", "test.git"]).args(more).run();
    assert_eq!(
        key(&["--endpoint", "one"]).well().stdout,
        format!("{KEY}\n")
    );
    key(&[]).fails(
        1,
        "refpost: cannot print a key: `one` and `two` have different ones\n\
         hint: `--endpoint NAME` selects one\n",
    );
}

#[test]
fn what_is_no_update_is_an_error() {
    let site = Site::new();
    let only = site.commit("one");
    site.push(&["main"]);
    site.receiver.take();
    let announce = |args: &[&str]| {
        let ran = site
            .refpost(["announce", "--repo", "test.git"])
            .args(args)
            .run();
        (ran.status, ran.stderr)
    };
    let (status, said) = announce(&[&only, &only, "refs/heads/main"]);
    assert_eq!(status, 1);
    assert!(
        said.contains("its old and new value are the same"),
        "{said}"
    );
    let (status, said) = announce(&["nowhere", &only, "refs/heads/main"]);
    assert_eq!(status, 1);
    assert!(said.contains("`nowhere` names no object in `"), "{said}");
    let (status, said) = announce(&["--", "--help", &only, "refs/heads/main"]);
    assert_eq!(status, 1, "{said}");
    let (status, said) = announce(&[&only, "HEAD", "main"]);
    assert_eq!(status, 2);
    assert!(said.contains("refs/heads/main"), "{said}");
    assert!(arrived(&site).is_empty());
}
