//! Finds the intents that a push settles, and those of their moves that it consumes.

use std::collections::{HashMap, HashSet};

use super::git_process::{self, LazyCaller};
use crate::event::RefUpdate;
use crate::spool::{Id, Intent, Life};

/// Returns the moves of intents that a push consumes, having moved these refs.
///
/// Each move is consumed of one intent: that of the push's own git, or else the newest whose git
/// cannot be known. An older one that meant the same was another move, since a ref can go back and
/// forth.
pub(crate) fn consumed<'a>(
    moved: &[RefUpdate],
    intents: &'a [Intent],
    caller: &LazyCaller,
) -> HashMap<&'a Id, HashSet<&'a RefUpdate>> {
    let mut consumed: HashMap<&Id, HashSet<&RefUpdate>> = HashMap::new();
    if intents.is_empty() {
        return consumed;
    }
    let own = caller.as_ref().map(|caller| &caller.process);
    // The intents that the push could have made, and whether it is known to have made them.
    let rank = |intent: &Intent| {
        let process = intent.header.process.as_ref();
        let is_own = process.is_some() && process == own;
        (is_own || git_process::life(process) == Life::Unknown).then_some(is_own)
    };
    let ranked = intents
        .iter()
        .filter_map(|intent| Some((rank(intent)?, intent)));
    let mut best: HashMap<&RefUpdate, (bool, &Intent)> = HashMap::new();
    for (is_own, intent) in ranked {
        for update in intent.updates() {
            let known = best.entry(update).or_insert((is_own, intent));
            if (is_own, &intent.id) > (known.0, &known.1.id) {
                *known = (is_own, intent);
            }
        }
    }
    for update in moved {
        if let Some((update, (_, intent))) = best.get_key_value(update) {
            consumed.entry(&intent.id).or_default().insert(update);
        }
    }
    consumed
}

/// The effect of moves on intents.
#[derive(Default)]
pub(crate) struct Settled {
    /// Intents that are settled.
    pub(crate) settled: Vec<Id>,
    /// Intents of the push itself that have at least one of the moves.
    pub(crate) met: Vec<Id>,
}

/// Returns the intents that a push settles, having moved these refs.
///
/// It settles those of which it consumes every move. With its last moves, for which `met` is given,
/// it also settles its own that have one of these moves, or one of those before: `met` names the
/// latter. Its own are those of the same git; of a git that does not receive, another intent is
/// another transaction.
pub(crate) fn settled_by(
    moved: &[RefUpdate],
    intents: &[Intent],
    caller: &LazyCaller,
    met: Option<&HashSet<Id>>,
) -> Settled {
    let mut judged = Settled::default();
    if intents.is_empty() {
        return judged;
    }
    let consumed = consumed(moved, intents, caller);
    let moved: HashSet<&RefUpdate> = moved.iter().collect();
    let receiver = caller.as_ref().filter(|caller| caller.receives);
    for intent in intents {
        let process = intent.header.process.as_ref();
        let its = consumed.get(&intent.id);
        // Where nothing identifies the git, an intent is the push's own if the push consumed a
        // move.
        let is_taken = its.is_some() && intent.header.received && process.is_none();
        let is_known = process.is_some() && process == receiver.map(|caller| &caller.process);
        let is_own = is_known || is_taken;
        let updates = intent.updates();
        let meets = is_own && updates.iter().any(|update| moved.contains(update));
        let is_done = met.is_some_and(|met| meets || (is_own && met.contains(&intent.id)));
        if is_done || its.is_some_and(|its| updates.iter().all(|update| its.contains(update))) {
            judged.settled.push(intent.id.clone());
        }
        if meets {
            judged.met.push(intent.id.clone());
        }
    }
    judged
}
