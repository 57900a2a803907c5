//! Which files differ between two trees.
//!
//! libgit2's own diff visits both trees whole; comparing entry by entry and
//! skipping equal ids costs what differs, as `git diff-tree` does.

use std::cell::Cell;
use std::cmp::Ordering;

use git2::{ObjectType, Oid, Tree, TreeEntry};

use super::{Error, Limits, ReadContext, Repository};
use crate::event::{ChangedFiles, FileStatus};

/// Of one comparison no more files than this are counted, and no more folders
/// opened: a few objects that name each other many times over make a tree of any
/// size.
const MOST_FILES: usize = 1_000_000;
const MOST_FOLDERS: usize = 1_000_000;

/// Folders deeper than this are not opened. git itself stops at 2048 or 4096, unless
/// it is told otherwise (git-config(1), core.maxTreeDepth).
const DEEPEST: usize = 20_000;

/// Nor are more of them open at a time than have so many names, or so long a path.
const MOST_OPEN: usize = 4_000_000;
const LONGEST_PATH: usize = 16 << 20;

/// Names that all comparisons of one push may look at together.
const MOST_NAMES: usize = 20_000_000;

/// What the comparisons of one push may yet cost, in names to look at.
pub(super) struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(MOST_NAMES))
    }
}

impl Budget {
    /// Whether there was something left to spend.
    fn spend(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

/// A pair of folders being compared. The stack of these, not the call stack,
/// grows with the depth of the trees.
struct Folder<'repo> {
    old: Option<Tree<'repo>>,
    new: Option<Tree<'repo>>,
    /// How many entries of each are done.
    old_done: usize,
    new_done: usize,
    /// How much of the shared path buffer is this folder's.
    path_len: usize,
}

/// Compares two trees; `None` is the empty one. Lists the first paths, as far as the
/// limits go, and counts the others.
pub(super) fn changed_files(
    repository: &Repository,
    old: Option<Oid>,
    new: Option<Oid>,
    mut limits: Limits,
    budget: &Budget,
) -> Result<ChangedFiles, Error> {
    let mut files = ChangedFiles::default();
    if old == new {
        return Ok(files);
    }
    let mut path = Vec::new();
    let whole = open(repository, old, new, 0)?;
    let (mut path_bytes, mut folders, mut names) = (0, 1, whole.names());
    let mut stack = vec![whole];
    while let Some(folder) = stack.last_mut() {
        path.truncate(folder.path_len);
        if !budget.spend() {
            files.more = true;
            break;
        }
        match folder.step(&mut path) {
            None => {
                names -= folder.names();
                stack.pop();
            }
            Some(Step::Same) => {}
            Some(Step::File(_)) if files.total == MOST_FILES => {
                files.more = true;
                break;
            }
            Some(Step::File(status)) => {
                if files.listed.len() < limits.files {
                    path_bytes += path.len();
                    files.listed.push((path.clone(), status));
                }
                if path_bytes > limits.path_bytes {
                    limits.files = 0;
                    files.listed = Vec::new();
                }
                files.total += 1;
            }
            Some(Step::Folder(old, new)) => {
                folders += 1;
                path.push(b'/');
                let folder = open(repository, old, new, path.len())?;
                names += folder.names();
                stack.push(folder);
                if folders > MOST_FOLDERS
                    || stack.len() > DEEPEST
                    || names > MOST_OPEN
                    || path.len() > LONGEST_PATH
                {
                    files.more = true;
                    break;
                }
            }
        }
    }
    Ok(files)
}

/// What one name in a pair of folders turns out to be.
enum Step {
    Same,
    File(FileStatus),
    Folder(Option<Oid>, Option<Oid>),
}

fn open(
    repository: &Repository,
    old: Option<Oid>,
    new: Option<Oid>,
    path_len: usize,
) -> Result<Folder<'_>, Error> {
    let tree = |id: Option<Oid>| {
        id.map(|id| {
            repository
                .inner
                .find_tree(repository.replacement(id))
                .reading(|| format!("tree `{id}`"))
        })
        .transpose()
    };
    Ok(Folder {
        old: tree(old)?,
        new: tree(new)?,
        old_done: 0,
        new_done: 0,
        path_len,
    })
}

impl Folder<'_> {
    /// How many names its two trees have.
    fn names(&self) -> usize {
        let trees = self.old.iter().chain(&self.new);
        trees.map(Tree::len).sum()
    }

    /// Looks at the next name, which it appends to `path`. A file and a folder of
    /// one name are two names, as in git's own order.
    fn step(&mut self, path: &mut Vec<u8>) -> Option<Step> {
        let old = self.old.as_ref().and_then(|tree| tree.get(self.old_done));
        let new = self.new.as_ref().and_then(|tree| tree.get(self.new_done));
        let order = match (&old, &new) {
            (Some(old), Some(new)) => sort_key(old).cmp(sort_key(new)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        self.old_done += usize::from(order.is_le());
        self.new_done += usize::from(order.is_ge());
        let old = old.filter(|_| order.is_le());
        let new = new.filter(|_| order.is_ge());
        let named = old.as_ref().or(new.as_ref())?;
        path.extend_from_slice(named.name_bytes());
        if !is_tree(named) {
            return Some(compare(old.as_ref(), new.as_ref()).map_or(Step::Same, Step::File));
        }
        let (old, new) = (old.map(|entry| entry.id()), new.map(|entry| entry.id()));
        Some(if old == new {
            Step::Same
        } else {
            Step::Folder(old, new)
        })
    }
}

/// git sorts a folder's entries as if the names of folders ended in `/`.
fn sort_key<'a>(entry: &'a TreeEntry<'_>) -> impl Iterator<Item = u8> + 'a {
    let slash = is_tree(entry).then_some(b'/');
    entry.name_bytes().iter().copied().chain(slash)
}

fn is_tree(entry: &TreeEntry<'_>) -> bool {
    entry.kind() == Some(ObjectType::Tree)
}

fn compare(old: Option<&TreeEntry<'_>>, new: Option<&TreeEntry<'_>>) -> Option<FileStatus> {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, _) => return Some(FileStatus::Added),
        (_, None) => return Some(FileStatus::Deleted),
    };
    if old.kind() != new.kind() || file_type(old) != file_type(new) {
        Some(FileStatus::TypeChanged)
    } else if old.id() != new.id() || is_executable(old) != is_executable(new) {
        Some(FileStatus::Modified)
    } else {
        None
    }
}

/// The type bits of a mode: regular file, symbolic link, submodule. Of the
/// others git keeps only whether a file is executable.
fn file_type(entry: &TreeEntry<'_>) -> i32 {
    entry.filemode_raw() & 0o170_000
}

fn is_executable(entry: &TreeEntry<'_>) -> bool {
    entry.filemode_raw() & 0o100 != 0
}
