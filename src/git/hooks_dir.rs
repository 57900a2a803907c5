//! Where git looks for a repository's hooks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

use super::Repository;

impl Repository {
    /// The folder that git runs this repository's hooks from: `core.hooksPath`
    /// (git-config(1)) from whichever of its files, else `hooks`. Only git itself
    /// knows all of those files, so git is asked.
    #[must_use]
    pub fn hooks_dir(&self) -> PathBuf {
        let git_dir = self.path();
        let answer = Command::new("git")
            .arg("--git-dir")
            .arg(&git_dir)
            .args(["rev-parse", "--git-path", "hooks"])
            .current_dir(&git_dir)
            .output();
        match answer {
            Ok(answer) if answer.status.success() => {
                git_dir.join(OsStr::from_bytes(answer.stdout.trim_ascii_end()))
            }
            _ => git_dir.join("hooks"),
        }
    }
}
