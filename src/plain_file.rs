//! Files that others may have made, opened in one way: from a folder that is open, through no
//! link, and so that none of them keeps us waiting. What is open is what is looked at, and what
//! is read; no path is looked up again.
//!
//! A FIFO waits for its writer when it is opened, a device does what it likes, a link leads to
//! what its maker cannot read; none of them says anything about a repository. What a person
//! names is that person's: there, links are followed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open as open_path, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use zeroize::Zeroizing;

/// No file that holds a path has more bytes.
pub const LONGEST_PATH: u64 = 8 << 10;

/// Why a file is not opened. It travels inside an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A folder, a FIFO, a device, …
    #[error("it is no regular file")]
    NotRegular,
    /// It may lead anywhere.
    #[error("it is a symbolic link")]
    Link,
}

impl Unfit {
    /// Whether this is what an error is about.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// A folder that is open, and stays the one that it is.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens a folder; links on the way to it are those of whoever names it.
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

    /// Opens a folder in it, which is no link.
    pub fn below(&self, name: impl AsRef<Path>) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(Self(openat(&self.0, name.as_ref(), flags, Mode::empty())?))
    }

    /// Whether it has something of this name.
    pub fn has(&self, name: impl AsRef<Path>) -> bool {
        fstatat(&self.0, name.as_ref(), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Its owners, and its mode.
    pub fn stat(&self) -> io::Result<FileStat> {
        Ok(fstat(&self.0)?)
    }

    /// Its path as the kernel has it now, without links (proc(5)).
    pub fn path(&self) -> io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// The account that owns it.
    pub fn owner(&self) -> io::Result<u32> {
        Ok(fstat(&self.0)?.st_uid)
    }

    /// Opens a regular file in it, which is no link.
    pub fn file(&self, name: impl AsRef<Path>) -> io::Result<Plain> {
        Plain::open(self.0.as_fd(), name.as_ref(), OFlag::O_NOFOLLOW)
    }

    /// Reads a file in it, no more of it than so many bytes.
    pub fn read(&self, name: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
        self.file(name)?.start(most)
    }
}

/// A regular file that is open, and what it is.
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
        // To open a device is to do something to it.
        ensure_regular(&fstatat(folder, name, follow)?)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = File::from(openat(folder, name, flags | links, Mode::empty())?);
        // It may have become another one.
        ensure_regular(&fstat(&file)?)?;
        let meta = file.metadata()?;
        Ok(Self { file, meta })
    }

    /// Its permission bits.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.meta.mode() & 0o7777
    }

    /// The account that owns it.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.meta.uid()
    }

    /// Reads it; `None` if it is longer than that. Room is made once, so that no
    /// shorter copy of a key stays behind.
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

/// Opens a regular file of a repository, which is no link.
pub fn open(path: &Path) -> io::Result<File> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = Folder::open(path.parent().unwrap_or(Path::new("")))?;
    Ok(folder.file(name)?.file)
}

/// Reads such a file, no more of it than so many bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same of a text.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let bytes = read(path, most)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads a file that a person named, or that git runs by its name: a hook can be a link.
pub fn read_named(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    Plain::named(path)?.start(most)
}
