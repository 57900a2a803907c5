//! What moves without a push: one entry for each transaction, and silence about
//! git's housekeeping. On loose and packed refs and in a reftable, with each git
//! that this machine has.

use std::fs;

use crate::support::{Message, Place, REFPOST, Request, everywhere};

const CREATED: &str = "git.branch.creation refs/heads/";

#[test]
fn update_ref() {
    everywhere(|outside| {
        let place = outside.bare();
        let [one, two] = &place.ids;
        place.tells(
            &["update-ref", "refs/heads/x", one],
            &[&format!("{CREATED}x")],
        );
        place.tells(
            &["update-ref", "refs/heads/x", two],
            &["git.receive refs/heads/x"],
        );
        place.is_silent(&["update-ref", "refs/heads/x", two]);
        place.tells(
            &["update-ref", "refs/heads/x", one, two],
            &["git.receive refs/heads/x"],
        );
        outside.pack(&place.path);
        place.tells(
            &["update-ref", "refs/heads/x", two],
            &["git.receive refs/heads/x"],
        );
        // Loose over packed: git deletes it twice.
        place.tells(
            &["update-ref", "-d", "refs/heads/x"],
            &["git.branch.deletion refs/heads/x"],
        );
        place.tells(
            &["update-ref", "-d", "refs/tags/old", one],
            &["git.tag.deletion refs/tags/old"],
        );
        let wrong = ["update-ref", "refs/heads/main", one, one];
        assert_ne!(outside.try_run(&place.path, &wrong, "").status, 0);
        place.told_of(&wrong, &[]);
    });
}

#[test]
fn several_refs_in_one_transaction_are_one_entry() {
    everywhere(|outside| {
        let place = outside.bare();
        let [one, two] = &place.ids;
        let input = format!(
            "start\ncreate refs/heads/a {one}\ncreate refs/heads/b {one}\ncreate refs/tags/c {two}\n\
             update refs/heads/main {one} {two}\ndelete refs/tags/old {one}\nverify refs/heads/none\n\
             prepare\ncommit\n"
        );
        let args = ["update-ref", "--stdin"];
        let ran = outside.try_run(&place.path, &args, &input);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        place.told_of(
            &args,
            &[
                &format!("{CREATED}a"),
                &format!("{CREATED}b"),
                "git.tag.creation refs/tags/c",
                "git.receive refs/heads/main",
                "git.tag.deletion refs/tags/old",
            ],
        );
    });
}

#[test]
fn a_transaction_that_is_given_up_tells_nothing() {
    everywhere(|outside| {
        let place = outside.bare();
        let [one, _] = &place.ids;
        let args = ["update-ref", "--stdin"];
        for end in ["abort\n", ""] {
            let input =
                format!("start\ncreate refs/heads/a {one}\ndelete refs/tags/old\nprepare\n{end}");
            outside.try_run(&place.path, &args, &input);
            place.told_of(&args, &[]);
            assert!(
                !outside
                    .run(&place.path, &["for-each-ref"])
                    .contains("refs/heads/a")
            );
        }
    });
}

#[test]
fn a_transaction_that_another_hook_refuses_tells_nothing() {
    everywhere(|outside| {
        let place = outside.bare();
        let [one, _] = &place.ids;
        let hook = place.path.join("hooks/reference-transaction");
        let create = ["update-ref", "refs/heads/a", one];
        for refuses_first in [true, false] {
            fs::remove_file(&hook).ok();
            let ours = format!("'{REFPOST}' hook reference-transaction \"$@\"");
            let refuse = "cat >/dev/null; test \"$1\" != prepared";
            let text = if refuses_first {
                outside
                    .environment
                    .script(&hook, &format!("#!/bin/sh\n{refuse}\n"));
                let enable = ["enable", "--guaranteed", "test.git"];
                outside.environment.refpost(enable).run().well();
                fs::read_to_string(&hook).unwrap()
            } else {
                format!("#!/bin/sh\n{ours}\n{refuse}\n")
            };
            outside.environment.script(&hook, &text);
            assert_ne!(outside.try_run(&place.path, &create, "").status, 0);
            place.told_of(&create, &[]);
        }
    });
}

#[test]
fn housekeeping_is_silent() {
    everywhere(|outside| {
        for place in [outside.bare(), outside.work()] {
            let [one, two] = &place.ids;
            for name in ["a", "b", "c"] {
                let name = format!("refs/heads/{name}");
                place.outside.run(&place.path, &["update-ref", &name, one]);
            }
            place
                .outside
                .run(&place.path, &["update-ref", "refs/heads/a", two]);
            assert_eq!(place.told().len(), 4);
            place.is_silent(&["pack-refs", "--all"]);
            place.is_silent(&["pack-refs", "--all"]);
            place
                .outside
                .run(&place.path, &["update-ref", "refs/heads/a", one]);
            place.told();
            place.is_silent(&["gc", "-q", "--prune=now"]);
            place.is_silent(&["reflog", "expire", "--expire=now", "--all"]);
            place.is_silent(&["symbolic-ref", "refs/heads/alias", "refs/heads/a"]);
            place.is_silent(&["symbolic-ref", "HEAD", "refs/heads/a"]);
            place.is_silent(&["symbolic-ref", "HEAD", "refs/heads/main"]);
            for name in ["ORIG_HEAD", "refs/remotes/origin/x", "refs/bisect/bad"] {
                place.is_silent(&["update-ref", name, one]);
                place.is_silent(&["update-ref", name, two]);
                place.is_silent(&["update-ref", "-d", name]);
            }
            let branch = place
                .outside
                .run(&place.path, &["for-each-ref", "refs/heads/b"]);
            assert!(branch.starts_with(one.as_str()));
        }
    });
}

