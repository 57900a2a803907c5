//! The system calls that change a spool.
//!
//! Every change goes through here, so that an error always has its operation and
//! its path, and so that a test can stop the process between any two of them
//! (`fault`, which exists in tests only).

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use nix::fcntl::OFlag;
use nix::unistd::AccessFlags;

use super::error::{IoContext, IoError};
use super::{Access, Lock};

/// Opening a planted symbolic link fails, and a planted fifo does not hang.
pub(super) const SAFELY: i32 = OFlag::O_NOFOLLOW.bits() | OFlag::O_NONBLOCK.bits();

/// A new file that nobody else has.
pub(super) fn create(path: &Path, access: Access) -> Result<File, IoError> {
    step("create", path)
        .and_then(|()| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            options.mode(access.file_mode()).custom_flags(SAFELY);
            let file = options.open(path)?;
            share(&file, access, access.file_mode())?;
            Ok(file)
        })
        .context("create", path)
}

/// Writes all of `parts`, one after another.
pub(super) fn write(mut file: &File, path: &Path, parts: &[&[u8]]) -> Result<(), IoError> {
    step("write", path)
        .and_then(|()| parts.iter().try_for_each(|part| file.write_all(part)))
        .context("write", path)
}

pub(super) fn flush(file: &File, path: &Path) -> Result<(), IoError> {
    step("flush", path)
        .and_then(|()| file.sync_all())
        .context("flush", path)
}

/// Makes the links, renames and unlinks in a directory durable.
pub(super) fn flush_dir(path: &Path) -> Result<(), IoError> {
    step("flush", path)
        .and_then(|()| File::open(path)?.sync_all())
        .context("flush", path)
}

/// Whether the link was made; otherwise the name was taken, by the same thing if
/// the name has an id in it.
pub(super) fn link(from: &Path, to: &Path) -> Result<bool, IoError> {
    match step("link", to).and_then(|()| fs::hard_link(from, to)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).context("link", to),
    }
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), IoError> {
    step("rename", to)
        .and_then(|()| fs::rename(from, to))
        .context("rename", from)
}

/// Removes a name; one that is gone already is as good.
pub(super) fn unlink(path: &Path) -> Result<(), IoError> {
    match step("unlink", path).and_then(|()| fs::remove_file(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove", path),
        _ => Ok(()),
    }
}

/// Makes a directory and its missing parents. They are not flushed.
pub(super) fn ensure_dir(path: &Path, access: Access) -> Result<(), IoError> {
    let attempt = || DirBuilder::new().mode(access.dir_mode()).create(path);
    let mut made = step("mkdir", path).and_then(|()| attempt());
    if let (Err(error), Some(parent)) = (&made, path.parent())
        && error.kind() == io::ErrorKind::NotFound
    {
        ensure_dir(parent, access)?;
        made = attempt();
    }
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made
            .and_then(|()| share(&open_dir(path)?, access, access.dir_mode()))
            .context("create", path),
    }
}

/// The names in a directory, sorted; none if there is no such directory.
pub(super) fn names(path: &Path) -> Result<Vec<OsString>, IoError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        other => other.context("list", path)?,
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()
        .context("list", path)?;
    names.sort_unstable();
    Ok(names)
}

/// A directory's lock, which the kernel frees when its holder dies. `None`: it is
/// held by somebody else, or there is no such directory.
pub(super) fn lock(path: &Path, lock: Lock) -> Result<Option<File>, IoError> {
    let dir = match open_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.context("open", path)?,
    };
    let locked = match lock {
        Lock::Wait => dir.lock().map(|()| true),
        Lock::Try => match dir.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        },
    };
    Ok(locked.context("lock", path)?.then_some(dir))
}

/// Fails where names cannot be changed: a read-only file system, another's folder.
pub(super) fn ensure_writable(path: &Path) -> Result<(), IoError> {
    nix::unistd::access(path, AccessFlags::W_OK)
        .map_err(io::Error::from)
        .context("write", path)
}

/// A directory's time of modification, if there is such a directory.
pub(super) fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// Best effort: only the owner may.
pub(super) fn set_modified(path: &Path, time: SystemTime) {
    let _ = open_dir(path).and_then(|dir| dir.set_modified(time));
}

fn open_dir(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECTORY.bits())
        .open(path)
}

/// Gives something new to the group, if it is a shared spool: the umask, which
/// belongs to whoever pushes, does not apply to an explicit mode.
fn share(new: &File, access: Access, mode: u32) -> io::Result<()> {
    match access {
        Access::Owner => Ok(()),
        Access::Group => new.set_permissions(Permissions::from_mode(mode)),
    }
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "in tests it can fail")]
fn step(_operation: &str, _path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use fault::step;

/// Stops the "process" between two system calls, and tells which were made.
#[cfg(test)]
pub(super) mod fault {
    use std::cell::{Cell, RefCell};
    use std::io;
    use std::path::Path;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
        static TRACE: RefCell<Vec<String>> = const { RefCell::new(vec![]) };
    }

    pub(super) fn step(operation: &str, path: &Path) -> io::Result<()> {
        match LEFT.get() {
            // A dead process does not clean up: everything after fails too.
            Some(0) => return Err(io::Error::other("killed")),
            Some(left) => LEFT.set(Some(left - 1)),
            None => {}
        }
        TRACE.with_borrow_mut(|trace| trace.push(format!("{operation} {}", path.display())));
        Ok(())
    }

    /// Runs `act` and kills it after `steps` system calls; whether it was killed.
    pub(in super::super) fn killed_after<T>(steps: usize, act: impl FnOnce() -> T) -> (T, bool) {
        LEFT.set(Some(steps));
        let result = act();
        let killed = LEFT.get() == Some(0);
        LEFT.set(None);
        (result, killed)
    }

    /// Runs `act` and tells the system calls that it made.
    pub(in super::super) fn traced<T>(act: impl FnOnce() -> T) -> (T, Vec<String>) {
        TRACE.take();
        let result = act();
        (result, TRACE.take())
    }
}
