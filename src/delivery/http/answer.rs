//! What came of an attempt: an answer, or what broke instead.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;

use super::address::{Forbidden, Unresolved};
use super::fault::Fault;
use super::tls;
use crate::config::EndpointUrl;
use crate::delivery::outcome::{Outcome, Reason};
use crate::report::chain;
use crate::spool::is_want_of_files;

/// The log's word for an attempt that took too long.
const TIMEOUT: &str = "timeout";
/// The log's word for a handshake that failed.
const TLS: &str = "tls";

/// What came of an attempt.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What it means.
    pub outcome: Outcome,
    /// What broke, if there was no answer.
    pub broken: Option<Broken>,
    /// The beginning of the answer's body.
    pub body: Vec<u8>,
    /// What broke a connection that had been kept, before the request was made anew.
    pub retried: Option<Broken>,
    /// How long the attempt took.
    pub took: Duration,
}

/// What broke.
#[derive(Clone, Debug)]
pub struct Broken {
    /// One word, for the log.
    word: &'static str,
    /// In the words of the system, or better ones.
    pub cause: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Why there is no answer.
pub(in crate::delivery) enum Unanswered {
    /// It is ours to mend.
    Fault(Fault),
    /// The receiver, or the way to it, is down.
    Broken(Broken),
}

impl<F: Into<Fault>> From<F> for Unanswered {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

impl Answer {
    pub(in crate::delivery) fn broken(broken: Broken, took: Duration) -> Self {
        Self {
            outcome: Outcome::Down {
                reason: Reason::Transport(broken.word),
                retry_after: None,
            },
            broken: Some(broken),
            body: Vec::new(),
            retried: None,
            took,
        }
    }

    /// Whether it is the time limit that ended the attempt.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.broken
            .as_ref()
            .is_some_and(|broken| broken.word == TIMEOUT)
    }

    /// What it came to, for a person: `answered 200`, `is down: connection refused`.
    #[must_use]
    pub fn outcome_text(&self) -> String {
        self.text(|broken| &broken.cause)
    }

    /// The same for whoever pushes: what a certificate says is not for everybody.
    #[must_use]
    pub fn outcome_for_pusher(&self) -> String {
        self.text(|broken| match broken.word {
            TLS => "TLS fails",
            _ => &broken.cause,
        })
    }

    fn text(&self, cause: impl Fn(&Broken) -> &str) -> String {
        match &self.outcome {
            Outcome::Delivered { status } => format!("answered {status}"),
            Outcome::Refused { status, .. } => format!("refused it with {status}"),
            Outcome::Gone => "answered 410: it says that it is gone for good".to_owned(),
            Outcome::TooLarge => "answered 413: the message is too large for it".to_owned(),
            Outcome::Down {
                reason: Reason::Status(status),
                ..
            } => format!("is down: it answered {status}"),
            Outcome::Down {
                reason: Reason::Transport(word),
                ..
            } => {
                let cause = self.broken.as_ref().map_or(*word, cause);
                format!("is down: {cause}")
            }
        }
    }
}

impl Broken {
    pub(in crate::delivery) fn timeout() -> Self {
        Self {
            word: TIMEOUT,
            cause: "timed out".to_owned(),
            hint: None,
        }
    }
}

impl Unanswered {
    /// What our own rules forbade is a fault of ours; all else is the receiver's, or
    /// of what lies between.
    pub(in crate::delivery) fn of(error: &legacy::Error, url: &EndpointUrl) -> Self {
        let causes = causes(error);
        let mut systems = causes.iter().filter_map(|cause| cause.downcast_ref());
        if let Some(error) = systems.find(|error| is_want_of_files(error)) {
            let code = error.raw_os_error().unwrap_or_default();
            return Self::Fault(Fault::Files(io::Error::from_raw_os_error(code)));
        }
        let is_timeout = |cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut;
        let mut systems = causes.iter().filter_map(|cause| cause.downcast_ref());
        if systems.any(is_timeout) {
            return Self::Broken(Broken::timeout());
        }
        let forbidden = causes
            .iter()
            .find_map(|cause| cause.downcast_ref::<Forbidden>());
        if let Some(forbidden) = forbidden {
            return Self::Fault(forbidden.clone().into());
        }
        let tls = causes
            .iter()
            .find_map(|cause| cause.downcast_ref::<rustls::Error>());
        let is_unresolved = causes.iter().any(|cause| cause.is::<Unresolved>());
        let word = match tls {
            _ if is_unresolved => "dns",
            Some(_) => TLS,
            None if error.is_connect() => "connect",
            None => "connection",
        };
        let host = url.expose().host_str().unwrap_or_default();
        let explained = tls.and_then(|tls| tls::explain(tls, host));
        let last = *causes.last().expect("an error is its own first cause");
        let (cause, hint) = explained.unwrap_or_else(|| (chain(last), None));
        Self::Broken(Broken { word, cause, hint })
    }
}

/// The error and all that lies behind it. What an [`io::Error`] wraps is one of
/// them: its own `source` skips that.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut causes = vec![error];
    while let Some(&last) = causes.last() {
        let wrapped = last
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => last.source(),
        };
        match next {
            Some(next) => causes.push(next),
            None => break,
        }
    }
    causes
}
