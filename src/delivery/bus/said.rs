//! The words of a broker, and their meaning. Pure.

use std::time::Duration;

use rustls::{AlertDescription, InvalidMessage};

use crate::config::EndpointUrl;
use crate::delivery::http::answer::{Answer, Broken, Unanswered};
use crate::delivery::http::fault::Fault;
use crate::delivery::http::tls;
use crate::delivery::outcome::{Outcome, Reason};
use crate::report::printable;

/// AMQP's code of success, which stands for a confirm (`reply-success`).
const CONFIRMED: u16 = 200;
/// AMQP's `access-refused`.
const ACCESS_REFUSED: u16 = 403;
/// AMQP's `precondition-failed`, with which large messages are refused.
const PRECONDITION_FAILED: u16 = 406;
/// AMQP's `content-too-large`.
const CONTENT_TOO_LARGE: u16 = 311;
/// Status of a message whose body is not of this format.
const BAD_REQUEST: u16 = 400;

/// Part of `RabbitMQ`'s text about a message that is too large.
const TOO_LARGE: &str = "message size";

/// Number of characters of a broker's text that are kept.
const KEPT: usize = 200;

/// Errors of the system that mean a want of file descriptors: `EMFILE`, `ENFILE`.
const WANT_OF_FILES: [i32; 2] = [24, 23];

/// The answer of a broker to a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It has the message: `basic.ack`.
    Confirmed,
    /// No queue is bound for the message: `basic.return`.
    Returned,
    /// It does not take the message: `basic.nack`.
    Nacked,
    /// It closed the channel, with this code and text.
    ClosedChannel(u16, String),
    /// It closed the connection, with this code and text.
    ClosedConnection(u16, String),
    /// The connection broke.
    Lost,
}

impl Said {
    /// Returns whether the connection and its channel can be used again.
    pub(super) fn keeps(&self) -> bool {
        matches!(self, Self::Confirmed | Self::Returned | Self::Nacked)
    }

    /// Returns the meaning of the answer.
    pub(super) fn answer(self, url: &EndpointUrl, took: Duration) -> Answer {
        let down = |reason, broken| {
            (
                Outcome::Down {
                    reason,
                    retry_after: None,
                },
                Some(broken),
            )
        };
        let answered = |word, cause: &str| {
            let broken = Broken::new(word, cause.to_owned(), None);
            down(Reason::Answer(word), broken)
        };
        let (outcome, broken) = match self {
            Self::Confirmed => (Outcome::Delivered { status: CONFIRMED }, None),
            Self::Returned => answered("unroutable", "no queue is bound for the message"),
            Self::Nacked => answered("nacked", "the broker does not take the message (nack)"),
            Self::ClosedChannel(code, text) => {
                let broken = Broken::new("channel", words(code, &text, url), None);
                let is_about_the_topic = text.contains("access to topic '");
                match code {
                    ACCESS_REFUSED if is_about_the_topic => {
                        let refused = Outcome::Refused {
                            status: code,
                            retry_after: None,
                        };
                        (refused, Some(broken))
                    }
                    PRECONDITION_FAILED | CONTENT_TOO_LARGE => (Outcome::TooLarge, Some(broken)),
                    _ => down(Reason::Answer("channel"), broken),
                }
            }
            Self::ClosedConnection(code, text) => {
                let cause = format!("the broker closed: {}", words(code, &text, url));
                return Answer::broken(Broken::new("closed", cause, None), took);
            }
            Self::Lost => return Answer::broken(lost(), took),
        };
        Answer {
            outcome,
            broken,
            words: None,
            retried: None,
            took,
        }
    }
}

/// Returns the same answer as one about the broker: of a whole entry nothing is refused for what
/// it is. One that is too large steps aside until the broker takes it.
///
/// All entries on their way have the answer to it, and `RabbitMQ`'s text has its length.
pub(super) fn about_the_broker(mut answer: Answer, length: usize) -> Answer {
    let own = format!("{TOO_LARGE} {length} ");
    let too_large = answer.broken.as_mut();
    if let Some(broken) = too_large.filter(|broken| broken.cause.contains(&own)) {
        broken.cause += ": raise its `max_message_size`, or `refpost queue drop` the entry";
        answer.outcome = Outcome::Refused {
            status: CONTENT_TOO_LARGE,
            retry_after: None,
        };
        return answer;
    }
    match answer.outcome {
        Outcome::Delivered { .. } | Outcome::Down { .. } => answer,
        _ => Answer {
            outcome: Outcome::Down {
                reason: Reason::Answer("channel"),
                retry_after: None,
            },
            ..answer
        },
    }
}

