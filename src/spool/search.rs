//! Searching a folder for spools and repositories, and for the accounts that own them.
//!
//! Only folders are opened, each from the one above it and none through a link, and checks are made
//! on the open folder. So root can search folders that belong to others.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, fstat, fstatat};

use super::announced::ANNOUNCED;
use super::claim::CLAIM;
use super::error::{IoContext, IoError};
use super::names::id::Id;
use super::sizes::SIZES;
use super::spare::SPARE;
use super::stats::STATS;
use super::{FAILED, INTENT, NEW, RETRY};

/// Largest depth of a search: deeper than any server keeps repositories. Links are not followed
/// anyway.
const DEEPEST: usize = 32;

/// Number of folders of each account that are searched: more than any server has outside of its
/// repositories.
///
/// The limit is for each account, so that none keeps a search from the others.
const MOST_FOLDERS: usize = 500_000;

/// Flags that suffice to look at names in a folder.
const FOR_NAMES: OFlag = OFlag::O_PATH
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_CLOEXEC);

/// Names in a spool that few other folders have.
const OWN: [&str; 6] = [ANNOUNCED, CLAIM, INTENT, SIZES, SPARE, STATS];

/// A folder that may have waiting entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A spool's own folder.
    Spool(PathBuf),
    /// A repository's folder, the one with `HEAD` in it.
    Repository(PathBuf),
}

impl Found {
    /// Returns the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        let (Self::Spool(path) | Self::Repository(path)) = self;
        path
    }
}

/// Finds spools and repositories in `folder` or below it, and calls `take` for each with the
/// account that owns it.
///
/// A repository is listed once and not entered. One below `folder` that has neither a file called
/// `config_name` nor a folder called `spool_name` does not use refpost and is skipped, which is the
/// whole cost of most of ten thousand. `tell` gets an error for each folder that is skipped because
/// there are too many.
///
/// Returns whether there is any, one that is skipped too.
pub fn search(
    folder: &Path,
    config_name: &str,
    spool_name: &str,
    take: &mut dyn FnMut(Found, u32),
    tell: &mut dyn FnMut(IoError),
) -> Result<bool, IoError> {
    let mut is_any = false;
    let mut visit = |found: &Path, open: &Open| {
        if open.is_repository() {
            is_any = true;
            // A repository that is named explicitly is meant: its spool may be the server's.
            if found == folder || open.has(config_name) || open.has(spool_name) {
                take(Found::Repository(found.to_owned()), open.owner);
            }
            Way::Past
        } else if open.is_spool() {
            is_any = true;
            take(Found::Spool(found.to_owned()), open.owner);
            Way::Past
        } else {
            Way::Below
        }
    };
    // A folder that cannot be listed is another account's, or gone by now.
    let mut unlisted = |error: IoError| {
        if error.source.kind() == io::ErrorKind::FileTooLarge {
            tell(error);
        }
    };
    Walk::new(&mut visit, &mut unlisted).start(folder)?;
    Ok(is_any)
}

/// Finds every repository in `folder` or below it, with any contents.
///
/// `unlisted` gets an error for each folder below that cannot be listed.
pub fn repositories(
    folder: &Path,
    take: &mut dyn FnMut(PathBuf, u32),
    unlisted: &mut dyn FnMut(IoError),
) -> Result<(), IoError> {
    let mut visit = |folder: &Path, open: &Open| {
        if open.is_repository() {
            take(folder.to_owned(), open.owner);
            Way::Past
        } else {
            Way::Below
        }
    };
    Walk::new(&mut visit, unlisted).start(folder)
}

/// Tells whether a folder is a repository or else a spool, and which account owns it.
pub fn what_is(folder: &Path) -> Result<(Found, u32), IoError> {
    let open = Open::of(open(folder, FOR_NAMES, Mode::empty()));
    let open = open.context("open", || folder.to_owned())?;
    let path = folder.to_owned();
    let found = if open.is_repository() {
        Found::Repository(path)
    } else {
        Found::Spool(path)
    };
    Ok((found, open.owner))
}

