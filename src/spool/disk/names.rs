//! The names in a folder.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use nix::dir::{Dir, Type};

use crate::spool::error::{IoContext, IoError};
use crate::spool::folder::Folder;

/// The names in a directory, sorted; none if there is no such directory. For those of
/// which there are never many.
pub(in crate::spool) fn names(folder: &Folder) -> Result<Vec<OsString>, IoError> {
    let mut names = vec![];
    each_name(folder, &mut |name| names.push(name.to_owned()))?;
    names.sort_unstable();
    Ok(names)
}

/// Hands over the names in a directory one by one, in no order, and holds none; none
/// if there is no such directory.
pub(in crate::spool) fn each_name(
    folder: &Folder,
    take: &mut dyn FnMut(&OsStr),
) -> Result<(), IoError> {
    each_of(folder, &|_| true, &mut |name| {
        take(name);
        ControlFlow::Continue(())
    })
}

/// The same, until `take` breaks: the rest of a long folder is not read.
pub(in crate::spool) fn each_name_until(
    folder: &Folder,
    take: &mut dyn FnMut(&OsStr) -> ControlFlow<()>,
) -> Result<(), IoError> {
    each_of(folder, &|_| true, take)
}

/// The same, of folders and links alone where the file system tells them apart.
pub(in crate::spool) fn each_folder(
    folder: &Folder,
    take: &mut dyn FnMut(&OsStr),
) -> Result<(), IoError> {
    // A link is not followed: what opens it refuses it, and says so.
    let may_be_one = |kind| matches!(kind, None | Some(Type::Directory | Type::Symlink));
    each_of(folder, &may_be_one, &mut |name| {
        take(name);
        ControlFlow::Continue(())
    })
}

fn each_of(
    folder: &Folder,
    is_meant: &dyn Fn(Option<Type>) -> bool,
    take: &mut dyn FnMut(&OsStr) -> ControlFlow<()>,
) -> Result<(), IoError> {
    match list(folder, is_meant, take) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.context("list", || folder.path()),
    }
}

fn list(
    folder: &Folder,
    is_meant: &dyn Fn(Option<Type>) -> bool,
    take: &mut dyn FnMut(&OsStr) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut dir = Dir::from_fd(folder.reopen()?.into())?;
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let is_one = name != b"." && name != b".." && is_meant(entry.file_type());
        if is_one && take(OsStr::from_bytes(name)).is_break() {
            break;
        }
    }
    Ok(())
}
