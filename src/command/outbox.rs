//! What is recorded before refs move, and how it is settled.
//!
//! A hook that runs before writes an intent; the hook that runs after names the
//! intents that its entry settles. What nobody settled, since somebody was killed,
//! is settled from the repository: by the next push to the same refs, which knows
//! best where they were, or by a flush.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Error;
use super::process::{self, Caller};
use super::surroundings::Surroundings;
use crate::event::{Oid, RefName, RefUpdate};
use crate::git::{Repository, Verdict, replay};
use crate::report;
use crate::spool::{Attempt, Draft, Id, Intent, Spool, SpoolError, Status};

/// Clocks of reflogs have whole seconds.
const SECOND: Duration = Duration::from_secs(1);

/// Records what is about to happen.
pub(super) fn intend(
    spool: &Spool,
    mut draft: Draft,
    caller: Option<Caller>,
    around: &Surroundings,
) -> Result<Id, Error> {
    draft.process = caller.map(|caller| caller.process);
    Ok(around.intend(spool, &draft)?)
}

/// The intents of one repository.
pub(super) fn intents_of(spool: &Spool, git_dir: &Path) -> Vec<Intent> {
    // Those that cannot be listed now can be by the next flush.
    let mut intents = spool.intents().unwrap_or_default();
    intents.retain(|intent| intent.header.repository == git_dir);
    intents
}

/// The intents that a push, having moved these refs, settles: its own, which are
/// those of the same git, and any that meant nothing but these very moves.
pub(super) fn settled_by<'a>(
    moved: &[RefUpdate],
    intents: &'a [Intent],
    caller: Option<&Caller>,
) -> Vec<&'a Intent> {
    let moved: HashSet<&RefUpdate> = moved.iter().collect();
    intents
        .iter()
        .filter(|intent| {
            let process = intent.header.process.as_ref();
            let is_own = process.is_some() && process == caller.map(|caller| &caller.process);
            let updates = intent.updates();
            let meets = updates.iter().any(|update| moved.contains(update));
            (is_own && meets) || updates.iter().all(|update| moved.contains(update))
        })
        .collect()
}

/// Withdraws what is settled now, and strikes these moves from what is not.
pub(super) fn withdraw(
    spool: &Spool,
    intents: &[Intent],
    settled: &[Id],
    moved: &[RefUpdate],
) -> Result<(), Error> {
    for intent in intents {
        if settled.contains(&intent.id) {
            spool.withdraw(&intent.id).map_err(SpoolError::from)?;
        } else {
            spool.strike(intent, moved)?;
        }
    }
    Ok(())
}

/// The intent of this very transaction: the same git meant all of it.
pub(super) fn intent_of(
    spool: &Spool,
    git_dir: &Path,
    meant: &[(RefName, Option<Oid>)],
    caller: Option<&Caller>,
) -> Option<Intent> {
    let meant: HashSet<(&RefName, Option<Oid>)> =
        meant.iter().map(|(name, new)| (name, *new)).collect();
    let is_it = |intent: &Intent| {
        let process = intent.header.process.as_ref();
        let mut updates = intent.updates().iter();
        process == caller.map(|caller| &caller.process)
            && updates.all(|update| meant.contains(&(&update.name, update.new)))
    };
    intents_of(spool, git_dir).into_iter().find(is_it)
}

/// How a ref came to be where it is, by an intent or by its reflog.
pub(super) fn move_to(
    name: &RefName,
    new: Option<Oid>,
    intents: &[Intent],
    repository: &Repository,
) -> Option<RefUpdate> {
    let updates = intents.iter().rev().flat_map(Intent::updates);
    let mut found = updates.filter(|update| (&update.name, update.new) == (name, new));
    found.next().cloned().or_else(|| {
        let line = repository.reflog(name).into_iter().next()?;
        (line.new == new).then(|| RefUpdate {
            old: line.old,
            new,
            name: name.clone(),
        })
    })
}

