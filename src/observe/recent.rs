//! The last deliveries, as the page shows them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::scrape::MOST;
use crate::spool::Id;

/// Number of the last deliveries that are shown, and of the last failures.
pub const RECENT: usize = 40;

/// Length of the longest text in bytes, of those that another account's refpost may say.
pub(super) const LONGEST: usize = 4096;

/// An attempt. Its time is in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The account, if accounts are told apart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Its time.
    pub time: u64,
    /// The repository's path.
    pub repository: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The ref.
    pub reference: String,
    /// The kind of event.
    pub topic: String,
    /// The entry's id, if it still waits or was given up.
    pub id: Option<String>,
    /// The number of this attempt.
    pub attempt: u64,
    /// The status, or the log's word for its absence.
    pub answer: String,
    /// True if it delivered.
    pub is_delivered: bool,
    /// Its duration in milliseconds.
    pub ms: u64,
    /// The log's remark.
    pub note: String,
}

impl Delivery {
    /// Returns whether this may be what another account's refpost found.
    pub(super) fn is_valid(&self) -> bool {
        let texts = [
            &self.repository,
            &self.endpoint,
            &self.reference,
            &self.topic,
            &self.answer,
            &self.note,
        ];
        self.account.is_empty()
            && texts.iter().all(|text| text.len() <= LONGEST)
            && [self.time, self.attempt, self.ms]
                .iter()
                .all(|it| *it <= MOST)
            && self.id.as_ref().is_none_or(|id| Id::parse(id).is_some())
    }
}

/// Returns the last deliveries and the last failures, the newest first.
pub(super) fn last(mut all: Vec<Delivery>) -> Vec<Delivery> {
    all.sort_by_key(|one| Reverse(one.time));
    let mut kept = newest(&all, |_| true);
    kept.extend(newest(&all, |one| !one.is_delivered));
    let all = all.into_iter().enumerate();
    let kept = all.filter(|(at, _)| kept.contains(at));
    kept.map(|(_, one)| one).collect()
}

/// Returns where the newest of sorted deliveries are, of those that are wanted.
///
/// Accounts take turns, so that none takes the places of all.
fn newest(sorted: &[Delivery], is_wanted: impl Fn(&Delivery) -> bool) -> BTreeSet<usize> {
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    let wanted = sorted.iter().enumerate().filter(|(_, one)| is_wanted(one));
    let mut all: Vec<(usize, usize)> = wanted
        .map(|(at, one)| {
            let turn = turns.entry(&one.account).or_default();
            *turn += 1;
            (*turn, at)
        })
        .collect();
    all.sort_unstable();
    all.into_iter().take(RECENT).map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deliveries_of_one_account_hid_those_of_all_others() {
        let delivery = |account: &str, time| Delivery {
            account: account.to_owned(),
            time,
            ..Delivery::default()
        };
        let many = (0..160).map(|time| delivery("alice", MOST - time));
        let few = [delivery("bob", 6), delivery("bob", 5)];
        let last = last(many.chain(few.clone()).collect());
        assert_eq!(last.len(), RECENT);
        assert_eq!(last[RECENT - 2..], few);
        assert!(!few[0].is_valid(), "root alone names accounts");
    }
}