/// Returns the answer in place of one to a message whose body cannot be published.
pub(super) fn not_pagures(took: Duration) -> Answer {
    let cause = "its body is not one of format `pagure`".to_owned();
    Answer {
        outcome: Outcome::Refused {
            status: BAD_REQUEST,
            retry_after: None,
        },
        broken: Some(Broken::new("body", cause, None)),
        words: None,
        retried: None,
        took,
    }
}

/// Returns the failure of a connection that broke, or that sent something other than AMQP.
pub(super) fn lost() -> Broken {
    Broken::new(
        "connection",
        "the connection to the broker broke".to_owned(),
        None,
    )
}

/// Returns the failure of a connection on which something other than AMQP came.
pub(super) fn garbled() -> Broken {
    Broken::new(
        "connection",
        "what the broker sent is not AMQP 0-9-1".to_owned(),
        None,
    )
}

/// Returns the meaning of a failure to open a connection, from the library's text.
///
/// `tls` is the error with which a certificate was rejected.
pub(super) fn unopened(text: &str, tls: Option<rustls::Error>, url: &EndpointUrl) -> Unanswered {
    let system = text.rsplit_once("(os error ").and_then(|(_, number)| {
        let number = number.split(')').next()?;
        number.parse().ok()
    });
    if let Some(code) = system.filter(|code| WANT_OF_FILES.contains(code)) {
        return Unanswered::Fault(Fault::Files(std::io::Error::from_raw_os_error(code)));
    }
    let host = url.expose().host_str().unwrap_or_default();
    if let Some(error) = tls.or_else(|| handshake_error(text)) {
        let explained = tls::explain(&error, host);
        let (cause, hint) = explained.unwrap_or_else(|| (error.to_string(), None));
        return Unanswered::Broken(Broken::new("tls", cause, hint));
    }
    let closed = [
        "peer shutdown",
        "connection interrupted",
        "reset by peer",
        "Broken pipe",
        "close_notify",
    ];
    let broken = if closed.iter().any(|own| text.contains(own)) {
        let hint = "the broker's log tells which".to_owned();
        let cause = "the broker closed: wrong user, certificate or vhost?".to_owned();
        Broken::new("connection", cause, Some(hint))
    } else if text.contains("authentication '") {
        let hint = "RabbitMQ has `EXTERNAL` once its plugin rabbitmq_auth_mechanism_ssl is enabled \
                    and named in `auth_mechanisms`";
        let cause = "the broker does not offer this way to log in".to_owned();
        Broken::new("connection", cause, Some(hint.to_owned()))
    } else if let Some((code, reason)) = closing(text) {
        let cause = format!("the broker closed: {}", words(code, reason, url));
        Broken::new("closed", cause, None)
    } else if system.is_some() {
        let cause = text.rsplit("error: ").next().unwrap_or(text);
        Broken::new("connect", cause.to_owned(), None)
    } else {
        garbled()
    };
    Unanswered::Broken(broken)
}

/// Returns the TLS error that a text tells of, among those that have an explanation.
fn handshake_error(text: &str) -> Option<rustls::Error> {
    let alerts = [
        AlertDescription::CertificateRequired,
        AlertDescription::BadCertificate,
        AlertDescription::UnknownCA,
        AlertDescription::CertificateUnknown,
        AlertDescription::CertificateExpired,
        AlertDescription::AccessDenied,
        AlertDescription::ProtocolVersion,
        AlertDescription::HandshakeFailure,
    ];
    let alerts = alerts.into_iter().map(rustls::Error::AlertReceived);
    let plain = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
    let mut known = alerts.chain([plain]);
    known.find(|error| text.contains(&error.to_string()))
}

/// Returns code and text of the `Close` frame that the library quotes.
fn closing(text: &str) -> Option<(u16, &str)> {
    let (_, code) = text.split_once("reply_code: ")?;
    let (code, rest) = code.split_once(',')?;
    let (_, reason) = rest.split_once('"')?;
    let (reason, _) = reason.split_once('"')?;
    Some((code.parse().ok()?, reason))
}

