//! Commits by number: parents, times and authors, for walks of any size.
//!
//! Commits that the commit-graph has are numbered by their position in it and take no
//! memory. Of the others the headers are read, once, and some fifty bytes of each are
//! kept.

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use hashbrown::HashTable;

use crate::event::Author;
use crate::git::error::{Error, present};
use crate::git::history::authors::Authors;
use crate::git::history::commit_graph::CommitFile;
use crate::git::history::effort::Effort;
use crate::git::history::shallow::Shallow;
use crate::git::objects::id::{HashKind, Id};
use crate::git::repository::Repository;

/// Marks a value that was not read yet.
const UNKNOWN: u32 = u32::MAX;

/// Marks the parents of a missing or damaged commit.
const ABSENT: u32 = UNKNOWN - 1;

/// A commit that was read.
struct Node {
    time: u64,
    /// Start of its parents in `parents`; `UNKNOWN` before it is read, `ABSENT` if that fails.
    start: u32,
    parents: u32,
    author: u32,
}

const UNREAD: Node = Node {
    time: 0,
    start: UNKNOWN,
    parents: 0,
    author: UNKNOWN,
};

/// The author of a commit.
pub(in crate::git) enum Writer {
    /// A kept author.
    Kept(u32),
    /// Another author.
    Other(Author),
}

/// The commits of a repository.
pub(in crate::git) struct Commits<'repo> {
    repository: &'repo Repository,
    shallow: Rc<Shallow>,
    file: Option<CommitFile>,
    /// Numbers below this are positions in the file.
    filed: u32,
    /// Ids of the others, one behind the other.
    ids: Vec<u8>,
    hash: HashKind,
    numbers: HashTable<u32>,
    hasher: RandomState,
    nodes: Vec<Node>,
    parents: Vec<u32>,
    authors: Authors,
    /// Budget for the walks of one push.
    pub(in crate::git) effort: Effort,
}

impl<'repo> Commits<'repo> {
    pub(in crate::git) fn new(repository: &'repo Repository, shallow: Rc<Shallow>) -> Self {
        // The file tells of parents as commits name them (commit-graph.c,
        // `commit_graph_compatible`).
        let file = (!shallow.is_there()).then(|| CommitFile::of(repository));
        let file = file.flatten();
        Self {
            repository,
            shallow,
            filed: file.as_ref().map_or(0, CommitFile::len),
            file,
            ids: Vec::new(),
            hash: repository.hash(),
            numbers: HashTable::new(),
            hasher: RandomState::new(),
            nodes: Vec::new(),
            parents: Vec::new(),
            authors: Authors::default(),
            effort: Effort::of_commits(),
        }
    }

    /// Returns the number of this id, whether or not there is such a commit.
    pub(in crate::git) fn number(&mut self, id: Id) -> u32 {
        if let Some(position) = self.file.as_ref().and_then(|file| file.find(id)) {
            return position;
        }
        let raw = id.as_bytes();
        let (ids, length, hasher) = (&self.ids, self.hash.bytes(), &self.hasher);
        let of = |&at: &u32| &ids[at as usize * length..][..length];
        let hash = hasher.hash_one(raw);
        let found = self.numbers.find(hash, |at| of(at) == raw);
        let at = if let Some(&at) = found {
            at
        } else {
            let at = u32::try_from(self.nodes.len()).expect("memory ends before 2^32 commits");
            self.numbers
                .insert_unique(hash, at, |at| hasher.hash_one(of(at)));
            self.ids.extend_from_slice(raw);
            self.nodes.push(UNREAD);
            at
        };
        self.filed + at
    }

    pub(in crate::git) fn id(&self, number: u32) -> Id {
        let length = self.hash.bytes();
        let raw = match (&self.file, number.checked_sub(self.filed)) {
            (_, Some(at)) => &self.ids[at as usize * length..][..length],
            (Some(file), None) => file.id(number),
            (None, None) => unreachable!("without a file, no number is below 0"),
        };
        let id = self.hash.id_of_bytes(raw);
        id.expect("what was put in was one")
    }

