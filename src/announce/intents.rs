//! Records intents before refs move, and settles them.
//!
//! A hook that runs before refs move writes an intent; the hook that runs after names the intents
//! that its entry settles. An intent that no hook settled, since a process was killed, is settled
//! from the repository: by the next push to the same refs, which knows best where they were, or by
//! a flush.

use std::cell::LazyCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::consumed::consumed;
use super::git_process::{self, Caller, LazyCaller};
use super::unannounced;
use crate::context::{Context, locate};
use crate::error::Error;
use crate::event::{Oid, RefName, RefUpdate};
use crate::git::{Repository, Verdict, replay};
use crate::report;
use crate::spool::{Draft, Id, Intent, Life, Spool, SpoolError};

/// Precision of the times in reflogs.
const SECOND: Duration = Duration::from_secs(1);

/// Records an intent, made by the process of `caller`. Returns its id.
pub(crate) fn intend(
    spool: &Spool,
    mut draft: Draft,
    caller: Option<&Caller>,
    ctx: &Context,
) -> Result<Id, Error> {
    draft.process = caller.map(|caller| caller.process.clone());
    Ok(spool.intend(&draft, &ctx.id_parts())?)
}

/// Returns the intents of one repository, or of one namespace of it.
pub(crate) fn intents_of(spool: &Spool, git_dir: &Path, namespace: &Path) -> Vec<Intent> {
    // Those that cannot be listed now can be by the next flush.
    let mut intents = spool.intents().unwrap_or_default();
    intents.retain(|Intent { header, .. }| {
        header.repository == git_dir && header.namespace == namespace
    });
    intents
}

/// Withdraws the intents in `settled`, and strikes `moved` from the others.
///
/// From an intent whose process is alive all these moves are struck, from any other those that
/// belong to it.
pub(crate) fn withdraw(
    spool: &Spool,
    intents: &[Intent],
    settled: &[Id],
    moved: &[RefUpdate],
    caller: &LazyCaller,
) -> Result<(), Error> {
    let consumed = consumed(moved, intents, caller);
    for intent in intents {
        if settled.contains(&intent.id) {
            spool.withdraw(&intent.id).map_err(SpoolError::from)?;
        } else if git_process::life(intent.header.process.as_ref()) == Life::Alive {
            spool.strike(intent, moved)?;
        } else if let Some(its) = consumed.get(&intent.id) {
            let its: Vec<RefUpdate> = its.iter().copied().cloned().collect();
            spool.strike(intent, &its)?;
        }
    }
    Ok(())
}

/// Returns the update that brought a ref to the value `new`, from an intent or from its reflog.
pub(crate) fn move_to(
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

/// Settles the abandoned intents of a repository.
///
/// `moved` are the updates that the push which asks is known to have made, so that before it those
/// refs were at their old values. That push itself settles the intents that it consumes, once its
/// own entry exists. An intent of an unknown git is settled if it moved one of these refs, and no
/// hook is about to announce it: it comes before this push.
pub(crate) fn settle(
    spool: &Spool,
    repository: &Repository,
    git_dir: &Path,
    (moved, caller): (&[RefUpdate], &LazyCaller),
    ctx: &Context,
) -> Result<(), Error> {
    let now = ctx.now();
    let names: HashSet<&RefName> = moved.iter().map(|update| &update.name).collect();
    let intents = || intents_of(spool, git_dir, repository.namespace());
    let is_abandoned = |intent: &Intent, own: &HashMap<&Id, HashSet<&RefUpdate>>| {
        let life = git_process::life(intent.header.process.as_ref());
        let mut updates = intent.updates().iter();
        let is_before = life == Life::Unknown && updates.any(|it| names.contains(&it.name));
        !own.contains_key(&intent.id) && (intent.is_abandoned(life, now) || is_before)
    };
    let before = intents();
    let own = consumed(moved, &before, caller);
    if !before.iter().any(|it| is_abandoned(it, &own)) {
        return Ok(());
    }
    // From here on no entry leaves `new/`: one that confirms an intent can be seen there.
    let _held = spool.hold_new().map_err(SpoolError::from)?;
    let intents = &intents()[..];
    let confirmed = spool.confirmed().map_err(SpoolError::from)?;
    let claimed = spool.claimed().map_err(SpoolError::from)?;
    let own = consumed(moved, intents, caller);
    let names = intents.iter().flat_map(Intent::updates).map(|it| &it.name);
    let mut at = repository.ref_values(names)?;
    for update in moved {
        match update.old {
            Some(old) => drop(at.insert(update.name.clone(), old)),
            None => drop(at.remove(&update.name)),
        }
    }
    let judged = Judged {
        verdicts: judge(intents, &at),
        intents,
        moved,
    };
    let is_settled_now = |intent: &&Intent| {
        let life = git_process::life(intent.header.process.as_ref());
        let is_old = intent.is_abandoned(life, now);
        // A transaction that may still be under way may yet make the moves that it has not made.
        let has_moved = || {
            let mut updates = intent.updates().iter();
            let moved = |it: &RefUpdate| judged.by_replay(intent, &it.name) == Some(Verdict::Moved);
            updates.all(moved) && !claimed.contains(&intent.id)
        };
        is_abandoned(intent, &own) && (is_old || has_moved())
    };
    let abandoned: Vec<&Intent> = intents.iter().filter(is_settled_now).collect();
    for (n, intent) in abandoned.iter().enumerate() {
        for other in intents {
            // Those that are settled already are gone.
            if abandoned[..=n].iter().all(|done| done.id != other.id) {
                spool.strike(other, &judged.lost_by(other, intent))?;
            }
        }
        if confirmed.contains(&intent.id) {
            // The process that made the entry died before it withdrew this.
            spool.withdraw(&intent.id).map_err(SpoolError::from)?;
        } else {
            judged.settle(spool, intent, repository, now)?;
        }
    }
    for intent in intents {
        let is_open = !claimed.contains(&intent.id) && !own.contains_key(&intent.id);
        let is_settled = abandoned.iter().any(|done| done.id == intent.id);
        if is_open
            && !is_settled
            && git_process::life(intent.header.process.as_ref()) == Life::Unknown
        {
            // Its earlier moves are settled by now, and from where this push began it moves
            // nothing.
            spool.strike(intent, moved)?;
        }
    }
    Ok(())
}

/// Verdicts on all moves of all intents.
struct Judged<'a> {
    verdicts: HashMap<(Id, RefName), Verdict>,
    intents: &'a [Intent],
    /// Updates of the push that asks.
    moved: &'a [RefUpdate],
}