/// Returns a broker's text for a person, without the secret parts of the URL.
fn words(code: u16, text: &str, url: &EndpointUrl) -> String {
    let (user, password) = url.login();
    let mut secrets = url.secrets();
    secrets.extend(
        [url.virtual_host(), user, password]
            .into_iter()
            .filter(|it| it.len() > 1),
    );
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret.as_str(), "…");
    }
    let text: String = text.chars().take(KEPT).collect();
    let text = printable(&text);
    match text.trim() {
        "" => code.to_string(),
        text => format!("{code} {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> EndpointUrl {
        let text = "url = \"amqps://jo:hidden@b.example/%2Fpubsub\"\nname = \"bus\"";
        let text = format!("[[endpoint]]\n{text}\n");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).expect("a mode");
        let loaded = crate::config::load(&file, true, None, "h").expect("a configuration");
        loaded.settings.endpoints[0].url.clone()
    }

    fn outcome(said: Said) -> Outcome {
        said.answer(&url(), Duration::ZERO).outcome
    }

    #[test]
    fn every_answer_has_one_meaning() {
        let down = |reason| Outcome::Down {
            reason,
            retry_after: None,
        };
        let closed = |code, text: &str| Said::ClosedChannel(code, text.to_owned());
        let topic = "ACCESS_REFUSED - access to topic 'a' in exchange 'amq.topic' refused";
        let exchange = "ACCESS_REFUSED - access to exchange 'amq.topic' in vhost '/' refused";
        let table = [
            (Said::Confirmed, Outcome::Delivered { status: 200 }),
            (Said::Returned, down(Reason::Answer("unroutable"))),
            (Said::Nacked, down(Reason::Answer("nacked"))),
            (
                closed(403, topic),
                Outcome::Refused {
                    status: 403,
                    retry_after: None,
                },
            ),
            (closed(403, exchange), down(Reason::Answer("channel"))),
            (
                closed(404, "NOT_FOUND - no exchange"),
                down(Reason::Answer("channel")),
            ),
            (
                closed(406, "PRECONDITION_FAILED - message size"),
                Outcome::TooLarge,
            ),
            (closed(541, ""), down(Reason::Answer("channel"))),
            (
                Said::ClosedConnection(320, String::new()),
                down(Reason::Transport("closed")),
            ),
            (Said::Lost, down(Reason::Transport("connection"))),
        ];
        for (said, expected) in table {
            assert_eq!(outcome(said.clone()), expected, "{said:?}");
        }
    }

    #[test]
    fn a_brokers_text_shows_no_part_of_the_url() {
        let text = "NOT_FOUND - in vhost '/pubsub' for 'jo'\u{1b}[2J hidden";
        let answer = Said::ClosedChannel(404, text.to_owned()).answer(&url(), Duration::ZERO);
        let shown = answer.outcome_text();
        for part in ["pubsub", "'jo'", "hidden", "\u{1b}"] {
            assert!(!shown.contains(part), "{shown}");
        }
        assert!(shown.contains("404 NOT_FOUND"), "{shown}");
        assert!(!answer.outcome_for_pusher().contains("vhost"));
    }

    #[test]
    fn a_connection_that_was_not_opened_has_a_cause() {
        let closed = "AMQP connection open error: failed to open connection, reason: Close(\
                      MethodHeader, Close { reply_code: 530, reply_text: ShortStr(9, \"NOT_ALLOWED\
                      \"), class_id: 10, method_id: 40 })";
        let table = [
            (
                "AMQP network error: network io error: Connection refused (os error 111)",
                "connect",
                "Connection refused",
            ),
            (
                "AMQP network error: peer shutdown",
                "connection",
                "wrong user",
            ),
            (
                "AMQP network error: network io error: Connection reset by peer (os error 104)",
                "connection",
                "wrong user",
            ),
            (
                "AMQP network error: network io error: received fatal alert: CertificateRequired",
                "tls",
                "client certificate",
            ),
            (
                "AMQP connection open error: authentication 'EXTERNAL' is not supported by server",
                "connection",
                "log in",
            ),
            (closed, "closed", "530 NOT_ALLOWED"),
            (
                "AMQP network error: serde error: x",
                "connection",
                "not AMQP",
            ),
        ];
        for (text, word, part) in table {
            let Unanswered::Broken(broken) = unopened(text, None, &url()) else {
                panic!("{text}");
            };
            let answer = Answer::broken(broken, Duration::ZERO);
            let reason = Reason::Transport(word);
            assert_eq!(
                answer.outcome,
                Outcome::Down {
                    reason,
                    retry_after: None
                },
                "{text}"
            );
            assert!(
                answer.outcome_text().contains(part),
                "{}",
                answer.outcome_text()
            );
        }
        let files = "AMQP network error: network io error: Too many open files (os error 24)";
        let unopened = unopened(files, None, &url());
        assert!(matches!(unopened, Unanswered::Fault(Fault::Files(_))));
    }
}
