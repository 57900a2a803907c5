//! `reference-transaction`: announces refs that move without a push (githooks(5)).
//!
//! Pushes are left to their own hooks. `prepared` records the moves that are about to be made,
//! `committed` announces those that were made, `aborted` withdraws the records. git reports
//! housekeeping in the same way, so that only the values of a ref before and after count.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::batches::{self, Batch};
use super::git_process::{self, Caller, LazyCaller};
use super::intend::{intend, wanted};
use super::push::Push;
use super::{announce, intents};
use crate::config::{self, Loaded, Patterns, Settings};
use crate::context::{Context, locate};
use crate::error::{Error, IoContext};
use crate::event::{Oid, RefName, RefUpdate};
use crate::git::{RefLines, Repository};
use crate::spool::{Intent, Spool, SpoolError};

/// Beginnings of refs that belong to one worktree, and are not announced (gitrepository-layout(5)).
const OF_A_WORKTREE: [&str; 3] = ["refs/bisect/", "refs/rewritten/", "refs/worktree/"];

/// Records the moves of a transaction whose refs are locked, and about to move.
pub(crate) fn prepared(ctx: &Context) -> Result<(), Error> {
    let Some((git_dir, loaded, caller)) = outside_a_push(ctx)? else {
        return Ok(());
    };
    let repository = Repository::open_in_hook(&git_dir)?;
    let refs = loaded.as_ref().ok().map(|it| it.settings.refs.clone());
    let moves = named().map(|batch| moved(batch?, &repository, refs.as_ref()));
    // Most of what a large transaction names may not move at all: git packs refs.
    let moves = moves.filter(|batch| !batch.as_ref().is_ok_and(Vec::is_empty));
    // A push's options are about its own refs, and not about what its hooks move.
    let push = Push::now(git_dir, ctx);
    let mut moves = moves.peekable();
    if let (None, Some(Ok(batch))) = (caller.as_ref(), moves.peek()) {
        // The git is not known. Its own hooks announce the moves that a push is about to make.
        let spool = locate::spool_of(&push.git_dir, settings(&loaded));
        if is_received(&spool, &push.git_dir, batch) {
            return Ok(());
        }
    }
    intend(&push, loaded, moves, (caller.as_ref(), false), ctx)
}

/// Returns whether a push of an unknown git has recorded all of these moves.
fn is_received(spool: &Spool, git_dir: &Path, moves: &[RefUpdate]) -> bool {
    let intents = intents::intents_of(spool, git_dir, Path::new(""));
    let intents = intents
        .iter()
        .filter(|it| it.header.received && it.header.process.is_none());
    let meant: HashSet<&RefUpdate> = intents.flat_map(Intent::updates).collect();
    moves.iter().all(|update| meant.contains(update))
}

/// Returns the named updates that move a ref, without refs of worktrees and those that the
/// configuration leaves out.
fn moved(mut named: Vec<RefUpdate>, repository: &Repository, refs: Option<&Patterns>) -> Batch {
    named.retain(|update| {
        let name = update.name.full();
        !is_of_a_worktree(&name) && refs.is_none_or(|refs| refs.matches(&name))
    });
    let at = repository.ref_values(named.iter().map(|update| &update.name))?;
    for update in &mut named {
        // The old value that git gives may be "any": housekeeping looks like a creation of a ref
        // that is there already.
        update.old = at.get(&update.name).copied();
    }
    named.retain(|update| update.old != update.new);
    Ok(named)
}

/// Returns whether a ref belongs to one worktree.
pub(super) fn is_of_a_worktree(name: &str) -> bool {
    OF_A_WORKTREE.iter().any(|prefix| name.starts_with(prefix))
}

/// Announces the moves of a finished transaction: the refs of its intents that are not where they
/// were.
pub(crate) fn committed(ctx: &Context) -> Result<(), Error> {
    let Some((git_dir, loaded, caller)) = outside_a_push(ctx)? else {
        return Ok(());
    };
    if caller.as_ref().is_some_and(|caller| caller.is_part) {
        // The push announces it, if the push tells of it; otherwise it is settled after the push.
        return Ok(());
    }
    let spool = locate::spool_of(&git_dir, settings(&loaded));
    let transactions = transactions_of(&spool, &git_dir, caller.as_ref());
    let Some(which) = the_one(&transactions, named())? else {
        return Ok(());
    };
    let transaction = &transactions[which];
    if is_part_of_another(&transactions, which) {
        return transaction.withdraw(&spool);
    }
    let repository = Repository::open_in_hook(&git_dir)?;
    let at = repository.ref_values(transaction.updates().map(|update| &update.name))?;
    // A new value may be the next move of another process. A ref at its old value was left there:
    // git begins with the packed name of a ref, or only tidies up.
    let has_moved = |update: &&RefUpdate| at.get(&update.name).copied() != update.old;
    let updates: Vec<RefUpdate> = transaction.updates().filter(has_moved).cloned().collect();
    if updates.is_empty() {
        return transaction.withdraw(&spool);
    }
    let push = Push::now(git_dir, ctx);
    announce(&push, batches::of(&updates), loaded, &caller, ctx)
}

