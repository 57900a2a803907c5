//! Finds repositories that were renamed below `root`, by the identity of their folders.
//!
//! A repository is taken for another one's new path only if it is the same folder, is trusted as
//! any repository is, and has the same spool. Of two paths of one folder neither is taken.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::delivery_host::DeliveryHost;
use crate::config::{self, Settings};
use crate::context::{locate, targets};
use crate::delivery::Outside;
use crate::spool::{self, FolderId, HandedOver, Header, Queue, Renaming, Spool, SpoolError};
use crate::{delivery, report};

impl DeliveryHost<'_> {
    /// Returns whether the repository of an entry is known to be at another path now, to which the
    /// entries of this queue are to be moved. `queue` is `None` for an entry in `new/`.
    pub(crate) fn is_renamed(&self, spool: &Spool, header: &Header, queue: Option<&Queue>) -> bool {
        let Some(new) = self.new_path(header) else {
            return false;
        };
        let Ok(settings) = self.settings(&new) else {
            return false;
        };
        let is_wanted = |queue| {
            let name = header.endpoint(queue);
            name.is_some_and(|name| settings.receiver(name).is_some())
        };
        let its_spool = locate::spool_of(&new, Some(&settings));
        if !targets::is_same(its_spool.root(), spool.root()) || !queue.is_none_or(is_wanted) {
            return false;
        }
        let at = (spool.root().to_owned(), header.repository.clone());
        let mut due = self.renamed.due.borrow_mut();
        due.insert(at, (spool.clone(), new));
        true
    }

    /// Returns whether the entries of this path are to be moved to another one.
    pub(crate) fn is_to_be_moved(&self, spool: &Spool, repository: &Path) -> bool {
        let at = (spool.root().to_owned(), repository.to_owned());
        self.renamed.due.borrow().contains_key(&at)
    }

    fn new_path(&self, header: &Header) -> Option<PathBuf> {
        let (old, folder) = (&header.repository, header.folder.as_ref()?);
        let looked = old.symlink_metadata();
        if looked.is_ok() || looked.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            return None;
        }
        let mut known = self.renamed.below_root.borrow_mut();
        match &known.get_or_insert_with(|| self.below_root()).get(folder)?[..] {
            [one] => Some(one.clone()),
            _ => None,
        }
    }

    fn below_root(&self) -> HashMap<FolderId, Vec<PathBuf>> {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        let server = self.ctx.server();
        let root = server
            .ok()
            .and_then(|server| server.root()?.canonicalize().ok());
        if let Some(root) = root {
            let take = &mut |git_dir: PathBuf, _| {
                if let Some(folder) = FolderId::of(&git_dir) {
                    found.entry(folder).or_default().push(git_dir);
                }
            };
            // Folders that cannot be read belong to other accounts.
            spool::repositories(&root, take, &mut |_| {}).ok();
        }
        found
    }

    /// Moves the entries of renamed repositories to their new paths. Returns the spools in which
    /// there were some.
    pub(crate) fn move_renamed(&self) -> Vec<Spool> {
        self.renamed.below_root.take();
        let mut spools = Vec::new();
        for ((_, old), (spool, new)) in self.renamed.due.take() {
            let Ok(settings) = self.settings(&new) else {
                continue;
            };
            match rename(&spool, &old, &new, &settings) {
                Ok(moved) if moved.entries == 0 => {}
                Ok(moved) => {
                    let (old, new) = (old.display(), new.display());
                    let moved = report::count(moved.entries, "entry");
                    let text = format!("`{old}` was renamed: {moved} moved to `{new}`");
                    self.ctx.tell_once(&text, None);
                    spools.push(spool);
                }
                // A queue that is being delivered is moved by the next flush.
                Err(error) if error.is_busy() => {}
                Err(error) => self.tell_spool(&error),
            }
        }
        spools
    }
}

/// Moves the entries in a spool from the old path of a repository to the new one.
pub(crate) fn rename(
    spool: &Spool,
    old: &Path,
    new: &Path,
    settings: &Settings,
) -> Result<HandedOver, SpoolError> {
    let queue_of = |name: &str| {
        let endpoint = settings.receiver(name)?;
        Some(delivery::queue_of(endpoint, settings, new))
    };
    let root = settings.root.as_deref();
    let below_root = root.and_then(|root| config::below(root, new));
    spool.rename_repository(&Renaming {
        old,
        new,
        below_root: &below_root.unwrap_or_default(),
        queue: &queue_of,
    })
}
