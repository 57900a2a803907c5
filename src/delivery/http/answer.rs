//! The result of an attempt: an answer, or the failure in its place.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;

use super::address::{Forbidden, Unresolved};
use super::connect::Handshake;
use super::fault::Fault;
use super::tls;
use crate::config::EndpointUrl;
use crate::delivery::outcome::{Outcome, Reason};
use crate::report::chain;
use crate::spool::is_want_of_files;

/// The log's word for an attempt that took too long.
const TIMEOUT: &str = "timeout";
/// The log's word for an attempt whose answer a push waited for no longer.
const BUDGET: &str = "budget";
/// The log's word for a handshake that failed.
const TLS: &str = "tls";
/// The log's word for a name that has no address.
const DNS: &str = "dns";
/// The log's word for a connection that was not made.
const CONNECT: &str = "connect";
/// The log's word for a connection that broke, or had no answer of HTTP.
const CONNECTION: &str = "connection";
/// The word for an answer that names another URL.
const REDIRECT: &str = "redirect";

/// The log's words for an end that a broker gave its reasons for.
const WITH_REASONS: [&str; 2] = ["channel", "closed"];

/// The result of an attempt.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The meaning of the result.
    pub outcome: Outcome,
    /// The failure, if there was no answer, or what an answer says beyond its status.
    pub broken: Option<Broken>,
    /// The first line of the answer's body, without secrets; not yet made printable.
    pub words: Option<String>,
    /// The failure of a kept connection, before the request was made anew.
    pub retried: Option<Broken>,
    /// Duration of the attempt.
    pub took: Duration,
}

/// A failure below HTTP, the reason that a broker gave, or a redirect.
#[derive(Clone, Debug)]
pub struct Broken {
    /// One word, for the log.
    word: &'static str,
    /// True if no connection was made.
    is_unconnected: bool,
    /// The cause, in the words of the system or in clearer ones.
    pub cause: String,
    /// The advice.
    pub hint: Option<String>,
}

/// The reason for which there is no answer.
pub(in crate::delivery) enum Unanswered {
    /// A problem on this machine, to be corrected here.
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
            words: None,
            retried: None,
            took,
        }
    }

    /// Returns the same answer as one that the push budget ended the wait for.
    pub(in crate::delivery) fn cut_off(self) -> Self {
        let broken = Broken {
            word: BUDGET,
            cause: "no answer before the end of `push_budget`".to_owned(),
            ..Broken::timeout()
        };
        Self {
            retried: self.retried,
            ..Self::broken(broken, self.took)
        }
    }

    /// Returns whether the time limit ended the attempt.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.broken
            .as_ref()
            .is_some_and(|broken| broken.word == TIMEOUT)
    }

    /// Describes the result for the administrator: `answered 200`, `is down: connection refused`.
    #[must_use]
    pub fn outcome_text(&self) -> String {
        self.text(|broken| &broken.cause)
    }

    /// Describes the result for the pusher, without the contents of a certificate and URLs.
    #[must_use]
    pub fn outcome_for_pusher(&self) -> String {
        self.text(|broken| match broken.word {
            TLS => "TLS fails",
            REDIRECT => "it redirects",
            word if WITH_REASONS.contains(&word) => "the broker closed",
            _ => &broken.cause,
        })
    }

    fn text(&self, cause: impl Fn(&Broken) -> &str) -> String {
        match &self.outcome {
            Outcome::Delivered { status } => format!("answered {status}"),
            Outcome::Refused { status, .. } => match &self.broken {
                Some(broken) => format!("refused it with {status}: {}", cause(broken)),
                None => format!("refused it with {status}"),
            },
            Outcome::Gone => "answered 410: it says that it is gone for good".to_owned(),
            Outcome::TooLarge => match &self.broken {
                Some(broken) => format!("refused it as too large: {}", cause(broken)),
                None => "answered 413: the message is too large for it".to_owned(),
            },
            Outcome::Down {
                reason: Reason::Status(status),
                ..
            } => format!("is down: it answered {status}"),
            Outcome::Down {
                reason: Reason::Transport(word) | Reason::Answer(word),
                ..
            } => {
                let cause = self.broken.as_ref().map_or(*word, cause);
                format!("is down: {cause}")
            }
        }
    }
}

impl Broken {
    #[cfg(any(test, feature = "amqp"))]
    pub(in crate::delivery) fn new(
        word: &'static str,
        cause: String,
        hint: Option<String>,
    ) -> Self {
        Self {
            word,
            is_unconnected: is_unconnected(word),
            cause,
            hint,
        }
    }

    /// Makes the description of a redirect to a place, which has no secrets any more.
    pub(super) fn redirect(to: &str) -> Self {
        Self {
            word: REDIRECT,
            is_unconnected: false,
            cause: format!("it redirects to `{to}`"),
            hint: Some(
                "redirects are not followed: configure that URL, if it is the receiver's"
                    .to_owned(),
            ),
        }
    }

    /// Makes the description of an answer that is no HTTP.
    pub(super) fn no_http(url: &EndpointUrl) -> Self {
        let hint = if url.is_encrypted() {
            "is the port right?"
        } else {
            "is the port right, or the URL `https://`?"
        };
        Self {
            word: CONNECTION,
            is_unconnected: false,
            cause: "what answers there does not speak HTTP".to_owned(),
            hint: Some(hint.to_owned()),
        }
    }

    pub(in crate::delivery) fn timeout() -> Self {
        Self {
            word: TIMEOUT,
            is_unconnected: false,
            cause: "timed out".to_owned(),
            hint: None,
        }
    }

    /// Returns whether the failure is the receiver's for all its paths: no connection was made.
    pub(in crate::delivery) fn is_of_all_paths(&self) -> bool {
        self.is_unconnected
    }
}

fn is_unconnected(word: &str) -> bool {
    [DNS, CONNECT, TLS].contains(&word)
}

impl Unanswered {
    /// Converts an error of the client.
    ///
    /// A refusal by refpost's own rules, and the limit of open files, are problems on this machine.
    /// All others are the receiver's, or of the network in between.
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
            return Self::Broken(Broken {
                is_unconnected: error.is_connect(),
                ..Broken::timeout()
            });
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
        let is_handshake = causes.iter().any(|cause| cause.is::<Handshake>());
        let word = match tls {
            _ if is_unresolved => DNS,
            Some(_) => TLS,
            None if is_handshake => TLS,
            None if error.is_connect() => CONNECT,
            None => CONNECTION,
        };
        let host = url.expose().host_str().unwrap_or_default();
        let explained = match tls {
            Some(tls) => tls::explain(tls, host),
            None if is_handshake && causes.iter().any(|cause| is_end(*cause)) => Some((
                "it hung up during the TLS handshake".to_owned(),
                Some("is the port right, or the URL `http://`?".to_owned()),
            )),
            None => None,
        };
        let last = *causes.last().expect("an error is its own first cause");
        let (cause, hint) = explained.unwrap_or_else(|| (chain(last), None));
        Self::Broken(Broken {
            word,
            is_unconnected: is_unconnected(word),
            cause,
            hint,
        })
    }
}

/// Returns whether a cause is the end of a connection.
fn is_end(cause: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let ends = [
        BrokenPipe,
        ConnectionAborted,
        ConnectionReset,
        UnexpectedEof,
    ];
    let error = cause.downcast_ref::<io::Error>();
    error.is_some_and(|error| ends.contains(&error.kind()))
}

/// Returns the error and all its causes.
///
/// The error inside an [`io::Error`] is one of them: its own `source` skips that.
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
