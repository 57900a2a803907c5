//! One attempt of a lane, and the work for its neighbours meanwhile: the message before it is
//! logged and crossed off, the entry after it is opened.

use super::agent::DeliveryAgent;
use super::http::answer::Answer;
use super::http::fault::Fault;
use super::http::request::Request;
use super::result::{About, Notice, Words};
use super::work::{Delivered, Job, Work};
use crate::config::{Endpoint, KeyError};
use crate::payload::Message;
use crate::report::chain;
use crate::spool::{Item, SpoolError};

impl Work<'_> {
    /// Makes an attempt.
    ///
    /// While the answer is awaited, the message before this one is logged and crossed off, and the
    /// entry after this one is opened, so that neither waits for the other.
    pub(super) async fn attempt(
        &mut self,
        item: &Item,
        job: &Job,
        message: &Message,
    ) -> (Result<Answer, Unsent>, Result<(), SpoolError>) {
        let sent = Self::send(self.agent, job, message);
        let meanwhile = async {
            // Lets the request go out first.
            tokio::task::yield_now().await;
            self.cross_off()?;
            self.look_ahead();
            Ok(())
        };
        let (sent, crossed_off) = futures_util::future::join(sent, meanwhile).await;
        if let Ok(answer) = &sent {
            self.log_retried(item, job, message, answer);
        }
        (sent, crossed_off)
    }

    /// Logs and crosses off the message that was delivered last.
    ///
    /// Crash before, with the next message under way: both are delivered again, in their order. No
    /// third one is sent before this is done.
    pub(super) fn cross_off(&mut self) -> Result<(), SpoolError> {
        if let Some(Delivered {
            item,
            total,
            attempt,
        }) = self.delivered.take()
        {
            self.log(&attempt);
            self.lane.advance(&item, total)?;
        }
        Ok(())
    }

    /// Opens the next entry. Errors are found when its turn comes.
    fn look_ahead(&mut self) {
        let Some(item) = self.next.take() else { return };
        let Ok(entry) = self.lane.open(&item) else {
            return;
        };
        self.ready = Some((item, entry));
    }

    async fn send(
        agent: &DeliveryAgent<'_>,
        job: &Job,
        message: &Message,
    ) -> Result<Answer, Unsent> {
        let DeliveryAgent {
            outside,
            client,
            limits,
            ..
        } = agent;
        let variable = |name: &str| outside.variable(name);
        let credentials = job.endpoint().credentials(&variable, outside.now())?;
        let request = Request::new(message, &job.settings.instance, credentials);
        let limit = limits.cut(job.endpoint().timeout);
        Ok(client
            .post(
                job.endpoint(),
                &job.settings.network,
                &request,
                limit,
                outside.now(),
            )
            .await?)
    }
}

/// The reason for which nothing was sent, to be corrected on this machine.
pub(super) struct Unsent {
    admin: Words,
    pusher: Words,
}

impl Unsent {
    pub(super) fn notice(self, endpoint: &Endpoint) -> Notice {
        let to = |name: &str, words: Words| Words {
            text: format!("cannot send to `{name}`: {}", words.text),
            hint: words.hint,
        };
        Notice {
            admin: to(&endpoint.name, self.admin),
            pusher: to(&endpoint.name_for_pusher(), self.pusher),
            about: About::Blocked,
        }
    }
}

impl From<KeyError> for Unsent {
    fn from(error: KeyError) -> Self {
        let words = Words {
            text: chain(&error),
            hint: error.hint(),
        };
        Self {
            admin: words.clone(),
            pusher: words,
        }
    }
}

impl From<Fault> for Unsent {
    fn from(fault: Fault) -> Self {
        Self {
            admin: Words {
                text: chain(&fault),
                hint: fault.hint(),
            },
            pusher: Words {
                text: fault.for_pusher().to_owned(),
                hint: None,
            },
        }
    }
}
