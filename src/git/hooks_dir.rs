//! Where git looks for a repository's hooks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Repository;

impl Repository {
    /// The folder that git runs this repository's hooks from: `core.hooksPath`
    /// (git-config(1)) from whichever of its files, else `hooks`. Only git itself
    /// knows all of those files, so git is asked.
    #[must_use]
    pub fn hooks_dir(&self) -> PathBuf {
        let git_dir = self.path();
        match self.ask_git(&["rev-parse", "--git-path", "hooks"]) {
            Ok(answer) => git_dir.join(OsStr::from_bytes(answer.trim_ascii_end())),
            Err(_) => git_dir.join("hooks"),
        }
    }
}
