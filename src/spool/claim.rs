//! Claims: the place of a push in the order, taken before its messages are built.
//!
//! ```text
//! claim/<id>,<repository>   the push as ref updates, not flushed; its hook holds `flock`
//! ```
//!
//! - A hook claims a place before it composes, and then gives its entry the claim's id. A process
//!   that distributes leaves later entries of that repository in `new/` while the claim lives, so a
//!   push that takes long to compose is not overtaken.
//! - The lock, not a process id, shows that the hook lives. A claim whose lock is free becomes the
//!   entry, so a hook that died while it composed has lost nothing.
//! - A claim becomes an entry by rename alone: first of the composed entry over the claim, then of
//!   the claim into `new/`. No crash leaves both, and any process can make the last step.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::disk;
use super::enqueue::IdParts;
use super::entry::{self, Entry};
use super::error::{IoError, SpoolError};
use super::names::id::Id;
use super::record::Draft;
use super::{Folder, Name, Spool};

/// Directory of the claims.
pub(super) const CLAIM: &str = "claim";
/// Length of the part of a repository's hash in a name, in hex digits.
const HASH_LEN: usize = 16;
/// Number of ids behind its own that belong to a claim, before the id of the next batch.
///
/// A claim can be split so often that each part has one ref update.
const ROOM: u64 = 1 << 16;

/// A repository as written in the names of claims.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RepositoryHash(String);

impl RepositoryHash {
    pub(super) fn of(repository: &Path) -> Self {
        let mut hash = hex::encode(Sha256::digest(repository.as_os_str().as_bytes()));
        hash.truncate(HASH_LEN);
        Self(hash)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A place in the order. Dropping it frees the lock: then the claim becomes an entry.
#[derive(Debug)]
#[must_use = "dropping it frees the lock: then the claim becomes the entry"]
pub struct Claim {
    pub(super) id: Id,
    name: Name,
    /// The claim's file, which is locked.
    file: File,
    /// Number of ref updates in it.
    refs: usize,
    /// Number of ids behind its own that belong to it too.
    room: u64,
}

/// The claims whose hooks live: the oldest of each repository.
#[derive(Debug, Default)]
pub(super) struct Claims {
    oldest: HashMap<RepositoryHash, Id>,
    /// The newest entry that a claim became in this look.
    pub(super) newest_moved: Option<Id>,
}

impl Claims {
    /// Returns whether this entry must wait for an older push of its repository.
    pub(super) fn hold(&self, id: &Id, repository: &Path) -> bool {
        let oldest = || self.oldest.get(&RepositoryHash::of(repository));
        !self.oldest.is_empty() && oldest().is_some_and(|claim| claim < id)
    }
}

impl Spool {
    /// Claims a place for a push whose ref updates are in `draft`.
    ///
    /// With `after`, the place is directly behind another claim of the same push.
    pub fn claim(
        &self,
        draft: &Draft,
        parts: &IdParts<'_>,
        after: Option<&Claim>,
    ) -> Result<Claim, SpoolError> {
        let id = match after {
            Some(claim) => claim.id.behind(ROOM),
            None => Self::next_id(&self.root_dir(), parts),
        };
        self.claim_at(id, draft, ROOM)
    }

    /// Splits a claim whose push is too large for one entry.
    ///
    /// Returns the claim of the second part, which is in `draft`. It comes before everything that
    /// comes after the first claim.
    ///
    /// Crash before the first part has its entry: the ref updates of the second are in both.
    pub fn split_claim(&self, claim: &mut Claim, draft: &Draft) -> Result<Claim, SpoolError> {
        claim.room /= 2;
        self.claim_at(claim.id.behind(claim.room), draft, claim.room)
    }

    fn claim_at(&self, id: Id, draft: &Draft, room: u64) -> Result<Claim, SpoolError> {
        let hash = RepositoryHash::of(&draft.repository);
        let name = self.claim_dir().entry(format!("{id},{}", hash.0));
        let tmp = self.tmp_dir().entry(format!("{id}.claim"));
        let file = match disk::create(&tmp, self.access) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                self.create_layout()?;
                disk::create(&tmp, self.access)?
            }
            other => other?,
        };
        disk::set_modified(&self.root_dir(), id.time());
        // Whole and locked before it has its name: a process that distributes takes claims that are
        // not.
        let claimed = disk::lock_file(&file, &tmp)
            .and_then(|()| entry::write(draft, &file, &tmp))
            .and_then(|()| self.name_claim(&file, &tmp, &name));
        if let Err(error) = claimed {
            let _ = disk::unlink(&tmp);
            return Err(error.into());
        }
        Ok(Claim {
            id,
            name,
            file,
            refs: draft.updates().len(),
            room,
        })
    }

