//! Messages that a receiver answers as if it were broken, each time.
//!
//! Real receivers answer 500 to a message that they do not understand, such as the deletion of a
//! branch, and accept all others. So after three such answers to the head of a queue the message
//! behind it is tried, one at each attempt of the head. Once one is accepted, those before it step
//! aside as refused. A message behind the head that is answered in this way too is on trial as the
//! head is.

use std::rc::Rc;

use super::agent::Outside;
use super::http::answer::Answer;
use super::outcome::{Outcome, Reason};
use super::retry::{Decision, Situation, decide};
use super::work::Job;
use super::work::Work;
use crate::spool::{Id, Item, Part, SpoolError};

/// Number of such answers to one message after which the next is tried.
const ENOUGH: u32 = 3;
/// Number of messages of a queue that are on trial at once, at most.
const MOST: usize = 8;

/// A message behind the head.
struct Candidate {
    /// The item that has the message, from that message on.
    item: Item,
    job: Rc<Job>,
    total: u32,
}

impl Outcome {
    /// Returns the status if the answer is about the endpoint, and may be about the message.
    ///
    /// Statuses of gateways, among them those from 520 on, mean that no receiver
    /// looked at the message.
    fn may_be_about_the_message(&self) -> Option<u16> {
        match self {
            Self::Down {
                reason: Reason::Status(status @ (500 | 501 | 505..=511)),
                ..
            } => Some(*status),
            _ => None,
        }
    }
}

impl Answer {
    /// Returns the same answer as one about the message, if it may be that.
    fn as_refusal(&self) -> Option<Self> {
        let status = self.outcome.may_be_about_the_message()?;
        let outcome = Outcome::Refused {
            status,
            retry_after: None,
        };
        Some(Self {
            outcome,
            ..self.clone()
        })
    }

    /// Returns the meaning of the answer for an item.
    ///
    /// The answer to a message that has stepped aside says nothing of the endpoint.
    pub(super) fn for_item(&self, item: &Item) -> Self {
        let is_aside = matches!(item.part, Part::Only(_));
        let refusal = self.as_refusal().filter(|_| is_aside);
        refusal.unwrap_or_else(|| self.clone())
    }
}

/// Returns a message's key in the count of such answers.
fn name(id: &Id, n: u32) -> String {
    format!("{id},{n}")
}

