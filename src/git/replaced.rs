//! What stands in for objects, and for the parents of commits: replace refs, grafts
//! and the edge of a shallow repository, as git heeds them
//! (git-replace(1), gitrepository-layout(5), `info/grafts`, `shallow`).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use memchr::memmem;

use super::{Repository, object};
use crate::event::Oid;

/// Replacements of replacements are followed so far (replace-object.c).
const DEEPEST: usize = 5;

const REPLACE_REFS: &str = "refs/replace/";

/// How much of `packed-refs` is in memory at a time.
const CHUNK: u64 = 64 << 10;

/// Which objects are read in place of which.
#[derive(Default)]
pub(super) struct Replacements(HashMap<Oid, Oid>);

impl Replacements {
    pub(super) fn of(repository: &Repository) -> Self {
        if repository.store().setting("core.usereplacerefs") == Some(false) {
            return Self::default();
        }
        let store = repository.store();
        let pairs = if store.refs_are_files() && !may_have_any(store.common_dir()) {
            Vec::new()
        } else if let Some(refs) = store.refs_by_libgit2() {
            by_libgit2(refs)
        } else {
            by_git(repository)
        };
        let length = repository.id_length();
        let original = |name: String| {
            let (_, digits) = name.rsplit_once('/')?;
            full_id(digits, length)
        };
        let pairs = pairs.into_iter();
        let pairs = pairs.filter_map(|(name, id)| Some((original(name)?, id)));
        Self(pairs.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is read for this id: mostly itself.
    pub(super) fn of_object(&self, id: Oid) -> Oid {
        let mut at = id;
        for _ in 0..DEEPEST {
            match self.0.get(&at) {
                Some(&replacement) => at = replacement,
                None => return at,
            }
        }
        // git gives up here. A circle has no right end, and a message is owed.
        id
    }
}

/// Whether there can be replace refs at all. libgit2 would read all refs to say so.
fn may_have_any(common_dir: &Path) -> bool {
    if fs::symlink_metadata(common_dir.join(REPLACE_REFS)).is_ok() {
        return true;
    }
    let packed = File::open(common_dir.join("packed-refs"));
    packed.is_ok_and(|file| contains(file, b" refs/replace/").unwrap_or(true))
}

fn contains(mut file: impl Read, text: &[u8]) -> io::Result<bool> {
    let finder = memmem::Finder::new(text);
    let mut buffer = Vec::new();
    loop {
        // The end of the last chunk may be the start of it.
        let seen = buffer.len().saturating_sub(text.len() - 1);
        buffer.drain(..seen);
        if file.by_ref().take(CHUNK).read_to_end(&mut buffer)? == 0 {
            return Ok(false);
        }
        if finder.find(&buffer).is_some() {
            return Ok(true);
        }
    }
}

fn by_libgit2(refs: &git2::Repository) -> Vec<(String, Oid)> {
    let refs = refs.references_glob("refs/replace/*");
    let refs = refs.into_iter().flatten().flatten();
    let id = |id: git2::Oid| Oid::from_bytes(id.as_bytes());
    refs.filter_map(|found| Some((found.name().ok()?.to_owned(), id(found.target()?)?)))
        .collect()
}

fn by_git(repository: &Repository) -> Vec<(String, Oid)> {
    let format = "--format=%(objectname) %(refname)";
    let lines = repository.ask_git(&["for-each-ref", format, REPLACE_REFS]);
    let lines = String::from_utf8(lines.unwrap_or_default()).unwrap_or_default();
    let pair = |line: &str| {
        let (digits, name) = line.split_once(' ')?;
        Some((name.to_owned(), object::oid(digits.as_bytes())?))
    };
    lines.lines().filter_map(pair).collect()
}

/// Commits whose parents are said to be others than those that they name.
pub(super) struct Grafts {
    parents: HashMap<Oid, Vec<Oid>>,
    is_shallow: bool,
}

impl Grafts {
    pub(super) fn of(repository: &Repository) -> Self {
        let length = repository.id_length();
        let folder = repository.store().common_dir();
        let grafts = fs::read_to_string(folder.join("info/grafts")).unwrap_or_default();
        let shallow = fs::read_to_string(folder.join("shallow"));
        let is_shallow = shallow.is_ok();
        let mut parents = HashMap::new();
        for line in grafts.lines() {
            let ids: Option<Vec<Oid>> = line
                .split_ascii_whitespace()
                .map(|digits| full_id(digits, length))
                .collect();
            if let Some((&commit, its)) = ids.as_deref().and_then(<[Oid]>::split_first) {
                // Of two lines for one commit git takes the first,
                parents.entry(commit).or_insert_with(|| its.to_vec());
            }
        }
        // and lets `shallow` overrule both.
        for line in shallow.unwrap_or_default().lines() {
            if let Some(id) = full_id(line.trim_end(), length) {
                parents.insert(id, Vec::new());
            }
        }
        Self {
            parents,
            is_shallow,
        }
    }

    /// Whether every commit has the parents that it names.
    pub(super) fn are_none(&self) -> bool {
        self.parents.is_empty() && !self.is_shallow
    }

    pub(super) fn parents(&self, id: Oid) -> Option<&[Oid]> {
        self.parents.get(&id).map(Vec::as_slice)
    }
}

fn full_id(digits: &str, length: usize) -> Option<Oid> {
    let is_full = digits.len() == 2 * length;
    is_full.then(|| object::oid(digits.as_bytes()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_across_chunks() {
        let chunk = usize::try_from(CHUNK).expect("it is small");
        let needle = b" refs/replace/";
        for before in [0, 1, chunk - 14, chunk - 7, chunk - 1, chunk, 3 * chunk - 3] {
            let mut bytes = vec![b'x'; before];
            bytes.extend(needle);
            assert!(contains(&bytes[..], needle).expect("memory"), "{before}");
            assert!(!contains(&bytes[..bytes.len() - 1], needle).expect("memory"));
        }
    }

    #[test]
    fn a_circle_of_replacements_replaces_nothing() {
        let id = |byte| Oid::from_bytes(&[byte; 20]).expect("20 bytes");
        let map = [(id(1), id(2)), (id(2), id(1)), (id(3), id(4))];
        let replacements = Replacements(HashMap::from(map));
        assert_eq!(replacements.of_object(id(1)), id(1));
        assert_eq!(replacements.of_object(id(3)), id(4));
        assert_eq!(replacements.of_object(id(4)), id(4));
    }
}
