//! Commits one by one, for formats that list them: what they say, and which files differ from
//! their first parents.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use super::error::{Error, present};
use super::history::shallow::Shallow;
use super::objects::bytes::Kind;
use super::objects::id::Id;
use super::objects::text;
use super::repository::{DefaultBranch, Repository};
use super::tree_diff::{self, Budget, Wants};
use crate::event::{self, ChangedFiles, Commit, Oid, RefChange, RefKind, RefName};

/// Largest number of commits of one push that are listed.
const MOST_COMMITS: usize = 100_000;

/// Longest message, in bytes, once the wanted bytes of a ref are used up.
const SHORT_MESSAGE: usize = 4 * 1024;

/// Largest number of branches that are searched for one at the same commit as another ref.
const MOST_BRANCHES: usize = 200_000;

/// The bounds of single commits that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedDetails {
    /// The most commits of a ref.
    pub commits: usize,
    /// The most bytes of a ref's messages and paths: from there on paths are left out, and
    /// messages cut.
    pub bytes: usize,
    /// True if a branch at the same commit as a created ref is looked for.
    pub same_as: bool,
}

/// Paths, and how they differ.
type Files = Vec<(Vec<u8>, event::FileStatus)>;

/// Tells of the commits of one push.
pub(super) struct Details<'repo> {
    repository: &'repo Repository,
    shallow: Rc<Shallow>,
    /// By the commits that they are at, the first two by name.
    branches: OnceCell<HashMap<Oid, (RefName, Option<RefName>)>>,
    /// The rest of the budget for comparing trees.
    budget: Budget,
    /// The number of commits that may still be told.
    left: Cell<usize>,
}

/// The rest of the bounds of a ref.
struct Room {
    bytes: usize,
    has_files: bool,
}

