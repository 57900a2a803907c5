//! Commits by number: parents, times and authors, for walks of any size.
//!
//! Commits that the commit-graph has are numbered by their position in it and take no
//! memory. Of the others the headers are read, once, and some fifty bytes of each are
//! kept.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::ahead::Ahead;
use super::authors::Authors;
use super::commit_file::CommitFile;
use super::object::{self, Signature};
use super::shallow::Shallow;
use super::store::Objects;
use super::{Error, ReadContext, Repository};
use crate::event::{Author, Oid};

/// So many commits are asked for one by one before git is to list what they lead to: a
/// process costs as much as so many questions.
const PATIENCE: usize = 64;

/// One that git will list is waited for while it lists so many others, and as many again as
/// were worth it before: a walk that ends soon does not wait for a whole history.
const LEAST_REACH: usize = 256;

/// A list starts at no more commits than this.
const MOST_STARTS: usize = 1000;

/// What stands for what is not known yet.
const UNKNOWN: u32 = u32::MAX;

/// A commit that was read.
struct Node {
    time: i64,
    /// Where its parents are in `parents`; `UNKNOWN` until it is read.
    start: u32,
    parents: u32,
    author: u32,
    /// Which list it will be in, unless it has been.
    list: u32,
}

const UNREAD: Node = Node {
    time: 0,
    start: UNKNOWN,
    parents: 0,
    author: UNKNOWN,
    list: 0,
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
    objects: Objects<'repo>,
    shallow: Shallow,
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
    ahead: Reading,
}

/// What git lists ahead of the walks, where it is git that reads.
#[derive(Default)]
struct Reading {
    list: Option<Ahead>,
    /// How many lists there were: the number of this one.
    lists: u32,
    /// How many of it were what led to one that was waited for.
    worthy: usize,
    /// Which were asked for one by one since it began.
    asked: Vec<u32>,
}

impl<'repo> Commits<'repo> {
    pub(super) fn new(repository: &'repo Repository) -> Self {
        let shallow = Shallow::of(repository);
        // The file tells of parents as commits name them (commit-graph.c,
        // `commit_graph_compatible`).
        let file = (!shallow.is_there()).then(|| CommitFile::of(repository));
        let file = file.flatten();
        Self {
            repository,
            objects: repository.objects(),
            shallow,
            filed: file.as_ref().map_or(0, CommitFile::len),
            file,
            ids: Vec::new(),
            id_length: repository.id_length(),
            numbers: HashTable::new(),
            hasher: RandomState::new(),
            nodes: Vec::new(),
            parents: Vec::new(),
            authors: Authors::default(),
            ahead: Reading::default(),
        }
    }

    /// So many writers at a time are worth telling of ahead.
    pub(super) fn told_together(&self) -> usize {
        self.objects.most_expected()
    }

    /// Of these all the writers will be asked for, in this order.
    pub(super) fn will_tell_writers(&self, numbers: impl Iterator<Item = u32>) {
        let unknown = numbers.filter(|&number| {
            let at = number.checked_sub(self.filed);
            at.is_none_or(|at| self.nodes[at as usize].author == UNKNOWN)
        });
        let ids = unknown.map(|number| self.id(number));
        self.objects.expect(ids);
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
        let commit = self.repository.object(&self.objects, id);
        let (_, commit) = commit.reading(|| format!("commit `{id}`"))?;
        let signature = Signature::of_author(&commit);
        Ok(match self.authors.keep(signature) {
            None => Writer::Other(signature.person()),
            Some(author) => Writer::Kept(author),
        })
    }

    /// One of those who are kept.
    pub(super) fn author(&self, kept: u32) -> &Author {
        self.authors.of(kept)
    }

    fn node(&mut self, at: u32) -> Result<&Node, Error> {
        if self.nodes[at as usize].start == UNKNOWN && !self.read_ahead(at) {
            let id = self.id(self.filed + at);
            let (ids, node) = self.read(id)?;
            self.keep(at, &ids, node);
            self.lose_patience(at);
        }
        Ok(&self.nodes[at as usize])
    }

