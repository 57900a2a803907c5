//! A bare repository with refpost as its hook, a clone to push from, a receiver.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::message::assert_counted;
use super::{Environment, Message, REFPOST, Receiver, Request, Runner};

/// The key of every site.
pub(crate) const KEY: &str = "aaabbbccc";

/// What a push came to.
pub(crate) struct Push {
    pub(crate) status: i32,
    /// What the pusher saw.
    pub(crate) said: String,
    pub(crate) requests: Vec<Request>,
    pub(crate) messages: Vec<Message>,
}

impl Push {
    /// What the hook said to the pusher, line by line.
    pub(crate) fn remote(&self) -> Vec<&str> {
        let lines = self.said.lines();
        lines
            .filter_map(|line| Some(line.strip_prefix("remote: ")?.trim_end()))
            .collect()
    }

    /// Topic and branch or tag of every message.
    pub(crate) fn about(&self) -> Vec<(&str, &str)> {
        self.messages.iter().map(Message::about).collect()
    }

    /// The one message that there is.
    #[track_caller]
    pub(crate) fn only(&self) -> &Message {
        assert_eq!(self.messages.len(), 1, "{:?}\n{}", self.about(), self.said);
        &self.messages[0]
    }
}

/// `test.git`, `work` and a receiver.
pub(crate) struct Site {
    environment: Environment,
    pub(crate) bare: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) receiver: Receiver,
    /// Whether each push is told twice, each way of reading once.
    is_told_twice: bool,
}

impl Deref for Site {
    type Target = Environment;

    fn deref(&self) -> &Environment {
        &self.environment
    }
}

impl Site {
    /// Messages are sent during the push, signed, to the receiver.
    pub(crate) fn new() -> Self {
        Self::with_format("sha1")
    }

    /// The same; what a push says, it says again where only git opens the repository.
    pub(crate) fn told_twice() -> Self {
        Self {
            is_told_twice: true,
            ..Self::new()
        }
    }

    /// The same, in a repository with ids of this hash.
    pub(crate) fn with_format(format: &str) -> Self {
        Self::with_formats(format, &[])
    }

    /// The same, made with more options.
    pub(crate) fn with_formats(hash: &str, more: &[&str]) -> Self {
        let environment = Environment::new();
        let root = environment.path("");
        let hash = format!("--object-format={hash}");
        let init = ["init", "-q", "-b", "main", &hash];
        environment.git(&root, &[&init, more, &["--bare", "test.git"]].concat());
        environment.git(&root, &[&init[..], &["work"]].concat());
        let site = Self {
            is_told_twice: false,
            bare: environment.path("test.git"),
            work: environment.path("work"),
            receiver: Receiver::start(),
            environment,
        };
        site.git(&["remote", "add", "origin", site.bare.to_str().unwrap()]);
        site.config("");
        symlink(REFPOST, site.bare.join("hooks/post-receive")).unwrap();
        site
    }

    /// Writes the repository's configuration: to the receiver, and what `more` says.
    pub(crate) fn config(&self, more: &str) {
        let url = self.receiver.url("/hook");
        self.config_alone(&format!("urls = [\"{url}\"]\nkey = \"{KEY}\"\n{more}"));
    }

    /// Writes the repository's configuration: send during the push, and what `text` says.
    pub(crate) fn config_alone(&self, text: &str) {
        let text = format!("mode = \"sync\"\npush_budget = \"60s\"\n{text}");
        self.write("test.git/refpost.toml", text);
    }

    /// git in the clone.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.environment.git(&self.work, args)
    }

    /// git in the bare repository.
    pub(crate) fn bare_git(&self, args: &[&str]) -> String {
        self.environment.git(&self.bare, args)
    }

    /// git in the clone, about to run.
    pub(crate) fn git_run(&self, args: &[&str]) -> Runner {
        self.run("git").dir(&self.work).args(args)
    }

    /// Writes a file in the clone.
    pub(crate) fn file(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.work.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything in the clone, by an author of this name; gives its id.
    pub(crate) fn commit_by(&self, author: &str) -> String {
        self.git(&["add", "-A"]);
        self.git_run(&["commit", "-q", "--allow-empty", "-m", "change"])
            .env("GIT_AUTHOR_NAME", author)
            .run()
            .well();
        self.git(&["rev-parse", "HEAD"])
    }

    /// A commit that adds or changes this file.
    pub(crate) fn commit(&self, file: &str) -> String {
        let before = fs::read_to_string(self.work.join(file)).unwrap_or_default();
        self.file(file, format!("{before}{file}\n"));
        self.commit_by("Ada")
    }

    /// Pushes, and gives all that came of it. In mode `sync` everything has
    /// arrived when the push is over.
    #[track_caller]
    pub(crate) fn try_push(&self, args: &[&str]) -> Push {
        self.push_by(self.git_run(&["push"]).args(args))
    }

    /// Runs a push that was made ready.
    #[track_caller]
    pub(crate) fn push_by(&self, push: Runner) -> Push {
        let before = self.is_told_twice.then(|| self.refs());
        let ran = push.run();
        let requests = self.receiver.take();
        let messages: Vec<_> = requests.iter().map(Request::message).collect();
        if let Some(before) = before {
            self.assert_told_by_git(&before, &messages);
        }
        Push {
            status: ran.status,
            said: ran.stderr,
            requests,
            messages,
        }
    }

    /// Pushes these refspecs; the push must succeed and be announced as one.
    #[track_caller]
    pub(crate) fn push(&self, refspecs: &[&str]) -> Push {
        let push = self.try_push(&[&["origin"], refspecs].concat());
        assert_eq!(push.status, 0, "{}", push.said);
        assert_counted(&push.messages);
        for (at, message) in push.messages.iter().enumerate() {
            assert_eq!(message["agent"], "alice", "message {at}");
            assert_eq!(message["project_fullname"], "test");
        }
        push
    }

    /// Moves HEAD of the bare repository.
    pub(crate) fn head(&self, text: &str) {
        fs::write(self.bare.join("HEAD"), format!("{text}\n")).unwrap();
    }
}
