//! What moves without a push: one entry for each transaction, and silence about
//! git's housekeeping. On loose and packed refs and in a reftable, with each git
//! that this machine has.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Environment, Git, REFPOST, Ran, Receiver, Request, names, take_entries};

/// Repositories that are guaranteed, and a git to move their refs.
struct Outside<'a> {
    environment: Environment,
    git: &'a Git,
    receiver: Receiver,
    /// `files`, `packed` or `reftable`.
    refs: &'a str,
}

impl Outside<'_> {
    /// git in a folder; its output without the last line break.
    #[track_caller]
    fn run(&self, folder: &Path, args: &[&str]) -> String {
        let ran = self.try_run(folder, args, "");
        assert_eq!(ran.status, 0, "git {args:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout.trim_end().to_owned()
    }

    fn try_run(&self, folder: &Path, args: &[&str], stdin: &str) -> Ran {
        let runner = self.environment.run("git").env("PATH", &self.git.path);
        let runner = runner.without("GIT_COMMITTER_DATE");
        runner.dir(folder).args(args).stdin(stdin).run()
    }

    /// Makes a repository; its refs are kept as the trial has it.
    fn init(&self, name: &str, more: &[&str]) -> PathBuf {
        let path = self.environment.path(name);
        let mut args = vec!["init", "-q", "-b", "main"];
        args.extend((self.refs == "reftable").then_some("--ref-format=reftable"));
        args.extend(more);
        args.push(name);
        self.run(&self.environment.path(""), &args);
        path
    }

    /// Links the hooks and writes a configuration; gives the spool.
    fn guarantee(&self, repository: &Path, git_dir: &Path) -> PathBuf {
        let enable = ["enable", "--guaranteed", repository.to_str().unwrap()];
        let enable = self.environment.refpost(enable);
        enable.env("PATH", &self.git.path).run();
        assert!(git_dir.join("hooks/reference-transaction").is_symlink());
        self.configure(git_dir, "");
        git_dir.join("refpost/spool")
    }

    fn configure(&self, git_dir: &Path, more: &str) {
        let url = self.receiver.url("/");
        let text = format!("mode = \"spool\"\nurls = [\"{url}\"]\nunsigned = true\n{more}");
        self.environment.write(git_dir.join("refpost.toml"), text);
    }

    /// `main` and two tags, before any hook is there.
    fn seed(&self, work: &Path) -> [String; 2] {
        let commit = [
            "-c",
            "core.hooksPath=/dev/null",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
        ];
        self.run(work, &[&commit[..], &["one"]].concat());
        let one = self.run(work, &["rev-parse", "HEAD"]);
        self.run(work, &[&commit[..], &["two"]].concat());
        let two = self.run(work, &["rev-parse", "HEAD"]);
        self.run(
            work,
            &["-c", "core.hooksPath=/dev/null", "tag", "old", &one],
        );
        self.pack(work);
        [one, two]
    }

    fn pack(&self, folder: &Path) {
        if self.refs == "packed" {
            self.run(
                folder,
                &["-c", "core.hooksPath=/dev/null", "pack-refs", "--all"],
            );
        }
    }

    fn work(&self) -> Place<'_> {
        let path = self.init("work", &[]);
        let ids = self.seed(&path);
        let spool = self.guarantee(&path, &path.join(".git"));
        Place {
            outside: self,
            path,
            spool,
            ids,
        }
    }

    fn bare(&self) -> Place<'_> {
        let work = self.init("seed", &[]);
        let ids = self.seed(&work);
        let path = self.init("test.git", &["--bare"]);
        let text = path.to_str().unwrap();
        self.run(
            &work,
            &["push", "-q", text, "refs/heads/*:refs/heads/*", "--tags"],
        );
        self.pack(&path);
        let spool = self.guarantee(&path, &path);
        Place {
            outside: self,
            path,
            spool,
            ids,
        }
    }
}

/// One repository, and what its hooks have recorded.
struct Place<'a> {
    outside: &'a Outside<'a>,
    path: PathBuf,
    spool: PathBuf,
    /// The commits of `old` and of `main`.
    ids: [String; 2],
}

impl Place<'_> {
    /// What was recorded since the last time: the messages of each entry, sorted.
    #[track_caller]
    fn told(&self) -> Vec<Vec<String>> {
        assert_eq!(
            names(&self.spool.join("intent")),
            [""; 0],
            "an intent is left"
        );
        assert_eq!(names(&self.spool.join("tmp")), [""; 0]);
        let mut entries = take_entries(&self.spool);
        entries.iter_mut().for_each(|entry| entry.sort());
        entries
    }

    /// A git command, and the one entry that came of it; none for no messages.
    #[track_caller]
    fn tells(&self, args: &[&str], expected: &[&str]) {
        self.outside.run(&self.path, args);
        self.told_of(args, expected);
    }

    #[track_caller]
    fn told_of(&self, args: &[&str], expected: &[&str]) {
        let told = self.told();
        let mut expected: Vec<_> = expected.iter().map(|line| (*line).to_owned()).collect();
        expected.sort();
        let entries = if expected.is_empty() {
            vec![]
        } else {
            vec![expected]
        };
        let Outside { git, refs, .. } = self.outside;
        assert_eq!(told, entries, "git {args:?}, {refs}, {}", git.version);
    }

    #[track_caller]
    fn is_silent(&self, args: &[&str]) {
        self.tells(args, &[]);
    }
}

