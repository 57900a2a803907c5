//! Locks (flock(2)), which the kernel frees when their holder dies.

use std::fs::{File, TryLockError};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::stat::fstat;

use super::super::Lock;
use super::super::error::{IoContext, IoError};
use super::super::folder::{Folder, Name};
use super::{open, stat};

/// Longest time that a lock is waited for. A flush gives way after a quarter of a second.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Interval at which a lock is tried again.
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// The result of locking a directory.
#[must_use = "dropping it frees the lock"]
pub(in crate::spool) enum Locked {
    /// The lock, which is freed when this is dropped or its process dies.
    Held(File),
    /// Another process has it.
    Busy,
    /// The directory does not exist.
    Gone,
}

impl Locked {
    pub(in crate::spool) fn held(self) -> Option<File> {
        match self {
            Self::Held(lock) => Some(lock),
            Self::Busy | Self::Gone => None,
        }
    }
}

/// Locks a directory.
pub(in crate::spool) fn lock(folder: &Folder, lock: Lock) -> Result<Locked, IoError> {
    let dir = match folder.reopen() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Locked::Gone),
        other => other.context("open", || folder.path())?,
    };
    let is_locked = match lock {
        Lock::Wait => wait_for(&dir),
        Lock::Try => match dir.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        },
    };
    let is_locked = is_locked.context("lock", || folder.path())?;
    Ok(if is_locked {
        Locked::Held(dir)
    } else {
        Locked::Busy
    })
}

/// Returns whether a folder is still at its path, rather than removed since it was opened.
pub(in crate::spool) fn is_at_its_path(folder: &Folder) -> Result<bool, IoError> {
    let is_same = match place(&folder.anew()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        there => there.and_then(|there| Ok(there == place(folder)?)),
    };
    is_same.context("open", || folder.path())
}

/// Returns the device and the inode of a folder.
fn place(folder: &Folder) -> io::Result<(u64, u64)> {
    let stat = fstat(folder.fd()?)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Locks a file. Fails after [`LOCK_WAIT`].
pub(in crate::spool) fn lock_file(file: &File, name: &Name) -> Result<(), IoError> {
    wait_for(file).context("lock", || name.path()).map(drop)
}

/// Opens and locks the file of a name. Calls `open` again if another file has taken its place by
/// the time that the lock is free.
pub(in crate::spool) fn open_locked(
    name: &Name,
    open: impl Fn() -> Result<File, IoError>,
) -> Result<File, IoError> {
    loop {
        let file = open()?;
        lock_file(&file, name)?;
        if is_named(&file, name) {
            return Ok(file);
        }
    }
}

/// Returns whether a name is that of an open file, rather than of another one that took its place.
pub(in crate::spool) fn is_named(file: &File, name: &Name) -> bool {
    match (fstat(file), stat(name)) {
        (Ok(file), Ok(named)) => (file.st_dev, file.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

/// Returns whether a process holds a file's lock. A file that cannot be opened counts as free.
pub(in crate::spool) fn is_locked(name: &Name) -> bool {
    // Shared, with other processes that look: NFS gives no exclusive lock on a file that is open
    // for reading.
    let locked = open(name).map(|file| file.try_lock_shared());
    matches!(locked, Ok(Err(TryLockError::WouldBlock)))
}

fn wait_for(file: &File) -> io::Result<bool> {
    let end = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                let held = "another process has held it for two seconds";
                return Err(io::Error::new(io::ErrorKind::WouldBlock, held));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(ASK_AGAIN),
        }
    }
}
