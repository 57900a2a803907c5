//! A server that several accounts share, below one folder of root's.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

use super::accounts::group_of;
use super::{Accounts, Ran, Receiver, SystemAccount, has_host_and_accounts, set_mode};

/// Two accounts with a folder each below root's `srv`, and root.
pub(crate) struct Several {
    pub(crate) accounts: Accounts,
    pub(crate) alice: SystemAccount,
    pub(crate) bob: SystemAccount,
    pub(crate) receiver: Receiver,
}

impl Several {
    pub(crate) fn new() -> Option<Self> {
        if !has_host_and_accounts(&[]) {
            return None;
        }
        let accounts = Accounts::new()?;
        let receiver = Receiver::start();
        let system = |role| SystemAccount::new(&accounts, role);
        let (alice, bob) = (system("alice"), system("bob"));
        fs::create_dir(accounts.path("srv")).unwrap();
        for (account, folder) in [(alice.uid, "srv/alice"), (bob.uid, "srv/bob")] {
            accounts.folder(folder, account);
        }
        let root = accounts.path("srv");
        let text = format!("root = \"{}\"\n", root.display());
        accounts.public("system.toml", &text);
        Some(Self {
            accounts,
            alice,
            bob,
            receiver,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.accounts.path("srv").join(name)
    }

    /// A repository of an account's, whose messages go to the receiver, and one push to it
    /// that waits.
    pub(crate) fn repository(&self, account: u32, name: &str, more: &str) -> PathBuf {
        let bare = self.path(name);
        let (text, url) = (
            bare.to_str().unwrap(),
            self.receiver.url(&format!("/{name}")),
        );
        let parent = bare.parent().unwrap();
        let git = |folder: &Path, args: &[&str]| self.accounts.git(account, folder, args);
        git(parent, &["init", "-q", "--bare", "-b", "main", text]);
        let config = format!(
            "mode = \"spool\"\nunsigned = true\n[[endpoint]]\nname = \"one\"\nurl = \"{url}\"\n{more}"
        );
        Self::file(account, &bare.join("refpost.toml"), &config);
        symlink(&self.accounts.binary, bare.join("hooks/post-receive")).unwrap();
        self.push(account, &bare);
        bare
    }

    pub(crate) fn push(&self, account: u32, bare: &Path) {
        let line = format!(
            "w=$(mktemp -d) && cd $w && git init -q -b main && git commit -q --allow-empty -m x \
             && git push -q '{}' +HEAD:refs/heads/$(basename $w) && rm -rf $w",
            bare.display()
        );
        let ran = self.accounts.shell(account, &line);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
    }

    pub(crate) fn file(account: u32, path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        set_mode(path, 0o644);
        chown(path, Some(account), Some(group_of(account))).unwrap();
    }

    pub(crate) fn root(&self, args: &[&str]) -> Ran {
        self.accounts.refpost(0, args)
    }

    /// The paths that messages came to, each once.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let requests = self.receiver.take();
        let paths = requests.iter().map(|it| it.line.split(' ').nth(1));
        let mut paths: Vec<_> = paths.map(|path| path.unwrap().to_owned()).collect();
        paths.sort();
        paths.dedup();
        paths
    }
}
