//! Which files differ between two trees.
//!
//! libgit2's own diff visits both trees whole; comparing entry by entry and
//! skipping equal ids costs what differs, as `git diff-tree` does.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;

use crate::event::{ChangedFiles, FileStatus};
use crate::git::error::{Error, ReadContext, damaged, present};
use crate::git::history::effort::Effort;
use crate::git::objects::bytes::{Bytes, Kind};
use crate::git::objects::id::{HashKind, Id};
use crate::git::repository::Repository;

/// Limits for the changes of one push.
#[derive(Clone, Copy, Debug)]
pub struct Wants {
    /// The most files that are listed of a change.
    pub files: usize,
    /// The most bytes that their paths have: with more, none is listed.
    pub path_bytes: usize,
}

/// Of one comparison no more files than this are counted, and no more folders
/// opened: a few objects that name each other many times over make a tree of any
/// size.
const MOST_FILES: usize = 1_000_000;
const MOST_FOLDERS: usize = 1_000_000;

/// Deepest folder to open. git itself stops at 2048 or 4096 by default (git-config(1),
/// core.maxTreeDepth).
const DEEPEST: usize = 20_000;

/// Most bytes of folders, and longest path, that are open at a time.
const MOST_OPEN: usize = 256 << 20;
const LONGEST_PATH: usize = 16 << 20;

/// Names that all comparisons of one push may look at together.
const MOST_NAMES: usize = 20_000_000;

/// Budget for the comparisons of one push.
pub(super) struct Budget {
    names: Cell<usize>,
    trees: RefCell<Effort>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            names: Cell::new(MOST_NAMES),
            trees: RefCell::new(Effort::of_trees()),
        }
    }
}

impl Budget {
    /// Whether another name may be looked at.
    fn spend(&self) -> bool {
        let left = self.names.get();
        self.names.set(left.saturating_sub(1));
        left > 0
    }

    /// Whether these trees may be looked at.
    fn visit(&self, trees: [Option<Id>; 2]) -> bool {
        let mut effort = self.trees.borrow_mut();
        for tree in trees.iter().flatten() {
            effort.visit_tree(tree.as_bytes());
        }
        !effort.is_spent()
    }

    /// Whether no more trees may be.
    pub(super) fn is_spent(&self) -> bool {
        self.trees.borrow().is_spent()
    }
}

/// A pair of folders being compared. The stack of these, not the call stack,
/// grows with the depth of the trees.
struct Folder<'objects> {
    old: Side<'objects>,
    new: Side<'objects>,
    /// Length of this folder's part of the shared path buffer.
    path_len: usize,
}

/// One of two folders, and the position in it.
struct Side<'objects> {
    tree: Option<(Id, Bytes<'objects>)>,
    done: usize,
    hash: HashKind,
}

/// Compares two trees; `None` is the empty one. Lists the first paths, up to the limits, and counts
/// the others. A missing or damaged tree on the old side ends the comparison of its folder, and is
/// returned as a flag.
pub(super) fn changed_files(
    repository: &Repository,
    old: Option<Id>,
    new: Option<Id>,
    mut limits: Wants,
    budget: &Budget,
) -> Result<(ChangedFiles, bool), Error> {
    let mut files = ChangedFiles::default();
    if old == new {
        return Ok((files, false));
    }
    if !budget.visit([old, new]) {
        return Ok((ChangedFiles::unknown(), true));
    }
    let mut path = Vec::new();
    let mut stack: Vec<_> = open(repository, old, new, 0)?.into_iter().collect();
    let mut is_cut = stack.is_empty();
    let mut size: usize = stack.iter().map(Folder::size).sum();
    let (mut path_bytes, mut folders) = (0, 1);
    while let Some(folder) = stack.last_mut() {
        path.truncate(folder.path_len);
        if !budget.spend() {
            files.more = true;
            break;
        }
        match folder.step(&mut path)? {
            None => {
                size -= folder.size();
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
            Some(Step::Lost) => {
                is_cut = true;
                size -= folder.size();
                stack.pop();
            }
            Some(Step::Folder(old, new)) => {
                folders += 1;
                path.push(b'/');
                if !budget.visit([old, new]) {
                    return Ok((ChangedFiles::unknown(), true));
                }
                let Some(folder) = open(repository, old, new, path.len())? else {
                    is_cut = true;
                    continue;
                };
                size += folder.size();
                stack.push(folder);
                if folders > MOST_FOLDERS
                    || stack.len() > DEEPEST
                    || size > MOST_OPEN
                    || path.len() > LONGEST_PATH
                {
                    files.more = true;
                    break;
                }
            }
        }
    }
    files.more |= is_cut;
    Ok((files, is_cut))
}

/// Result of comparing one name in a pair of folders.
enum Step {
    Same,
    File(FileStatus),
    Folder(Option<Id>, Option<Id>),
    /// The rest of the old folder is unknown.
    Lost,
}

/// Opens a pair of folders; `None`: the old one is missing or damaged.
fn open(
    repository: &Repository,
    old: Option<Id>,
    new: Option<Id>,
    path_len: usize,
) -> Result<Option<Folder<'_>>, Error> {
    let side = |id: Option<Id>| {
        let tree = id.map(|id| {
            let read = repository.store().read(id);
            match read.reading(|| named(id))? {
                (Kind::Tree, bytes) => Ok((id, bytes)),
                _ => Err(damaged()).reading(|| named(id)),
            }
        });
        Ok(Side {
            tree: tree.transpose()?,
            done: 0,
            hash: repository.hash(),
        })
    };
    let new = side(new)?;
    let old = present(side(old))?;
    Ok(old.map(|old| Folder { old, new, path_len }))
}

fn named(tree: Id) -> String {
    format!("tree `{tree}`")
}

