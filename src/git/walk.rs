//! Which commits a ref gained.

use std::collections::HashMap;

use git2::Oid;

use super::{Error, ReadContext, Repository};
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
    new: Oid,
    hidden: Option<Oid>,
) -> Result<Option<Listed>, Error> {
    let what = || format!("the history of `{new}`");
    let mut walk = repository.inner.revwalk().reading(what)?;
    walk.push(new).reading(what)?;
    if let Some(hidden) = hidden {
        walk.hide(hidden).reading(what)?;
    }
    let mut listed: Option<Listed> = None;
    // The walk runs from the newest: where an author is seen last is their
    // first appearance from the oldest.
    let mut last_seen: HashMap<Author, usize> = HashMap::new();
    for (position, id) in walk.enumerate() {
        let id = id.reading(what)?;
        last_seen.insert(repository.commit_author(id)?, position);
        let listed = listed.get_or_insert(Listed {
            oldest: id,
            newest: id,
            total: 0,
            authors: Vec::new(),
        });
        listed.oldest = id;
        listed.total += 1;
    }
    if let Some(listed) = &mut listed {
        let mut authors: Vec<_> = last_seen.into_iter().collect();
        authors.sort_by_key(|&(_, position)| std::cmp::Reverse(position));
        listed.authors = authors.into_iter().map(|(author, _)| author).collect();
    }
    Ok(listed)
}