/// Runs a test for every git and every way to keep refs.
fn everywhere(test: impl Fn(&Outside<'_>)) {
    for git in &Git::all() {
        for refs in ["files", "packed", "reftable"] {
            let environment = Environment::new();
            if refs == "reftable" && !git.has_reftable(&environment) {
                continue;
            }
            let receiver = Receiver::start();
            test(&Outside {
                environment,
                git,
                receiver,
                refs,
            });
        }
    }
}

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
fn branches_and_tags() {
    everywhere(|outside| {
        let place = outside.work();
        let [one, two] = &place.ids;
        place.tells(&["branch", "x", one], &[&format!("{CREATED}x")]);
        place.tells(&["branch", "-f", "x", two], &["git.receive refs/heads/x"]);
        place.is_silent(&["branch", "-f", "x", two]);
        place.tells(
            &["branch", "-D", "x"],
            &["git.branch.deletion refs/heads/x"],
        );
        place.tells(&["tag", "v1"], &["git.tag.creation refs/tags/v1"]);
        place.tells(
            &["tag", "-a", "-m", "x", "v2"],
            &["git.tag.creation refs/tags/v2"],
        );
        // A tag from a commit to another: Pagure's rules call that a receive.
        place.tells(&["tag", "-f", "v1", one], &["git.receive refs/tags/v1"]);
        place.tells(&["tag", "-d", "v2"], &["git.tag.deletion refs/tags/v2"]);
    });
}

/// git copies and renames a branch without a transaction: no hook sees the new name
/// (refs/files-backend.c, `files_copy_or_rename_ref`). In files the old name goes by
/// a transaction of its own, so that is told; in a reftable nothing is.
#[test]
fn of_a_renamed_branch_only_what_git_tells_is_announced() {
    everywhere(|outside| {
        let place = outside.work();
        place.tells(&["branch", "x"], &[&format!("{CREATED}x")]);
        place.is_silent(&["branch", "-c", "x", "copy"]);
        let gone: &[&str] = match outside.refs {
            "reftable" => &[],
            _ => &["git.branch.deletion refs/heads/x"],
        };
        place.tells(&["branch", "-m", "x", "y"], gone);
        // What comes next is told as ever.
        let one = &place.ids[0];
        place.tells(&["branch", "-f", "y", one], &["git.receive refs/heads/y"]);
    });
}

#[test]
fn work_in_a_repository_that_is_not_bare() {
    everywhere(|outside| {
        let place = outside.work();
        let path = &place.path;
        let main = ["git.receive refs/heads/main"];
        let file = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
        let made = format!("{CREATED}topic");

        file("a", "1\n");
        outside.run(path, &["add", "a"]);
        place.tells(&["commit", "-q", "-m", "three"], &main);
        place.tells(&["commit", "-q", "--amend", "-m", "third"], &main);
        place.tells(&["checkout", "-q", "-b", "topic"], &[&made]);
        file("b", "1\n");
        outside.run(path, &["add", "b"]);
        place.tells(
            &["commit", "-q", "-m", "four"],
            &["git.receive refs/heads/topic"],
        );
        place.is_silent(&["checkout", "-q", "main"]);
        place.is_silent(&["checkout", "-q", "--detach"]);
        place.is_silent(&["commit", "-q", "--allow-empty", "-m", "nobody's"]);
        place.is_silent(&["checkout", "-q", "main"]);
        file("c", "1\n");
        outside.run(path, &["add", "c"]);
        place.tells(&["commit", "-q", "-m", "five"], &main);
        place.tells(&["merge", "-q", "-m", "merged", "topic"], &main);
        place.tells(&["reset", "-q", "--hard", "HEAD~1"], &main);
        outside.run(path, &["checkout", "-q", "topic"]);
        // However many commits it makes on the way, the branch moves once.
        place.tells(&["rebase", "-q", "main"], &["git.receive refs/heads/topic"]);
        place.is_silent(&["rebase", "-q", "main"]);
        outside.run(path, &["checkout", "-q", "main"]);
        place.tells(&["merge", "-q", "--ff-only", "topic"], &main);
        place.tells(
            &["cherry-pick", "--keep-redundant-commits", "topic~1"],
            &main,
        );
        place.tells(&["revert", "--no-edit", "HEAD~1"], &main);

        // A stash is a ref like another, of which no message tells more than what
        // it received: the commits of the index and of the tree.
        file("a", "2\n");
        place.tells(&["stash", "-q"], &["git.receive refs/stash"]);
        place.is_silent(&["stash", "pop", "-q"]);
    });
}

#[test]
fn a_worktree_speaks_for_its_repository() {
    everywhere(|outside| {
        let place = outside.work();
        let tree = outside.environment.path("tree");
        let text = tree.to_str().unwrap();
        place.tells(
            &["worktree", "add", "-q", text],
            &[&format!("{CREATED}tree")],
        );
        let commit = ["commit", "-q", "--allow-empty", "-m", "there"];
        outside.run(&tree, &commit);
        place.told_of(&commit, &["git.receive refs/heads/tree"]);
        // The refs of a worktree's own.
        let one = &place.ids[0];
        for name in ["refs/bisect/bad", "refs/worktree/x", "refs/rewritten/x"] {
            outside.run(&tree, &["update-ref", name, one]);
            place.told_of(&[name], &[]);
        }
        // From a folder below, too.
        let below = tree.join("below");
        fs::create_dir(&below).unwrap();
        outside.run(&below, &commit);
        place.told_of(&commit, &["git.receive refs/heads/tree"]);
        place.is_silent(&["worktree", "remove", "--force", text]);
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
            let about: Vec<_> = about.iter().map(|message| message.about()).collect();
            let expected = [("git.branch.creation", state)];
            assert_eq!(about, &expected[..usize::from(moved)], "{}", outside.refs);
            place.told_of(&["update-ref"], &[]);
            for lock in ["reftable/tables.list.lock", &format!("{name}.lock")] {
                fs::remove_file(place.path.join(lock)).ok();
            }
        }
    });
}
