//! Did a ref move as somebody meant it to? Decided from where it is now.

use crate::event::{Oid, RefUpdate};

/// What became of an intended move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The ref was moved.
    Moved,
    /// It was not.
    Stayed,
    /// Somebody else moved it since, and nothing tells what was before.
    Unknown,
}

/// Judges the moves that were meant for one ref, the oldest first, from where the
/// ref is `now`, walking back: if it is where the last one meant it to be, that
/// one moved it, and before that it was at that one's old value.
#[must_use]
pub fn replay(intended: &[&RefUpdate], now: Option<Oid>) -> Vec<Verdict> {
    let mut at = now;
    let mut verdicts: Vec<Verdict> = intended
        .iter()
        .rev()
        .map(|update| {
            if at == update.new {
                at = update.old;
                Verdict::Moved
            } else if at == update.old {
                Verdict::Stayed
            } else {
                at = update.old;
                Verdict::Unknown
            }
        })
        .collect();
    verdicts.reverse();
    verdicts
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
