//! Repositories and spools that were found, by owner.
//!
//! An account works on its own, and root on root's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Context;
use crate::error::{Error, IoContext};
use crate::spool::{self, Found, SpoolError};

/// Greatest number of bytes of paths that are handed to one account.
pub(crate) const MOST_BYTES: u64 = 16 << 20;

/// Repositories and spools, by the number of the account that owns them.
#[derive(Clone, Default)]
pub(crate) struct ByOwner(pub(crate) BTreeMap<u32, Vec<Found>>);

impl ByOwner {
    /// Removes root's own, and returns them.
    ///
    /// A path that another account can replace is told and left out: root would check one thing,
    /// and work on another.
    pub(crate) fn take_roots(&mut self, ctx: &Context) -> Vec<Found> {
        let mut found = self.0.remove(&0).unwrap_or_default();
        found.retain(|one| match ctx.ensure_roots(one.path()) {
            Ok(()) => true,
            Err(error) => {
                ctx.tell_failure(error);
                false
            }
        });
        found
    }
}

/// Returns the first part of the way to a path that an account other than root can replace.
///
/// This is a folder or the path itself. A path that cannot be resolved is returned itself.
pub(crate) fn others_way(path: &Path) -> Option<PathBuf> {
    let Ok(real) = path.canonicalize() else {
        return Some(path.to_owned());
    };
    let is_roots = |at: &Path, guards: bool| {
        at.symlink_metadata().is_ok_and(|meta| {
            let (mode, is_roots_group) = (meta.mode(), meta.gid() == 0);
            let others_write = mode & 0o002 != 0 || mode & 0o020 != 0 && !is_roots_group;
            // In a sticky folder no account removes the files of another.
            meta.uid() == 0 && (!guards || !others_write || mode & 0o1000 != 0)
        })
    };
    let mut ancestors: Vec<&Path> = real.ancestors().collect();
    ancestors.reverse();
    let mut ancestors = ancestors.into_iter();
    let first = ancestors.find(|at| !is_roots(at, *at != real));
    first.map(Path::to_owned)
}

/// Reads the paths that root's refpost found from standard input.
///
/// Those that do not exist, or are not this account's, are left out: nothing is taken on trust.
pub(crate) fn given(ctx: &Context) -> Result<Vec<Found>, Error> {
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
            Ok((one, owner)) if owner == ctx.own_uid() => {
                found.0.entry(owner).or_default().push(one);
            }
            // It belongs to another account by now, or is gone.
            Ok(_) => {}
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => ctx.tell_failure(SpoolError::from(error)),
        }
    }
    Ok(match ctx.own_uid() {
        0 => found.take_roots(ctx),
        own => found.0.remove(&own).unwrap_or_default(),
    })
}
