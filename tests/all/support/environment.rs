//! A temporary folder, and commands that know nothing but it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::REFPOST;

/// Where a program is, Debian's folders outside of `PATH` included.
pub(crate) fn find(program: impl AsRef<Path>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin", "/usr/lib/cgit"].map(PathBuf::from));
    folders
        .map(|folder| folder.join(&program))
        .find(|file| file.is_file())
}

/// A world of its own: nothing of the machine's or the person's configuration
/// reaches a command that runs in it.
pub(crate) struct Environment {
    folder: tempfile::TempDir,
    /// Each command that may commit is a minute later than the one before it, so
    /// that the order of commits is never a matter of chance.
    clock: AtomicU64,
}

impl Environment {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("refpost-test-")
            .tempdir()
            .unwrap();
        for name in ["home", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in ["gitconfig", "system.toml"] {
            fs::write(folder.path().join(name), "# Nothing is set.\n").unwrap();
        }
        Self {
            folder,
            clock: AtomicU64::new(1_700_000_000),
        }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// Writes a file in the folder that only its owner can read.
    pub(crate) fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        path
    }

    /// Writes an executable file.
    pub(crate) fn script(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o755);
        path
    }

    /// A command in this world.
    ///
    /// A program that is named by its path starts without a copy of this process, whose many
    /// threads hold much memory: that copy took more time than what is tested.
    pub(crate) fn run(&self, program: impl AsRef<Path>) -> Runner {
        let program = program.as_ref();
        let mut command = Command::new(find(program).as_deref().unwrap_or(program));
        let time = self.clock.fetch_add(60, Ordering::Relaxed);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.path("gitconfig"))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.org")
            .env("GIT_AUTHOR_DATE", format!("{time} +0000"))
            .env("GIT_COMMITTER_NAME", "Committer")
            .env("GIT_COMMITTER_EMAIL", "committer@example.org")
            .env("GIT_COMMITTER_DATE", format!("{time} +0000"))
            .env("REFPOST_CONFIG", self.path("system.toml"))
            .env("REFPOST_PUSHER", "alice")
            .current_dir(self.folder.path());
        Runner {
            command,
            stdin: Vec::new(),
        }
    }

    /// The binary under test.
    pub(crate) fn refpost<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Runner {
        self.run(REFPOST).args(args)
    }

    /// Runs git in a folder and gives back what it printed, without the last
    /// line break.
    pub(crate) fn git(&self, folder: &Path, args: &[&str]) -> String {
        let ran = self.run("git").dir(folder).args(args).run();
        assert_eq!(ran.status, 0, "git {args:?}: {}", ran.stderr);
        ran.stdout.trim_end_matches('\n').to_owned()
    }

    /// Makes a bare repository whose default branch is `main`.
    pub(crate) fn bare(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let text = path.to_str().unwrap();
        self.git(
            &self.path(""),
            &["init", "-q", "--bare", "-b", "main", text],
        );
        path
    }
}

/// A command about to run.
pub(crate) struct Runner {
    command: Command,
    stdin: Vec<u8>,
}

impl Runner {
    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    pub(crate) fn dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Starts it, silent, with standard input open for more.
    pub(crate) fn spawn_fed(mut self) -> Child {
        self.command.stdin(Stdio::piped());
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        self.command.spawn().unwrap()
    }

    pub(crate) fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        bytes.as_ref().clone_into(&mut self.stdin);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ran {
        self.stdout(Stdio::piped())
    }

    /// Runs it to its end, with its standard output there.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Ran {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let mut pipe = child.stdin.take().unwrap();
        let input = std::mem::take(&mut self.stdin);
        // A command that does not read its input closes the pipe: no fault of ours.
        let feeder = thread::spawn(move || drop(pipe.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Ran {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }
}

/// A command that runs beside the test; it ends with the test at the latest.
pub(crate) struct Background(pub(crate) Child);

impl Background {
    pub(crate) fn start(runner: Runner) -> Self {
        let mut command = runner.command;
        let streams = command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self(streams.stderr(Stdio::null()).spawn().unwrap())
    }

    /// The same as a process group of its own, to be asked what it said.
    pub(crate) fn in_a_group(runner: Runner) -> Self {
        let mut command = runner.command;
        let streams = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(
            streams
                .stderr(Stdio::piped())
                .process_group(0)
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What a command came to.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// The exit status; -1 for a signal.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Standard output as it was.
    pub(crate) bytes: Vec<u8>,
}

impl Ran {
    /// It succeeded and complained of nothing.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(
            (self.status, self.stderr.as_str()),
            (0, ""),
            "{}",
            self.stdout
        );
        self
    }

    /// It ended with this status and exactly this on standard error.
    #[track_caller]
    pub(crate) fn fails(self, status: i32, stderr: &str) -> Self {
        assert_eq!((self.status, self.stderr.as_str()), (status, stderr));
        self
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
