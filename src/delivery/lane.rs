//! Delivering one endpoint's queue: due messages are attempted in order, until one holds it.
//!
//! A receiver that is *down* holds its queue. A message that it *refuses* steps aside. A problem on
//! this machine (a key that cannot be read) stops the messages of that repository and counts
//! against no receiver. [`super::retry`] decides which; this file carries the decision out.

use std::ops::ControlFlow;

use tokio::time::Instant;

use super::agent::DeliveryAgent;
use super::http::answer::Answer;
use super::origin::Origin;
use super::outcome::Outcome;
use super::receivers::Visit;
use super::result::{LaneReport, Left};
use super::retry::{Decision, Situation, decide};
use super::turn::TURN;
use super::work::{Delivered, ItemOutcome, Job, Work};
use crate::config::Retry;
use crate::payload::Message;
use crate::spool::{Item, Lane, Part, SpoolError};

impl DeliveryAgent<'_> {
    /// Delivers the due messages of a queue, until the queue is empty or held, or time is up.
    ///
    /// `counted` is a request that was counted before, for the case that its receiver is the queue's.
    pub async fn run(&self, lane: &Lane, counted: Option<Visit>) -> Result<LaneReport, SpoolError> {
        let mut work = Work::new(self, lane, counted);
        let done = self.work(&mut work).await;
        // After any end a delivered message is crossed off, and the rest waits.
        let crossed_off = work.cross_off();
        done.and(crossed_off).map(|()| work.report)
    }

    async fn work(&self, work: &mut Work<'_>) -> Result<(), SpoolError> {
        work.deliver_in_order().await?;
        // An endpoint that is down does not get the messages again that it refused before.
        if self.only.is_none() && matches!(work.report.left, None | Some(Left::Fault)) {
            work.retry_refused().await?;
        }
        Ok(())
    }
}

