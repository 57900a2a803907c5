//! Finds the repository that an entry names, if its account may write it.
//!
//! Only folders are opened, and no link is followed below `root`.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::asker::Asker;
use crate::config;
use crate::plain_file::Folder;

/// Greatest number of folders from `root` to a repository, more than any server has.
const DEEPEST: usize = 64;

const SEARCH: u32 = 1;
const WRITE: u32 = 3;

/// The reason for which an account may not submit for a repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoPath,
    NotBelowRoot,
    Unreachable(PathBuf, String),
    NoRepository,
    Inside(PathBuf),
    NotWritable,
    Moved,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPath => f.write_str("its path is no plain path"),
            Self::NotBelowRoot => f.write_str("the repository is not below the service's `root`"),
            Self::Unreachable(at, why) => {
                let at = at.display();
                f.write_str(&format!("the service cannot reach `{at}`: {why}"))
            }
            Self::NoRepository => f.write_str("there is no repository"),
            Self::Inside(other) => {
                let other = other.display();
                f.write_str(&format!("it lies inside the repository `{other}`"))
            }
            Self::NotWritable => f.write_str("the account may not write the repository"),
            Self::Moved => f.write_str("the repository was moved meanwhile"),
        }
    }
}

/// Finds the real path of a repository that the asker may write and get to.
///
/// Links on the way to `root` are followed, as the administrator made them.
pub(crate) fn reach(root: &Path, named: &Path, asker: &Asker) -> Result<PathBuf, Refusal> {
    let below = names_below(root, named)?;
    let unreachable =
        |at: &Path, error: std::io::Error| Refusal::Unreachable(at.to_owned(), error.to_string());
    let failed_at_root = |error| unreachable(root, error);
    let mut folder = Folder::open(root).map_err(failed_at_root)?;
    let mut path = folder.path().map_err(failed_at_root)?;
    for name in &below {
        let stat = folder.stat().map_err(|error| unreachable(&path, error))?;
        if !asker.may(SEARCH, &stat) {
            return Err(Refusal::NotWritable);
        }
        // A repository owns the folders inside it: its own parts are no repositories.
        if is_repository(&folder) {
            return Err(Refusal::Inside(path));
        }
        path.push(name);
        folder = folder
            .below(name)
            .map_err(|error| unreachable(&path, error))?;
    }
    let stat = folder.stat().map_err(|error| unreachable(&path, error))?;
    if !is_repository(&folder) {
        return Err(Refusal::NoRepository);
    }
    if !asker.may(WRITE, &stat) {
        return Err(Refusal::NotWritable);
    }
    match folder.path() {
        Ok(real) if real == path => Ok(real),
        _ => Err(Refusal::Moved),
    }
}

/// Returns the components of a path that are below `root`, each a name.
fn names_below<'a>(root: &Path, named: &'a Path) -> Result<Vec<&'a OsStr>, Refusal> {
    let mut components = named.components();
    let is_plain = components.next() == Some(Component::RootDir)
        && components.all(|part| matches!(part, Component::Normal(_)));
    if !is_plain {
        return Err(Refusal::NoPath);
    }
    let below = config::below(root, named).ok_or(Refusal::NotBelowRoot)?;
    let depth = below.components().count();
    if depth == 0 || depth > DEEPEST {
        return Err(Refusal::NotBelowRoot);
    }
    let all: Vec<&OsStr> = named.iter().collect();
    Ok(all[all.len() - depth..].to_vec())
}

fn is_repository(folder: &Folder) -> bool {
    ["HEAD", "objects", "refs"]
        .iter()
        .all(|name| folder.has(name))
}