impl Room {
    fn take(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl<'repo> Details<'repo> {
    pub(super) fn new(repository: &'repo Repository, shallow: Rc<Shallow>) -> Self {
        Self {
            repository,
            shallow,
            branches: OnceCell::new(),
            budget: Budget::default(),
            left: Cell::new(MOST_COMMITS),
        }
    }

    /// Returns the details of a change; `default` reads the default branch.
    pub(super) fn of<'a>(
        &self,
        change: &RefChange,
        wanted: WantedDetails,
        default: &dyn Fn() -> Result<&'a DefaultBranch, Error>,
    ) -> Result<event::Details, Error> {
        let mut room = Room {
            bytes: wanted.bytes,
            has_files: true,
        };
        let Some(new) = &change.new else {
            return Ok(event::Details::default());
        };
        let head = match new.commit {
            Some(id) => self.commit(id, &mut room)?,
            None => None,
        };
        let mut commits = Vec::new();
        let gained = change.gained.as_ref();
        for &id in gained.map_or(&[][..], |gained| &gained.listed) {
            let left = self.left.get();
            if left == 0 {
                break;
            }
            self.left.set(left - 1);
            let known = head.as_ref().filter(|head| head.id == id);
            let commit = match known {
                Some(head) => Some(head.clone()),
                None => self.commit(id, &mut room)?,
            };
            commits.extend(commit);
        }
        let oldest = gained.filter(|gained| gained.total > 0);
        let before_oldest = match oldest {
            Some(gained) => self.first_parent(gained.oldest)?,
            None => None,
        };
        let gains_nothing = change.old.is_none() && oldest.is_none();
        let same_as = match new.commit.filter(|_| wanted.same_as && gains_nothing) {
            Some(commit) => self.same_as(&change.update.name, commit, default()?)?,
            None => None,
        };
        Ok(event::Details {
            tag_text: self.tag_text(change, wanted)?,
            commits,
            head,
            before_oldest,
            same_as,
        })
    }

    /// A commit, if it can be read.
    fn commit(&self, id: Oid, room: &mut Room) -> Result<Option<Commit>, Error> {
        let id = self.repository.id(id)?;
        let most = room.bytes.max(SHORT_MESSAGE);
        let read = self.repository.commit(id, |commit| {
            let parent = commit.parents.first().copied();
            (commit.tree, parent, commit.said(most))
        });
        let Some((tree, parent, said)) = present(read)? else {
            return Ok(None);
        };
        room.take(said.message.len());
        let files = if room.has_files {
            self.files(
                parent.filter(|_| !self.shallow.ends_at(id)),
                tree,
                room.bytes,
            )?
        } else {
            None
        };
        match &files {
            Some(files) => room.take(files.iter().map(|(path, _)| path.len()).sum()),
            // Of the older ones none is wanted: some would look like all.
            None => room.has_files = false,
        }
        Ok(Some(Commit {
            id: id.into(),
            tree: tree.into(),
            message: said.message,
            is_cut: said.is_cut,
            author: said.author,
            committer: said.committer,
            files,
        }))
    }

    /// Returns the files that differ from the first parent; `None` if that is unknown, or they
    /// are too many.
    fn files(&self, parent: Option<Id>, tree: Id, bytes: usize) -> Result<Option<Files>, Error> {
        let old = parent.map(|parent| self.repository.commit(parent, |commit| commit.tree));
        let Some(old) = present(old.transpose())? else {
            return Ok(None);
        };
        let wants = Wants {
            files: usize::MAX,
            path_bytes: bytes,
        };
        let budget = &self.budget;
        let compared = tree_diff::changed_files(self.repository, old, Some(tree), wants, budget);
        let Some((files, is_cut)) = present(compared)? else {
            return Ok(None);
        };
        let ChangedFiles {
            listed,
            total,
            more,
        } = files;
        Ok((!more && !is_cut && listed.len() == total).then_some(listed))
    }

    fn first_parent(&self, id: Oid) -> Result<Option<Oid>, Error> {
        let id = self.repository.id(id)?;
        let read = self
            .repository
            .commit(id, |commit| commit.parents.first().copied());
        let parent = present(read)?.flatten();
        Ok(parent.filter(|_| !self.shallow.ends_at(id)).map(Oid::from))
    }

    fn tag_text(&self, change: &RefChange, wanted: WantedDetails) -> Result<Option<String>, Error> {
        let new = change.new.as_ref();
        let Some(new) = new.filter(|new| Some(new.object) != new.commit) else {
            return Ok(None);
        };
        if change.update.name.kind() != RefKind::Tag || new.commit.is_none() {
            return Ok(None);
        }
        let id = self.repository.id(new.object)?;
        Ok(match self.repository.object(id) {
            Ok((Kind::Tag, bytes)) => Some(text::of_tag(&bytes, wanted.bytes)),
            // It was read a moment ago.
            _ => None,
        })
    }

    /// Returns a branch at this commit, other than this ref itself.
    fn same_as(
        &self,
        name: &RefName,
        commit: Oid,
        default: &DefaultBranch,
    ) -> Result<Option<RefName>, Error> {
        let is_there = default.tip.map(Oid::from) == Some(commit);
        if let Some(default) = default.name.as_ref().filter(|_| is_there)
            && default != name
        {
            return Ok(Some(default.clone()));
        }
        if self.branches.get().is_none() {
            let read = self.branches()?;
            self.branches.get_or_init(|| read);
        }
        let branches = self.branches.get();
        Ok(branches
            .and_then(|branches| branches.get(&commit))
            .and_then(|(first, second)| {
                if first == name {
                    second.clone()
                } else {
                    Some(first.clone())
                }
            }))
    }

    fn branches(&self) -> Result<HashMap<Oid, (RefName, Option<RefName>)>, Error> {
        let mut branches = HashMap::new();
        for (name, commit) in self.repository.branches(MOST_BRANCHES)? {
            match branches.entry(commit) {
                Entry::Vacant(new) => drop(new.insert((name, None))),
                Entry::Occupied(mut known) => {
                    let (_, second) = known.get_mut();
                    second.get_or_insert(name);
                }
            }
        }
        Ok(branches)
    }
}