/// A name in a folder: `MODE NAME`, a zero byte and a raw id, one after the other
/// (gitformat-pack(5) and fsck name what else can be wrong, which is git's business).
struct Entry<'a> {
    mode: u32,
    name: &'a [u8],
    id: &'a [u8],
    /// Start of the next one.
    end: usize,
}

impl Side<'_> {
    fn len(&self) -> usize {
        self.tree.as_ref().map_or(0, |(_, bytes)| bytes.len())
    }

    /// The next name; `None` at the end.
    fn entry(&self) -> Result<Option<Entry<'_>>, Error> {
        let Some((id, bytes)) = &self.tree else {
            return Ok(None);
        };
        let rest = &bytes[self.done..];
        if rest.is_empty() {
            return Ok(None);
        }
        let entry = parse(rest, self.hash).ok_or_else(damaged);
        let entry = entry.reading(|| named(*id))?;
        Ok(Some(Entry {
            end: self.done + entry.end,
            ..entry
        }))
    }
}

fn parse(bytes: &[u8], hash: HashKind) -> Option<Entry<'_>> {
    let (mode, rest) = bytes.split_at_checked(memchr::memchr(b' ', bytes)?)?;
    let mode = parse_mode(mode)?;
    let rest = &rest[1..];
    let (name, rest) = rest.split_at_checked(memchr::memchr(0, rest)?)?;
    let id = rest.get(1..=hash.bytes())?;
    let left = rest.len() - 1 - hash.bytes();
    let end = bytes.len() - left;
    (!name.is_empty()).then_some(Entry {
        mode,
        name,
        id,
        end,
    })
}

/// Of a mode of more bits than there are, git keeps the last ones (tree-walk.c,
/// `get_mode`).
fn parse_mode(digits: &[u8]) -> Option<u32> {
    let add = |mode: u32, digit: &u8| match digit {
        b'0'..=b'7' => Some(mode << 3 | u32::from(digit - b'0')),
        _ => None,
    };
    let mode = digits.iter().try_fold(0, add)?;
    (!digits.is_empty()).then_some(mode)
}

impl Folder<'_> {
    /// Returns the number of bytes of its two trees.
    fn size(&self) -> usize {
        self.old.len() + self.new.len()
    }

    /// Looks at the next name, which it appends to `path`. A file and a folder of
    /// one name are two names, as in git's own order.
    fn step(&mut self, path: &mut Vec<u8>) -> Result<Option<Step>, Error> {
        let new = self.new.entry()?;
        let Some(old) = present(self.old.entry())? else {
            return Ok(Some(Step::Lost));
        };
        let order = match (&old, &new) {
            (Some(old), Some(new)) => old.compare(new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(None),
        };
        let old = old.filter(|_| order.is_le());
        let new = new.filter(|_| order.is_ge());
        let ends = [&old, &new].map(|entry| entry.as_ref().map(|entry| entry.end));
        let step = match (&old, &new) {
            (Some(entry), _) | (_, Some(entry)) => {
                path.extend_from_slice(entry.name);
                if entry.is_tree() {
                    folders(old.as_ref(), new.as_ref(), self.new.hash)?
                } else {
                    compare(old.as_ref(), new.as_ref()).map_or(Step::Same, Step::File)
                }
            }
            (None, None) => Step::Same,
        };
        self.old.done = ends[0].unwrap_or(self.old.done);
        self.new.done = ends[1].unwrap_or(self.new.done);
        Ok(Some(step))
    }
}

fn folders(
    old: Option<&Entry<'_>>,
    new: Option<&Entry<'_>>,
    hash: HashKind,
) -> Result<Step, Error> {
    let raw = [old, new].map(|entry| entry.map(|entry| entry.id));
    if raw[0] == raw[1] {
        return Ok(Step::Same);
    }
    let id = |raw: Option<&[u8]>| {
        let id = raw.map(|raw| hash.id_of_bytes(raw).ok_or_else(damaged));
        id.transpose().reading(|| "a tree".to_owned())
    };
    let new = id(raw[1])?;
    let old = present(id(raw[0]))?;
    Ok(old.map_or(Step::Lost, |old| Step::Folder(old, new)))
}

impl Entry<'_> {
    /// git sorts a folder's entries as if the names of folders ended in `/`.
    fn compare(&self, other: &Self) -> Ordering {
        let common = self.name.len().min(other.name.len());
        let end = |entry: &Self| {
            let slash = entry.is_tree().then_some(b'/');
            entry.name.get(common).copied().or(slash)
        };
        let start = self.name[..common].cmp(&other.name[..common]);
        let start = start.then_with(|| end(self).cmp(&end(other)));
        start.then_with(|| self.name.len().cmp(&other.name.len()))
    }

    /// The type bits of a mode: folder, regular file, symbolic link, and else submodule
    /// (cache.h, `canon_mode`).
    fn file_type(&self) -> u32 {
        match self.mode & 0o170_000 {
            known @ (0o040_000 | 0o100_000 | 0o120_000) => known,
            _ => 0o160_000,
        }
    }

    fn is_tree(&self) -> bool {
        self.file_type() == 0o040_000
    }

    /// Of the other bits git keeps only this one.
    fn is_executable(&self) -> bool {
        self.file_type() == 0o100_000 && self.mode & 0o100 != 0
    }
}

fn compare(old: Option<&Entry<'_>>, new: Option<&Entry<'_>>) -> Option<FileStatus> {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, _) => return Some(FileStatus::Added),
        (_, None) => return Some(FileStatus::Deleted),
    };
    if old.file_type() != new.file_type() {
        Some(FileStatus::TypeChanged)
    } else if old.id != new.id || old.is_executable() != new.is_executable() {
        Some(FileStatus::Modified)
    } else {
        None
    }
}