    /// Returns the commit time in seconds since the epoch. `None`: the commit is missing or
    /// damaged, and a walk ends before it.
    pub(in crate::git) fn time(&mut self, number: u32) -> Result<Option<u64>, Error> {
        match (&self.file, number.checked_sub(self.filed)) {
            (Some(file), None) => Ok(Some(file.time(number))),
            (_, at) => {
                let node = self.node(at.unwrap_or_default())?;
                Ok((node.start != ABSENT).then_some(node.time))
            }
        }
    }

    /// Returns the generation of a commit, if known.
    pub(in crate::git) fn generation(&self, number: u32) -> Option<u32> {
        let file = self.file.as_ref()?;
        (number < self.filed).then(|| file.generation(number))?
    }

    /// Visits a commit and puts the numbers of its parents into `parents`. An absent commit has
    /// none.
    pub(in crate::git) fn parents(
        &mut self,
        number: u32,
        parents: &mut Vec<u32>,
    ) -> Result<(), Error> {
        parents.clear();
        self.effort.visit(number);
        let Some(at) = number.checked_sub(self.filed) else {
            let file = self.file.as_ref();
            if !file.is_some_and(|file| file.parents(number, parents)) {
                // A damaged entry: the commit itself knows.
                let id = self.id(number);
                if let Some((ids, _)) = present(self.read(id))? {
                    parents.extend(ids.into_iter().map(|id| self.number(id)));
                }
            }
            return Ok(());
        };
        let node = self.node(at)?;
        let (start, count) = (node.start as usize, node.parents as usize);
        if count > 0 {
            parents.extend_from_slice(&self.parents[start..start + count]);
        }
        Ok(())
    }

    /// Returns the author. `None`: only the commit-graph knows the commit.
    pub(in crate::git) fn writer(&mut self, number: u32) -> Result<Option<Writer>, Error> {
        let at = number.checked_sub(self.filed);
        let known = at.map(|at| self.nodes[at as usize].author);
        if let Some(author) = known.filter(|&author| author != UNKNOWN) {
            return Ok(Some(Writer::Kept(author)));
        }
        let id = self.id(number);
        present(self.repository.commit(id, |commit| {
            let signature = commit.author();
            match self.authors.keep(&signature) {
                None => Writer::Other(signature.person()),
                Some(author) => Writer::Kept(author),
            }
        }))
    }

    /// One of those who are kept.
    pub(in crate::git) fn author(&self, kept: u32) -> &Author {
        self.authors.of(kept)
    }

    fn node(&mut self, at: u32) -> Result<&Node, Error> {
        if self.nodes[at as usize].start == UNKNOWN {
            let id = self.id(self.filed + at);
            match present(self.read(id))? {
                Some((ids, node)) => self.keep(at, &ids, node),
                None => self.nodes[at as usize].start = ABSENT,
            }
        }
        Ok(&self.nodes[at as usize])
    }

    fn keep(&mut self, at: u32, parents: &[Id], mut node: Node) {
        node.start = u32::try_from(self.parents.len()).expect("memory ends before");
        node.parents = u32::try_from(parents.len()).expect("objects are smaller");
        for &id in parents {
            let parent = self.number(id);
            self.parents.push(parent);
        }
        self.nodes[at as usize] = node;
    }

    /// Reads a commit: its parents, and the rest.
    fn read(&mut self, id: Id) -> Result<(Vec<Id>, Node), Error> {
        let (shallow, authors) = (&self.shallow, &mut self.authors);
        self.repository.commit(id, |commit| {
            let node = Node {
                time: commit.time(),
                author: authors.keep(&commit.author()).unwrap_or(UNKNOWN),
                ..UNREAD
            };
            let parents = if shallow.ends_at(id) {
                Vec::new()
            } else {
                commit.parents
            };
            (parents, node)
        })
    }
}
