//! The seam between what a push means and how a repository is read. There are two
//! ways: with libgit2, and through git's command line what libgit2 cannot open: an
//! extension that it has never heard of, a file that it reads more strictly than git.
//!
//! Whoever is above knows ids and bytes. Which way they came it need not know.

use std::path::{Path, PathBuf};

use crate::git::command::Git;
use crate::git::error::{Cause, Error};
use crate::git::objects::alternates;
use crate::git::objects::by_git::ByGit;
use crate::git::objects::by_libgit2::{self, ByLibgit2};
use crate::git::objects::bytes::{Bytes, Kind};
use crate::git::objects::id::{HashKind, Id};
use crate::git::objects::irregular;
use crate::git::objects::loose;
use crate::git::objects::settings::{Setting, truth};

/// A repository, open.
pub(in crate::git) enum Store {
    Libgit2(Box<ByLibgit2>),
    Git(Box<ByGit>),
}

impl Store {
    /// Opens the repository in this folder, or in a `.git` in it. In a hook, objects are also
    /// looked for in the folders of git's environment.
    ///
    /// git is asked last and only about a folder that looks like a repository, so the ordinary hook
    /// pays nothing for it.
    pub(in crate::git) fn open(path: &Path, is_in_hook: bool) -> Result<Self, Error> {
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

    /// Returns the folder that all worktrees share (gitrepository-layout(5), `commondir`).
    pub(in crate::git) fn common_dir(&self) -> &Path {
        match self {
            Self::Libgit2(store) => &store.common_dir,
            Self::Git(store) => &store.common_dir,
        }
    }

    pub(in crate::git) fn is_bare(&self) -> bool {
        match self {
            Self::Libgit2(store) => store.is_bare,
            Self::Git(store) => store.is_bare,
        }
    }

    /// Returns the hash that names objects here.
    pub(in crate::git) fn hash(&self) -> HashKind {
        match self {
            Self::Libgit2(store) => store.hash,
            Self::Git(store) => store.hash,
        }
    }

    /// Returns whether refs are files, as they were before there was a choice (git-config(1),
    /// `extensions.refStorage`).
    pub(in crate::git) fn refs_are_files(&self) -> bool {
        match self {
            Self::Libgit2(store) => !store.is_reftable(),
            Self::Git(store) => store.refs_are_files,
        }
    }

    /// Returns an on/off setting of the configuration; its name is in lower case.
    pub(in crate::git) fn setting(&self, name: &str) -> Option<bool> {
        truth(self.own_config()?, name)
    }

    /// Returns the lines of the repository's own configuration, in their order. `None`: they cannot
    /// be read.
    pub(in crate::git) fn own_config(&self) -> Option<&[Setting]> {
        match self {
            Self::Libgit2(store) => store.config.as_deref(),
            Self::Git(store) => store.config.as_deref(),
        }
    }

    /// Returns git's command line, for features that libgit2 lacks.
    pub(in crate::git) fn git(&self) -> &Git {
        match self {
            Self::Libgit2(store) => &store.git,
            Self::Git(store) => &store.git,
        }
    }

    /// Returns the refs as libgit2 reads them; `None` if only git itself can.
    pub(in crate::git) fn refs_by_libgit2(&self) -> Option<&git2::Repository> {
        match self {
            Self::Libgit2(store) => store.refs(),
            Self::Git(_) => None,
        }
    }

    /// Returns the folders of objects, its own first.
    pub(in crate::git) fn object_folders(&self) -> Vec<PathBuf> {
        match self {
            Self::Libgit2(store) => store.object_folders().cloned().collect(),
            Self::Git(store) => {
                let others = alternates::others(&store.git, &store.own);
                std::iter::once(store.own.clone()).chain(others).collect()
            }
        }
    }

    /// Returns the kind of an object without reading all of it.
    pub(in crate::git) fn kind(&self, id: Id) -> Result<Kind, Cause> {
        match self {
            Self::Libgit2(store) => store.kind(id),
            Self::Git(store) => {
                irregular::ensure_none([loose::file(&store.own, id)])?;
                store.objects.kind(id)
            }
        }
    }

    /// Returns the kind and the bytes of an object.
    pub(in crate::git) fn read(&self, id: Id) -> Result<(Kind, Bytes<'_>), Cause> {
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
