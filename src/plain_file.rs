//! Opening files that others may have made: from an open folder, through no link, and without
//! waiting.
//!
//! - A FIFO waits for its writer when it is opened, a device can do anything, a link leads to files
//!   that its maker cannot read. None of them says anything about a repository.
//! - Checks and reads are made on the open file. No path is looked up again.
//! - A file that a person names is that person's: there, links are followed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open as open_path, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use zeroize::Zeroizing;

/// Number of bytes that no file with a path exceeds.
pub const LONGEST_PATH: u64 = 8 << 10;

/// The reason for which a file is not opened.
///
/// Carried inside an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A folder, a FIFO, a device or another special file.
    #[error("it is no regular file")]
    NotRegular,
    /// A symbolic link, which may lead anywhere.
    #[error("it is a symbolic link")]
    Link,
}

impl Unfit {
    /// Returns the reason inside an error, if it has one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// An open folder, which stays the same even if its path changes.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens a folder. Links on the way to it are those of the person who names it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        // The folder of a bare name is this one.
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        Ok(Self(open_path(path, flags, Mode::empty())?))
    }

    /// Opens a folder in this one, which is no link.
    pub fn below(&self, name: impl AsRef<Path>) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(Self(openat(&self.0, name.as_ref(), flags, Mode::empty())?))
    }

    /// Returns whether the folder has an object of this name.
    pub fn has(&self, name: impl AsRef<Path>) -> bool {
        fstatat(&self.0, name.as_ref(), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Returns the folder's owner, group and mode.
    pub fn stat(&self) -> io::Result<FileStat> {
        Ok(fstat(&self.0)?)
    }

    /// Returns the folder's path as the kernel has it now, without links (proc(5)).
    pub fn path(&self) -> io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// Returns the account that owns the folder.
    pub fn owner(&self) -> io::Result<u32> {
        Ok(fstat(&self.0)?.st_uid)
    }

    /// Opens a regular file in the folder, which is no link.
    pub fn file(&self, name: impl AsRef<Path>) -> io::Result<Plain> {
        Plain::open(self.0.as_fd(), name.as_ref(), OFlag::O_NOFOLLOW)
    }

    /// Reads at most `most` bytes of a file in the folder.
    pub fn read(&self, name: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
        self.file(name)?.start(most)
    }
}

/// An open regular file and its metadata.
#[derive(Debug)]
pub struct Plain {
    file: File,
    meta: Metadata,
}

impl Plain {
    /// Opens a file that a person named, in a configuration or on a command line.
    pub fn named(path: &Path) -> io::Result<Self> {
        Self::open(AT_FDCWD, path, OFlag::empty())
    }

    fn open(folder: BorrowedFd<'_>, name: &Path, links: OFlag) -> io::Result<Self> {
        let follow = if links.contains(OFlag::O_NOFOLLOW) {
            AtFlags::AT_SYMLINK_NOFOLLOW
        } else {
            AtFlags::empty()
        };
        // Opening a device can have effects.
        ensure_regular(&fstatat(folder, name, follow)?)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = File::from(openat(folder, name, flags | links, Mode::empty())?);
        // Another file may have taken its place.
        ensure_regular(&fstat(&file)?)?;
        let meta = file.metadata()?;
        Ok(Self { file, meta })
    }

    /// Returns the permission bits.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.meta.mode() & 0o7777
    }

    /// Returns the account that owns the file.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.meta.uid()
    }

    /// Reads the file. Returns `None` if it has more than `longest` bytes.
    ///
    /// Memory is allocated once, so that no shorter copy of a key stays behind.
    pub fn read(&self, longest: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let room = usize::try_from(self.meta.len().min(longest) + 1).unwrap_or(usize::MAX);
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        (&self.file).take(longest + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= longest).then_some(bytes))
    }

    fn start(self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn ensure_regular(found: &FileStat) -> io::Result<()> {
    let unfit = match SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => return Ok(()),
        SFlag::S_IFLNK => Unfit::Link,
        _ => Unfit::NotRegular,
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, unfit))
}

/// Opens a folder, which is no link, so that it can be locked (flock(2)).
pub fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    Ok(File::from(open_path(path, flags, Mode::empty())?))
}

/// Opens a regular file of a repository, which is no link.
pub fn open(path: &Path) -> io::Result<File> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = Folder::open(path.parent().unwrap_or(Path::new("")))?;
    Ok(folder.file(name)?.file)
}

/// Reads at most `most` bytes of a regular file of a repository.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads at most `most` bytes of a regular file of a repository, as UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let bytes = read(path, most)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads at most `most` bytes of a file that a person named, or that git runs by its name: a hook
/// can be a link.
pub fn read_named(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    Plain::named(path)?.start(most)
}
