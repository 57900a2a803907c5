//! Which spools a command is about: its PATHs, or else the whole server's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::surroundings::Surroundings;
use super::{Error, place};
use crate::config::{OWN_SPOOL, REPOSITORY_FILE};
use crate::report;
use crate::spool::{self, Found, Spool};

/// The folder inside a repository that is ours.
const OWN_FOLDER: &str = "refpost";

/// A spool, and the one inside a repository that it took the place of.
pub(super) struct Target {
    pub(super) spool: Spool,
    /// Entries here are moved to `spool`: the repository's configuration names
    /// another spool now, or could not be loaded when they were made.
    pub(super) former: Option<Spool>,
}

/// Finds the spools. A PATH is a repository, a spool, or a folder that is searched
/// for them; without one it is the server's `spool` and all below its `root`.
pub(super) fn find(paths: &[PathBuf], around: &Surroundings) -> Result<Vec<Target>, Error> {
    let mut found = Vec::new();
    let server = around.load(None).ok().map(|loaded| loaded.settings);
    if paths.is_empty() {
        let (spool, root) = server.map_or((None, None), |server| (server.spool, server.root));
        if spool.is_none() && root.is_none() {
            return Err(Error::Failed {
                what: "cannot tell which spools are meant".to_owned(),
                hint: Some(
                    "name repositories, spools or folders of them, or set `root` in the server's config"
                        .to_owned(),
                ),
            });
        }
        found.extend(spool.filter(|spool| spool.is_dir()).map(Found::Spool));
        if let Some(root) = root {
            search(&root, &mut found)?;
        }
    }
    for path in paths {
        let git_dir = path.join(".git");
        search(if git_dir.is_dir() { &git_dir } else { path }, &mut found)?;
    }
    let mut seen = BTreeSet::new();
    let targets = found.into_iter().filter_map(|found| target(found, around));
    // The server's one spool stands behind many repositories, and is flushed once;
    // what lies in a repository's former spool is taken over all the same.
    Ok(targets
        .filter(|target| seen.insert(target.spool.root().to_owned()) || target.former.is_some())
        .collect())
}

fn search(path: &Path, found: &mut Vec<Found>) -> Result<(), Error> {
    spool::search(path, REPOSITORY_FILE, OWN_FOLDER, &mut |one| found.push(one))
        .map_err(|error| Error::Spool(error.into()))
}

fn target(found: Found, around: &Surroundings) -> Option<Target> {
    let git_dir = match found {
        Found::Spool(root) => {
            return Some(Target {
                spool: place::spool_at(&absolute(&root)),
                former: None,
            });
        }
        Found::Repository(git_dir) => absolute(&git_dir),
    };
    let own = place::own_spool(&git_dir);
    let settings = match around.load(Some(&git_dir)) {
        Ok(loaded) => Some(loaded.settings),
        Err(error) => {
            // Entries wait for it, or it is only misspelt: either way a person must see.
            report::error(&error);
            None
        }
    };
    let spool = place::spool_of(&git_dir, settings.as_ref());
    let is_own = spool.root() == own.root();
    let has_own = git_dir.join(OWN_SPOOL).is_dir();
    match (is_own, has_own) {
        (true, false) => None,
        (true, true) => Some(Target {
            spool,
            former: None,
        }),
        (false, has_own) => spool.root().is_dir().then_some(Target {
            spool,
            former: has_own.then_some(own),
        }),
    }
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
