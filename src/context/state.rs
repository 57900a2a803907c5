//! The folder in which an account's refpost remembers what no spool can.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User};

use super::Context;
use super::written::write_whole;
use crate::error::{Error, IoContext};
use crate::{plain_file, report};

/// Folder in the state folder that flushes lock, one after another, to tell alerts.
pub(crate) const ALERTS: &str = "alerts";

/// The folder of the service's account, or of root.
const SYSTEM: &str = "/var/lib/refpost";
/// The file that is written to try the folder out.
const TRIAL: &str = "trial";
/// Size of the largest file read, in bytes.
const LARGEST: u64 = 64 << 20;
/// Longest time that another process is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Interval at which the lock is tried again.
const AGAIN: Duration = Duration::from_millis(10);

fn cannot_lock(folder: &Path, source: io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) {
        let (folder, why) = (folder.display(), report::chain(&source));
        return Error::Failed {
            what: format!("cannot lock `{folder}`: {why}"),
            hint: Some("name a folder that this account may write in `XDG_STATE_HOME`".to_owned()),
        };
    }
    Error::Io {
        operation: "lock",
        path: folder.to_owned(),
        source,
    }
}

/// The state folder, locked against other processes until this is dropped.
#[must_use = "dropping it frees the lock"]
pub(crate) struct State {
    folder: PathBuf,
    _lock: File,
}

impl State {
    /// Locks the folder, and makes it if need be.
    pub(crate) fn lock(ctx: &Context) -> Result<Self, Error> {
        let folder = Self::folder(ctx)?;
        Self::lock_within(folder.clone(), PATIENCE).map_err(|error| cannot_lock(&folder, error))
    }

    /// Locks a folder in it, and makes it if need be. Returns `None` if another process has it.
    pub(crate) fn try_lock(name: &str, ctx: &Context) -> Result<Option<Self>, Error> {
        let folder = Self::folder(ctx)?.join(name);
        match Self::lock_within(folder.clone(), Duration::ZERO) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            locked => locked
                .map(Some)
                .map_err(|error| cannot_lock(&folder, error)),
        }
    }

    /// Locks a folder in it and writes a file there, which is removed again. One that another
    /// process has is written by that.
    pub(crate) fn try_out(name: &str, ctx: &Context) -> Result<(), Error> {
        let Some(state) = Self::try_lock(name, ctx)? else {
            return Ok(());
        };
        let path = state.folder.join(TRIAL);
        write_whole(&path, b"", 0o600)?;
        fs::remove_file(&path).doing("remove", &path)
    }

    fn lock_within(folder: PathBuf, patience: Duration) -> io::Result<Self> {
        let lock = || {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)?;
            let opened = plain_file::open_folder(&folder)?;
            let end = Instant::now() + patience;
            while let Err(error) = opened.try_lock() {
                match error {
                    TryLockError::WouldBlock if Instant::now() < end => thread::sleep(AGAIN),
                    error => return Err(io::Error::from(error)),
                }
            }
            Ok(opened)
        };
        Ok(Self {
            _lock: lock()?,
            folder,
        })
    }

    /// Returns /var/lib/refpost if it is the account's, or else the folder in its home (XDG Base
    /// Directory Specification).
    fn folder(ctx: &Context) -> Result<PathBuf, Error> {
        let is_own = |path: &str| {
            fs::symlink_metadata(path).is_ok_and(|it| it.is_dir() && it.uid() == ctx.own_uid())
        };
        if is_own(SYSTEM) {
            return Ok(SYSTEM.into());
        }
        let absolute = |name: &str| {
            let path = ctx.path_variable(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        let own = || User::from_uid(Uid::effective()).ok().flatten();
        let home = || absolute("HOME").or_else(|| own().map(|own| own.dir));
        let home = || home().map(|home| home.join(".local/state"));
        let state = absolute("XDG_STATE_HOME").or_else(home);
        let state = state.ok_or_else(|| Error::Failed {
            what: "cannot tell where to remember counts: this account has no home".to_owned(),
            hint: Some("name a folder in `XDG_STATE_HOME`".to_owned()),
        })?;
        Ok(state.join("refpost"))
    }

    /// Reads a file of the folder. Returns `None` if it does not exist.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.folder.join(name);
        match plain_file::read(&path, LARGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).doing("read", &path),
        }
    }

    /// Writes a file of the folder.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        write_whole(&self.folder.join(name), bytes, 0o600)
    }
}
