//! Which spools and repositories lie below a folder.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use super::error::{IoContext, IoError};

/// Deeper than any server keeps repositories; links are not followed anyway.
const DEEPEST: usize = 32;

/// Something that may have entries waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A spool's own folder.
    Spool(PathBuf),
    /// A repository's folder, the one with `HEAD` in it.
    Repository(PathBuf),
}

/// Finds them in `folder` or below it, calling `take` for each.
///
/// A repository is listed once and not entered. One that has neither a file called
/// `config_name` nor a folder called `spool_name` holds nothing of ours and is
/// passed over, which is all that most of ten thousand cost.
pub fn search(
    folder: &Path,
    config_name: &str,
    spool_name: &str,
    take: &mut dyn FnMut(Found),
) -> Result<(), IoError> {
    below(folder, config_name, spool_name, DEEPEST, take)
}

fn below(
    folder: &Path,
    config_name: &str,
    spool_name: &str,
    depth: usize,
    take: &mut dyn FnMut(Found),
) -> Result<(), IoError> {
    let entries: Vec<DirEntry> = fs::read_dir(folder)
        .context("list", || folder.to_owned())?
        .filter_map(Result::ok)
        .collect();
    let has = |name: &str| entries.iter().any(|entry| entry.file_name() == name);
    if has("HEAD") && has("objects") && has("refs") {
        if has(config_name) || has(spool_name) {
            take(Found::Repository(folder.to_owned()));
        }
    } else if has("new") && has("retry") && has("failed") {
        take(Found::Spool(folder.to_owned()));
    } else if depth > 0 {
        for entry in entries {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                // What cannot be listed is somebody else's, or gone by now.
                below(&entry.path(), config_name, spool_name, depth - 1, take).ok();
            }
        }
    }
    Ok(())
}
