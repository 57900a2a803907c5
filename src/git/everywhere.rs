//! What git's own configuration says of every repository: asked once, so that not each
//! of ten thousand costs a process.

use std::process::{Command, Stdio};

use crate::git::command::{WHERE_CONFIG_IS, answer_of};
use crate::git::repository::Repository;

/// Variables in which git hands `-c` on to what it starts (git-config(1)).
const FROM_COMMAND_LINE: [&str; 2] = ["GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"];

/// Settings that hold for every repository whose own configuration does not change them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Everywhere {
    /// Whether git trusts all repositories, whichever account owns them (git-config(1),
    /// `safe.directory`).
    pub trusts_all: bool,
    /// Whether hooks are in `hooks`, unless the repository itself says otherwise.
    hooks_at_home: bool,
}

impl Everywhere {
    /// Asks git. If git does not answer, each repository is asked about.
    #[must_use]
    pub fn ask() -> Self {
        let mut command = Command::new("git");
        let mut has_more = false;
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            has_more |= FROM_COMMAND_LINE.contains(&&*name_text);
            if name_text.starts_with("GIT_") && !WHERE_CONFIG_IS.contains(&&*name_text) {
                command.env_remove(&name);
            }
        }
        command
            // No repository: only what no repository can write.
            .env("GIT_DIR", "/dev/null")
            .args(["config", "--list", "--null"])
            .current_dir("/")
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let listed = match answer_of(&mut command) {
            Ok(answer) if answer.status.success() => answer.stdout,
            _ => return Self::default(),
        };
        let said = Self::of(&listed);
        Self {
            hooks_at_home: said.hooks_at_home && !has_more,
            ..said
        }
    }

    /// Reads the output of `git config --list --null`: `key`, a line break, value, a zero byte.
    fn of(listed: &[u8]) -> Self {
        let mut said = Self {
            trusts_all: false,
            hooks_at_home: true,
        };
        for entry in listed.split(|&byte| byte == 0) {
            let (key, value) = match entry.iter().position(|&byte| byte == b'\n') {
                Some(at) => (&entry[..at], &entry[at + 1..]),
                None => (entry, &[][..]),
            };
            if key == b"core.hookspath" || key.starts_with(b"includeif.") {
                said.hooks_at_home = false;
            } else if key == b"safe.directory" {
                // An empty one forgets those before it.
                said.trusts_all = value == b"*" || (said.trusts_all && !value.is_empty());
            }
        }
        said
    }
}

impl Repository {
    /// Returns the same as [`Repository::hooks_dir`], and asks git only if some file may change the
    /// default.
    #[must_use]
    pub fn hooks_dir_given(&self, everywhere: Everywhere) -> std::path::PathBuf {
        if everywhere.hooks_at_home && self.says_nothing_of_hooks() {
            self.path().join("hooks")
        } else {
            self.hooks_dir()
        }
    }

    /// Returns whether the repository's own file names neither a folder of hooks nor another file
    /// that could.
    fn says_nothing_of_hooks(&self) -> bool {
        let says = |name: &str| {
            let includes = ["include.", "includeif."];
            includes.iter().any(|of| name.starts_with(of))
                || ["core.hookspath", "extensions.worktreeconfig"].contains(&name)
        };
        let config = self.store().own_config();
        config.is_some_and(|config| !config.iter().any(|setting| says(&setting.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_settings_tells_what_holds_everywhere() {
        let of = |text: &str| {
            let said = Everywhere::of(text.as_bytes());
            (said.trusts_all, said.hooks_at_home)
        };
        assert_eq!(of(""), (false, true));
        assert_eq!(of("user.name\nA\nB\0core.bare\0"), (false, true));
        assert_eq!(of("core.hookspath\n/srv/hooks\0"), (false, false));
        assert_eq!(of("includeif.gitdir:/x.path\ny\0"), (false, false));
        assert_eq!(of("safe.directory\n*\0safe.directory\n/a\0"), (true, true));
        assert_eq!(of("safe.directory\n*\0safe.directory\n\0"), (false, true));
        assert_eq!(of("safe.directory\n/srv/*\0"), (false, true));
    }
}
