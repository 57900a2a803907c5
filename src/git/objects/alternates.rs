//! The folders in which the objects of a repository are. Which others it borrows from,
//! git is asked: it alone knows what a line of `objects/info/alternates` means
//! (gitrepository-layout(5)).

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::git::command::{Git, answer_of};
use crate::git::objects::id::HashKind;

/// Returns the folder that pushed objects are stored in.
pub(in crate::git) fn own(git: &Git, common_dir: &Path) -> PathBuf {
    let named = git.variable_of_hook("GIT_OBJECT_DIRECTORY");
    named.map_or_else(|| common_dir.join("objects"), PathBuf::from)
}

/// Whether all of them can be opened, and those that these borrow from.
pub(in crate::git) fn can_all_be_opened(git: &Git, own: &Path, hash: HashKind) -> bool {
    // Of a folder that it cannot open git complains as soon as it looks for an object, and
    // goes on without it.
    let nothing = "f".repeat(hash.digits());
    let mut command = git.command();
    let looked = command.args(["cat-file", "-e", &nothing]);
    let looked = answer_of(looked.stderr(Stdio::piped()));
    own.read_dir().is_ok()
        && looked.is_ok_and(|ran| ran.stderr.is_empty())
        && others(git, own).iter().all(|it| it.read_dir().is_ok())
}

/// The others. Git is asked only where there is something to tell, and what it does not
/// tell it finds itself (`cat_file`).
pub(in crate::git) fn others(git: &Git, own: &Path) -> Vec<PathBuf> {
    let names_some = git
        .variable_of_hook("GIT_ALTERNATE_OBJECT_DIRECTORIES")
        .is_some_and(|folders| !folders.is_empty());
    let lists_some = fs::metadata(own.join("info/alternates")).is_ok_and(|meta| meta.len() > 0);
    if !names_some && !lists_some {
        return Vec::new();
    }
    let listed = git.ask(&["count-objects", "-v"]).unwrap_or_default();
    let lines = listed.split(|&byte| byte == b'\n');
    lines
        .filter_map(|line| line.strip_prefix(b"alternate: "))
        // One in quotes is escaped; git reads what is there.
        .filter(|path| !path.starts_with(b"\""))
        .map(|path| PathBuf::from(OsStr::from_bytes(path)))
        .collect()
}
