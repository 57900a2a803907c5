//! What is recorded before refs move, and how it is settled.
//!
//! A hook that runs before writes an intent; the hook that runs after names the
//! intents that its entry settles. What nobody settled, since somebody was killed,
//! is settled from the repository: by the next push to the same refs, which knows
//! best where they were, or by a flush.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::process::{self, Caller, LazyCaller};
use super::surroundings::Surroundings;
use super::{Error, place};
use crate::event::{Oid, RefName, RefUpdate};
use crate::git::{Repository, Verdict, replay};
use crate::report;
use crate::spool::{Attempt, Draft, Id, Intent, Life, Spool, SpoolError, Status};

/// Clocks of reflogs have whole seconds.
const SECOND: Duration = Duration::from_secs(1);

/// Records what is about to happen.
pub(super) fn intend(
    spool: &Spool,
    mut draft: Draft,
    caller: Option<&Caller>,
    around: &Surroundings,
) -> Result<Id, Error> {
    draft.process = caller.map(|caller| caller.process.clone());
    Ok(spool.intend(&draft, &around.stamp())?)
}

/// The intents of one repository, or of one namespace of it.
pub(super) fn intents_of(spool: &Spool, git_dir: &Path, namespace: &Path) -> Vec<Intent> {
    // Those that cannot be listed now can be by the next flush.
    let mut intents = spool.intents().unwrap_or_default();
    intents.retain(|Intent { header, .. }| {
        header.repository == git_dir && header.namespace == namespace
    });
    intents
}

/// What these moves mean for the intents there are.
#[derive(Default)]
pub(super) struct Settled {
    /// These are settled.
    pub(super) settled: Vec<Id>,
    /// These are the push's own, and have one of the moves at least.
    pub(super) met: Vec<Id>,
}

/// The intents that a push, having moved these refs, settles: any that meant nothing
/// but these very moves and, with its last moves, its own that it has `met` with these
/// or with those before. Its own are those of the same git; of a git that does not
/// receive, another intent is another transaction.
pub(super) fn settled_by(
    moved: &[RefUpdate],
    intents: &[Intent],
    caller: &LazyCaller,
    met: Option<&HashSet<Id>>,
) -> Settled {
    let mut judged = Settled::default();
    if intents.is_empty() {
        return judged;
    }
    let moved: HashSet<&RefUpdate> = moved.iter().collect();
    let receiver = caller.as_ref().filter(|caller| caller.receives);
    for intent in intents {
        let process = intent.header.process.as_ref();
        let is_own = process.is_some() && process == receiver.map(|caller| &caller.process);
        let updates = intent.updates();
        let meets = is_own && updates.iter().any(|update| moved.contains(update));
        let is_done = met.is_some_and(|met| meets || (is_own && met.contains(&intent.id)));
        if is_done || updates.iter().all(|update| moved.contains(update)) {
            judged.settled.push(intent.id.clone());
        }
        if meets {
            judged.met.push(intent.id.clone());
        }
    }
    judged
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
        } else if process::life(intent.header.process.as_ref()) == Life::Gone {
            // It may have moved a ref before another moved that back and on: only
            // what is announced now is struck.
            let meant: HashSet<&RefUpdate> = intent.updates().iter().collect();
            let mut same = moved.to_vec();
            same.retain(|update| meant.contains(update));
            spool.strike(intent, &same)?;
        } else {
            spool.strike(intent, moved)?;
        }
    }
    Ok(())
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
/// moved, so that before it those refs were at their old values. It settles the
/// intents of these moves itself, once its own entry is there.
pub(super) fn settle(
    spool: &Spool,
    repository: &Repository,
    git_dir: &Path,
    moved: &[RefUpdate],
    around: &Surroundings,
) -> Result<(), Error> {
    let now = around.now();
    let announced: HashSet<&RefUpdate> = moved.iter().collect();
    let is_abandoned = |intent: &&Intent| {
        let life = process::life(intent.header.process.as_ref());
        let mut updates = intent.updates().iter();
        intent.is_abandoned(life, now) && !updates.any(|update| announced.contains(update))
    };
    let intents = || intents_of(spool, git_dir, repository.namespace());
    if !intents().iter().any(|it| is_abandoned(&it)) {
        return Ok(());
    }
    // From here on no entry leaves `new/`: what confirms an intent can be seen there.
    let _held = spool.hold_new().map_err(SpoolError::from)?;
    let intents = &intents()[..];
    let confirmed = spool.confirmed().map_err(SpoolError::from)?;
    let abandoned: Vec<&Intent> = intents.iter().filter(is_abandoned).collect();
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
    for (n, intent) in abandoned.iter().enumerate() {
        for other in intents {
            // Those that are settled already are gone.
            if abandoned[..=n].iter().all(|done| done.id != other.id) {
                spool.strike(other, &judged.lost_by(other, intent))?;
            }
        }
        if confirmed.contains(&intent.id) {
            // Whoever made the entry died before this.
            spool.withdraw(&intent.id).map_err(SpoolError::from)?;
        } else {
            judged.settle(spool, intent, repository, now)?;
        }
    }
    Ok(())
}

/// What is known of all moves that were meant.
struct Judged<'a> {
    verdicts: HashMap<(Id, RefName), Verdict>,
    intents: &'a [Intent],
    /// What the push that asks has moved.
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
            // It never left git's quarantine (git-receive-pack(1)).
            Verdict::Unknown if update.new.is_some_and(|new| !repository.has(new)) => {
                Verdict::Stayed
            }
            verdict => verdict,
        }
    }

    /// Whether the reflog has a line of this move that is no other push's.
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

    /// What `other` has not moved because `intent` did.
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
    let places = intents
        .iter()
        .map(|it| (&it.header.repository, &it.header.namespace));
    for (git_dir, namespace) in places.collect::<BTreeSet<_>>() {
        // One that is gone, or cannot be read, is settled once it is back.
        let opened = around.ensure_roots(git_dir);
        match opened.and_then(|()| place::repository(Some(git_dir), around)) {
            Ok(repository) => {
                let repository = repository.in_namespace(namespace);
                settle(spool, &repository, git_dir, &[], around)?;
            }
            Err(error) => around.tell_error(error),
        }
    }
    Ok(())
}
