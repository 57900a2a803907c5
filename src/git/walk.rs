//! Which commits a ref gained.

use std::collections::HashSet;

use git2::Oid;

use super::graph::Graph;
use super::{Error, Repository};
use crate::event::Author;

/// No more authors than this are gathered for one message,
const MOST_AUTHORS: usize = 100_000;

/// and no more bytes of their names and addresses than this.
const MOST_AUTHOR_BYTES: usize = 16 << 20;

/// The commits that a message lists.
pub(super) struct Listed {
    pub(super) oldest: Oid,
    pub(super) newest: Oid,
    pub(super) total: usize,
    pub(super) authors: Authors,
}

/// Who wrote some commits.
#[derive(Default)]
pub(super) struct Authors {
    /// By first appearance from the oldest commit.
    pub(super) named: Vec<Author>,
    /// Whether there are more.
    pub(super) more: bool,
}

impl Authors {
    pub(super) fn only(author: Author) -> Self {
        Self {
            named: vec![author],
            more: false,
        }
    }
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
    Ok(Some(Listed {
        oldest,
        newest,
        total: ids.len(),
        authors: authors(repository, ids.iter().rev())?,
    }))
}

fn authors<'a>(
    repository: &Repository,
    commits: impl Iterator<Item = &'a Oid>,
) -> Result<Authors, Error> {
    let mut authors = Authors::default();
    let mut seen = HashSet::new();
    let mut bytes = 0;
    for &id in commits {
        let author = repository.commit_author(id)?;
        if seen.contains(&author) {
            continue;
        }
        if seen.len() == MOST_AUTHORS || bytes > MOST_AUTHOR_BYTES {
            authors.more = true;
            break;
        }
        if let Author::Person { name, email } = &author {
            bytes += name.len() + email.len();
        }
        seen.insert(author.clone());
        authors.named.push(author);
    }
    Ok(authors)
}
