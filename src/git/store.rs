//! The seam between what a push means and how a repository is read. There are two
//! ways: with libgit2, and through git's command line what libgit2 cannot open: an
//! extension that it has never heard of, a file that it reads more strictly than git.
//!
//! Whoever is above knows ids and bytes. Which way they came it need not know.

use std::path::Path;
use std::rc::Rc;

use super::Error;
use super::by_git::ByGit;
use super::by_libgit2::{self, ByLibgit2};
use super::command::Git;
use crate::event::{Oid, RefName};

/// Why something could not be read: libgit2's error, or words.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A line of a configuration.
#[derive(Debug, PartialEq)]
pub(super) struct Setting {
    /// In lower case, where case does not count.
    pub(super) name: String,
    /// `None` is a name alone, which is a truth (git-config(1)).
    pub(super) value: Option<String>,
}

/// What the last line of this name says, which is the one that counts (git-config(1)).
pub(super) fn last<'a>(config: &'a [Setting], name: &str) -> Option<&'a str> {
    last_of(config, name)?.value.as_deref()
}

/// The same of a setting that is on or off.
pub(super) fn truth(config: &[Setting], name: &str) -> Option<bool> {
    let Some(value) = &last_of(config, name)?.value else {
        return Some(true);
    };
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" | "" => Some(false),
        number => Some(number.parse::<i64>().ok()? != 0),
    }
}

fn last_of<'a>(config: &'a [Setting], name: &str) -> Option<&'a Setting> {
    config.iter().rfind(|setting| setting.name == name)
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

/// A repository, open.
pub(super) enum Store {
    Libgit2(Box<ByLibgit2>),
    Git(Box<ByGit>),
}

impl Store {
    /// Opens the repository in this folder, or in a `.git` in it. In a hook, objects are
    /// looked for where git's environment says, too.
    ///
    /// git is asked last and only about a folder that looks like a repository: the
    /// ordinary hook pays nothing for what is rare.
    pub(super) fn open(path: &Path, is_in_hook: bool) -> Result<Self, Error> {
        let refused = match by_libgit2::open(path, is_in_hook) {
            Ok(opened) => return Ok(Self::Libgit2(Box::new(opened))),
            Err(refused) => refused,
        };
        let opened = ByGit::open(path, is_in_hook).map(|opened| Self::Git(Box::new(opened)));
        opened.map_err(|no_git| Error::Open {
            path: path.display().to_string(),
            source: refused.into(),
            no_git,
        })
    }

    /// The folder that all worktrees share (gitrepository-layout(5), `commondir`).
    pub(super) fn common_dir(&self) -> &Path {
        match self {
            Self::Libgit2(store) => &store.common_dir,
            Self::Git(store) => &store.common_dir,
        }
    }

    pub(super) fn is_bare(&self) -> bool {
        match self {
            Self::Libgit2(store) => store.is_bare,
            Self::Git(store) => store.is_bare,
        }
    }

    /// How many bytes an object id has here: 20 or 32.
    pub(super) fn id_length(&self) -> usize {
        match self {
            Self::Libgit2(store) => store.id_length(),
            Self::Git(store) => store.id_length,
        }
    }

    /// Whether refs are files, as they were before there was a choice (git-config(1),
    /// `extensions.refStorage`).
    pub(super) fn refs_are_files(&self) -> bool {
        match self {
            Self::Libgit2(store) => !store.is_reftable(),
            Self::Git(store) => store.refs_are_files,
        }
    }

    /// What the configuration says of a setting that is on or off; its name in lower
    /// case.
    pub(super) fn setting(&self, name: &str) -> Option<bool> {
        truth(self.own_config()?, name)
    }

    /// What the repository's own configuration says, in its order. `None`: it cannot be
    /// read.
    pub(super) fn own_config(&self) -> Option<&[Setting]> {
        match self {
            Self::Libgit2(store) => store.own_config(),
            Self::Git(store) => store.own_config(),
        }
    }

    /// git's command line, for what libgit2 does not know even of what it opens.
    pub(super) fn git(&self) -> &Git {
        match self {
            Self::Libgit2(store) => &store.git,
            Self::Git(store) => &store.git,
        }
    }

    /// The refs as libgit2 reads them; `None` if only git itself can.
    pub(super) fn refs_by_libgit2(&self) -> Option<&git2::Repository> {
        match self {
            Self::Libgit2(store) => store.refs(),
            Self::Git(_) => None,
        }
    }

    /// The ref that HEAD names and where HEAD is, both as git tells them.
    pub(super) fn head_by_git(&self) -> (Option<RefName>, Option<Oid>) {
        match self {
            Self::Libgit2(store) => (store.git.head_name(), store.git.head()),
            Self::Git(store) => (store.head_name(), store.head()),
        }
    }

    pub(super) fn objects(&self) -> Objects<'_> {
        match self {
            Self::Libgit2(store) => Objects::Libgit2(store),
            Self::Git(store) => Objects::Git(store),
        }
    }
}

/// The objects of a repository.
pub(super) enum Objects<'repo> {
    Libgit2(&'repo ByLibgit2),
    Git(&'repo ByGit),
}

/// The bytes of an object.
pub(super) enum Bytes<'a> {
    Libgit2(git2::OdbObject<'a>),
    Owned(Vec<u8>),
    Kept(Rc<[u8]>),
}

impl std::ops::Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Libgit2(object) => object.data(),
            Self::Owned(bytes) => bytes,
            Self::Kept(bytes) => bytes,
        }
    }
}

impl<'repo> Objects<'repo> {
    pub(super) fn has(&self, id: Oid) -> bool {
        match self {
            Self::Libgit2(store) => store.has(id),
            Self::Git(store) => store.kind(id).is_ok(),
        }
    }

    /// What an object is, found out without reading all of it.
    pub(super) fn kind(&self, id: Oid) -> Result<Kind, Cause> {
        match self {
            Self::Libgit2(store) => store.kind(id),
            Self::Git(store) => store.kind(id),
        }
    }

    pub(super) fn read(&self, id: Oid) -> Result<(Kind, Bytes<'_>), Cause> {
        match self {
            Self::Libgit2(store) => store.read(id),
            Self::Git(store) => {
                let (kind, bytes) = store.read(id)?;
                Ok((kind, Bytes::Owned(bytes)))
            }
        }
    }

    /// So many are worth expecting at a time: none where nobody waits for a process.
    pub(super) fn most_expected(&self) -> usize {
        match self {
            Self::Libgit2(_) => 0,
            Self::Git(store) => store.most_expected(),
        }
    }

    /// These will be read next, best in this order: a process has them ready then.
    pub(super) fn expect(&self, ids: impl IntoIterator<Item = Oid>) {
        if let Self::Git(store) = self {
            store.expect(ids);
        }
    }

    /// What was expected and not read will not be.
    pub(super) fn forget(&self) {
        if let Self::Git(store) = self {
            store.forget();
        }
    }

    /// The git that can list commits ahead of whoever walks them, if that spares waiting.
    pub(super) fn lister(&self) -> Option<&'repo Git> {
        match self {
            Self::Libgit2(_) => None,
            Self::Git(store) => Some(&store.git),
        }
    }
}