    fn keep(&mut self, at: u32, parents: &[Oid], mut node: Node) {
        node.start = u32::try_from(self.parents.len()).expect("memory ends before");
        node.parents = u32::try_from(parents.len()).expect("objects are smaller");
        for &id in parents {
            let parent = self.number(id);
            self.parents.push(parent);
        }
        self.nodes[at as usize] = node;
    }

    /// Reads a commit: its parents, and the rest.
    fn read(&mut self, id: Oid) -> Result<(Vec<Oid>, Node), Error> {
        let commit = self.repository.object(&self.objects, id);
        let (_, commit) = commit.reading(|| format!("commit `{id}`"))?;
        let mut parents = Vec::new();
        let authors = &mut self.authors;
        let node = understand(id, &commit, &self.shallow, authors, &mut parents);
        Ok((parents, node))
    }

    /// Reads what git lists until this commit has come; whether it has.
    fn read_ahead(&mut self, at: u32) -> bool {
        // Every commit of a list leads to others of it.
        if self.ahead.list.is_none() || self.nodes[at as usize].list != self.ahead.lists {
            return false;
        }
        let mut list = self.ahead.list.take();
        let (mut passed, mut ids) = (0, Vec::new());
        while let Some(ahead) = &mut list
            && passed < LEAST_REACH + self.ahead.worthy
        {
            passed += 1;
            let Some((id, commit)) = ahead.next() else {
                // Its end, or what it stumbled over: whoever reads that one will see.
                return false;
            };
            let found = self.number(id);
            let Some(found) = found.checked_sub(self.filed) else {
                continue;
            };
            if self.nodes[found as usize].start == UNKNOWN {
                let authors = &mut self.authors;
                let node = understand(id, commit, &self.shallow, authors, &mut ids);
                self.keep(found, &ids, node);
            }
            self.expect_parents(found, |_| {});
            if found == at {
                self.ahead.worthy += passed;
                break;
            }
        }
        self.ahead.list = list;
        self.nodes[at as usize].start != UNKNOWN
    }

    /// After this one, too, had to be asked for: lets git list what walks will meet.
    fn lose_patience(&mut self, at: u32) {
        let Some(git) = self.objects.lister() else {
            return;
        };
        self.ahead.asked.push(at);
        if self.ahead.asked.len() < PATIENCE {
            return;
        }
        self.ahead.lists += 1;
        self.ahead.worthy = 0;
        let (mut starts, mut firsts) = (Vec::new(), Vec::new());
        for asked in std::mem::take(&mut self.ahead.asked) {
            self.expect_parents(asked, |parent| firsts.push(parent));
            for at in firsts.drain(..) {
                if self.nodes[at as usize].start == UNKNOWN && starts.len() < MOST_STARTS {
                    starts.push(self.id(self.filed + at));
                }
            }
        }
        self.ahead.list = Ahead::start(git, &starts);
    }

    /// The list that has this commit, or begins behind it, will have its parents. Tells
    /// those that no other commit of the list had.
    fn expect_parents(&mut self, at: u32, mut tell: impl FnMut(u32)) {
        let node = &self.nodes[at as usize];
        let range = node.start as usize..node.start as usize + node.parents as usize;
        for &parent in &self.parents[range] {
            if let Some(parent) = parent.checked_sub(self.filed)
                && self.nodes[parent as usize].list != self.ahead.lists
            {
                self.nodes[parent as usize].list = self.ahead.lists;
                tell(parent);
            }
        }
    }
}

/// What walks need of a commit; its parents are put in place of what was in `parents`.
fn understand(
    id: Oid,
    commit: &[u8],
    shallow: &Shallow,
    authors: &mut Authors,
    parents: &mut Vec<Oid>,
) -> Node {
    parents.clear();
    let walked = object::walked(commit, |id| parents.push(id));
    if shallow.ends_at(id) {
        parents.clear();
    }
    Node {
        time: walked.time,
        author: authors.keep(walked.author).unwrap_or(UNKNOWN),
        ..UNREAD
    }
}
