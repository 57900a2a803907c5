//! Files of a repository that are no files. libgit2 and git open what has the right name:
//! at a FIFO they wait for ever, and a device does what it likes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::git::command::{Git, answer_of};
use crate::git::error::Cause;
use crate::plain_file;

/// No more of a configuration is looked at.
const LONGEST_CONFIG: u64 = 16 << 20;

/// Size in bytes of the largest file that libgit2 reads as a whole when it opens a repository.
const LARGEST: u64 = 64 << 20;

/// The only one of them that grows with what is pushed.
const REFS: &str = "packed-refs";

/// Files that libgit2 and git read of each repository that they open.
const READ_AT_ONCE: [&str; 8] = [
    "HEAD",
    "commondir",
    "config",
    "config.worktree",
    REFS,
    "shallow",
    "info/grafts",
    "objects/info/alternates",
];

fn within(path: &Path) -> PathBuf {
    let within = path.join(".git");
    if within.is_dir() {
        within
    } else {
        path.to_owned()
    }
}

/// Fails for the repository in this folder, or in a `.git` in it, if one of those is no file or
/// would fill the memory.
/// git looks into both to see which of them is one.
pub(in crate::git) fn ensure_none_at_once(path: &Path) -> Result<(), Cause> {
    let both = [path.join(".git"), path.to_owned()];
    let files = |git_dir: &PathBuf| READ_AT_ONCE.map(|name| git_dir.join(name));
    for file in both.iter().flat_map(files) {
        let Ok(meta) = fs::metadata(&file) else {
            continue;
        };
        ensure_regular(&file, &meta)?;
        if meta.is_file() && meta.len() > LARGEST && !file.ends_with(REFS) {
            let most = LARGEST >> 20;
            return Err(format!("`{}` is larger than {most} MiB", file.display()).into());
        }
    }
    Ok(())
}

/// Fails if a file that its configuration includes is never read to its end: at a FIFO libgit2
/// waits for ever. git is asked, with a limit in time, and only if there are includes.
pub(in crate::git) fn ensure_includes_end(path: &Path) -> Result<(), Cause> {
    let git_dir = within(path);
    let config = plain_file::read(&git_dir.join("config"), LONGEST_CONFIG).unwrap_or_default();
    let word = b"include";
    let mut words = config.windows(word.len());
    if !words.any(|it| it.eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    let mut command = Git::new(git_dir.canonicalize()?, false).command();
    match answer_of(command.args(["config", "--list"])) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            Err("what its configuration includes cannot be read to its end".into())
        }
        // Whoever reads it says what else is wrong.
        _ => Ok(()),
    }
}

/// Fails if something among the packs of a folder of objects is no file.
pub(in crate::git) fn ensure_none_in_packs(objects: &Path) -> Result<(), Cause> {
    let packs = fs::read_dir(objects.join("pack")).into_iter().flatten();
    let odd = packs.flatten().filter(|entry| {
        let kind = entry.file_type();
        !kind.is_ok_and(|kind| kind.is_file())
    });
    ensure_none(odd.map(|entry| entry.path()))
}

/// Fails if one of these exists and is no regular file. A folder is allowed: opening it returns at
/// once, and it may stand in the place of a ref whose name others begin with.
pub(in crate::git) fn ensure_none(files: impl IntoIterator<Item = PathBuf>) -> Result<(), Cause> {
    let mut files = files.into_iter();
    files.try_for_each(|file| match fs::metadata(&file) {
        Ok(meta) => ensure_regular(&file, &meta),
        Err(_) => Ok(()),
    })
}

fn ensure_regular(file: &Path, meta: &fs::Metadata) -> Result<(), Cause> {
    if meta.is_file() || meta.is_dir() {
        Ok(())
    } else {
        Err(format!("`{}` is no regular file", file.display()).into())
    }
}
