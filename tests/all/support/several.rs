//! A server that several accounts share, below one folder of root's.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
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

/// A process that runs.
pub(crate) struct Process {
    pub(crate) pid: u32,
}

impl Process {
    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// The names of its variables.
    pub(crate) fn variables(&self) -> Vec<String> {
        let environment = fs::read(self.proc("environ")).unwrap();
        let all = environment.split(|&byte| byte == 0);
        let names = all.filter_map(|one| one.split(|&byte| byte == b'=').next());
        let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
        let mut names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        names.sort();
        names
    }

    /// It is this account for good, in a session without a terminal.
    #[track_caller]
    pub(crate) fn is_apart_as(&self, uid: u32) {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let is = format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
        assert!(status.contains(&is), "{status}");
        let stat = fs::read_to_string(self.proc("stat")).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let own = (&*self.pid.to_string(), "0");
        assert_eq!((fields[3], fields[4]), own, "a session of its own");
    }

    /// What its file descriptors lead to.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.proc("fd")).unwrap();
        // One may have been closed since it was listed.
        all.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
            .collect()
    }
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

    /// The refpost that runs as an account with this argument, once it has dropped root's rights.
    pub(crate) fn process_of(uid: u32, word: &str) -> Option<Process> {
        let mut all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let owner = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
            let mut args = line.split(|&byte| byte == 0);
            let becomes = args.clone().any(|arg| arg == b"as-account");
            let is_it = owner == uid && args.any(|arg| arg == word.as_bytes()) && !becomes;
            is_it.then_some(Process { pid })
        });
        all.next()
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
