//! A server with many repositories, one system file, one receiver.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::{Environment, REFPOST, Ran, Receiver};

/// `srv` with bare repositories in it, and `work` to push from.
pub(crate) struct Fleet {
    environment: Environment,
    pub(crate) receiver: Receiver,
}

impl Deref for Fleet {
    type Target = Environment;

    fn deref(&self) -> &Environment {
        &self.environment
    }
}

impl Fleet {
    /// With these repositories, as `infra/a` for `srv/infra/a.git`; none has a hook.
    pub(crate) fn new(repositories: &[&str]) -> Self {
        let fleet = Self {
            environment: Environment::new(),
            receiver: Receiver::start(),
        };
        for name in repositories {
            fleet.add(name);
        }
        fleet.git(&fleet.path(""), &["init", "-q", "-b", "main", "work"]);
        fleet
    }

    /// Makes a repository as plain files, which is quicker than git is.
    pub(crate) fn add(&self, name: &str) -> PathBuf {
        let bare = self.bare_path(name);
        for folder in ["objects", "refs", "hooks"] {
            fs::create_dir_all(bare.join(folder)).unwrap();
        }
        fs::write(bare.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
        fs::write(bare.join("config"), config).unwrap();
        bare
    }

    pub(crate) fn bare_path(&self, name: &str) -> PathBuf {
        self.path(format!("srv/{name}.git"))
    }

    /// Links the hook into a repository.
    pub(crate) fn hook(&self, name: &str) {
        symlink(REFPOST, self.bare_path(name).join("hooks/post-receive")).unwrap();
    }

    /// Writes the server's file: `root`, what is sent during the push, and `text`.
    pub(crate) fn system(&self, text: &str) {
        let root = self.path("srv");
        let text = format!("root = \"{}\"\n{}", root.display(), self.filled(text));
        self.write("system.toml", text);
    }

    /// `URL/x` becomes a path at the receiver.
    fn filled(&self, text: &str) -> String {
        text.replace("URL", self.receiver.url("/").trim_end_matches('/'))
    }

    /// Writes a repository's own file.
    pub(crate) fn own(&self, name: &str, text: &str) {
        let file = self.bare_path(name).join("refpost.toml");
        self.write(file, self.filled(text));
    }

    /// Commits, and pushes that to a repository.
    pub(crate) fn push(&self, name: &str) -> Ran {
        let work = self.path("work");
        self.git(&work, &["commit", "-q", "--allow-empty", "-m", name]);
        let push = self.run("git").dir(&work).args(["push", "-q"]);
        push.arg(self.bare_path(name)).arg("main").run()
    }

    /// Path and project of what has arrived, sorted, each once.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let requests = self.receiver.take();
        let told = requests.iter().map(|request| {
            let path = request.line.split(' ').nth(1).unwrap();
            let project = request.header("X-Pagure-Project").unwrap();
            format!("{path} {project}")
        });
        let mut told: Vec<String> = told.collect();
        told.sort();
        // A branch's creation is a message more.
        told.dedup();
        told
    }

    /// What `check --show` says, without this run's folder and port.
    pub(crate) fn shown(&self, name: &str) -> String {
        let show = self.refpost(["check", "--show"]).arg(self.bare_path(name));
        self.plain(&show.run().well().stdout)
    }

    /// A text without this run's folder and port.
    pub(crate) fn plain(&self, text: &str) -> String {
        let folder = self.path("");
        let address = self.receiver.address().to_string();
        let text = text.replace(folder.to_str().unwrap().trim_end_matches('/'), "/…");
        text.replace(&address, "127.0.0.1:80")
    }
}
