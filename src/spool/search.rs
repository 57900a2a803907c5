//! Which spools and repositories lie below a folder.

use std::ffi::OsString;
use std::fs;
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
/// A repository is listed once and not entered. One below `folder` that has neither a file
/// called `config_name` nor a folder called `spool_name` holds nothing of ours and is
/// passed over, which is all that most of ten thousand cost.
pub fn search(
    folder: &Path,
    config_name: &str,
    spool_name: &str,
    take: &mut dyn FnMut(Found),
) -> Result<(), IoError> {
    let mut visit = |found: &Path, listed: &Listed| {
        if listed.is_repository() {
            // Whoever names it means it: its spool may be the server's.
            if found == folder || listed.has(config_name) || listed.has(spool_name) {
                take(Found::Repository(found.to_owned()));
            }
            Way::Past
        } else if listed.is_spool() {
            take(Found::Spool(found.to_owned()));
            Way::Past
        } else {
            Way::Below
        }
    };
    // What cannot be listed is somebody else's, or gone by now.
    walk(folder, DEEPEST, &mut visit, &mut drop)
}

/// Finds every repository in `folder` or below it, whatever is in it, and calls `unlisted`
/// for what is below and cannot be listed.
pub fn repositories(
    folder: &Path,
    take: &mut dyn FnMut(PathBuf),
    unlisted: &mut dyn FnMut(IoError),
) -> Result<(), IoError> {
    let mut visit = |folder: &Path, listed: &Listed| {
        if listed.is_repository() {
            take(folder.to_owned());
            Way::Past
        } else {
            Way::Below
        }
    };
    walk(folder, DEEPEST, &mut visit, unlisted)
}

/// What is in a folder.
#[derive(Default)]
struct Listed {
    names: Vec<OsString>,
    folders: Vec<OsString>,
}

impl Listed {
    fn of(folder: &Path) -> Result<Self, IoError> {
        let mut listed = Self::default();
        let entries = fs::read_dir(folder).context("list", || folder.to_owned())?;
        for entry in entries.filter_map(Result::ok) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                listed.folders.push(entry.file_name());
            }
            listed.names.push(entry.file_name());
        }
        Ok(listed)
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|one| one == name)
    }

    fn is_repository(&self) -> bool {
        ["HEAD", "objects", "refs"]
            .iter()
            .all(|name| self.has(name))
    }

    fn is_spool(&self) -> bool {
        ["new", "retry", "failed"].iter().all(|name| self.has(name))
    }
}

/// Where a search goes from a folder.
enum Way {
    Past,
    Below,
}

fn walk(
    folder: &Path,
    depth: usize,
    visit: &mut dyn FnMut(&Path, &Listed) -> Way,
    unlisted: &mut dyn FnMut(IoError),
) -> Result<(), IoError> {
    let listed = Listed::of(folder)?;
    if matches!(visit(folder, &listed), Way::Past) || depth == 0 {
        return Ok(());
    }
    for name in listed.folders {
        if let Err(error) = walk(&folder.join(name), depth - 1, visit, unlisted) {
            unlisted(error);
        }
    }
    Ok(())
}
