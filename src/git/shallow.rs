//! The edge of a shallow repository (gitrepository-layout(5), `shallow`): commits whose
//! parents are not here.
//!
//! Replace refs and grafts are not read, be it here or by the git that refpost runs: what
//! they say is no part of what a clone gets, and whoever may push one would speak in the
//! name of others.

use std::collections::HashSet;
use std::fs;

use super::{Repository, object};
use crate::event::Oid;

/// Which commits have no parents here.
pub(super) struct Shallow {
    edge: HashSet<Oid>,
    /// An empty file is one, too.
    is_there: bool,
}

impl Shallow {
    pub(super) fn of(repository: &Repository) -> Self {
        let text = fs::read_to_string(repository.store().common_dir().join("shallow"));
        let is_there = text.is_ok();
        let digits = 2 * repository.id_length();
        let id = |line: &str| {
            let line = line.trim_end();
            (line.len() == digits).then(|| object::oid(line.as_bytes()))?
        };
        Self {
            edge: text.unwrap_or_default().lines().filter_map(id).collect(),
            is_there,
        }
    }

    /// Whether it is a shallow repository at all.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }

    pub(super) fn ends_at(&self, id: Oid) -> bool {
        self.edge.contains(&id)
    }
}