impl Work<'_> {
    /// Tries the message behind the head, if the answers to the head call for it.
    ///
    /// Returns whether it was accepted, and the queue changed.
    pub(super) async fn pass(
        &mut self,
        item: &Item,
        job: &Job,
        answer: &Answer,
    ) -> Result<bool, SpoolError> {
        let Some(refusal) = answer.as_refusal() else {
            return Ok(false);
        };
        if self.agent.only.is_some() || matches!(item.part, Part::Only(_)) {
            return Ok(false);
        }
        let head = name(&item.id, item.part.first());
        if self.count(head, 1) < ENOUGH || self.is_ending() {
            return Ok(false);
        }
        let Some(candidate) = self.candidate(item, job)? else {
            return Ok(false);
        };
        if !self.is_taken(&candidate).await? {
            return Ok(false);
        }
        self.let_pass(&candidate, &refusal)?;
        Ok(true)
    }

    fn count(&self, message: String, answers: u32) -> u32 {
        let mut count = 0;
        self.agent.receivers.change(&self.key(), |failure| {
            let known = failure.answers.entry(message).or_default();
            *known = known.saturating_add(answers);
            count = *known;
        });
        count
    }

    fn answers(&self, message: &str) -> u32 {
        let mut count = 0;
        self.agent.receivers.change(&self.key(), |failure| {
            count = failure.answers.get(message).copied().unwrap_or_default();
        });
        count
    }

    /// Returns the first message behind the head that has not had enough of such answers, or the
    /// one on trial that had the fewest.
    ///
    /// All that are considered go to the URL of the head. There are none if the head is not the
    /// first of the queue any more, because it was given up or a person removed it.
    fn candidate(&mut self, item: &Item, head: &Job) -> Result<Option<Candidate>, SpoolError> {
        let mut known: Option<(u32, Candidate)> = None;
        let mut on_trial = 0;
        let in_order = self.lane.waiting()?.in_order;
        if in_order.first().is_none_or(|first| first.id != item.id) {
            return Ok(None);
        }
        for item in in_order {
            if self.lane.is_arriving(&item) {
                break;
            }
            let Some(job) = self.prepare(&item)?.continue_value() else {
                break;
            };
            if job.endpoint().url != head.endpoint().url {
                break;
            }
            let job = Rc::new(job);
            let total = job.total();
            for n in item.part.first()..total {
                on_trial += 1;
                if on_trial == 1 {
                    continue;
                }
                let answers = self.answers(&name(&item.id, n));
                if known.as_ref().is_none_or(|(fewest, _)| answers < *fewest) {
                    let (part, job) = (Part::From(n), Rc::clone(&job));
                    let item = Item {
                        part,
                        ..item.clone()
                    };
                    known = Some((answers, Candidate { item, job, total }));
                }
                if answers < ENOUGH || on_trial == MOST {
                    return Ok(known.map(|(_, candidate)| candidate));
                }
            }
        }
        Ok(known.map(|(_, candidate)| candidate))
    }

    async fn is_taken(&mut self, candidate: &Candidate) -> Result<bool, SpoolError> {
        let Candidate { item, job, .. } = candidate;
        let number = job.numbers[item.part.first() as usize];
        let Ok(message) = job.entry.message(number) else {
            return Ok(false);
        };
        let (answer, crossed_off) = self.attempt(item, job, &message).await;
        crossed_off?;
        let Ok(answer) = answer else {
            return Ok(false);
        };
        let line = self.attempt_line(item, job, &message, &answer);
        self.log(&line);
        let counted = match &answer.outcome {
            Outcome::Delivered { .. } => {
                self.report.delivered += 1;
                self.learn(item, job, &answer, Decision::Done);
                return Ok(true);
            }
            Outcome::Refused { .. } | Outcome::TooLarge => ENOUGH,
            other => u32::from(other.may_be_about_the_message().is_some()),
        };
        self.count(name(&item.id, item.part.first()), counted);
        Ok(false)
    }

    /// Moves all messages before an accepted one aside, and crosses that one off.
    ///
    /// Crash in between: the accepted one is the head, and delivered again.
    fn let_pass(&mut self, taken: &Candidate, refusal: &Answer) -> Result<(), SpoolError> {
        for item in self.lane.waiting()?.in_order {
            let is_last = item.id == taken.item.id;
            let Some(job) = self.prepare(&item)?.continue_value() else {
                return Ok(());
            };
            let mut left = Some(item);
            while let Some(item) = left {
                if is_last && item.part.first() >= taken.item.part.first() {
                    self.lane.advance(&item, taken.total)?;
                    return Ok(());
                }
                left = self.step_aside(&item, &job, refusal)?;
            }
            if is_last {
                return Ok(());
            }
        }
        Ok(())
    }

    fn step_aside(
        &mut self,
        item: &Item,
        job: &Job,
        refusal: &Answer,
    ) -> Result<Option<Item>, SpoolError> {
        let total = job.total();
        let outside: &dyn Outside = self.agent.outside;
        let failures = item.attempts.max(ENOUGH);
        let situation = Situation {
            attempts: failures,
            enqueued: job.entry.header().time,
            now: outside.now(),
            jitter: outside.jitter(),
            may_expire: self.agent.may_expire,
        };
        let decision = decide(&refusal.outcome, &situation, &job.retry());
        let number = job.numbers[item.part.first() as usize];
        if let Ok(message) = job.entry.message(number) {
            self.tell(&decision, job, &message, refusal, 1);
        }
        if let Decision::StepAside { due } = decision {
            self.report.refused += 1;
            Ok(self.lane.step_aside(item, total, due, failures)?)
        } else {
            self.report.failed += 1;
            self.lane.fail_one(item, total)
        }
    }
}
