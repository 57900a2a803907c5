//! Commits by number: parents, times and authors, for walks of any size.
//!
//! The one seam between walks and what is on disk. Commits that the commit-graph has
//! are numbered by their position in it and take no memory. Of the others the headers
//! are read, once, and some fifty bytes of each are kept.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use git2::{Odb, Oid};
use hashbrown::HashTable;

use super::commit_file::CommitFile;
use super::object::{self, Signature};
use super::replaced::Grafts;
use super::{Error, ReadContext, Repository};
use crate::event::Author;

/// No more authors than this are kept by number,
const MOST_AUTHORS: usize = 100_000;

/// and no more bytes of their names and addresses than this.
const MOST_AUTHOR_BYTES: usize = 4 << 20;

/// What stands for what is not known yet.
const UNKNOWN: u32 = u32::MAX;

/// A commit that was read.
struct Node {
    time: i64,
    /// Where its parents are in `parents`; `UNKNOWN` until it is read.
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

/// Who wrote a commit.
pub(super) enum Writer {
    /// One of those who are kept.
    Kept(u32),
    /// Another one.
    Other(Author),
}

/// The commits of a repository.
pub(super) struct Commits<'repo> {
    repository: &'repo Repository,
    odb: Odb<'repo>,
    grafts: Grafts,
    file: Option<CommitFile>,
    /// Numbers below this are positions in the file.
    filed: u32,
    /// Ids of the others, one behind the other.
    ids: Vec<u8>,
    id_length: usize,
    numbers: HashTable<u32>,
    hasher: RandomState,
    nodes: Vec<Node>,
    parents: Vec<u32>,
    authors: Authors,
}

impl<'repo> Commits<'repo> {
    pub(super) fn new(repository: &'repo Repository) -> Result<Self, Error> {
        let grafts = Grafts::of(repository);
        // The file tells of parents as commits name them (commit-graph.c,
        // `commit_graph_compatible`).
        let file = if grafts.are_none() && repository.replacements().is_empty() {
            CommitFile::of(repository)
        } else {
            None
        };
        Ok(Self {
            repository,
            odb: repository.inner.odb().reading(|| "objects".to_owned())?,
            grafts,
            filed: file.as_ref().map_or(0, CommitFile::len),
            file,
            ids: Vec::new(),
            id_length: repository.oid_digits() / 2,
            numbers: HashTable::new(),
            hasher: RandomState::new(),
            nodes: Vec::new(),
            parents: Vec::new(),
            authors: Authors::default(),
        })
    }

    /// The number of this id, be there such a commit or not.
    pub(super) fn number(&mut self, id: Oid) -> u32 {
        if let Some(position) = self.file.as_ref().and_then(|file| file.find(id)) {
            return position;
        }
        let raw = id.as_bytes();
        let (ids, length, hasher) = (&self.ids, self.id_length, &self.hasher);
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

    pub(super) fn id(&self, number: u32) -> Oid {
        let raw = match (&self.file, number.checked_sub(self.filed)) {
            (_, Some(at)) => &self.ids[at as usize * self.id_length..][..self.id_length],
            (Some(file), None) => file.id(number),
            (None, None) => unreachable!("without a file, no number is below 0"),
        };
        Oid::from_bytes(raw).expect("ids are 20 or 32 bytes")
    }

    /// When it was committed, in seconds since the epoch.
    pub(super) fn time(&mut self, number: u32) -> Result<i64, Error> {
        match (&self.file, number.checked_sub(self.filed)) {
            (Some(file), None) => Ok(file.time(number)),
            (_, at) => Ok(self.node(at.unwrap_or_default())?.time),
        }
    }

    /// One more than the highest level of its parents, if that is known.
    pub(super) fn level(&self, number: u32) -> Option<u32> {
        let file = self.file.as_ref()?;
        (number < self.filed).then(|| file.level(number))?
    }

    /// Puts the parents' numbers in place of what was in `parents`.
    pub(super) fn parents(&mut self, number: u32, parents: &mut Vec<u32>) -> Result<(), Error> {
        parents.clear();
        let Some(at) = number.checked_sub(self.filed) else {
            let file = self.file.as_ref();
            if !file.is_some_and(|file| file.parents(number, parents)) {
                // A damaged entry: the commit itself knows.
                let id = self.id(number);
                let (ids, _) = self.read(id)?;
                parents.extend(ids.into_iter().map(|id| self.number(id)));
            }
            return Ok(());
        };
        let &Node {
            start,
            parents: count,
            ..
        } = self.node(at)?;
        let range = start as usize..start as usize + count as usize;
        parents.extend_from_slice(&self.parents[range]);
        Ok(())
    }

    pub(super) fn writer(&mut self, number: u32) -> Result<Writer, Error> {
        let at = number.checked_sub(self.filed);
        let known = at.map(|at| self.nodes[at as usize].author);
        if let Some(author) = known.filter(|&author| author != UNKNOWN) {
            return Ok(Writer::Kept(author));
        }
        let id = self.id(number);
        let object = self
            .odb
            .read(self.repository.replacement(id))
            .reading(|| format!("commit `{id}`"))?;
        let signature = Signature::of_author(object.data());
        Ok(match self.authors.keep(signature) {
            UNKNOWN => Writer::Other(signature.person()),
            author => Writer::Kept(author),
        })
    }

    /// One of those who are kept.
    pub(super) fn author(&self, kept: u32) -> &Author {
        &self.authors.all[kept as usize]
    }

    fn node(&mut self, at: u32) -> Result<&Node, Error> {
        if self.nodes[at as usize].start == UNKNOWN {
            let id = self.id(self.filed + at);
            let (ids, mut node) = self.read(id)?;
            node.start = u32::try_from(self.parents.len()).expect("memory ends before");
            node.parents = u32::try_from(ids.len()).expect("objects are smaller");
            for id in ids {
                let parent = self.number(id);
                self.parents.push(parent);
            }
            self.nodes[at as usize] = node;
        }
        Ok(&self.nodes[at as usize])
    }

    /// Reads a commit: its parents, and the rest.
    fn read(&mut self, id: Oid) -> Result<(Vec<Oid>, Node), Error> {
        let commit = self
            .odb
            .read(self.repository.replacement(id))
            .reading(|| format!("commit `{id}`"))?;
        let parents = match self.grafts.parents(id) {
            Some(parents) => parents.to_vec(),
            None => object::parents(commit.data()).collect(),
        };
        let node = Node {
            time: object::commit_time(commit.data()),
            author: self.authors.keep(Signature::of_author(commit.data())),
            ..UNREAD
        };
        Ok((parents, node))
    }
}

/// Authors, each once, so that no commit need be read again for its own.
#[derive(Default)]
struct Authors {
    /// By how commits write them.
    numbers: HashMap<Box<[u8]>, u32>,
    all: Vec<Author>,
    bytes: usize,
    key: Vec<u8>,
}

impl Authors {
    /// The author's number; `UNKNOWN` if there is no more room.
    fn keep(&mut self, signature: Signature<'_>) -> u32 {
        signature.write_key(&mut self.key);
        if let Some(&number) = self.numbers.get(self.key.as_slice()) {
            return number;
        }
        if self.all.len() == MOST_AUTHORS || self.bytes > MOST_AUTHOR_BYTES {
            return UNKNOWN;
        }
        let number = u32::try_from(self.all.len()).expect("they are few");
        self.bytes += self.key.len();
        self.numbers.insert(self.key.as_slice().into(), number);
        self.all.push(signature.person());
        number
    }
}