#[test]
fn a_fetch_into_a_mirror_is_announced() {
    everywhere(|outside| {
        let work = outside.init("seed", &[]);
        let [one, _] = outside.seed(&work);
        let source = outside.environment.path("seed/.git");
        let path = outside.environment.path("test.git");
        let mut clone = vec!["clone", "-q", "--mirror"];
        clone.extend((outside.refs == "reftable").then_some("--ref-format=reftable"));
        clone.extend([source.to_str().unwrap(), "test.git"]);
        outside.run(&outside.environment.path(""), &clone);
        let spool = outside.guarantee(&path, &path);
        outside.pack(&path);
        let place = Place {
            outside,
            path,
            spool,
            ids: [one.clone(), one.clone()],
        };
        place.is_silent(&["fetch", "-q"]);

        outside.run(&work, &["commit", "-q", "--allow-empty", "-m", "three"]);
        outside.run(&work, &["branch", "x", &one]);
        outside.run(&work, &["tag", "v1"]);
        outside.run(&work, &["tag", "-d", "old"]);
        outside.run(&work, &["update-ref", "refs/remotes/up/x", &one]);
        let received = [
            "git.receive refs/heads/main",
            "git.tag.creation refs/tags/v1",
        ];
        let x = format!("{CREATED}x");
        let told = [
            "git.tag.deletion refs/tags/old",
            received[0],
            received[1],
            &x,
        ];
        outside.run(&place.path, &["fetch", "-q", "--prune"]);
        let entries = place.told();
        // Each ref in a transaction of its own, unless it is asked to be atomic.
        assert_eq!(entries.len(), told.len(), "{entries:?}");
        let mut all = entries.concat();
        all.sort();
        let mut expected = told.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(all, expected);

        outside.run(&work, &["tag", "v2"]);
        outside.run(&work, &["branch", "-f", "x", "main"]);
        let told = ["git.receive refs/heads/x", "git.tag.creation refs/tags/v2"];
        place.tells(&["fetch", "-q", "--atomic"], &told);
        place.is_silent(&["fetch", "-q", "--prune"]);
    });
}

#[test]
fn the_config_chooses_which_refs_count() {
    everywhere(|outside| {
        let place = outside.bare();
        let [one, two] = &place.ids;
        outside.configure(
            &place.path,
            "refs = [\"refs/heads/*\", \"!refs/heads/wip/*\"]\n",
        );
        place.tells(
            &["update-ref", "refs/heads/x", one],
            &[&format!("{CREATED}x")],
        );
        place.is_silent(&["update-ref", "refs/heads/wip/x", one]);
        place.is_silent(&["update-ref", "refs/tags/x", one]);
        let input = format!("create refs/heads/y {one}\ncreate refs/heads/wip/y {one}\n");
        let args = ["update-ref", "--stdin"];
        assert_eq!(outside.try_run(&place.path, &args, &input).status, 0);
        place.told_of(&args, &[&format!("{CREATED}y")]);
        outside.configure(&place.path, "refs = [\"*\"]\n");
        // Of what is neither a branch nor a tag, only new commits are told.
        let name = "refs/remotes/o/x";
        place.is_silent(&["update-ref", name, one]);
        place.tells(
            &["update-ref", name, two],
            &["git.receive refs/remotes/o/x"],
        );
    });
}

/// Killed between `prepared` and `committed`, or after: as with a push.
#[test]
fn a_move_whose_git_dies_is_settled_by_a_flush() {
    everywhere(|outside| {
        let place = outside.bare();
        let [one, _] = &place.ids;
        let hook = place.path.join("hooks/reference-transaction");
        for (state, moved) in [("prepared", false), ("committed", true)] {
            fs::remove_file(&hook).unwrap();
            let dies = format!(
                "#!/bin/sh\nif test $1 = {state}; then\n\
                 test $1 = prepared && '{REFPOST}' hook reference-transaction \"$@\"\n\
                 kill -9 $PPID; exit\nfi\nexec '{REFPOST}' hook reference-transaction \"$@\"\n"
            );
            outside.environment.script(&hook, &dies);
            let name = format!("refs/heads/{state}");
            let ran = outside.try_run(&place.path, &["update-ref", &name, one], "");
            assert_ne!(ran.status, 0);
            let flush = outside.environment.refpost(["flush", "test.git"]);
            flush.env("PATH", &outside.git.path).run().well();
            let requests = outside.receiver.take();
            let about: Vec<_> = requests.iter().map(Request::message).collect();
            let about: Vec<_> = about.iter().map(Message::about).collect();
            let expected = [("git.branch.creation", state)];
            assert_eq!(about, &expected[..usize::from(moved)], "{}", outside.refs);
            place.told_of(&["update-ref"], &[]);
            for lock in ["reftable/tables.list.lock", &format!("{name}.lock")] {
                fs::remove_file(place.path.join(lock)).ok();
            }
        }
    });
}
