//! A mail drop: a spool that belongs to one account, into which every account may put
//! entries, and from which none but its owner takes any (maildrop of sendmail and
//! postfix; sticky folders, inode(7)).
//!
//! ```text
//! 0711   the spool: whoever knows a name in it gets there
//! 3733     tmp/  new/: to put something in; not to list, not to remove another's
//! 0700     retry/  failed/  work/
//! ```
//!
//! Whoever pushes owns the file that the hook made, and may have it open, or written it
//! by hand. So an entry is copied to `work/` first, and what is then judged, announced
//! and kept is the copy, which nobody else can reach.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::entry::Entry;
use super::error::{EntryError, IoContext, IoError, SpoolError};
use super::names::id::Id;
use super::record::Header;
use super::{Access, Folder, NEW, Name, Spool, TMP, WORK, disk};

/// No push is larger. A file can claim any length and take no room itself.
const LARGEST: u64 = 1024 * 1024 * 1024;

/// The modes of the spool's own folder, of those that take mail, and of all others.
const ROOT_MODE: u32 = 0o711;
const DROP_MODE: u32 = 0o3733;
const INNER_MODE: u32 = 0o700;

/// Whether an entry in a mail drop may be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// We made the file: nobody else can change it.
    Ours,
    /// Its owner may write the repository that it is about.
    Granted,
    /// Not now: it stays, and so do later ones of its repository.
    Later(String),
    /// Never, for this reason.
    Refused(String),
}

/// What became of an entry that somebody dropped.
pub(super) enum Taken {
    /// It is ours now.
    Over(Box<Entry>),
    Later(String),
    Refused(String),
}

/// A mode or an owner that a mail drop must not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is the matter.
    pub text: String,
    /// The command that mends it.
    pub mend: String,
}

impl Spool {
    /// Whether it is a mail drop: others put entries in, and cannot do anything else.
    #[must_use]
    pub fn is_drop(&self) -> bool {
        self.access == Access::Drop
    }

    /// How we make what others do not put in.
    pub(super) fn own_access(&self) -> Access {
        match self.access {
            Access::Drop => Access::Owner,
            other => other,
        }
    }

    /// Where a flush writes. Others can make names in a mail drop's `tmp/`, so there it
    /// is a folder of its own.
    pub(super) fn work_dir(&self) -> Result<Folder, IoError> {
        if !self.is_drop() {
            let tmp = self.tmp_dir();
            // A backup may have left it out.
            if disk::modified(&tmp).is_none() {
                self.create_layout()?;
            }
            return Ok(tmp);
        }
        let work = self.root_dir().child(WORK);
        disk::ensure_dir(&work, Access::Owner)?;
        Ok(work)
    }

    /// Puts our own copy in the place of an entry that somebody dropped, if it may be
    /// announced.
    pub(super) fn take_over(
        &self,
        id: &Id,
        entry: Entry,
        admit: &mut dyn FnMut(u32, &Header) -> Admission,
    ) -> Result<Taken, SpoolError> {
        match admit(entry.owner(), entry.header()) {
            Admission::Ours => return Ok(Taken::Over(Box::new(entry))),
            Admission::Later(why) => return Ok(Taken::Later(why)),
            Admission::Refused(why) => return Ok(Taken::Refused(why)),
            Admission::Granted => {}
        }
        if entry.size() > LARGEST {
            return Ok(Taken::Refused("it is larger than any push".to_owned()));
        }
        let new = self.new_name(id);
        let copy = self.work_dir()?.entry(id.as_str());
        // What a crash left of the last try.
        disk::unlink(&copy)?;
        let file = disk::create(&copy, Access::Owner)?;
        entry.copy_to(&file).context("write", || copy.path())?;
        disk::flush(&file, &copy)?;
        let same = Entry::open(&copy).and_then(|copied| {
            copied.verify()?;
            Ok((copied.header() == entry.header()).then_some(copied))
        });
        match same {
            Ok(Some(copied)) => {
                // Crash before: the dropped file stands, and is taken over anew. After:
                // ours stands under the same name, and nothing of theirs is left there.
                disk::rename(&copy, &new)?;
                disk::flush_dir(new.folder())?;
                Ok(Taken::Over(Box::new(copied.renamed(&new))))
            }
            Ok(None) => {
                disk::unlink(&copy)?;
                Ok(Taken::Refused("it changed while it was read".to_owned()))
            }
            Err(error) => {
                disk::unlink(&copy)?;
                let path = new.path();
                let fault = error.fault;
                Err(EntryError { path, fault }.into())
            }
        }
    }

    /// What is wrong with a mail drop's modes and owners, as far as we can see them.
    #[must_use]
    pub fn drop_faults(&self) -> Vec<Fault> {
        let root = self.root.clone();
        let Ok(owner) = root.metadata().map(|meta| (meta.uid(), meta.gid())) else {
            return vec![];
        };
        let mut faults = vec![];
        let mut look = |path: PathBuf, expected: u32, needed: bool| match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && needed => {
                let (uid, gid) = owner;
                faults.push(Fault {
                    text: format!("`{}` is not there", path.display()),
                    mend: format!(
                        "install -d -o {uid} -g {gid} -m {expected:04o} {}",
                        path.display()
                    ),
                });
            }
            // Nothing there, or not for us to see.
            Err(_) => {}
            Ok(meta) => {
                let mode = meta.permissions().mode() & 0o7777;
                // An inner folder may be setgid, as its parent is.
                if mode != expected && (expected != INNER_MODE || mode & 0o077 != 0) {
                    faults.push(Fault {
                        text: format!(
                            "mode {mode:04o} of `{}` must be {expected:04o} in a mail drop",
                            path.display()
                        ),
                        mend: format!("chmod {expected:04o} {}", path.display()),
                    });
                }
                if (meta.uid(), meta.gid()) != owner {
                    let (uid, gid) = owner;
                    faults.push(Fault {
                        text: format!(
                            "`{}` belongs to {}:{}, and its mail drop to {uid}:{gid}",
                            path.display(),
                            meta.uid(),
                            meta.gid()
                        ),
                        mend: format!("chown {uid}:{gid} {}", path.display()),
                    });
                }
            }
        };
        look(root.clone(), ROOT_MODE, true);
        for name in [TMP, NEW] {
            look(root.join(name), DROP_MODE, true);
        }
        for name in ["retry", "failed"] {
            look(root.join(name), INNER_MODE, true);
        }
        look(root.join(WORK), INNER_MODE, false);
        faults
    }
}

/// Makes an entry's name in `new/` durable, without the right to open that folder.
///
/// fsync(2) of the file does it where the folder cannot be flushed: link(2) changed
/// the file too (how many names it has), in the same transaction as the folder, and
/// flushing the file commits that transaction. So do ext4 and xfs, whose journals hold
/// both changes as one, and btrfs, which logs a new name with its file.
pub(super) fn flush_name(file: &File, new: &Name) -> Result<(), SpoolError> {
    Ok(disk::flush(file, new)?)
}

impl SpoolError {
    /// Whether the content of an entry is at fault.
    pub(super) fn into_corrupt(self) -> Result<EntryError, Self> {
        match self {
            Self::Entry(error) if error.is_corrupt() => Ok(error),
            other => Err(other),
        }
    }
}
