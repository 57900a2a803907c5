//! The attempts of a delivery, counted for the spool's `stats`.

use super::http::answer::Answer;
use super::origin::Origin;
use super::outcome::{Outcome, Reason};
use super::retry::Decision;
use super::work::{Job, Work};
use crate::spool::{Attempt, CountedOutcome, Item, Sample, Status};

impl Work<'_> {
    /// Counts an attempt. The count is saved with the state of receivers.
    pub(super) fn count_attempt(
        &self,
        item: &Item,
        job: &Job,
        answer: &Answer,
        attempt: &Attempt,
        (decision, total): (&Decision, u32),
    ) {
        let given_up = match decision {
            // The whole rest of the entry goes.
            Decision::GiveUp if answer.outcome.is_about_the_endpoint() => {
                total.saturating_sub(item.part.first())
            }
            Decision::GiveUp => 1,
            _ => 0,
        };
        let delay = attempt.time.duration_since(job.entry.header().time);
        let sample = Sample {
            time: attempt.time,
            outcome: counted(&answer.outcome),
            answer: match &attempt.status {
                Status::Http(status) => status.to_string(),
                Status::Error(word) => word.clone(),
            },
            took: answer.took,
            is_remade: answer.retried.is_some(),
            given_up: given_up.into(),
            delay: delay.unwrap_or_default(),
        };
        let endpoint = job.endpoint();
        let receiver = Origin::of(&endpoint.url).to_string();
        let receivers = &self.agent.receivers;
        receivers.count_attempt(&self.key(), &receiver, &endpoint.name, &sample);
    }
}

fn counted(outcome: &Outcome) -> CountedOutcome {
    match outcome {
        Outcome::Delivered { .. } => CountedOutcome::Delivered,
        Outcome::Refused { .. } | Outcome::TooLarge => CountedOutcome::Refused,
        Outcome::Gone
        | Outcome::Down {
            reason: Reason::Status(_),
            ..
        } => CountedOutcome::Unavailable,
        Outcome::Down { .. } => CountedOutcome::Unreachable,
    }
}