    fn name_claim(&self, file: &File, tmp: &Name, name: &Name) -> Result<(), IoError> {
        match disk::rename_open(file, tmp, name) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                disk::ensure_dir(&self.claim_dir(), self.access)?;
                disk::rename_open(file, tmp, name)
            }
            renamed => renamed,
        }
    }

    /// Makes `draft` durable in the place of a claim.
    ///
    /// After an error the claim is given up, as the pusher is told that the push is not recorded.
    /// As with [`Spool::enqueue`], the entry may exist all the same. Two errors leave the claim:
    /// for lack of room [`Spool::enqueue_spare`] has other room, and an entry that would be too
    /// large is divided by [`Spool::split_claim`].
    pub fn enqueue_claimed(&self, draft: &Draft, claim: &Claim) -> Result<Id, SpoolError> {
        let tmp = self.tmp_dir().entry(claim.id.as_str());
        let enqueued = self.fill(draft, claim, &tmp);
        if let Err(error) = &enqueued {
            let _ = disk::unlink(&tmp);
            if !error.is_no_room() && !error.is_too_large() {
                let _ = disk::unlink(&claim.name);
            }
        }
        enqueued.map(|()| claim.id.clone())
    }

    fn fill(&self, draft: &Draft, claim: &Claim, tmp: &Name) -> Result<(), SpoolError> {
        let file = disk::create(tmp, self.access)?;
        entry::write(draft, &file, tmp)?;
        disk::flush(&file, tmp)?;
        // Crash before: the claim becomes the entry, and its messages are built anew.
        disk::rename_open(&file, tmp, &claim.name)?;
        // Crash here: the process that distributes makes the next step.
        let new = self.new_name(&claim.id);
        if disk::unless_gone(disk::rename(&claim.name, &new))?.is_none() {
            // That process has made it, or `new/` is not there.
            self.make_anew(new.folder())?;
            disk::unless_gone(disk::rename(&claim.name, &new))?;
        }
        Ok(disk::flush_dir(new.folder())?)
    }

    /// Makes a claim the entry, durably, if it holds as many ref updates as `deferred`. Returns
    /// whether it does.
    ///
    /// `deferred` is of the same push. Where `new/` has no room for a name, the claim is made durable
    /// in its place.
    pub(super) fn keep_claim(&self, claim: &Claim, deferred: &Draft) -> Result<bool, IoError> {
        if claim.refs != deferred.updates().len() {
            return Ok(false);
        }
        disk::flush(&claim.file, &claim.name)?;
        let new = self.new_name(&claim.id);
        match disk::rename(&claim.name, &new) {
            Ok(()) => disk::flush_dir(new.folder())?,
            Err(_) => Self::flush_queue_dir(claim.name.folder())?,
        }
        Ok(true)
    }

    /// Gives a claim up.
    ///
    /// No endpoint wants a message of that push, or the push is recorded elsewhere.
    pub fn withdraw_claim(&self, claim: &Claim) -> Result<(), SpoolError> {
        Ok(disk::unlink(&claim.name)?)
    }

    /// Reads the claims, and moves those whose hooks are gone into `new/`.
    ///
    /// The caller has locked `new/`.
    pub(super) fn settle_claims(&self) -> Result<Claims, IoError> {
        let mut claims = Claims::default();
        let folder = self.claim_dir();
        for name in disk::names(&folder)? {
            let Some((id, hash)) = parse(&name) else {
                continue;
            };
            let name = folder.entry(&name);
            if disk::is_locked(&name) {
                let oldest = claims.oldest.entry(hash).or_insert_with(|| id.clone());
                *oldest = id.min(oldest.clone());
            } else if Entry::open(&name).is_err_and(|error| error.is_corrupt()) {
                // Cut off by a power failure: git had not been told that the hook was done.
                disk::unlink(&name)?;
            } else {
                disk::unless_gone(disk::rename(&name, &self.new_name(&id)))?;
                claims.newest_moved = claims.newest_moved.max(Some(id));
            }
        }
        if claims.newest_moved.is_some() {
            disk::flush_dir(&self.new_dir())?;
        }
        Ok(claims)
    }

    /// Passes the ids of claims whose hooks are gone to `take`: they are entries in all but name.
    pub(super) fn each_left_claim(&self, take: &mut dyn FnMut(Id)) -> Result<(), IoError> {
        let folder = self.claim_dir();
        disk::each_name(&folder, &mut |name| {
            if let Some((id, _)) = parse(name)
                && !disk::is_locked(&folder.entry(name))
            {
                take(id);
            }
        })
    }

    /// Returns whether there are claims, of hooks that live or not.
    pub(super) fn has_claims(&self) -> Result<bool, IoError> {
        let mut any = false;
        disk::each_name(&self.claim_dir(), &mut |_| any = true)?;
        Ok(any)
    }

    /// Returns the claims that can be read.
    pub(super) fn claims(&self) -> Result<Vec<Entry>, IoError> {
        let folder = self.claim_dir();
        let names = disk::names(&folder)?.into_iter();
        let names = names.filter(|name| parse(name).is_some());
        Ok(names
            .filter_map(|name| Entry::open(&folder.entry(name)).ok())
            .collect())
    }

    fn claim_dir(&self) -> Folder {
        self.root_dir().child(CLAIM)
    }
}

fn parse(name: &OsStr) -> Option<(Id, RepositoryHash)> {
    let (id, hash) = name.to_str()?.split_once(',')?;
    let fits = hash.len() == HASH_LEN && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| Some((Id::parse(id)?, RepositoryHash(hash.to_owned()))))?
}