impl Work<'_> {
    /// Returns whether no further attempt begins in this turn.
    fn is_over(&self) -> bool {
        let has_turn = self.agent.only.is_none();
        let is_turn_over = self.began.is_some_and(|began| began.elapsed() >= TURN);
        has_turn && is_turn_over || self.is_ending()
    }

    /// Returns whether the run is to end.
    pub(super) fn is_ending(&self) -> bool {
        self.agent.stop.get() || self.agent.limits.is_over()
    }

    /// Delivers in push order. Entries that arrive meanwhile are delivered too.
    async fn deliver_in_order(&mut self) -> Result<(), SpoolError> {
        let mut settled = false;
        let mut after = None;
        if let Some(only) = self.agent.only
            && self.lane.has_older(only)?
        {
            self.report.left = Some(Left::Older);
            return Ok(());
        }
        loop {
            self.cross_off()?;
            let mut waiting = self.lane.waiting_after(after.as_ref())?;
            let mut in_order = waiting.in_order.into_iter().peekable();
            while let Some(item) = in_order.next() {
                if self.agent.only.is_some_and(|only| *only != item.id) {
                    self.report.left = Some(Left::Older);
                    return Ok(());
                }
                self.next = in_order
                    .peek()
                    .filter(|_| self.agent.only.is_none())
                    .cloned();
                match self.item(item).await? {
                    ItemOutcome::Settled => settled = true,
                    ItemOutcome::Changed => {
                        // From the beginning, so that nothing overtakes it.
                        waiting.rest_after = None;
                        settled = true;
                        break;
                    }
                    ItemOutcome::Blocked => self.report.left = Some(Left::Fault),
                    ItemOutcome::Held(left) => {
                        self.report.left = Some(left);
                        return Ok(());
                    }
                }
                if self.agent.only.is_some() {
                    return Ok(());
                }
            }
            after = waiting.rest_after;
            if after.is_none() && !std::mem::take(&mut settled) {
                return Ok(());
            }
        }
    }

    /// Tries refused messages again. Each waits for itself.
    async fn retry_refused(&mut self) -> Result<(), SpoolError> {
        let mut after = None;
        self.next = None;
        loop {
            self.cross_off()?;
            let waiting = self.lane.waiting_after(after.as_ref())?;
            for item in waiting.refused {
                let left = match self.item(item).await? {
                    // Each waits for itself; one that was changed is taken the next time.
                    ItemOutcome::Settled | ItemOutcome::Changed => continue,
                    ItemOutcome::Blocked => Left::Fault,
                    ItemOutcome::Held(left) => left,
                };
                let is_down = matches!(
                    left,
                    Left::Failed { .. } | Left::OutOfTime | Left::Crowded | Left::Down { .. }
                );
                self.report.left.get_or_insert(left);
                if is_down {
                    return Ok(());
                }
            }
            after = waiting.rest_after;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    pub(super) async fn item(&mut self, item: Item) -> Result<ItemOutcome, SpoolError> {
        match self.deliver(item).await {
            Err(error) if error.is_gone() => Ok(ItemOutcome::Changed),
            came => came,
        }
    }

    async fn deliver(&mut self, item: Item) -> Result<ItemOutcome, SpoolError> {
        // An older entry may be missing here. The process that distributes looks at this queue
        // again.
        if matches!(item.part, Part::From(_)) && self.lane.is_arriving(&item) {
            return Ok(ItemOutcome::Held(Left::Older));
        }
        let longest = Retry::default().longest_delay();
        let now = self.agent.outside.now();
        let is_probe = self.agent.is_probe && matches!(item.part, Part::From(_));
        let far_ahead = !is_probe && item.due > now + longest;
        if !is_probe && !far_ahead && !item.is_due(now, longest) {
            return Ok(ItemOutcome::Held(Left::NotDue));
        }
        let job = match self.prepare(&item)? {
            ControlFlow::Continue(job) => job,
            ControlFlow::Break(next) => return Ok(next),
        };
        // Only the repository's own schedule can tell a long delay from a clock that was wrong.
        if far_ahead && !item.is_due(now, job.retry().longest_delay()) {
            return Ok(ItemOutcome::Held(Left::NotDue));
        }
        self.lane.ensure_room(&item)?;
        self.messages(item, &job).await
    }

    /// Counts the turn among the requests to its receiver. Returns the reason if it cannot go on.
    fn visit(&mut self, job: &Job) -> Option<Left> {
        let origin = Origin::of(&job.endpoint().url);
        let known = self.visit.as_ref();
        if known.is_some_and(|visit| visit.origin == origin) {
            return None;
        }
        self.visit = None;
        self.report.receiver = Some(origin.clone());
        let (key, now) = (self.key(), self.agent.outside.now());
        let counted = self.counted.take();
        // A message is given up after an attempt alone, however long its receiver is down.
        let age = now.duration_since(job.entry.header().time);
        let is_old = age.is_ok_and(|age| age > job.retry().give_up_after);
        let waits = !(self.agent.is_probe || is_old && self.agent.may_expire);
        let receivers = &self.agent.receivers;
        match receivers.visit(&origin, &key, (now, waits), counted) {
            Ok(visit) => {
                self.visit = Some(visit);
                None
            }
            Err(left) => Some(left),
        }
    }

    /// Sends an item's messages, one after another.
    async fn messages(&mut self, mut item: Item, job: &Job) -> Result<ItemOutcome, SpoolError> {
        let total = job.total();
        loop {
            if self.is_over() {
                return Ok(ItemOutcome::Held(Left::OutOfTime));
            }
            let message = match job.message(&item.id, item.part.first()) {
                Some(Ok(message)) => message,
                None => {
                    self.lane.remove(&item)?;
                    return Ok(ItemOutcome::Settled);
                }
                Some(Err(error)) if error.is_corrupt() => {
                    self.set_aside(&item, &error)?;
                    return Ok(ItemOutcome::Settled);
                }
                Some(Err(error)) => return Err(error.into()),
            };
            if message.fault().is_some() {
                self.cross_off()?;
                match self.put_by(&item, job, &message, total)? {
                    Some(rest) => item = rest,
                    None => return Ok(ItemOutcome::Settled),
                }
                continue;
            }
            if let Some(crowded) = self.visit(job) {
                return Ok(ItemOutcome::Held(crowded));
            }
            self.began.get_or_insert_with(Instant::now);
            let (answer, crossed_off) = self.attempt(&item, job, &message).await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(unsent) => {
                    let repository = job.entry.header().repository.clone();
                    self.fault(repository, unsent.notice(job.endpoint()));
                    crossed_off?;
                    return Ok(ItemOutcome::Blocked);
                }
            };
            if answer.is_timeout() && self.agent.limits.has_cut_off() {
                self.record_cut_off(&item, job, &message, answer, total);
                crossed_off?;
                return Ok(ItemOutcome::Held(Left::OutOfTime));
            }
            let answer = answer.for_item(&item);
            let settled = self.settle(&item, job, &message, &answer, total)?;
            crossed_off?;
            match settled {
                ControlFlow::Continue(Some(rest)) => item = rest,
                ControlFlow::Continue(None) => return Ok(ItemOutcome::Settled),
                ControlFlow::Break(()) if self.pass(&item, job, &answer).await? => {
                    return Ok(ItemOutcome::Changed);
                }
                ControlFlow::Break(()) => {
                    return Ok(ItemOutcome::Held(Left::Failed {
                        why: answer.outcome_text(),
                        for_pusher: answer.outcome_for_pusher(),
                    }));
                }
            }
        }
    }

    /// Logs and counts an attempt that the run's own limit cut off.
    ///
    /// The receiver is not at fault, and its schedule stays.
    fn record_cut_off(
        &mut self,
        item: &Item,
        job: &Job,
        message: &Message,
        answer: Answer,
        total: u32,
    ) {
        let answer = answer.cut_off();
        let attempt = self.attempt_line(item, job, message, &answer);
        let decision = Decision::Hold { due: item.due };
        self.count_attempt(item, job, &answer, &attempt, (&decision, total));
        self.log(&attempt);
    }

    /// Moves a message whose template could not be rendered to `failed/`. Returns the rest of the
    /// item.
    fn put_by(
        &mut self,
        item: &Item,
        job: &Job,
        message: &Message,
        total: u32,
    ) -> Result<Option<Item>, SpoolError> {
        let (line, notice) = self.unrendered(item, job, message);
        self.log(&line);
        self.report.notices.push(notice);
        self.report.failed += 1;
        self.lane.fail_one(item, total)
    }

    /// Carries out the decision about an answer.
    ///
    /// Breaks if the message holds the queue, else returns the rest of the item.
    fn settle(
        &mut self,
        item: &Item,
        job: &Job,
        message: &Message,
        answer: &Answer,
        total: u32,
    ) -> Result<ControlFlow<(), Option<Item>>, SpoolError> {
        let outside = self.agent.outside;
        let situation = Situation {
            attempts: item.attempts,
            // Not the time of the id, which runs ahead after a clock that did.
            enqueued: job.entry.header().time,
            now: outside.now(),
            jitter: match answer.outcome {
                // Nothing is put off.
                Outcome::Delivered { .. } => 0.0,
                _ => outside.jitter(),
            },
            may_expire: self.agent.may_expire,
        };
        let failures = item.attempts.saturating_add(1);
        let attempt = self.attempt_line(item, job, message, answer);
        let decision = decide(&answer.outcome, &situation, &job.retry());
        let decision = self.learn(item, job, answer, decision);
        self.count_attempt(item, job, answer, &attempt, (&decision, total));
        if let Decision::Done = decision {
            self.report.delivered += 1;
            if item.is_last(total) {
                let item = item.clone();
                self.delivered = Some(Delivered {
                    item,
                    total,
                    attempt,
                });
                return Ok(ControlFlow::Continue(None));
            }
        }
        self.log(&attempt);
        self.tell(&decision, job, message, answer, failures);
        match decision {
            Decision::Done => Ok(ControlFlow::Continue(self.lane.advance(item, total)?)),
            Decision::Hold { due } => {
                if due != item.due {
                    self.lane.defer(item, due, failures)?;
                }
                Ok(ControlFlow::Break(()))
            }
            Decision::StepAside { due } => {
                self.report.refused += 1;
                let rest = self.lane.step_aside(item, total, due, failures)?;
                Ok(ControlFlow::Continue(rest))
            }
            Decision::GiveUp if answer.outcome.is_about_the_endpoint() => {
                self.report.failed += 1;
                self.lane.fail_rest(item)?;
                Ok(ControlFlow::Break(()))
            }
            Decision::GiveUp => {
                self.report.failed += 1;
                Ok(ControlFlow::Continue(self.lane.fail_one(item, total)?))
            }
        }
    }
}
