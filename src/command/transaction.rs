//! `reference-transaction`: what moves without a push (githooks(5)).
//!
//! A push is none of ours: its own hooks see to it. `prepared` records what is
//! about to move, `committed` announces what did, `aborted` forgets. git reports
//! housekeeping in the same way, so what counts is where a ref is before and after.

use std::path::{Path, PathBuf};

use super::announce::{Push, announce};
use super::hook::{intend, wanted};
use super::process::{self, Caller};
use super::surroundings::Surroundings;
use super::{Error, IoContext, outbox, place};
use crate::config::{self, Loaded, Settings};
use crate::event::{Oid, RefName, RefUpdate};
use crate::git::{self, Repository};
use crate::spool::{Intent, Spool, SpoolError};

/// Refs that belong to one worktree, and are nobody else's business
/// (gitrepository-layout(5)).
const OF_A_WORKTREE: [&str; 3] = ["refs/bisect/", "refs/rewritten/", "refs/worktree/"];

/// The refs are locked, and about to move.
pub(super) fn prepared(around: &Surroundings) -> Result<(), Error> {
    let Some((git_dir, loaded, caller)) = outside_a_push(around) else {
        return Ok(());
    };
    let repository = Repository::open_in_hook(&git_dir)?;
    let meant = read_moves(loaded.as_ref().ok())?;
    let at = repository.ref_values(meant.iter().map(|(name, _)| name))?;
    // What git gives as the old value may be "any": housekeeping looks like a
    // creation of what is there already.
    let updates = meant
        .into_iter()
        .map(|(name, new)| RefUpdate {
            old: at.get(&name).copied(),
            new,
            name,
        })
        .filter(|update| update.old != update.new)
        .collect();
    intend(git_dir, loaded, updates, caller, around)
}

/// The transaction is done: what its intent says, and is not where it was, has moved.
pub(super) fn committed(around: &Surroundings) -> Result<(), Error> {
    let Some((git_dir, loaded, caller)) = outside_a_push(around) else {
        return Ok(());
    };
    let meant = read_moves(loaded.as_ref().ok())?;
    let spool = place::spool_of(&git_dir, settings(&loaded));
    let Some(intent) = outbox::intent_of(&spool, &git_dir, &meant, caller.as_ref()) else {
        return Ok(());
    };
    let repository = Repository::open_in_hook(&git_dir)?;
    let at = repository.ref_values(intent.updates().iter().map(|update| &update.name))?;
    let mut updates = intent.updates().to_vec();
    // Where it is now may be somebody's next move; where it was, it was left: git
    // begins with the packed name of a ref, or only tidies up.
    updates.retain(|update| at.get(&update.name).copied() != update.old);
    if updates.is_empty() {
        return withdraw(&spool, &intent);
    }
    let push = Push::now(git_dir, updates, around);
    announce(&push, loaded, caller.as_ref(), around)
}

pub(super) fn aborted(around: &Surroundings) -> Result<(), Error> {
    let Some((git_dir, loaded, caller)) = outside_a_push(around) else {
        return Ok(());
    };
    let meant = read_moves(loaded.as_ref().ok())?;
    let spool = place::spool_of(&git_dir, settings(&loaded));
    match outbox::intent_of(&spool, &git_dir, &meant, caller.as_ref()) {
        Some(intent) => withdraw(&spool, &intent),
        None => Ok(()),
    }
}

type Outside = Option<(PathBuf, Result<Loaded, config::Error>, Option<Caller>)>;

fn outside_a_push(around: &Surroundings) -> Outside {
    let caller = process::caller();
    if caller.as_ref().is_some_and(|caller| caller.receives) {
        return None;
    }
    let (git_dir, loaded) = wanted(around)?;
    Some((git_dir, loaded, caller))
}

fn settings(loaded: &Result<Loaded, config::Error>) -> Option<&Settings> {
    loaded.as_ref().ok().map(|loaded| &loaded.settings)
}

fn withdraw(spool: &Spool, intent: &Intent) -> Result<(), Error> {
    Ok(spool.withdraw(&intent.id).map_err(SpoolError::from)?)
}

/// Reads which refs are to go where, as far as they count.
fn read_moves(loaded: Option<&Loaded>) -> Result<Vec<(RefName, Option<Oid>)>, Error> {
    let mut moves = git::read_transaction(&mut std::io::stdin().lock())
        .doing("read", Path::new("standard input"))?;
    moves.retain(|(name, _)| {
        let name = name.full();
        let of_all = !OF_A_WORKTREE.iter().any(|prefix| name.starts_with(prefix));
        let counts = loaded.is_none_or(|loaded| loaded.settings.refs.matches(&name));
        of_all && counts
    });
    Ok(moves)
}
