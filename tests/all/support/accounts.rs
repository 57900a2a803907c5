//! Accounts beside root, by their numbers: what they run, and what they own.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Environment, REFPOST, Ran, set_mode};

/// Where several accounts work: root made it, and everybody can run the binary in it.
pub(crate) struct Accounts {
    pub(crate) environment: Environment,
    pub(crate) binary: PathBuf,
}

impl Accounts {
    /// Root alone can make that; where somebody else runs the tests, that is said.
    pub(crate) fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            super::leave_out("only root can act as several accounts: that is not tested");
            return None;
        }
        let environment = Environment::new();
        set_mode(&environment.path(""), 0o755);
        let binary = environment.path("refpost");
        fs::copy(REFPOST, &binary).unwrap();
        set_mode(&binary, 0o755);
        let accounts = Self {
            environment,
            binary,
        };
        accounts.public("system.toml", "# Nothing is set.\n");
        accounts.public("gitconfig", "");
        Some(accounts)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.environment.path(name)
    }

    /// Writes a file of root's that everybody can read.
    pub(crate) fn public(&self, name: &str, text: &str) -> PathBuf {
        let path = self.environment.write(name, text);
        set_mode(&path, 0o644);
        path
    }

    /// A folder of this account's.
    pub(crate) fn folder(&self, name: &str, account: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        chown(&path, Some(account), Some(group_of(account))).unwrap();
        path
    }

    /// A command as this account, in a world of its own.
    pub(crate) fn command(&self, account: u32, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.path("gitconfig"))
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.org")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.org")
            .env("REFPOST_CONFIG", self.path("system.toml"))
            .stdin(Stdio::null())
            .current_dir("/")
            .uid(account)
            .gid(group_of(account));
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(command: &mut Command) -> Ran {
        let output = loop {
            match command.output() {
                // Another test has started a process while this one's copy of the binary was written.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    thread::sleep(Duration::from_millis(10));
                }
                output => break output.unwrap(),
            }
        };
        Ran {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }

    /// The binary as this account.
    pub(crate) fn refpost(&self, account: u32, args: &[&str]) -> Ran {
        Self::run(self.command(account, &self.binary).args(args))
    }

    /// git as this account, in a folder; it must succeed.
    #[track_caller]
    pub(crate) fn git(&self, account: u32, folder: &Path, args: &[&str]) -> Ran {
        let ran = Self::run(self.command(account, "git").current_dir(folder).args(args));
        assert_eq!(ran.status, 0, "git {args:?}: {}", ran.stderr);
        ran
    }

    /// A shell line as this account.
    pub(crate) fn shell(&self, account: u32, line: &str) -> Ran {
        Self::run(self.command(account, "sh").args(["-c", line]))
    }
}

/// The group of an account; without a name it has its own number's.
pub(crate) fn group_of(account: u32) -> u32 {
    let user = nix::unistd::User::from_uid(account.into()).unwrap();
    user.map_or(account, |user| user.gid.as_raw())
}
