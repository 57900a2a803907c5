//! Which commits a ref gained.

use std::collections::HashSet;

use crate::event::Author;
use crate::git::error::Error;
use crate::git::history::commits::{Commits, Writer};
use crate::git::history::graph::Graph;
use crate::git::objects::id::Id;

/// Most authors that are gathered for one message.
const MOST_AUTHORS: usize = 100_000;

/// Most bytes of their names and addresses.
const MOST_AUTHOR_BYTES: usize = 16 << 20;

/// The commits that a message lists.
pub(in crate::git) struct Listed {
    pub(in crate::git) oldest: Id,
    pub(in crate::git) newest: Id,
    pub(in crate::git) total: usize,
    /// The newest first, as many as are wanted.
    pub(in crate::git) ids: Vec<Id>,
    pub(in crate::git) authors: Authors,
    /// Whether ancestors, or what they say, are missing or damaged.
    pub(in crate::git) is_cut: bool,
}

/// Authors of commits.
#[derive(Default)]
pub(in crate::git) struct Authors {
    /// By first appearance from the oldest commit.
    pub(in crate::git) named: Vec<Author>,
    /// Whether there are more.
    pub(in crate::git) more: bool,
}

impl Authors {
    pub(in crate::git) fn only(author: Author) -> Self {
        Self {
            named: vec![author],
            more: false,
        }
    }
}

/// Lists the commits that are reachable from `new` and not from `hidden`, in the order of `git
/// rev-list`, the first `wanted` one by one. Returns `None` if there are none.
pub(in crate::git) fn list(
    graph: &Graph<'_>,
    new: Id,
    hidden: Option<Id>,
    wanted: usize,
) -> Result<Option<Listed>, Error> {
    graph.list(new, hidden, |listed, is_cut, commits| {
        let (Some(&newest), Some(&oldest)) = (listed.first(), listed.last()) else {
            return Ok(None);
        };
        let (authors, all_are_there) = authors(listed, commits)?;
        Ok(Some(Listed {
            oldest: commits.id(oldest),
            newest: commits.id(newest),
            total: listed.len(),
            ids: listed
                .iter()
                .take(wanted)
                .map(|&one| commits.id(one))
                .collect(),
            authors,
            is_cut: is_cut || !all_are_there,
        }))
    })
}

/// Returns the authors of listed commits, and whether all could be read.
fn authors(listed: &[u32], commits: &mut Commits<'_>) -> Result<(Authors, bool), Error> {
    let (mut authors, mut all_are_there) = (Authors::default(), true);
    let (mut kept, mut seen) = (HashSet::new(), HashSet::new());
    let mut bytes = 0;
    for &commit in listed.iter().rev() {
        let author = match commits.writer(commit)? {
            None => {
                all_are_there = false;
                continue;
            }
            Some(Writer::Kept(number)) if !kept.insert(number) => continue,
            Some(Writer::Kept(number)) => commits.author(number).clone(),
            Some(Writer::Other(author)) => author,
        };
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
    if authors.named.is_empty() {
        authors.named.push(Author::Pusher);
    }
    Ok((authors, all_are_there))
}
