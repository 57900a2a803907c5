//! The system calls that change a spool.
//!
//! Every change goes through here, so that an error always has its operation and
//! its path, and so that a test can stop the process between any two of them
//! (`fault`, which exists in tests only).
//!
//! Each call is made on an open [`Folder`] and one name in it, and follows no link on the way: a
//! person who can make names in a spool cannot lead a call out of it.

#[cfg(test)]
pub(super) mod fault;
mod lacking;
mod locks;
mod names;

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FallocateFlags, OFlag, fallocate, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, UtimensatFlags, fstat, fstatat, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, linkat, unlinkat};

use super::Access;
use super::error::{IoContext, IoError, Refused};
use super::folder::{Folder, Name};

pub(super) use lacking::{is_scarce, rename_open};
pub(super) use locks::{Locked, is_at_its_path, is_locked, is_named, lock, lock_file, open_locked};
pub(super) use names::{each_folder, each_name, each_name_until, names};

/// Flags with which opening a planted symbolic link fails, and opening a planted fifo does not
/// hang.
const SAFELY: OFlag = OFlag::O_NOFOLLOW
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_CLOEXEC);

/// Creates a file that did not exist before.
pub(super) fn create(name: &Name, access: Access) -> Result<File, IoError> {
    step("create", || name.path())
        .and_then(|()| {
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
            let mode = access.file_mode();
            let file = open_with(name, flags, mode)?;
            share(&file, access, mode)?;
            Ok(file)
        })
        .context("create", || name.path())
}

/// Opens a file for reading.
pub(super) fn open(name: &Name) -> io::Result<File> {
    open_with(name, OFlag::O_RDONLY, 0)
}

/// Opens a file for appending.
pub(super) fn append(name: &Name) -> io::Result<File> {
    open_own(name, OFlag::O_WRONLY | OFlag::O_APPEND)
}

/// Opens a file for reading and writing.
pub(super) fn open_both(name: &Name) -> io::Result<File> {
    open_own(name, OFlag::O_RDWR)
}

/// Opens a file that has no other name.
///
/// A second name may have been made to get something written elsewhere.
fn open_own(name: &Name, flags: OFlag) -> io::Result<File> {
    let file = open_with(name, flags, 0).map_err(|error| {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ELOOP) => io::Error::other(Refused::Link(name.path())),
            _ => error,
        }
    })?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.nlink() > 1 {
        return Err(io::Error::other(Refused::OtherNames(name.path())));
    }
    Ok(file)
}

fn open_with(name: &Name, flags: OFlag, mode: u32) -> io::Result<File> {
    let folder = name.folder().fd()?;
    let mode = Mode::from_bits_truncate(mode);
    Ok(File::from(openat(
        folder,
        name.name(),
        flags | SAFELY,
        mode,
    )?))
}

/// Writes all of `parts`, one after another, in as few calls as the kernel takes.
pub(super) fn write(file: &File, name: &Name, parts: &[&[u8]]) -> Result<(), IoError> {
    step("write", || name.path())
        .and_then(|()| write_all(file, parts))
        .context("write", || name.path())
}

fn write_all(mut file: &File, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut left = &mut slices[..];
    // Empty parts are passed over.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes into a file from an offset on.
pub(super) fn write_at(file: &File, name: &Name, at: u64, bytes: &[u8]) -> Result<(), IoError> {
    step("write", || name.path())
        .and_then(|()| file.write_all_at(bytes, at))
        .context("write", || name.path())
}

/// Reserves room for the first bytes of a file, without changing its length (fallocate(2)).
pub(super) fn reserve(file: &File, name: &Name, length: u64) -> Result<(), IoError> {
    step("reserve", || name.path())
        .and_then(|()| {
            let flags = FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let length = i64::try_from(length).map_err(io::Error::other)?;
            Ok(fallocate(file, flags, 0, length)?)
        })
        .context("set room aside in", || name.path())
}

/// Truncates a file and gives up the room behind its new end.
pub(super) fn truncate(file: &File, name: &Name, length: u64) -> Result<(), IoError> {
    step("truncate", || name.path())
        .and_then(|()| file.set_len(length))
        .context("truncate", || name.path())
}

pub(super) fn flush(file: &File, name: &Name) -> Result<(), IoError> {
    step("flush", || name.path())
        .and_then(|()| file.sync_all())
        .context("flush", || name.path())
}

/// Makes the links, renames and unlinks in a directory durable.
pub(super) fn flush_dir(folder: &Folder) -> Result<(), IoError> {
    flush_names(folder).map(drop)
}

/// Makes the names in a directory durable. Returns whether the file system can flush one directory.
///
/// If it cannot, the whole file system is flushed.
pub(super) fn flush_names(folder: &Folder) -> Result<bool, IoError> {
    step("flush", || folder.path())
        .and_then(|()| lacking::flush_names(&folder.reopen()?))
        .context("flush", || folder.path())
}

/// Makes the names in a directory above a spool durable.
pub(super) fn flush_above(path: &Path) -> io::Result<()> {
    step("flush", || path.to_owned())
        .and_then(|()| lacking::flush_names(&File::open(path)?))
        .map(drop)
}

/// Gives a file a second name. Returns false if the name was taken by another file.
///
/// If the name has an id in it, that file is the same entry.
pub(super) fn link(from: &Name, to: &Name) -> Result<bool, IoError> {
    let linked = step("link", || to.path()).and_then(|()| {
        let (old, new) = (from.folder().fd()?, to.folder().fd()?);
        // A symbolic link is not followed: it is linked itself.
        Ok(linkat(old, from.name(), new, to.name(), AtFlags::empty())?)
    });
    match linked {
        Ok(()) => Ok(true),
        // On NFS a call whose reply was lost is made again, and finds its own work.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(lacking::are_same(from, to).unwrap_or(false))
        }
        Err(error) => Err(lacking::of_link(from, error)).context("link", || to.path()),
    }
}

