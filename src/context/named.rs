//! What a command line names: repositories and other folders, the server, or nothing.

use std::path::{Path, PathBuf};

use super::{Context, locate};
use crate::error::Error;
use crate::git;
use crate::spool::{self, Found};

/// The names in a command line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named<'a> {
    /// Repositories, spools, or folders to search.
    Paths(&'a [PathBuf]),
    /// The server: the spools that its file names, and all below its `root`.
    Server,
    /// Nothing: the repository of the current folder is meant, or else the server.
    Nothing,
}

impl<'a> Named<'a> {
    pub(crate) fn new(paths: &'a [PathBuf], is_server: bool) -> Self {
        match paths {
            _ if is_server => Self::Server,
            [] => Self::Nothing,
            paths => Self::Paths(paths),
        }
    }
}

/// Returns the repository of the current folder, if there is one. Fails for one of another
/// account that git does not trust.
pub(crate) fn here(ctx: &Context) -> Result<Option<PathBuf>, Error> {
    if ctx.own_uid() == 0 {
        // Nothing is opened before its owner is known.
        let here = Path::new(".").canonicalize().unwrap_or_default();
        let mut places = [here.join(".git"), here].into_iter();
        return Ok(places.find(|at| is_repository(at)));
    }
    match locate::repository(None, ctx) {
        Ok(here) => Ok(Some(here.path())),
        Err(error @ Error::Git(git::Error::Dubious { .. })) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Returns whether a folder is a repository, by its names alone.
pub(crate) fn is_repository(folder: &Path) -> bool {
    matches!(spool::what_is(folder), Ok((Found::Repository(_), _)))
}
