//! The order in which entries of one repository are distributed: that of their ids, but for
//! pushes whose hooks began in another order than git moved a ref.

use std::collections::{BTreeSet, HashMap};

use crate::event::{Oid, RefName, RefUpdate};
use crate::spool::names::id::Id;

/// A push as the order sees it: its id, and the refs that it moved.
pub(in crate::spool) type Move<'a> = (&'a Id, &'a [RefUpdate]);

/// Returns the places of entries of one repository in the order in which they are to be
/// delivered: by id, but one that moved a ref from where another moved it to comes after that
/// one.
///
/// Where a ref was at one place twice, it tells nothing. Where refs contradict each other, all
/// entries are in the order of their ids.
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
    // What is left of a chain once all beginnings are followed is a circle.
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// `main 1 2`: a ref, where it was and where it is; 0 is nowhere.
    fn update(text: &str) -> RefUpdate {
        let words: Vec<&str> = text.split(' ').collect();
        let oid = |word: &str| match word.parse().expect("a number") {
            0 => None,
            n => Oid::from_bytes(&[n; 20]),
        };
        RefUpdate {
            old: oid(words[1]),
            new: oid(words[2]),
            name: RefName::new(words[0]),
        }
    }

    #[test]
    fn an_entry_comes_after_the_one_that_moved_its_ref_to_where_it_began() {
        let cases: &[(&[&str], &[usize])] = &[
            (&[], &[]),
            (&["a 1 2"], &[0]),
            (&["a 1 2", "a 2 3"], &[0, 1]),
            (&["a 2 3", "a 1 2"], &[1, 0]),
            (&["a 3 4", "a 2 3", "a 1 2"], &[2, 1, 0]),
            // Created, deleted.
            (&["a 1 0", "a 0 1"], &[0, 1]),
            (&["a 1 2", "a 0 1"], &[1, 0]),
            (&["a 0 2", "a 1 0"], &[1, 0]),
            // What has nothing to do with it goes first.
            (&["a 2 3", "b 1 2", "a 1 2", "b 2 3"], &[1, 2, 0, 3]),
            // One in the middle is not there.
            (&["a 3 4", "a 1 2"], &[0, 1]),
            // There and back: nobody can tell.
            (&["a 1 2", "a 2 1", "a 1 2"], &[0, 1, 2]),
            (&["a 2 1", "a 1 2"], &[0, 1]),
            (&["a 2 3", "a 3 4", "a 4 2"], &[0, 1, 2]),
            (&["a 2 3", "a 1 2", "a 1 2"], &[0, 1, 2]),
            (&["a 1 1", "a 1 1"], &[0, 1]),
            // A circle of one ref does not keep another from telling.
            (&["a 2 1,b 2 3", "a 1 2,b 1 2"], &[1, 0]),
            // Several refs that agree, and that contradict each other.
            (&["a 2 3,b 2 3", "a 1 2,b 1 2"], &[1, 0]),
            (&["a 2 3,b 1 2", "a 1 2,b 2 3"], &[0, 1]),
            (&["a 2 3", "a 1 2,b 2 3", "b 1 2,a 3 4"], &[0, 1, 2]),
        ];
        for (texts, expected) in cases {
            let time = SystemTime::UNIX_EPOCH + Duration::from_hours(1_000_000);
            let entries: Vec<(Id, Vec<RefUpdate>)> = texts
                .iter()
                .enumerate()
                .map(|(n, text)| {
                    let id = Id::new(time, "host", n as u64);
                    (id, text.split(',').map(update).collect())
                })
                .collect();
            let moves: Vec<Move<'_>> = entries.iter().map(|(id, it)| (id, &it[..])).collect();
            assert_eq!(by_moves(&moves), *expected, "{texts:?}");
            // However they are given.
            let back: Vec<Move<'_>> = moves.iter().rev().copied().collect();
            let places = by_moves(&back).into_iter().map(|at| texts.len() - 1 - at);
            assert_eq!(places.collect::<Vec<_>>(), *expected, "{texts:?}");
        }
    }
}
