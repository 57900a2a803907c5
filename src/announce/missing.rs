//! Finds moves of refs that were not announced, and announces them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::by_hand::ByHand;
use super::transaction::is_of_a_worktree;
use crate::config::Settings;
use crate::context::locate;
use crate::error::Error;
use crate::event::{Oid, RefName, RefUpdate, namespace_prefix};
use crate::git::Repository;
use crate::report;
use crate::spool::{self, MOST_MOVED, Refs, Spool, SpoolError};

/// Moves that were not announced, by the namespace of their refs.
pub(crate) type Missing = BTreeMap<PathBuf, Vec<RefUpdate>>;

/// Begins to keep what is announced of a repository, unless that is kept already. Errors are told:
/// messages need none of it.
pub(crate) fn keep(repository: &Repository, settings: &Settings) {
    let git_dir = repository.path();
    let spool = locate::spool_of(&git_dir, Some(settings));
    let begun = match spool.announced(&git_dir) {
        Ok(Some(_)) => return,
        Ok(None) => begin(repository, &spool, &git_dir),
        Err(error) if error.source.kind() == io::ErrorKind::InvalidData => {
            let damaged = report::chain(&error);
            report::warning(&format!(
                "{damaged}: it is begun anew, with all refs as they are"
            ));
            begin(repository, &spool, &git_dir)
        }
        Err(error) => Err(SpoolError::from(error).into()),
    };
    if let Err(error) = begun {
        let why = report::chain(&error);
        report::warning(&format!("cannot keep what is announced: {why}"));
    }
}

fn begin(repository: &Repository, spool: &Spool, git_dir: &Path) -> Result<(), Error> {
    let refs = repository.all_refs()?.into_iter();
    let refs: Refs = refs.filter_map(|(name, id)| Some((name, id?))).collect();
    Ok(spool
        .begin_announced(git_dir, &refs)
        .map_err(SpoolError::from)?)
}

/// Finds the refs that are not where the last announced or recorded move left them, without those
/// that no endpoint wants.
pub(crate) fn find(repository: &Repository, settings: &Settings) -> Result<Missing, Error> {
    let git_dir = repository.path();
    let spool = locate::spool_of(&git_dir, Some(settings));
    // The refs first: what moved them is recorded by the time that the spool is looked at.
    let refs = repository.all_refs()?;
    let intended = intended(&spool, &git_dir)?;
    let recorded = spool.moves_to_note(&git_dir)?;
    let announced = spool.announced(&git_dir).map_err(|error| Error::Failed {
        what: report::chain(&error),
        hint: Some(format!("refpost enable {}", report::shell(&git_dir))),
    })?;
    let mut known = announced.ok_or_else(|| Error::Failed {
        what: format!(
            "cannot tell what is missing: what is announced of `{}` was not kept",
            git_dir.display()
        ),
        hint: Some(format!(
            "`refpost enable {}` keeps it from now on",
            report::shell(&git_dir)
        )),
    })?;
    spool::apply(&mut known, recorded);
    let symbolic = refs.iter().filter(|(_, id)| id.is_none());
    let symbolic: HashSet<&RefName> = symbolic.map(|(name, _)| name).collect();
    let now = refs.iter().filter_map(|(name, id)| Some((name, (*id)?)));
    let now: BTreeMap<&RefName, _> = now.collect();
    let names: BTreeSet<&RefName> = known.keys().chain(now.keys().copied()).collect();
    let moved = names.into_iter().filter_map(|full| {
        let (old, new) = (known.get(full).copied(), now.get(full).copied());
        let is_told = old == new || symbolic.contains(full);
        let is_intended = || intended.contains(&(full.clone(), new));
        (!is_told && !is_intended()).then_some((full, old, new))
    });
    let mut moved: Vec<_> = moved.collect();
    if !moved.is_empty() {
        // A push may have been announced between the two looks.
        let again: BTreeMap<RefName, Option<Oid>> = repository.all_refs()?.into_iter().collect();
        moved.retain(|(full, _, new)| again.get(*full).copied().flatten() == *new);
    }
    let mut missing = Missing::new();
    for (full, old, new) in moved {
        let (namespace, name) = split(full);
        let text = name.full();
        let mut endpoints = settings.endpoints.iter();
        if !is_of_a_worktree(&text) && endpoints.any(|it| it.refs.matches(&text)) {
            let updates = missing.entry(namespace).or_default();
            updates.push(RefUpdate { old, new, name });
        }
    }
    Ok(missing)
}

/// Returns the moves that are about to be made, or were made by a push that is not settled yet.
fn intended(spool: &Spool, git_dir: &Path) -> Result<HashSet<(RefName, Option<Oid>)>, Error> {
    let intents = spool.intents().map_err(SpoolError::from)?;
    let own = intents.iter().filter(|it| it.header.repository == git_dir);
    let moves = own.flat_map(|intent| {
        let prefix = namespace_prefix(&intent.header.namespace);
        let full = move |name: &RefName| RefName::new([&prefix, name.as_bytes()].concat());
        let updates = intent.updates().iter();
        updates.map(move |update| (full(&update.name), update.new))
    });
    Ok(moves.collect())
}

/// Splits the name by which git keeps a ref into its namespace and the rest (gitnamespaces(7)).
fn split(full: &RefName) -> (PathBuf, RefName) {
    let (mut namespace, mut rest) = (PathBuf::new(), full.as_bytes());
    while let Some(below) = rest.strip_prefix(b"refs/namespaces/")
        && let Some(end) = memchr::memchr(b'/', below)
        && below[end + 1..].starts_with(b"refs/")
    {
        namespace.push(OsStr::from_bytes(&below[..end]));
        rest = &below[end + 1..];
    }
    (namespace, RefName::new(rest))
}

/// Announces moves in one namespace, as entries behind all older ones of the repository.
pub(crate) fn send(by_hand: ByHand<'_>, updates: &[RefUpdate]) -> Result<(), Error> {
    // Each entry lists its moves.
    let mut entries = updates.chunks(MOST_MOVED);
    entries.try_for_each(|some| send_some(by_hand, some))
}

fn send_some(by_hand: ByHand<'_>, updates: &[RefUpdate]) -> Result<(), Error> {
    let mut composer = by_hand.composer();
    match composer.built(updates) {
        Ok(built) => by_hand.send(built, updates),
        Err(_) if updates.len() > 1 => updates
            .iter()
            .try_for_each(|one| send_some(by_hand, std::slice::from_ref(one))),
        Err(error) => {
            by_hand.defer(updates)?;
            by_hand.ctx.tell_failure(Error::Deferred(Box::new(error)));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_namespaces_is_split() {
        for (full, namespace, name) in [
            ("refs/heads/a", "", "refs/heads/a"),
            ("refs/namespaces/x/refs/heads/a", "x", "refs/heads/a"),
            (
                "refs/namespaces/x/refs/namespaces/y/refs/tags/a",
                "x/y",
                "refs/tags/a",
            ),
            ("refs/namespaces/x/heads/a", "", "refs/namespaces/x/heads/a"),
        ] {
            let split = split(&RefName::new(full));
            assert_eq!(split, (PathBuf::from(namespace), RefName::new(name)));
            let again = [&namespace_prefix(&split.0), split.1.as_bytes()].concat();
            assert_eq!(RefName::new(again), RefName::new(full));
        }
    }
}
