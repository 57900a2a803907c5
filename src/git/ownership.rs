//! Whose a repository is. What lies in another account's repository can make a git
//! command run what that account likes; git refuses to, and so do we.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::git::command::{answer_of, forget_variables};
use crate::git::error::Error;
use crate::git::objects::irregular;

/// Fails for a repository that belongs neither to `account` nor to an account that it trusts
/// (git-config(1), `safe.directory`). `git_dir` is the folder with `HEAD` in it, its links
/// resolved.
///
/// git is asked only about repositories of other accounts, and by discovery: it trusts any
/// repository named with `--git-dir` or `GIT_DIR`.
pub fn ensure_trusted(git_dir: &Path, account: u32) -> Result<(), Error> {
    // What is not there is nobody's; whoever opens it will see.
    let owner = std::fs::metadata(git_dir).map_or(account, |meta| meta.uid());
    // One with a work tree git knows by that.
    let named = match git_dir.parent() {
        Some(work_tree) if git_dir.ends_with(".git") => work_tree,
        _ => git_dir,
    };
    if owner == account {
        return Ok(());
    }
    irregular::ensure_none_at_once(named).map_err(|source| Error::Open {
        path: git_dir.display().to_string(),
        source,
        no_git: false,
    })?;
    if is_trusted_by_git(named, git_dir) {
        return Ok(());
    }
    Err(Error::Dubious {
        path: named.to_owned(),
        owner,
        account,
    })
}

/// Returns whether git finds exactly this repository at this folder. Otherwise it looks further up,
/// and may find another.
fn is_trusted_by_git(repository: &Path, git_dir: &Path) -> bool {
    let mut command = Command::new("git");
    forget_variables(&mut command, |_| false);
    // `safe.bareRepository` is about stumbling into one; this one was named.
    command
        .args(["-c", "safe.bareRepository=all", "-C"])
        .arg(repository)
        .args(["rev-parse", "--absolute-git-dir"])
        // What is above is none of it: there git would open what others put there.
        .env(
            "GIT_CEILING_DIRECTORIES",
            repository.parent().unwrap_or(repository),
        )
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    answer_of(&mut command).is_ok_and(|answer| {
        let found = answer.stdout.strip_suffix(b"\n").unwrap_or_default();
        let found = Path::new(OsStr::from_bytes(found)).canonicalize();
        answer.status.success() && found.is_ok_and(|found| found == git_dir)
    })
}
