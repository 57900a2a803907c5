//! A spool of a service account, and accounts that push.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Accounts, KEY, Ran, Receiver, Request, set_mode};

/// The service account; its number is its group's too.
pub(crate) const SERVICE: u32 = 4300;
/// Accounts that push, each into its own repository.
pub(crate) const ALICE: u32 = 4301;
pub(crate) const BOB: u32 = 4302;

/// How docs/operations.md makes a mail drop, with the service account's number.
fn install(spool: &str) -> String {
    let docs = include_str!("../../../docs/operations.md");
    let lines = docs.lines();
    let lines: Vec<_> = lines
        .filter(|line| line.starts_with("install -d -o refpost "))
        .map(|line| line.replace("-o refpost -g refpost", "-o 4300 -g 4300"))
        .map(|line| line.replace("/var/spool/refpost", spool))
        .collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    lines.join("\n")
}

pub(crate) struct MailDrop {
    pub(crate) accounts: Accounts,
    pub(crate) receiver: Receiver,
    pub(crate) spool: PathBuf,
}

impl MailDrop {
    /// `alice.git` and `bob.git`, whose messages the server's file sends to the receiver.
    /// The key is root's, and the service's to read.
    pub(crate) fn new() -> Option<Self> {
        let accounts = Accounts::new()?;
        let drop = Self {
            spool: accounts.path("spool"),
            receiver: Receiver::start(),
            accounts,
        };
        let spool = drop.spool.to_str().unwrap();
        let made = Command::new("sh").args(["-ec", &install(spool)]).status();
        assert!(made.unwrap().success());
        let key = drop.accounts.environment.write("service.key", KEY);
        chown(&key, Some(0), Some(SERVICE)).unwrap();
        set_mode(&key, 0o440);
        drop.configure("");
        for (account, name) in [(ALICE, "alice"), (BOB, "bob")] {
            drop.repository(account, name);
        }
        let trusted = |name| format!("\tdirectory = {}\n", drop.bare(name).display());
        let config = format!("[safe]\n{}{}", trusted("alice"), trusted("bob"));
        drop.accounts.public("service.gitconfig", &config);
        Some(drop)
    }

    /// Writes the server's file.
    pub(crate) fn configure(&self, more: &str) {
        let text = format!(
            "spool = \"{}\"\nkey_file = \"service.key\"\n{more}\n[[endpoint]]\nname = \"ci\"\n\
             url = \"{}\"\n",
            self.spool.display(),
            self.receiver.url("/ci")
        );
        self.accounts.public("system.toml", &text);
    }

    /// An account's own repository, and a clone of it.
    fn repository(&self, account: u32, name: &str) {
        let (bare, work) = (self.bare(name), self.work(name));
        for folder in [&bare, &work] {
            fs::create_dir(folder).unwrap();
            chown(folder, Some(account), Some(account)).unwrap();
        }
        let git = |folder: &Path, args: &[&str]| self.accounts.git(account, folder, args);
        git(&bare, &["init", "-q", "--bare", "-b", "main"]);
        git(&work, &["init", "-q", "-b", "main"]);
        // The first push, of a new branch, is nobody's business here.
        self.commit(account, name);
        git(&work, &["push", "-q", bare.to_str().unwrap(), "main"]);
        self.link(name, "post-receive");
    }

    pub(crate) fn link(&self, name: &str, hook: &str) {
        let hook = self.bare(name).join("hooks").join(hook);
        symlink(&self.accounts.binary, hook).unwrap();
    }

    pub(crate) fn bare(&self, name: &str) -> PathBuf {
        self.accounts.path(&format!("{name}.git"))
    }

    fn work(&self, name: &str) -> PathBuf {
        self.accounts.path(&format!("{name}.work"))
    }

    fn commit(&self, account: u32, name: &str) -> String {
        let work = self.work(name);
        let commit = ["commit", "-q", "--allow-empty", "-m", "x"];
        self.accounts.git(account, &work, &commit);
        let head = self.accounts.git(account, &work, &["rev-parse", "HEAD"]);
        head.stdout.trim_end().to_owned()
    }

    /// A commit, and a push of it that the account must get through; the commit, and
    /// what the hook said.
    #[track_caller]
    pub(crate) fn push(&self, account: u32, name: &str) -> (String, Vec<String>) {
        let commit = self.commit(account, name);
        let ran = self.try_push(account, name);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let said = ran.stderr.lines();
        let said = said.filter_map(|line| Some(line.strip_prefix("remote: ")?.trim_end()));
        (commit, said.map(str::to_owned).collect())
    }

    pub(crate) fn try_push(&self, account: u32, name: &str) -> Ran {
        let bare = self.bare(name);
        let mut git = self.accounts.command(account, "git");
        git.current_dir(self.work(name)).arg("push").arg(bare);
        Accounts::run(git.arg("main"))
    }

    /// The binary as the service, about to run.
    pub(crate) fn as_service(&self, args: &[&str]) -> Command {
        let mut command = self.accounts.command(SERVICE, &self.accounts.binary);
        command
            .args(args)
            .env("GIT_CONFIG_GLOBAL", self.accounts.path("service.gitconfig"));
        command
    }

    pub(crate) fn service(&self, args: &[&str]) -> Ran {
        Accounts::run(&mut self.as_service(args))
    }

    pub(crate) fn flush(&self) -> Ran {
        self.service(&["flush", self.spool.to_str().unwrap()])
    }

    /// Flushes; there is nothing to say. Gives what arrived.
    #[track_caller]
    pub(crate) fn flush_well(&self) -> Vec<Request> {
        self.flush().well();
        self.receiver.take()
    }

    /// The only entry in `new/`.
    #[track_caller]
    pub(crate) fn entry(&self) -> PathBuf {
        let new = self.spool.join("new");
        let names = super::names(&new);
        assert_eq!(names.len(), 1, "{names:?}");
        new.join(&names[0])
    }

    /// Writes a repository's own file, as its owner.
    pub(crate) fn own_config(&self, account: u32, name: &str, text: &str) {
        let path = self.bare(name).join("refpost.toml");
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o644);
        chown(&path, Some(account), Some(account)).unwrap();
    }
}