pub(crate) fn aborted(ctx: &Context) -> Result<(), Error> {
    let Some((git_dir, loaded, caller)) = outside_a_push(ctx)? else {
        return Ok(());
    };
    let spool = locate::spool_of(&git_dir, settings(&loaded));
    let transactions = transactions_of(&spool, &git_dir, caller.as_ref());
    match the_one(&transactions, named())? {
        Some(which) => transactions[which].withdraw(&spool),
        None => Ok(()),
    }
}

type Outside = Option<(PathBuf, Result<Loaded, config::Error>, LazyCaller)>;

fn outside_a_push(ctx: &Context) -> Result<Outside, Error> {
    let caller = git_process::caller();
    if caller.as_ref().is_some_and(|caller| caller.receives) {
        return Ok(None);
    }
    let wanted = wanted(ctx)?;
    Ok(wanted.map(|(git_dir, loaded)| (git_dir, loaded, caller)))
}

fn settings(loaded: &Result<Loaded, config::Error>) -> Option<&Settings> {
    loaded.as_ref().ok().map(|loaded| &loaded.settings)
}

/// Reads the updates that git names on standard input, batch by batch.
fn named() -> impl Iterator<Item = Batch> {
    let mut lines = RefLines::of_transaction(std::io::stdin().lock());
    std::iter::from_fn(move || {
        let batch = lines.batch().doing("read", Path::new("standard input"));
        (!batch.as_ref().is_ok_and(Vec::is_empty)).then_some(batch)
    })
}

/// Intents of one transaction, one for each of its batches.
struct Transaction(Vec<Intent>);

impl Transaction {
    /// Returns all updates that the transaction was to make.
    fn updates(&self) -> impl Iterator<Item = &RefUpdate> {
        self.0.iter().flat_map(Intent::updates)
    }

    fn withdraw(&self, spool: &Spool) -> Result<(), Error> {
        for intent in &self.0 {
            spool.withdraw(&intent.id).map_err(SpoolError::from)?;
        }
        Ok(())
    }
}

/// Returns the transactions that this git has under way, in the order of their beginning.
fn transactions_of(spool: &Spool, git_dir: &Path, caller: Option<&Caller>) -> Vec<Transaction> {
    let mut found: Vec<Transaction> = Vec::new();
    for intent in intents::intents_of(spool, git_dir, Path::new("")) {
        let header = &intent.header;
        let is_its = header.process.as_ref() == caller.map(|caller| &caller.process);
        if !is_its || header.received {
            continue;
        }
        // Intents that one process recorded at one time belong to one transaction.
        let is_its = |of: &&mut Transaction| of.0[0].header.time == header.time;
        match found.iter_mut().find(is_its) {
            Some(transaction) => transaction.0.push(intent),
            None => found.push(Transaction(vec![intent])),
        }
    }
    found
}

/// Returns the index of the transaction that has all updates which git names now, if one has.
fn the_one(
    transactions: &[Transaction],
    named: impl Iterator<Item = Batch>,
) -> Result<Option<usize>, Error> {
    let meant = |of: &Transaction| -> HashSet<(RefName, Option<Oid>)> {
        of.updates().map(|it| (it.name.clone(), it.new)).collect()
    };
    let mut left: Vec<_> = transactions.iter().map(meant).collect();
    for batch in named {
        for update in batch? {
            let update = (update.name, update.new);
            for meant in &mut left {
                meant.remove(&update);
            }
        }
    }
    Ok(left.iter().position(HashSet::is_empty))
}

/// Returns whether the same git has all of these updates in another transaction too: to delete
/// packed refs, git runs a transaction within the one that it was asked for.
fn is_part_of_another(transactions: &[Transaction], which: usize) -> bool {
    let own = &transactions[which];
    let has_process = own.0.iter().any(|intent| intent.header.process.is_some());
    has_process
        && transactions.iter().enumerate().any(|(at, other)| {
            let means: HashSet<&RefUpdate> = other.updates().collect();
            at != which && own.updates().all(|update| means.contains(update))
        })
}
