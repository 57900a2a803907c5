//! The seam between what a push means and how a repository is read. There are two
//! ways: with libgit2, and through git's command line what libgit2 cannot open: an
//! extension that it has never heard of, a file that it reads more strictly than git.
//!
//! Whoever is above knows ids and bytes. Which way they came it need not know.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Error;
use super::alternates;
use super::by_git::ByGit;
use super::by_libgit2::{self, ByLibgit2};
use super::command::Git;
use super::id::{HashKind, Id};
use super::irregular;
use super::loose;

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

impl Kind {
    /// The kind of this name.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"commit" => Some(Self::Commit),
            b"tree" => Some(Self::Tree),
            b"blob" => Some(Self::Blob),
            b"tag" => Some(Self::Tag),
            _ => None,
        }
    }
}

/// An object is not there, or not as it should be: git cannot read it either.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Absent(&'static str);

/// What is said of an object that git finds nowhere.
pub(super) fn missing() -> Cause {
    Absent("it is missing or damaged (`git fsck` says more)").into()
}

/// What is said of an object that is there and cannot be read.
pub(super) fn damaged() -> Cause {
    Absent("it is damaged (`git fsck` says more)").into()
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
        let failed = |source: Cause, no_git| Error::Open {
            path: path.display().to_string(),
            source,
            no_git,
        };
        irregular::ensure_none_at_once(path).map_err(|odd| failed(odd, false))?;
        // The git whose hook this is has read them.
        if !is_in_hook {
            irregular::ensure_includes_end(path).map_err(|odd| failed(odd, false))?;
        }
        let refused = match by_libgit2::open(path, is_in_hook) {
            Ok(opened) => return Ok(Self::Libgit2(Box::new(opened))),
            Err(refused) => refused,
        };
        let opened = ByGit::open(path, is_in_hook);
        let opened = opened.map_err(|no_git| failed(refused.into(), no_git))?;
        irregular::ensure_none_in_packs(&opened.own).map_err(|odd| failed(odd, false))?;
        Ok(Self::Git(Box::new(opened)))
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

    /// Which hash names objects here.
    pub(super) fn hash(&self) -> HashKind {
        match self {
            Self::Libgit2(store) => store.hash,
            Self::Git(store) => store.hash,
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
            Self::Libgit2(store) => store.config.as_deref(),
            Self::Git(store) => store.config.as_deref(),
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

    /// The folders of objects, its own first.
    pub(super) fn object_folders(&self) -> Vec<PathBuf> {
        match self {
            Self::Libgit2(store) => store.object_folders().cloned().collect(),
            Self::Git(store) => {
                let others = alternates::others(&store.git, &store.own);
                std::iter::once(store.own.clone()).chain(others).collect()
            }
        }
    }

    /// What an object is, found out without reading all of it.
    pub(super) fn kind(&self, id: Id) -> Result<Kind, Cause> {
        match self {
            Self::Libgit2(store) => store.kind(id),
            Self::Git(store) => {
                irregular::ensure_none([loose::file(&store.own, id)])?;
                store.objects.kind(id)
            }
        }
    }

    /// What an object is, and its bytes.
    pub(super) fn read(&self, id: Id) -> Result<(Kind, Bytes<'_>), Cause> {
        match self {
            Self::Libgit2(store) => store.read(id),
            Self::Git(store) => {
                irregular::ensure_none([loose::file(&store.own, id)])?;
                let (kind, bytes) = store.objects.read(id)?;
                Ok((kind, Bytes::Owned(bytes)))
            }
        }
    }
}
