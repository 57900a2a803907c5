//! Refs that move without a push: with every git, however the refs are kept.

use std::path::{Path, PathBuf};

use super::{Environment, Git, Ran, Receiver, names, take_entries};

/// Repositories that are guaranteed, and a git to move their refs.
pub(crate) struct Outside<'a> {
    pub(crate) environment: Environment,
    pub(crate) git: &'a Git,
    pub(crate) receiver: Receiver,
    /// `files`, `packed` or `reftable`.
    pub(crate) refs: &'a str,
}

impl Outside<'_> {
    /// git in a folder; its output without the last line break.
    #[track_caller]
    pub(crate) fn run(&self, folder: &Path, args: &[&str]) -> String {
        let ran = self.try_run(folder, args, "");
        assert_eq!(ran.status, 0, "git {args:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout.trim_end().to_owned()
    }

    pub(crate) fn try_run(&self, folder: &Path, args: &[&str], stdin: &str) -> Ran {
        let runner = self
            .environment
            .run(&self.git.program)
            .env("PATH", &self.git.path);
        let runner = runner.without("GIT_COMMITTER_DATE");
        runner.dir(folder).args(args).stdin(stdin).run()
    }

    /// Makes a repository; its refs are kept as the trial has it.
    pub(crate) fn init(&self, name: &str, more: &[&str]) -> PathBuf {
        let path = self.environment.path(name);
        let mut args = vec!["init", "-q", "-b", "main"];
        args.extend((self.refs == "reftable").then_some("--ref-format=reftable"));
        args.extend(more);
        args.push(name);
        self.run(&self.environment.path(""), &args);
        path
    }

    /// Links the hooks and writes a configuration; gives the spool.
    pub(crate) fn guarantee(&self, repository: &Path, git_dir: &Path) -> PathBuf {
        let enable = ["enable", "--guaranteed", repository.to_str().unwrap()];
        let enable = self.environment.refpost(enable);
        enable.env("PATH", &self.git.path).run();
        assert!(git_dir.join("hooks/reference-transaction").is_symlink());
        self.configure(git_dir, "");
        git_dir.join("refpost/spool")
    }

    pub(crate) fn configure(&self, git_dir: &Path, more: &str) {
        let url = self.receiver.url("/");
        let text = format!("mode = \"spool\"\nurls = [\"{url}\"]\nunsigned = true\n{more}");
        self.environment.write(git_dir.join("refpost.toml"), text);
    }

    /// `main` and two tags, before any hook is there.
    pub(crate) fn seed(&self, work: &Path) -> [String; 2] {
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

    pub(crate) fn pack(&self, folder: &Path) {
        if self.refs == "packed" {
            self.run(
                folder,
                &["-c", "core.hooksPath=/dev/null", "pack-refs", "--all"],
            );
        }
    }

    pub(crate) fn work(&self) -> Place<'_> {
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

    pub(crate) fn bare(&self) -> Place<'_> {
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
pub(crate) struct Place<'a> {
    pub(crate) outside: &'a Outside<'a>,
    pub(crate) path: PathBuf,
    pub(crate) spool: PathBuf,
    /// The commits of `old` and of `main`.
    pub(crate) ids: [String; 2],
}

impl Place<'_> {
    /// What was recorded since the last time: the messages of each entry, sorted.
    #[track_caller]
    pub(crate) fn told(&self) -> Vec<Vec<String>> {
        assert_eq!(
            names(&self.spool.join("intent")),
            [""; 0],
            "an intent is left"
        );
        assert_eq!(names(&self.spool.join("tmp")), [""; 0]);
        let mut entries = take_entries(&self.spool);
        for entry in &mut entries {
            entry.sort();
        }
        entries
    }

    /// A git command, and the one entry that came of it; none for no messages.
    #[track_caller]
    pub(crate) fn tells(&self, args: &[&str], expected: &[&str]) {
        self.outside.run(&self.path, args);
        self.told_of(args, expected);
    }

    #[track_caller]
    pub(crate) fn told_of(&self, args: &[&str], expected: &[&str]) {
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
    pub(crate) fn is_silent(&self, args: &[&str]) {
        self.tells(args, &[]);
    }
}

/// Runs a test for every git and every way to keep refs.
pub(crate) fn everywhere(test: impl Fn(&Outside<'_>)) {
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
