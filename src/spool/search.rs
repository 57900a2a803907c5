//! Which spools and repositories lie below a folder.

use std::ffi::OsStr;
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
    let mut has = Has::default();
    let mut folders = vec![];
    let entries = fs::read_dir(folder).context("list", || folder.to_owned())?;
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        has.mark(&name, config_name, spool_name);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(name);
        }
    }
    if has.head && has.objects && has.refs {
        if has.ours {
            take(Found::Repository(folder.to_owned()));
        }
    } else if has.new && has.retry && has.failed {
        take(Found::Spool(folder.to_owned()));
    } else if depth > 0 {
        for name in folders {
            // What cannot be listed is somebody else's, or gone by now.
            below(&folder.join(name), config_name, spool_name, depth - 1, take).ok();
        }
    }
    Ok(())
}

/// The names by which a folder is told.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "a name is there or is not")]
struct Has {
    head: bool,
    objects: bool,
    refs: bool,
    ours: bool,
    new: bool,
    retry: bool,
    failed: bool,
}

impl Has {
    fn mark(&mut self, name: &OsStr, config_name: &str, spool_name: &str) {
        match name.as_encoded_bytes() {
            b"HEAD" => self.head = true,
            b"objects" => self.objects = true,
            b"refs" => self.refs = true,
            b"new" => self.new = true,
            b"retry" => self.retry = true,
            b"failed" => self.failed = true,
            _ => self.ours |= name == config_name || name == spool_name,
        }
    }
}
