//! The edge of a shallow repository (gitrepository-layout(5), `shallow`): commits whose
//! parents are not here.
//!
//! Replace refs and grafts are not read, be it here or by the git that refpost runs: what
//! they say is no part of what a clone gets, and whoever may push one would speak in the
//! name of others.

use std::collections::HashSet;

use crate::git::objects::id::Id;
use crate::git::repository::Repository;
use crate::plain_file;

/// Commits without parents here.
pub(in crate::git) struct Shallow {
    edge: HashSet<Id>,
    /// An empty file is one, too.
    is_there: bool,
}

impl Shallow {
    pub(in crate::git) fn of(repository: &Repository) -> Self {
        let text =
            plain_file::read_text(&repository.store().common_dir().join("shallow"), u64::MAX);
        let is_there = text.is_ok();
        let hash = repository.hash();
        let id = |line: &str| hash.id_of_digits(line.trim_end().as_bytes());
        Self {
            edge: text.unwrap_or_default().lines().filter_map(id).collect(),
            is_there,
        }
    }

    /// Returns whether the repository is shallow.
    pub(in crate::git) fn is_there(&self) -> bool {
        self.is_there
    }

    pub(in crate::git) fn ends_at(&self, id: Id) -> bool {
        self.edge.contains(&id)
    }
}
