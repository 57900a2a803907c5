//! Did a ref move as somebody meant it to? Decided from where it is now.

use std::collections::HashSet;

use crate::event::{Oid, RefUpdate};

/// Outcome of an intended move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The ref was moved.
    Moved,
    /// It was not.
    Stayed,
    /// Another process moved it since, and no log tells its old value.
    Unknown,
}

/// Judges the moves that were meant for one ref, in the order of their recording,
/// from where the ref is `now`, walking back: what was to lead there did, and before
/// that the ref was at that one's old value.
///
/// Of moves that were under way at the same time, the one recorded first may have
/// come last. One that was to begin where another has begun came too late: git
/// compares the old value when it moves a ref.
#[must_use]
pub fn replay(intended: &[&RefUpdate], now: Option<Oid>) -> Vec<Verdict> {
    let mut verdicts: Vec<Option<Verdict>> = vec![None; intended.len()];
    let mut at = now;
    let mut been = HashSet::from([now]);
    let mut earliest = intended.len();
    loop {
        let open = |i: &usize| verdicts[*i].is_none();
        let leads_here = |i: &usize| open(i) && intended[*i].new == at;
        let before = (0..earliest).rev().find(leads_here);
        // Recorded later, it led here only if it began where nobody else has.
        let beside = (earliest..intended.len())
            .rev()
            .find(|i| leads_here(i) && !been.contains(&intended[*i].old));
        let (i, verdict) = if let Some(i) = before.or(beside) {
            (i, Verdict::Moved)
        } else if let Some(i) = (0..intended.len()).rev().find(open) {
            let came_late = been.contains(&intended[i].old);
            let verdict = if came_late {
                Verdict::Stayed
            } else {
                Verdict::Unknown
            };
            (i, verdict)
        } else {
            break;
        };
        verdicts[i] = Some(verdict);
        if verdict != Verdict::Stayed {
            at = intended[i].old;
            been.insert(at);
            earliest = i;
        }
    }
    verdicts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RefName;
    use Verdict::{Moved, Stayed, Unknown};

    fn oid(digit: u8) -> Option<Oid> {
        Oid::from_bytes(&[digit; 20])
    }

    #[test]
    fn the_last_value_tells_the_ones_before() {
        /// Moves as old → new, where the ref is now, and what that tells.
        type Row = (&'static [(u8, u8)], u8, &'static [Verdict]);
        let table: &[Row] = &[
            (&[(1, 2)], 2, &[Moved]),
            (&[(1, 2)], 1, &[Stayed]),
            (&[(1, 2)], 3, &[Unknown]),
            (&[(0, 2)], 0, &[Stayed]),
            (&[(1, 0)], 0, &[Moved]),
            (&[(1, 2), (2, 3)], 3, &[Moved, Moved]),
            (&[(1, 2), (2, 3)], 2, &[Moved, Stayed]),
            (&[(1, 2), (1, 3)], 3, &[Stayed, Moved]),
            (&[(1, 2), (1, 2)], 2, &[Stayed, Moved]),
            (&[(1, 2), (2, 1)], 1, &[Moved, Moved]),
            (&[(1, 2), (2, 3)], 9, &[Moved, Unknown]),
            // Under way at the same time: the first one won.
            (&[(1, 2), (1, 3)], 2, &[Moved, Stayed]),
            (&[(1, 2), (1, 3), (2, 4)], 4, &[Moved, Stayed, Moved]),
            (&[(2, 3), (1, 2)], 3, &[Moved, Moved]),
            (&[(0, 2), (2, 0), (2, 3)], 3, &[Moved, Stayed, Moved]),
            (&[(1, 2), (2, 3), (2, 4)], 4, &[Moved, Stayed, Moved]),
            (&[(1, 2), (2, 1), (1, 2)], 1, &[Moved, Moved, Stayed]),
            (&[(1, 2), (1, 3)], 1, &[Stayed, Stayed]),
            (&[(1, 2), (1, 3)], 9, &[Stayed, Unknown]),
        ];
        for (moves, now, expected) in table {
            let updates: Vec<RefUpdate> = moves
                .iter()
                .map(|&(old, new)| RefUpdate {
                    old: oid(old),
                    new: oid(new),
                    name: RefName::new("refs/heads/x"),
                })
                .collect();
            let updates: Vec<&RefUpdate> = updates.iter().collect();
            assert_eq!(replay(&updates, oid(*now)), *expected, "{moves:?} {now}");
        }
    }
}