/// Settles what was abandoned. `moved`: what the push that asks is known to have
/// moved, so that before it those refs were at their old values.
pub(super) fn settle(
    spool: &Spool,
    repository: &Repository,
    intents: &[Intent],
    moved: &[RefUpdate],
    around: &Surroundings,
) -> Result<(), Error> {
    let now = around.now();
    let abandoned: Vec<&Intent> = intents
        .iter()
        .filter(|intent| {
            let life = process::life(intent.header.process.as_ref());
            intent.is_abandoned(life, now)
        })
        .collect();
    if abandoned.is_empty() {
        return Ok(());
    }
    let names = intents.iter().flat_map(Intent::updates).map(|it| &it.name);
    let mut at = repository.ref_values(names)?;
    for update in moved {
        match update.old {
            Some(old) => drop(at.insert(update.name.clone(), old)),
            None => drop(at.remove(&update.name)),
        }
    }
    let verdicts = judge(intents, &at);
    for intent in abandoned {
        let mut unknown = 0;
        let mut announced = Vec::new();
        for update in intent.updates() {
            let mut verdict = verdicts[&(intent.id.clone(), update.name.clone())];
            if verdict != Verdict::Moved && reflog_tells(repository, update, intent.header.time) {
                verdict = Verdict::Moved;
            }
            unknown += usize::from(verdict == Verdict::Unknown);
            if verdict != Verdict::Stayed {
                announced.push(update.clone());
            }
        }
        log_settled(spool, intent, announced.len(), unknown, now)?;
        spool.settle(intent, announced)?;
    }
    Ok(())
}

/// Judges each move of each intent, all intents of a ref together.
fn judge(intents: &[Intent], at: &HashMap<RefName, Oid>) -> HashMap<(Id, RefName), Verdict> {
    let mut by_ref: HashMap<&RefName, Vec<(&Id, &RefUpdate)>> = HashMap::new();
    for intent in intents {
        for update in intent.updates() {
            let moves = by_ref.entry(&update.name).or_default();
            moves.push((&intent.id, update));
        }
    }
    let mut verdicts = HashMap::new();
    for (name, moves) in by_ref {
        let updates: Vec<&RefUpdate> = moves.iter().map(|(_, update)| *update).collect();
        let judged = replay(&updates, at.get(name).copied());
        for ((id, _), verdict) in moves.into_iter().zip(judged) {
            verdicts.insert((id.clone(), name.clone()), verdict);
        }
    }
    verdicts
}

fn reflog_tells(repository: &Repository, update: &RefUpdate, since: SystemTime) -> bool {
    repository
        .reflog(&update.name)
        .iter()
        .take_while(|line| line.time + SECOND >= since)
        .any(|line| (line.old, line.new) == (update.old, update.new))
}

fn log_settled(
    spool: &Spool,
    intent: &Intent,
    announced: usize,
    unknown: usize,
    now: SystemTime,
) -> Result<(), SpoolError> {
    let moved = report::count(announced, "ref");
    let note = match unknown {
        0 => format!("{moved} had moved"),
        _ => format!("{moved} had moved, for all that can be told; {unknown} of them uncertain"),
    };
    spool.log().append(&Attempt {
        time: now,
        repository: intent.header.repository.clone(),
        endpoint: String::new(),
        msg_id: String::new(),
        topic: String::new(),
        id: intent.id.to_string(),
        attempt: 0,
        status: Status::Error("settled".to_owned()),
        ms: 0,
        note: Some(note),
    })?;
    Ok(())
}

/// Settles what was abandoned in a spool, repository by repository.
pub(super) fn settle_all(spool: &Spool, around: &Surroundings) -> Result<(), Error> {
    let intents = spool.intents().map_err(SpoolError::from)?;
    let repositories: BTreeSet<_> = intents.iter().map(|it| &it.header.repository).collect();
    for git_dir in repositories {
        let own = intents_of(spool, git_dir);
        // One that is gone, or cannot be read, is settled once it is back.
        match Repository::open(git_dir) {
            Ok(repository) => settle(spool, &repository, &own, &[], around)?,
            Err(error) => around.tell_once(&report::chain(&error), None),
        }
    }
    Ok(())
}
