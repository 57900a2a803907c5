//! Running git itself, about one repository and no other.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::git::error::Error;

/// Variables that say where configuration is which no repository can write
/// (git(1)). All others of git's would be about some other repository.
pub const WHERE_CONFIG_IS: [&str; 3] = [
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
];

/// Variables of a hook: the folders of its objects, and the settings that git was given (git(1)).
/// They are about the repository that runs the hook.
const OF_A_HOOK: [&str; 3] = [
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG_PARAMETERS",
];

/// Prefixes of the same variables, numbered.
const OF_A_HOOK_TOO: [&str; 3] = ["GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"];

/// Variable with the folder of git's own programs, which a git that was moved sets for all that it
/// starts.
const WHERE_GIT_IS: &str = "GIT_EXEC_PATH";

/// The longest time for which git says nothing.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// git's command line for a repository.
#[derive(Clone)]
pub(super) struct Git {
    git_dir: PathBuf,
    is_in_hook: bool,
}

impl Git {
    /// Takes the folder with `HEAD` in it, absolute.
    pub(super) fn new(git_dir: PathBuf, is_in_hook: bool) -> Self {
        Self {
            git_dir,
            is_in_hook,
        }
    }

    pub(super) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Returns a variable of the hook that runs this; `None` outside of one.
    pub(super) fn variable_of_hook(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|_| self.is_in_hook)
    }

    /// Returns a git command that writes to no terminal.
    ///
    /// git trusts a repository named with `--git-dir`, whichever account owns it, so its check
    /// cannot fail a hook: it was made before, by git or by [`crate::git::ensure_trusted`]. Objects
    /// that a partial clone lacks are not fetched: a push does not wait for another server, and the
    /// files of a repository do not decide which commands run.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("git");
        forget_variables(&mut command, |name| {
            let is_of_hook =
                OF_A_HOOK.contains(&name) || OF_A_HOOK_TOO.iter().any(|it| name.starts_with(it));
            name == WHERE_GIT_IS || self.is_in_hook && is_of_hook
        });
        command
            // Since git 2.45; before that no way leads anywhere.
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_ALLOW_PROTOCOL", "")
            // What a clone does not get is not told (`shallow`).
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_GRAFT_FILE", "/dev/null")
            // It would have something to say of that file.
            .args(["-c", "advice.graftFileDeprecated=false"])
            .arg("--git-dir")
            .arg(&self.git_dir)
            .current_dir(&self.git_dir)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Returns the answer of git.
    pub(super) fn ask<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Result<Vec<u8>, Error> {
        let failed = |why: String| Error::Git {
            command: args.first().map_or_else(String::new, |first| {
                first.as_ref().to_string_lossy().into_owned()
            }),
            why,
        };
        let mut command = self.command();
        command.args(args).stderr(Stdio::piped());
        let output = answer_of(&mut command).map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(failed(why.lines().next().unwrap_or_default().to_owned()))
        }
    }
}

/// Output of a running process.
pub(super) struct Answers<R>(pub(super) R);

impl<R: Read + AsFd> Read for Answers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let longest = PollTimeout::try_from(LONGEST_SILENCE).map_err(io::Error::other)?;
        let mut ready = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, longest)? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "it does not answer",
            ));
        }
        self.0.read(buffer)
    }
}

/// Runs a command and returns its output. Kills one that stays silent for too long.
pub(super) fn answer_of(command: &mut Command) -> io::Result<Output> {
    let mut process = command.stdout(Stdio::piped()).spawn()?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let said = process
        .stdout
        .take()
        .map_or(Ok(0), |from| Answers(from).read_to_end(&mut stdout))
        .and_then(|_| match process.stderr.take() {
            Some(from) => Answers(from).read_to_end(&mut stderr),
            None => Ok(0),
        });
    if said.is_err() {
        process.kill().ok();
    }
    let status = process.wait()?;
    said.map(|_| Output {
        status,
        stdout,
        stderr,
    })
}

/// Removes git's variables, which would be about some other repository, from a command. Keeps those
/// that name configuration files, and those for which `is_kept` returns true.
pub(super) fn forget_variables(command: &mut Command, is_kept: impl Fn(&str) -> bool) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("GIT_") && !WHERE_CONFIG_IS.contains(&&*text) && !is_kept(&text) {
            command.env_remove(name);
        }
    }
}
