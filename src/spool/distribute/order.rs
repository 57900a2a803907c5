//! The order in which entries of one repository are distributed: by id, except for pushes whose
//! hooks began in another order than git moved a ref.

use std::collections::{BTreeSet, HashMap};

use crate::event::{Oid, RefName, RefUpdate};
use crate::spool::names::id::Id;

/// A push with its id and the refs that it moved.
pub(in crate::spool) type Move<'a> = (&'a Id, &'a [RefUpdate]);

/// Returns the indexes of entries of one repository in the order in which they are to be delivered.
///
/// The order is by id, except that an entry that moved a ref from the value to which another moved
/// it comes after that one. A ref that had one value twice tells nothing. If refs contradict each
/// other, all entries are in the order of their ids.
pub(in crate::spool) fn by_moves(entries: &[Move<'_>]) -> Vec<usize> {
    let mut by_id: Vec<usize> = (0..entries.len()).collect();
    by_id.sort_by_key(|&at| entries[at].0);
    let mut refs: HashMap<&RefName, Vec<(usize, &RefUpdate)>> = HashMap::new();
    for (rank, &at) in by_id.iter().enumerate() {
        for update in entries[at].1 {
            refs.entry(&update.name).or_default().push((rank, update));
        }
    }
    let mut after = vec![vec![]; entries.len()];
    let mut awaited = vec![0; entries.len()];
    for (one, next) in refs.values().flat_map(|moves| chain(moves)) {
        after[one].push(next);
        awaited[next] += 1;
    }
    let ranks = 0..entries.len();
    let mut ready: BTreeSet<usize> = ranks.filter(|&rank| awaited[rank] == 0).collect();
    let mut order = vec![];
    while let Some(rank) = ready.pop_first() {
        order.push(by_id[rank]);
        for &next in &after[rank] {
            awaited[next] -= 1;
            if awaited[next] == 0 {
                ready.insert(next);
            }
        }
    }
    if order.len() == by_id.len() {
        order
    } else {
        by_id
    }
}

/// Returns pairs of moves of one ref of which the second began where the first ended.
fn chain(moves: &[(usize, &RefUpdate)]) -> Vec<(usize, usize)> {
    // `None` twice: the ref was there more than once.
    let mut from: HashMap<Option<Oid>, Option<usize>> = HashMap::new();
    let mut to: HashMap<Option<Oid>, Option<usize>> = HashMap::new();
    for &(rank, update) in moves {
        let only = |ends: &mut HashMap<_, _>, end| {
            ends.entry(end)
                .and_modify(|it| *it = None)
                .or_insert(Some(rank));
        };
        only(&mut from, update.old);
        only(&mut to, update.new);
    }
    let next = |end: &Option<Oid>| from.get(end).copied().flatten();
    let pairs = to
        .iter()
        .filter_map(|(end, one)| Some(((*one)?, next(end)?)));
    let pairs: HashMap<usize, usize> = pairs.filter(|(one, next)| one != next).collect();
    // The rest of a chain, once all beginnings are followed, is a circle.
    let followed: BTreeSet<usize> = pairs.values().copied().collect();
    let mut is_open = 0;
    for begin in pairs.keys().filter(|one| !followed.contains(one)) {
        let mut at = begin;
        while let Some(next) = pairs.get(at) {
            (at, is_open) = (next, is_open + 1);
        }
    }
    if is_open == pairs.len() {
        pairs.into_iter().collect()
    } else {
        vec![]
    }
}
