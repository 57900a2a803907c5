//! Counts of spools that are gone, so that totals never fall.
//!
//! Each spool's counts are remembered as they were last seen. Those of a spool that is not there
//! still count, and so do those of a spool that began anew. After eight days a spool that did not
//! come back is forgotten, and its counts are kept by receiver and endpoint alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::labels::Labels;
use crate::spool::Totals;

/// Number of seconds for which a missing spool is remembered by itself.
const REMEMBERED: u64 = 8 * 86400;

/// The totals of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The receiver.
    pub receiver: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// Its totals.
    pub totals: Totals,
}

/// A spool, or an account, whose counts were seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// Time at which it was there, in seconds since 1970.
    last: u64,
    counted: Vec<Counted>,
}

/// The counts that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carried {
    /// By the spool's folder, or by the account's name.
    seen: BTreeMap<String, Seen>,
    /// Counts of those that are gone.
    gone: Vec<Counted>,
}

impl Carried {
    /// Takes in the counts of all spools that were found. Returns those of the others, by the
    /// spool's folder, which is empty for those that are gone.
    pub fn settle(
        &mut self,
        there: BTreeMap<String, Vec<Counted>>,
        now: u64,
    ) -> Vec<(Labels, Totals)> {
        let present: BTreeSet<String> = there.keys().cloned().collect();
        for (name, counted) in there {
            let seen = Seen { last: now, counted };
            let before = self.seen.insert(name.clone(), seen);
            for old in before.into_iter().flat_map(|before| before.counted) {
                let newer = self.seen[&name].counted.iter().find(|new| old.is_of(new));
                if newer.is_none_or(|new| !new.totals.have_grown_from(&old.totals)) {
                    self.bury(old);
                }
            }
        }
        let is_over = |seen: &mut Seen| now.saturating_sub(seen.last) > REMEMBERED;
        let over = self.seen.extract_if(.., |_, seen| is_over(seen));
        for old in over.flat_map(|(_, seen)| seen.counted).collect::<Vec<_>>() {
            self.bury(old);
        }
        // A clock that was ahead must not keep them for ever.
        for seen in self.seen.values_mut() {
            seen.last = seen.last.min(now);
        }
        self.seen.retain(|_, seen| !seen.counted.is_empty());
        let absent = self
            .seen
            .iter()
            .filter(|(name, _)| !present.contains(*name));
        let absent = absent.flat_map(|(name, seen)| seen.counted.iter().map(|it| (&**name, it)));
        let gone = self.gone.iter().map(|it| ("", it));
        let rows = absent.chain(gone).map(|(spool, it)| {
            let labels = Labels::new(&it.receiver, &it.endpoint, spool);
            (labels, it.totals)
        });
        rows.collect()
    }

    fn bury(&mut self, old: Counted) {
        match self.gone.iter_mut().find(|it| it.is_of(&old)) {
            Some(known) => known.totals.add(&old.totals),
            None => self.gone.push(old),
        }
    }
}

impl Counted {
    fn is_of(&self, other: &Self) -> bool {
        (&self.receiver, &self.endpoint) == (&other.receiver, &other.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Counts;

    /// The sum of all attempts after a look that finds these spools with these counts.
    fn look(carried: &mut Carried, day: u64, there: &[(&str, u64)]) -> u64 {
        let counted = |count: u64| Counted {
            receiver: "https://ci:443".to_owned(),
            endpoint: "ci".to_owned(),
            totals: Totals {
                counts: Counts([count, 0, 0, 0, 0]),
                ..Totals::default()
            },
        };
        let found = there.iter();
        let found = found.map(|(name, count)| ((*name).to_owned(), vec![counted(*count)]));
        let more = carried.settle(found.collect(), day * 86400);
        let more: u64 = more.iter().map(|(_, totals)| totals.counts.0[0]).sum();
        more + there.iter().map(|(_, count)| count).sum::<u64>()
    }

    #[test]
    fn totals_fell_with_a_repository_that_was_removed() {
        type Step<'a> = (u64, &'a [(&'a str, u64)], u64);
        let mut carried = Carried::default();
        let steps: [Step<'_>; 9] = [
            (1, &[("/a", 5), ("/b", 7)], 12),
            (2, &[("/a", 6), ("/b", 7)], 13),
            // Gone, perhaps for a while only.
            (3, &[("/a", 6)], 13),
            (4, &[("/a", 6), ("/b", 8)], 14),
            // Its `stats` was deleted, or another repository took its place.
            (5, &[("/a", 6), ("/b", 1)], 15),
            (6, &[("/b", 2)], 16),
            (20, &[("/b", 3)], 17),
            (21, &[], 17),
            (40, &[("/a", 1)], 18),
        ];
        for (day, there, sum) in steps {
            assert_eq!(look(&mut carried, day, there), sum, "day {day}");
        }
        assert_eq!((carried.seen.len(), carried.gone.len()), (1, 1));
    }
}
