//! A service of an account of its own, and accounts that push and submit to it.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::spooled::eventually;
use super::{Accounts, Background, KEY, Ran, Receiver, Request, SystemAccount, set_mode};

/// What starts a service as systemd's socket units do.
const ACTIVATE: (&str, &str) = ("systemd-socket-activate", "systemd");

/// Says things to the service as an account, and prints what it answers.
const SAY: &str = "
import json, socket, sys
path, repository, entry = sys.argv[1:4]
data = open(entry, 'rb').read() if entry else b''
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(path)
request = {'refpost': 1, 'id': sys.argv[4], 'repository': repository, 'endpoints': sys.argv[5:], 'length': len(data)}
try:
    s.sendall((json.dumps(request) + '\\n').encode())
except BrokenPipeError:
    pass
answer = s.recv(2000).decode()
if answer == 'send\\n' and data:
    s.sendall(data)
    answer = s.recv(2000).decode()
print(answer, end='')
";

pub(crate) const ID: &str = "20261129T093552.210173650Z-git1-e46ee3017b72a310";

/// An account asks, with a request that it made itself.
pub(crate) fn ask(
    served: &Served,
    account: u32,
    repository: &str,
    entry: &str,
    endpoint: &str,
) -> String {
    let script = served.accounts.public("say.py", SAY);
    let socket = served.accounts.path("run/submit");
    let mut python = served.accounts.command(account, "python3");
    python.arg(script).arg(socket);
    let ran = Accounts::run(python.args([repository, entry, ID, endpoint]));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.stdout
}

pub(crate) struct Served {
    pub(crate) accounts: Accounts,
    pub(crate) service: SystemAccount,
    pub(crate) alice: SystemAccount,
    pub(crate) bob: SystemAccount,
    pub(crate) receiver: Receiver,
}

impl Served {
    /// `alice/a.git` and `bob/b.git`, whose messages the server's file sends to the receiver.
    /// The key is root's, and the service's to read.
    pub(crate) fn new() -> Option<Self> {
        if !super::has_host_and_accounts(&[ACTIVATE]) {
            return None;
        }
        let accounts = Accounts::new()?;
        let system = |role| SystemAccount::new(&accounts, role);
        let served = Self {
            service: system("service"),
            alice: system("alice"),
            bob: system("bob"),
            receiver: Receiver::start(),
            accounts,
        };
        let service = served.service.uid;
        for folder in ["run", "state"] {
            served.accounts.folder(folder, service);
        }
        set_mode(&served.accounts.path("state"), 0o700);
        fs::create_dir(served.accounts.path("srv")).unwrap();
        let key = served.accounts.environment.write("service.key", KEY);
        let group = fs::metadata(&served.service.home).unwrap().gid();
        chown(&key, Some(0), Some(group)).unwrap();
        set_mode(&key, 0o440);
        served.configure("", "");
        for (account, folder, name) in [
            (&served.alice, "srv/alice", "alice/a"),
            (&served.bob, "srv/bob", "bob/b"),
        ] {
            served.accounts.folder(folder, account.uid);
            served.repository(account.uid, name);
        }
        Some(served)
    }

    /// Writes the server's file: keys of its top, and what follows its endpoint.
    pub(crate) fn configure(&self, top: &str, rest: &str) {
        let path = |name: &str| self.accounts.path(name).display().to_string();
        let text = format!(
            "root = \"{}\"\nsocket = \"{}\"\nspool = \"{}\"\nkey_file = \"service.key\"\n{top}\n\
             [[endpoint]]\nname = \"ci\"\nurl = \"{}\"\n{rest}",
            path("srv"),
            path("run/submit"),
            path("state/spool"),
            self.receiver.url("/ci")
        );
        self.accounts.public("system.toml", &text);
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.accounts.path("state/spool")
    }

    pub(crate) fn bare(&self, name: &str) -> PathBuf {
        self.accounts.path("srv").join(format!("{name}.git"))
    }

    /// The spool inside a repository.
    pub(crate) fn own_spool(&self, name: &str) -> PathBuf {
        self.bare(name).join("refpost/spool")
    }

    fn work(&self, name: &str) -> PathBuf {
        self.accounts
            .path(format!("work-{}", name.replace('/', "-")).as_str())
    }

