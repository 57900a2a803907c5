//! The commit-graph: a file in which git keeps the parents, times and generations of
//! commits, or a chain of such files (gitformat-commit-graph(5)).

use std::path::{Path, PathBuf};

use gix_commitgraph::{File, Graph, Position};
use gix_hash::{Kind, oid};

use crate::git::objects::id::Id;
use crate::git::repository::Repository;
use crate::plain_file;

/// No chain is longer: the count of base files is one byte.
const LONGEST_CHAIN: usize = 256;

/// Length of the file with the names of a chain.
const LONGEST_LIST: u64 = LONGEST_CHAIN as u64 * 65;

/// Commits by their position in the file, from 0 up.
pub(in crate::git) struct CommitFile {
    graph: Graph,
    commits: u32,
    /// Whether it has generations: files from before git 2.19 have none.
    has_generations: bool,
}

impl CommitFile {
    /// The first one of the object directories, as git takes it; `None` if there is
    /// none, or none that can be read: it only makes things faster.
    pub(in crate::git) fn of(repository: &Repository) -> Option<Self> {
        if repository.store().setting("core.commitgraph") == Some(false) {
            return None;
        }
        let kind = repository.hash().kind();
        let folders = repository.store().object_folders();
        let graph = folders
            .iter()
            .find_map(|folder| single(folder, kind).or_else(|| chain(folder, &folders, kind)))?;
        let commits = graph.num_commits();
        let has_generations = commits > 0 && graph.commit_at(Position(0)).generation() > 0;
        Some(Self {
            graph,
            commits,
            has_generations,
        })
    }

    /// Returns the number of commits in it.
    pub(in crate::git) fn len(&self) -> u32 {
        self.commits
    }

    pub(in crate::git) fn find(&self, id: Id) -> Option<u32> {
        let id = oid::try_from_bytes(id.as_bytes()).ok()?;
        self.graph.lookup(id).map(|position| position.0)
    }

    pub(in crate::git) fn id(&self, position: u32) -> &[u8] {
        self.graph.id_at(Position(position)).as_bytes()
    }

    pub(in crate::git) fn time(&self, position: u32) -> u64 {
        self.graph
            .commit_at(Position(position))
            .committer_timestamp()
    }

    /// Returns the generation of a commit, if the file has generations.
    pub(in crate::git) fn generation(&self, position: u32) -> Option<u32> {
        let commit = self.graph.commit_at(Position(position));
        self.has_generations.then(|| commit.generation())
    }

    /// Appends the positions of the parents; whether they could be told.
    pub(in crate::git) fn parents(&self, position: u32, parents: &mut Vec<u32>) -> bool {
        let before = parents.len();
        for parent in self.graph.commit_at(Position(position)).iter_parents() {
            match parent {
                Ok(parent) if parent.0 < self.commits => parents.push(parent.0),
                _ => {
                    parents.truncate(before);
                    return false;
                }
            }
        }
        true
    }
}

fn file(path: &Path) -> Option<File> {
    // It is opened by its name, which must be no FIFO's.
    plain_file::open(path).ok()?;
    File::at(path).ok()
}

fn single(folder: &Path, kind: Kind) -> Option<Graph> {
    let file = file(&folder.join("info/commit-graph"))?;
    if file.object_hash() != kind {
        return None;
    }
    Graph::new(vec![file]).ok()
}

/// Opens the files of a chain, each of which may lie in any of the object directories. If one is
/// missing or does not fit, the ones below it are used.
fn chain(folder: &Path, folders: &[PathBuf], kind: Kind) -> Option<Graph> {
    let list = folder.join("info/commit-graphs/commit-graph-chain");
    let list = plain_file::read_text(&list, LONGEST_LIST).ok()?;
    let mut files: Vec<File> = Vec::new();
    let mut ids: Vec<Vec<u8>> = Vec::new();
    for line in list.lines().take(LONGEST_CHAIN) {
        let Ok(id) = hex::decode(line) else {
            break;
        };
        let name = format!("info/commit-graphs/graph-{line}.graph");
        let found = folders.iter().find_map(|folder| file(&folder.join(&name)));
        let fits = |file: &File| {
            file.object_hash() == kind
                && file
                    .iter_base_graph_ids()
                    .map(oid::as_bytes)
                    .eq(ids.iter().map(Vec::as_slice))
        };
        let Some(file) = found.filter(fits) else {
            break;
        };
        files.push(file);
        ids.push(id);
    }
    Graph::new(files).ok()
}
