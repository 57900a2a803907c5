//! File systems that lack an ability, or have a different one (CIFS, NFS, exFAT, FUSE).

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, fstat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{Uid, syncfs};

use super::super::error::{IoError, NoLinks};
use super::super::folder::{Folder, Name};
use super::{rename, stat};

/// Free bytes, and free files, that leave room for any name.
const MUCH: u64 = 16 << 20;
const MANY: u64 = 4096;

/// Returns whether there may be no room for another name in a folder (statvfs(3)).
///
/// File systems that do not count files report a total of 0.
pub(in crate::spool) fn is_scarce(folder: &Folder) -> bool {
    let found = folder.fd().and_then(|fd| Ok(fstatvfs(fd)?));
    #[cfg(test)]
    if super::fault::is_full() {
        return true;
    }
    found.is_ok_and(|disk| {
        let room = disk.blocks_available().saturating_mul(disk.fragment_size());
        room < MUCH || (disk.files() > 0 && disk.files_available() < MANY)
    })
}

/// Returns whether an error is the kernel's for a call that a file system does not know.
fn is_unknown(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(
        code,
        Some(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS)
    )
}

/// Makes the names in a folder durable. Returns whether the folder itself could be flushed.
///
/// If not, all of its file system was flushed (syncfs(2)).
pub(super) fn flush_names(dir: &File) -> io::Result<bool> {
    match dir.sync_all() {
        Err(error) if is_unknown(&error) => {
            syncfs(dir)?;
            Ok(false)
        }
        flushed => flushed.map(|()| true),
    }
}

/// Returns whether two names are of one file.
pub(super) fn are_same(one: &Name, other: &Name) -> io::Result<bool> {
    Ok(place(&stat(one)?) == place(&stat(other)?))
}

/// Renames an open file.
pub(in crate::spool) fn rename_open(file: &File, from: &Name, to: &Name) -> Result<(), IoError> {
    match rename(from, to) {
        // On NFS a call whose reply was lost is made again, and does not find it.
        Err(error)
            if error.source.kind() == io::ErrorKind::NotFound
                && is_name_of(to, file).unwrap_or(false) =>
        {
            Ok(())
        }
        renamed => renamed,
    }
}

/// Returns whether a name is that of an open file.
fn is_name_of(name: &Name, file: &File) -> io::Result<bool> {
    Ok(place(&stat(name)?) == place(&fstat(file)?))
}

fn place(stat: &FileStat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Converts an error of link(2), for a file system without hard links.
///
/// The kernel reports the same error for another account's file (`fs.protected_hardlinks`,
/// `proc_sys_fs(5)`), which is not converted.
pub(super) fn of_link(from: &Name, error: io::Error) -> io::Error {
    let is_own = || stat(from).is_ok_and(|stat| stat.st_uid == Uid::effective().as_raw());
    let is_forbidden = error.raw_os_error() == Some(Errno::EPERM as i32);
    if is_unknown(&error) || (is_forbidden && is_own()) {
        return io::Error::other(NoLinks);
    }
    error
}
