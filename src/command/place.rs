//! Which repository a command is about.

use std::path::{Path, PathBuf};

use super::Error;
use super::surroundings::Surroundings;
use crate::git::Repository;

/// Opens the repository that an argument names, or else this folder's.
pub(super) fn repository(named: Option<&Path>) -> Result<Repository, Error> {
    Ok(Repository::open(named.unwrap_or(Path::new(".")))?)
}

/// The repository whose hook we are: git says it in `GIT_DIR`.
pub(super) fn hook_git_dir(around: &Surroundings) -> PathBuf {
    around
        .path_variable("GIT_DIR")
        .map_or_else(|| PathBuf::from("."), PathBuf::from)
}