pub(super) fn rename(from: &Name, to: &Name) -> Result<(), IoError> {
    step("rename", || to.path())
        .and_then(|()| {
            let (old, new) = (from.folder().fd()?, to.folder().fd()?);
            Ok(renameat(old, from.name(), new, to.name())?)
        })
        .context("rename", || from.path())
}

/// Returns `None` if the operation failed because a name was gone.
pub(super) fn unless_gone<T>(done: Result<T, IoError>) -> Result<Option<T>, IoError> {
    match done {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// Removes a name. Succeeds if there is none.
pub(super) fn unlink(name: &Name) -> Result<(), IoError> {
    unlinked(name).map(drop)
}

/// Removes a name. Returns whether it existed.
pub(super) fn unlinked(name: &Name) -> Result<bool, IoError> {
    let gone = step("unlink", || name.path()).and_then(|()| {
        let folder = name.folder().fd()?;
        Ok(unlinkat(folder, name.name(), UnlinkatFlags::NoRemoveDir)?)
    });
    match gone {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("remove", || name.path()),
    }
}

/// Creates a directory and its missing parents. They are not flushed.
pub(super) fn ensure_dir(folder: &Folder, access: Access) -> Result<(), IoError> {
    let Some(parent) = folder.parent() else {
        return ensure_above(&folder.path(), access);
    };
    let bits = Mode::from_bits_truncate(access.dir_mode());
    let attempt = || keeping_mark(parent, || Ok(mkdirat(parent.fd()?, folder.name(), bits)?));
    let mut made = step("mkdir", || folder.path()).and_then(|()| attempt());
    if is_not_found(&made) {
        ensure_dir(parent, access)?;
        made = attempt();
    }
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made
            .and_then(|()| share(&folder.reopen()?, access, access.dir_mode()))
            .context("create", || folder.path()),
    }
}

/// Creates the directory at which a spool's way down begins, and those above it.
fn ensure_above(path: &Path, access: Access) -> Result<(), IoError> {
    let attempt = || DirBuilder::new().mode(access.dir_mode()).create(path);
    let mut made = step("mkdir", || path.to_owned()).and_then(|()| attempt());
    if let (true, Some(parent)) = (is_not_found(&made), path.parent()) {
        ensure_above(parent, access)?;
        made = attempt();
    }
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made
            .and_then(|()| share(&File::open(path)?, access, access.dir_mode()))
            .context("create", || path.to_owned()),
    }
}

/// Removes an empty folder. Leaves one that has names in it.
pub(super) fn remove_if_empty(folder: &Folder) -> Result<(), IoError> {
    let Some(parent) = folder.parent() else {
        return Ok(());
    };
    let removed = step("rmdir", || folder.path()).and_then(|()| {
        Ok(unlinkat(
            parent.fd()?,
            folder.name(),
            UnlinkatFlags::RemoveDir,
        )?)
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.context("remove", || folder.path()),
    }
}

fn is_not_found<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Fails where names cannot be changed, as on a read-only file system or in another account's
/// folder.
pub(super) fn ensure_writable(folder: &Folder) -> Result<(), IoError> {
    folder
        .fd()
        .and_then(|fd| Ok(faccessat(fd, ".", AccessFlags::W_OK, AtFlags::empty())?))
        .context("write", || folder.path())
}

/// Returns the status of a name. A link is not followed.
pub(super) fn stat(name: &Name) -> io::Result<FileStat> {
    let folder = name.folder().fd()?;
    Ok(fstatat(folder, name.name(), AtFlags::AT_SYMLINK_NOFOLLOW)?)
}

pub(super) fn is_file(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits()
}

pub(super) fn is_dir(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()
}

/// Converts a time of the kernel's. Times before 1970 become 1970.
pub(super) fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let nanoseconds = u64::try_from(nanoseconds).unwrap_or(0);
    UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}

/// Returns a directory's time of modification, if it exists.
pub(super) fn modified(folder: &Folder) -> Option<SystemTime> {
    let stat = fstat(folder.fd().ok()?).ok()?;
    Some(time(stat.st_mtime, stat.st_mtime_nsec))
}

/// Sets a directory's time of modification, as far as possible: only the owner may.
pub(super) fn set_modified(folder: &Folder, to: SystemTime) {
    let since = to.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (keep, to) = (TimeSpec::UTIME_OMIT, TimeSpec::from_duration(since));
    let follow = UtimensatFlags::NoFollowSymlink;
    let _ = folder
        .fd()
        .and_then(|fd| Ok(utimensat(fd, ".", &keep, &to, follow)?));
}

/// Runs `act`, which changes names in a folder, and restores the folder's time of modification.
///
/// That time orders ids, so it must not change even if the clock has.
pub(super) fn keeping_mark<T>(folder: &Folder, act: impl FnOnce() -> T) -> T {
    let mark = modified(folder);
    let result = act();
    if let Some(mark) = mark {
        set_modified(folder, mark);
    }
    result
}

/// Gives a new file or directory the mode of a shared spool.
///
/// The pusher's umask does not apply to an explicit mode.
fn share(new: &File, access: Access, mode: u32) -> io::Result<()> {
    match access {
        Access::Owner => Ok(()),
        Access::Group => new.set_permissions(Permissions::from_mode(mode)),
    }
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "in tests it can fail")]
fn step(_operation: &str, _path: impl FnOnce() -> std::path::PathBuf) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use fault::step;
