//! The records of a delivery: lines of the log, and notices for a person.

use super::http::answer::Answer;
use super::outcome::{Outcome, Reason};
use super::result::{About, Notice, Words};
use super::retry::Decision;
use super::work::{Job, Work};
use crate::payload::Message;
use crate::report::chain;
use crate::spool::{Attempt, Header, Item, Status};

impl Work<'_> {
    /// Adds a notice about a message that the receiver did not take, for whoever waits for it.
    pub(super) fn tell(
        &mut self,
        decision: &Decision,
        job: &Job,
        message: &Message,
        answer: &Answer,
        failures: u32,
    ) {
        let what = match decision {
            Decision::GiveUp => "given up, kept in `failed/`",
            Decision::StepAside { .. } if failures == 1 => "the others pass",
            _ => return,
        };
        let text = |name: &str, outcome: &str| {
            format!(
                "cannot deliver {} of `{}` to `{name}`: it {outcome}; {what}",
                message.topic, message.project,
            )
        };
        let hint = answer
            .broken
            .as_ref()
            .and_then(|broken| broken.hint.clone());
        let hint = hint.unwrap_or_else(|| {
            "`refpost status` and `refpost log` tell more, `refpost queue retry` tries again"
                .to_owned()
        });
        let endpoint = job.endpoint();
        self.report.notices.push(Notice {
            admin: Words {
                text: text(&endpoint.name, &answer.outcome_text()),
                hint: Some(hint),
            },
            pusher: Words {
                text: text(&endpoint.name_for_pusher(), &answer.outcome_for_pusher()),
                hint: None,
            },
            about: About::Receiver,
        });
    }

    /// Returns the log line and the notice for an item whose endpoint is no longer configured.
    pub(super) fn not_configured(&self, item: &Item, header: &Header) -> (Attempt, Notice) {
        let queue = self.lane.queue();
        let endpoint = header.endpoint(queue).unwrap_or(queue.as_str());
        let line = Attempt {
            time: self.agent.outside.now(),
            repository: header.repository.clone(),
            endpoint: endpoint.to_owned(),
            msg_id: String::new(),
            topic: String::new(),
            reference: String::new(),
            id: item.id.to_string(),
            attempt: item.attempts,
            status: Status::Error("failed".to_owned()),
            ms: 0,
            note: Some("not configured".to_owned()),
        };
        let text = format!(
            "endpoint `{endpoint}` of `{}` is no longer configured: what waited is in `failed/`",
            header.repository.display(),
        );
        let hint = format!(
            "`refpost queue move {endpoint} NEW` hands it to another endpoint, `refpost queue \
             drop --endpoint {endpoint}` removes it"
        );
        (line, Notice::open(text, Some(hint)))
    }

    /// Returns the log line and the notice for a message whose template could not be rendered.
    pub(super) fn unrendered(
        &self,
        item: &Item,
        job: &Job,
        message: &Message,
    ) -> (Attempt, Notice) {
        let (endpoint, fault) = (job.endpoint(), message.fault().unwrap_or_default());
        let line = Attempt {
            time: self.agent.outside.now(),
            repository: job.entry.header().repository.clone(),
            endpoint: endpoint.name.clone(),
            msg_id: message.msg_id.clone(),
            topic: message.topic.clone(),
            reference: message.reference.clone(),
            id: item.id.to_string(),
            attempt: item.attempts,
            status: Status::Error("template".to_owned()),
            ms: 0,
            note: Some(fault.to_owned()),
        };
        let hint = format!("mend the template, then: refpost queue retry {}", item.id);
        let notice = Notice {
            admin: Words {
                text: unrendered(&endpoint.name, fault),
                hint: Some(hint),
            },
            pusher: Words {
                text: unrendered(&endpoint.name_for_pusher(), fault),
                hint: None,
            },
            about: About::Message,
        };
        (line, notice)
    }

    pub(super) fn attempt_line(
        &self,
        item: &Item,
        job: &Job,
        message: &Message,
        answer: &Answer,
    ) -> Attempt {
        let status = match &answer.outcome {
            Outcome::Delivered { status }
            | Outcome::Refused { status, .. }
            | Outcome::Down {
                reason: Reason::Status(status),
                ..
            } => Status::Http(*status),
            Outcome::Gone => Status::Http(410),
            Outcome::TooLarge => Status::Http(413),
            Outcome::Down {
                reason: Reason::Transport(word) | Reason::Answer(word),
                ..
            } => Status::Error((*word).to_owned()),
        };
        let cause = answer.broken.as_ref().map(|broken| broken.cause.clone());
        let words = (answer.words.clone()).filter(|_| !status.is_success());
        Attempt {
            time: self.agent.outside.now(),
            repository: job.entry.header().repository.clone(),
            endpoint: job.endpoint().name.clone(),
            msg_id: message.msg_id.clone(),
            topic: message.topic.clone(),
            reference: message.reference.clone(),
            id: item.id.to_string(),
            attempt: item.attempts.saturating_add(1),
            status,
            ms: u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
            note: cause.or(words),
        }
    }

    /// Logs the first request of an attempt that took two.
    pub(super) fn log_retried(
        &mut self,
        item: &Item,
        job: &Job,
        message: &Message,
        answer: &Answer,
    ) {
        let Some(broken) = &answer.retried else {
            return;
        };
        let first = Answer::broken(broken.clone(), answer.took);
        let mut line = self.attempt_line(item, job, message, &first);
        line.note = Some(format!(
            "{}; a connection that was kept, made anew at once",
            broken.cause
        ));
        self.log(&line);
    }

    /// Appends a line to the log. An error becomes a notice and stops no delivery.
    pub(super) fn log(&mut self, attempt: &Attempt) {
        if let Err(error) = self.log.append(attempt) {
            let notice = Notice::open(chain(&error), None);
            self.report.notices.push(notice);
        }
    }
}

/// Returns the line that tells of a message whose template cannot be rendered.
#[must_use]
pub fn unrendered(endpoint: &str, fault: &str) -> String {
    format!("cannot render a message for `{endpoint}`, which is kept in `failed/`: {fault}")
}