fn is_id(name: &str) -> bool {
    Id::parse(name).is_some()
}

/// An open folder and the account that owns it.
struct Open {
    fd: OwnedFd,
    owner: u32,
}

impl Open {
    fn of(opened: nix::Result<OwnedFd>) -> io::Result<Self> {
        let fd = opened?;
        let owner = fstat(&fd)?.st_uid;
        Ok(Self { fd, owner })
    }

    /// Opens a folder in this one, which is no link.
    fn below(&self, name: &OsStr) -> io::Result<Self> {
        let flags = FOR_NAMES | OFlag::O_NOFOLLOW;
        Self::of(openat(&self.fd, name, flags, Mode::empty()))
    }

    fn list(&self) -> io::Result<Dir> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Dir::openat(self.fd.as_fd(), ".", flags, Mode::empty())?)
    }

    fn has(&self, name: &str) -> bool {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    fn is_repository(&self) -> bool {
        ["HEAD", "objects", "refs"]
            .iter()
            .all(|name| self.has(name))
    }

    /// Returns whether this is a spool, also one whose empty folders a backup left out.
    ///
    /// Other folders have a `new` or a `failed` too (maildir(5)), so one of a spool's is not enough.
    fn is_spool(&self) -> bool {
        let folders = [NEW, RETRY, FAILED].map(|name| self.has(name));
        let is_any = folders.contains(&true);
        !folders.contains(&false)
            || is_any && OWN.iter().any(|name| self.has(name))
            || folders[0] && self.has_entries(NEW)
    }

    /// Returns whether a folder in this one has a name that only an entry has.
    fn has_entries(&self, name: &str) -> bool {
        let listed = self.below(OsStr::new(name)).and_then(|it| it.list());
        listed.is_ok_and(|listed| {
            let mut names = listed.into_iter().filter_map(Result::ok);
            names.any(|entry| entry.file_name().to_str().is_ok_and(is_id))
        })
    }
}

/// The direction of a search from a folder.
enum Way {
    Past,
    Below,
}

struct Walk<'a> {
    visit: &'a mut dyn FnMut(&Path, &Open) -> Way,
    unlisted: &'a mut dyn FnMut(IoError),
    /// Number of folders of each account that were searched.
    looked_into: HashMap<u32, usize>,
}

impl<'a> Walk<'a> {
    fn new(
        visit: &'a mut dyn FnMut(&Path, &Open) -> Way,
        unlisted: &'a mut dyn FnMut(IoError),
    ) -> Self {
        Self {
            visit,
            unlisted,
            looked_into: HashMap::new(),
        }
    }

    /// Begins at a folder. Links on the way to it are those of the person who names it.
    fn start(mut self, folder: &Path) -> Result<(), IoError> {
        let open = Open::of(open(folder, FOR_NAMES, Mode::empty()));
        let open = open.context("list", || folder.to_owned())?;
        self.look_into(&open, folder, DEEPEST)
    }

    fn look_into(&mut self, folder: &Open, path: &Path, depth: usize) -> Result<(), IoError> {
        let looked_into = self.looked_into.entry(folder.owner).or_default();
        if *looked_into == MOST_FOLDERS {
            let owner = folder.owner;
            let why = format!("account {owner} has more folders than are looked into");
            let error = io::Error::new(io::ErrorKind::FileTooLarge, why);
            return Err(error).context("list", || path.to_owned());
        }
        *looked_into += 1;
        if matches!((self.visit)(path, folder), Way::Past) || depth == 0 {
            return Ok(());
        }
        let listed = folder.list().context("list", || path.to_owned())?;
        for entry in listed.into_iter().filter_map(Result::ok) {
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let may_be_folder = matches!(entry.file_type(), Some(Type::Directory) | None);
            if !may_be_folder || name == "." || name == ".." {
                continue;
            }
            let path = path.join(name);
            let done = match folder.below(name) {
                Ok(below) => self.look_into(&below, &path, depth - 1),
                // It was no folder, or is none any more.
                Err(_) => continue,
            };
            if let Err(error) = done {
                (self.unlisted)(error);
            }
        }
        Ok(())
    }
}