impl Judged<'_> {
    fn by_replay(&self, intent: &Intent, name: &RefName) -> Option<Verdict> {
        let key = (intent.id.clone(), name.clone());
        self.verdicts.get(&key).copied()
    }

    fn settle(
        &self,
        spool: &Spool,
        intent: &Intent,
        repository: &Repository,
        now: SystemTime,
    ) -> Result<(), SpoolError> {
        let mut unknown = 0;
        let mut announced = Vec::new();
        for update in intent.updates() {
            let verdict = self.verdict(intent, update, repository);
            unknown += usize::from(verdict == Verdict::Unknown);
            if verdict != Verdict::Stayed {
                announced.push(update.clone());
            }
        }
        log_settled(spool, intent, announced.len(), unknown, now)?;
        spool.settle(intent, announced)
    }

    fn verdict(&self, intent: &Intent, update: &RefUpdate, repository: &Repository) -> Verdict {
        let verdict = self.by_replay(intent, &update.name);
        match verdict.unwrap_or(Verdict::Unknown) {
            Verdict::Moved => Verdict::Moved,
            _ if self.reflog_tells(intent, update, repository) => Verdict::Moved,
            // The object never left git's quarantine (git-receive-pack(1)).
            Verdict::Unknown if update.new.is_some_and(|new| !repository.has(new)) => {
                Verdict::Stayed
            }
            verdict => verdict,
        }
    }

    /// Returns whether the reflog has a line of this move that belongs to no other push.
    fn reflog_tells(&self, intent: &Intent, update: &RefUpdate, repository: &Repository) -> bool {
        let others = self.intents.iter().filter(|other| {
            other.id != intent.id
                && other.updates().contains(update)
                && self.by_replay(other, &update.name) == Some(Verdict::Moved)
        });
        let others = others.count() + self.moved.iter().filter(|it| *it == update).count();
        let log = repository.reflog(&update.name);
        log.iter()
            .take_while(|line| line.time + SECOND >= intent.header.time)
            .filter(|line| (line.old, line.new) == (update.old, update.new))
            .count()
            > others
    }

    /// Returns the moves that `other` has not made because `intent` made them.
    fn lost_by(&self, other: &Intent, intent: &Intent) -> Vec<RefUpdate> {
        let has_moved =
            |of, update: &RefUpdate| self.by_replay(of, &update.name) == Some(Verdict::Moved);
        let updates = intent.updates().iter();
        updates
            .filter(|update| has_moved(intent, update) && !has_moved(other, update))
            .cloned()
            .collect()
    }
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
    let (repository, id) = (&intent.header.repository, intent.id.to_string());
    let line = unannounced::line(now, repository, id, ("settled", note));
    spool.log().append(&line)?;
    Ok(())
}

/// Returns the caller of a run that no git called: none.
pub(crate) fn nobody() -> LazyCaller {
    LazyCell::new(|| None)
}

/// Settles the abandoned intents of a spool, repository by repository.
pub(crate) fn settle_all(spool: &Spool, ctx: &Context) -> Result<(), Error> {
    let intents = spool.intents().map_err(SpoolError::from)?;
    let places = intents
        .iter()
        .map(|it| (&it.header.repository, &it.header.namespace));
    for (git_dir, namespace) in places.collect::<BTreeSet<_>>() {
        // The intents of one that is gone, or cannot be read, are settled once it is back.
        let opened = ctx.ensure_roots(git_dir);
        match opened.and_then(|()| locate::repository(Some(git_dir), ctx)) {
            Ok(repository) => {
                let repository = repository.in_namespace(namespace);
                settle(spool, &repository, git_dir, (&[], &nobody()), ctx)?;
            }
            Err(error) => ctx.tell_error(error),
        }
    }
    Ok(())
}
