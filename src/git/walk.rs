//! Which commits a ref gained.

use std::collections::HashSet;

use git2::Oid;

use super::graph::Graph;
use super::{Error, Repository};
use crate::event::Author;

/// The commits that a message lists.
pub(super) struct Listed {
    pub(super) oldest: Oid,
    pub(super) newest: Oid,
    pub(super) total: usize,
    /// By first appearance from the oldest.
    pub(super) authors: Vec<Author>,
}

/// Lists what is reachable from `new` and not from `hidden`, in the order of
/// `git rev-list`; `None` if that is nothing.
pub(super) fn list(
    repository: &Repository,
    graph: &Graph<'_>,
    new: Oid,
    hidden: Option<Oid>,
) -> Result<Option<Listed>, Error> {
    let ids = graph.list(new, hidden)?;
    let (Some(&newest), Some(&oldest)) = (ids.first(), ids.last()) else {
        return Ok(None);
    };
    let mut authors = Vec::new();
    let mut named = HashSet::new();
    for &id in ids.iter().rev() {
        let author = repository.commit_author(id)?;
        if named.insert(author.clone()) {
            authors.push(author);
        }
    }
    Ok(Some(Listed {
        oldest,
        newest,
        total: ids.len(),
        authors,
    }))
}
