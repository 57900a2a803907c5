//! Where git looks for a repository's hooks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::git::repository::Repository;

impl Repository {
    /// Returns the folder that git runs this repository's hooks from: `core.hooksPath`
    /// (git-config(1)) from any of its files, else `hooks`. Only git itself knows all of those
    /// files, so git is asked.
    #[must_use]
    pub fn hooks_dir(&self) -> PathBuf {
        let git_dir = self.path();
        match self.ask_git(&["rev-parse", "--git-path", "hooks"]) {
            Ok(answer) => git_dir.join(OsStr::from_bytes(answer.trim_ascii_end())),
            Err(_) => git_dir.join("hooks"),
        }
    }

    /// Returns the file that sets `core.hooksPath`, unless the repository itself does.
    #[must_use]
    pub fn hooks_path_origin(&self) -> Option<String> {
        let command = ["config", "--show-origin", "--get", "core.hooksPath"];
        let answer = self.ask_git(&command).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        // `file:PATH`, or `command line:` (git-config(1), --show-origin).
        let (origin, _) = answer.split_once('\t')?;
        let file = origin.strip_prefix("file:").unwrap_or(origin);
        let path = self.path();
        let is_own = path
            .join(file)
            .canonicalize()
            .is_ok_and(|file| file.starts_with(&path));
        (!is_own).then(|| file.to_owned())
    }
}
