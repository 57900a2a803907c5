//! What was found, by whose it is: an account works on its own, and root on root's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::surroundings::Surroundings;
use super::{Error, IoContext};
use crate::spool::{self, Found, SpoolError};

/// No account is handed more bytes of paths.
pub(super) const MOST_BYTES: u64 = 16 << 20;

/// What was found, by the number of the account that owns it.
#[derive(Default)]
pub(super) struct ByOwner(pub(super) BTreeMap<u32, Vec<Found>>);

impl ByOwner {
    /// Takes out what is root's. What others can put something else in the place of is told,
    /// and passed over: root would look at one thing, and work on another.
    pub(super) fn take_roots(&mut self, around: &Surroundings) -> Vec<Found> {
        let mut found = self.0.remove(&0).unwrap_or_default();
        found.retain(|one| match around.ensure_roots(one.path()) {
            Ok(()) => true,
            Err(error) => {
                around.tell_error(error);
                false
            }
        });
        found
    }
}

/// The first folder on the way to a path, or the path itself, that somebody beside root can
/// put another in the place of.
pub(super) fn others_way(path: &Path) -> Option<PathBuf> {
    let Ok(real) = path.canonicalize() else {
        return Some(path.to_owned());
    };
    let is_roots = |at: &Path, guards: bool| {
        at.symlink_metadata().is_ok_and(|meta| {
            let (mode, is_roots_group) = (meta.mode(), meta.gid() == 0);
            let others_write = mode & 0o002 != 0 || mode & 0o020 != 0 && !is_roots_group;
            // From a sticky folder nobody takes what is another's.
            meta.uid() == 0 && (!guards || !others_write || mode & 0o1000 != 0)
        })
    };
    let mut ancestors: Vec<&Path> = real.ancestors().collect();
    ancestors.reverse();
    let mut ancestors = ancestors.into_iter();
    let first = ancestors.find(|at| !is_roots(at, *at != real));
    first.map(Path::to_owned)
}

/// What root's refpost says on standard input that it found, as far as it is there and is
/// this account's: nothing is taken on trust.
pub(super) fn given(around: &Surroundings) -> Result<Vec<Found>, Error> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .doing("read", Path::new("standard input"))?;
    let paths = bytes.split(|&byte| byte == 0).filter(|it| !it.is_empty());
    let mut found = ByOwner::default();
    for path in paths.map(|path| Path::new(OsStr::from_bytes(path))) {
        match spool::what_is(path) {
            Ok((one, owner)) if owner == around.own_uid() => {
                found.0.entry(owner).or_default().push(one);
            }
            // It is another's by now, or gone.
            Ok(_) => {}
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => around.tell_error(SpoolError::from(error)),
        }
    }
    Ok(match around.own_uid() {
        0 => found.take_roots(around),
        own => found.0.remove(&own).unwrap_or_default(),
    })
}