    /// An account's own repository, and a clone of it.
    pub(crate) fn repository(&self, account: u32, name: &str) -> PathBuf {
        let (bare, work) = (self.bare(name), self.work(name));
        for folder in [&bare, &work] {
            fs::create_dir(folder).unwrap();
            let group = super::accounts::group_of(account);
            chown(folder, Some(account), Some(group)).unwrap();
        }
        let git = |folder: &Path, args: &[&str]| self.accounts.git(account, folder, args);
        git(&bare, &["init", "-q", "--bare", "-b", "main"]);
        git(&work, &["init", "-q", "-b", "main"]);
        // The first push, of a new branch, is nobody's business here.
        self.commit(account, name);
        git(&work, &["push", "-q", bare.to_str().unwrap(), "main"]);
        self.link(name, "post-receive");
        bare
    }

    pub(crate) fn link(&self, name: &str, hook: &str) {
        let hook = self.bare(name).join("hooks").join(hook);
        symlink(&self.accounts.binary, hook).unwrap();
    }

    pub(crate) fn commit(&self, account: u32, name: &str) -> String {
        let work = self.work(name);
        let commit = ["commit", "-q", "--allow-empty", "-m", "x"];
        self.accounts.git(account, &work, &commit);
        let head = self.accounts.git(account, &work, &["rev-parse", "HEAD"]);
        head.stdout.trim_end().to_owned()
    }

    /// A commit, and a push of it that the account must get through; the commit, and
    /// what the hook said.
    #[track_caller]
    pub(crate) fn push(&self, account: &SystemAccount, name: &str) -> (String, Vec<String>) {
        let commit = self.commit(account.uid, name);
        let ran = self.try_push(account.uid, name);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let said = ran.stderr.lines();
        let said = said.filter_map(|line| Some(line.strip_prefix("remote: ")?.trim_end()));
        (commit, said.map(str::to_owned).collect())
    }

    pub(crate) fn try_push(&self, account: u32, name: &str) -> Ran {
        let mut git = self.accounts.command(account, "git");
        git.current_dir(self.work(name))
            .arg("push")
            .arg(self.bare(name));
        Accounts::run(git.arg("main"))
    }

    /// The binary as the service, about to run.
    pub(crate) fn as_service(&self, args: &[&str]) -> Command {
        let mut command = self
            .accounts
            .command(self.service.uid, &self.accounts.binary);
        command.args(args);
        command
    }

    /// The service as its socket unit and its service unit start it.
    pub(crate) fn start(&self) -> Background {
        let line = format!(
            "exec systemd-socket-activate -E REFPOST_CONFIG -l {} {} work",
            self.accounts.path("run/submit").display(),
            self.accounts.binary.display()
        );
        let mut command = self.accounts.command(self.service.uid, "sh");
        let started = self.spawn(command.args(["-c", &line]));
        let socket = self.accounts.path("run/submit");
        eventually("it listens", || socket.exists());
        // `SocketMode=` of the unit.
        set_mode(&socket, 0o666);
        started
    }

    /// The service by itself, which makes its socket.
    pub(crate) fn start_alone(&self) -> Background {
        let started = self.spawn(&mut self.as_service(&["work"]));
        let socket = self.accounts.path("run/submit");
        eventually("it listens", || {
            fs::metadata(&socket).is_ok_and(|meta| meta.mode() & 0o777 == 0o666)
        });
        started
    }

    fn spawn(&self, command: &mut Command) -> Background {
        let stderr = fs::File::options()
            .append(true)
            .create(true)
            .open(self.accounts.path("said"));
        let command = command.stdout(Stdio::null()).stderr(stderr.unwrap());
        Background(command.spawn().unwrap())
    }

    /// What the service said up to now.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.accounts.path("said")).unwrap()
    }

    /// Ends a service, and removes its socket, so that nothing listens.
    pub(crate) fn stop(&self, service: Background) {
        drop(service);
        fs::remove_file(self.accounts.path("run/submit")).ok();
    }

    /// So many messages that arrived, whatever else does.
    #[track_caller]
    pub(crate) fn arrived(&self, count: usize) -> Vec<Request> {
        self.receiver.wait_for(count)
    }

    /// Writes a repository's own file, as its owner.
    pub(crate) fn own_config(&self, account: &SystemAccount, name: &str, text: &str) {
        let path = self.bare(name).join("refpost.toml");
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o644);
        chown(&path, Some(account.uid), None).unwrap();
    }
}
