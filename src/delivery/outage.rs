//! The state of a receiver after an answer: up, or down, and since when.

use super::http::answer::Answer;
use super::known::Failed;
use super::known::{Key, key};
use super::origin::Origin;
use super::outcome::{Outcome, Reason};
use super::retry::Decision;
use super::work::{Job, Work};
use crate::spool::{Extent, Item};

impl Work<'_> {
    pub(super) fn key(&self) -> Key {
        key(&self.agent.spool, self.lane.queue())
    }

    /// Records the state of the receiver after an answer. Returns the decision.
    ///
    /// A failed attempt that was made before its due time does not change the schedule.
    pub(super) fn learn(
        &self,
        item: &Item,
        job: &Job,
        answer: &Answer,
        decision: Decision,
    ) -> Decision {
        let (receivers, key) = (&self.agent.receivers, self.key());
        let now = self.agent.outside.now();
        let origin = Origin::of(&job.endpoint().url);
        if !answer.outcome.is_about_the_endpoint() {
            receivers.took(&key, &origin, now);
            return decision;
        }
        let next = match decision {
            Decision::Hold { due } if item.is_due(now, job.retry().longest_delay()) => due,
            Decision::Hold { .. } => item.due,
            // Given up: the message after it is due.
            _ => now,
        };
        let (by_transport, retry_after) = match &answer.outcome {
            Outcome::Down {
                reason,
                retry_after,
            } => (matches!(reason, Reason::Transport(_)), *retry_after),
            _ => (false, None),
        };
        let broken = answer.broken.as_ref();
        let failed = Failed {
            by_transport,
            extent: match broken {
                Some(broken) if broken.is_of_all_paths() => Extent::Receiver,
                _ => Extent::Path,
            },
            now,
            next,
            retry_after,
        };
        receivers.failed(&key, &origin, failed);
        match decision {
            Decision::Hold { .. } => Decision::Hold { due: next },
            other => other,
        }
    }
}
