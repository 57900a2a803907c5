//! The edge of a shallow repository (gitrepository-layout(5), `shallow`): commits whose
//! parents are not here.
//!
//! Replace refs and grafts are not read, be it here or by the git that refpost runs: what
//! they say is no part of what a clone gets, and whoever may push one would speak in the
//! name of others.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use crate::git::error::{Error, ReadContext};
use crate::git::objects::id::{HashKind, Id};
use crate::git::repository::Repository;
use crate::plain_file::{self, Unfit};
use crate::report;

/// Size of the largest file read, in bytes: a million commits, and more than any clone has.
const LARGEST: u64 = 64 << 20;

/// Commits without parents here.
pub(in crate::git) struct Shallow {
    path: PathBuf,
    /// `None`: the repository is not shallow. An empty file makes it shallow, too.
    edge: Result<Option<HashSet<Id>>, String>,
}

impl Shallow {
    pub(in crate::git) fn of(repository: &Repository) -> Self {
        let path = repository.store().common_dir().join("shallow");
        let edge = match plain_file::read(&path, LARGEST + 1) {
            Ok(bytes) if bytes.len() as u64 > LARGEST => {
                Err(format!("it is larger than {} MiB", LARGEST >> 20))
            }
            Ok(bytes) => ids(&bytes, repository.hash()).map(Some),
            Err(error) if is_none(&error) => Ok(None),
            Err(error) => Err(report::chain(&error)),
        };
        Self { path, edge }
    }

    /// Fails if the file cannot be read, or has a line that git refuses: without its edge, a
    /// history would be told that no clone gets.
    pub(in crate::git) fn ensure_read(&self) -> Result<(), Error> {
        let read = self.edge.as_ref().map(drop).map_err(Clone::clone);
        read.reading(|| format!("`{}`", self.path.display()))
    }

    /// Returns whether the repository is shallow.
    pub(in crate::git) fn is_there(&self) -> bool {
        matches!(self.edge, Ok(Some(_)))
    }

    pub(in crate::git) fn ends_at(&self, id: Id) -> bool {
        matches!(&self.edge, Ok(Some(edge)) if edge.contains(&id))
    }
}

/// Returns whether git takes the repository for one that is not shallow. A folder is no file.
fn is_none(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || Unfit::of(error) == Some(Unfit::NotRegular)
}

/// Reads the ids at the beginnings of lines, as git does: it ignores the rest of a line.
fn ids(bytes: &[u8], hash: HashKind) -> Result<HashSet<Id>, String> {
    let mut ids = HashSet::new();
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    for (at, line) in lines.enumerate() {
        let digits = line.get(..hash.digits());
        let id = digits.and_then(|digits| hash.id_of_digits(digits));
        ids.insert(id.ok_or_else(|| format!("line {} begins with no id", at + 1))?);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_git_reads_it_or_refused() {
        let (one, two) = ("1".repeat(40), "A".repeat(40));
        let ids = |text: String| ids(text.as_bytes(), HashKind::Sha1).map(|ids| ids.len());
        assert_eq!(ids(String::new()), Ok(0));
        assert_eq!(ids(format!("{one}\n{two}")), Ok(2));
        assert_eq!(ids(format!("{one} and more\r\n{one}\n")), Ok(1));
        for bad in ["", " ", "garbage", "\0", &one[1..], &format!(" {one}")] {
            let why = "line 2 begins with no id".to_owned();
            assert_eq!(ids(format!("{one}\n{bad}\n")), Err(why), "{bad:?}");
        }
    }
}
