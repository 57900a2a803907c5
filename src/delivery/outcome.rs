//! The outcome of one attempt, and whose fault a failure is.

use std::time::{Duration, SystemTime};

/// Longest time that a receiver can ask refpost to wait.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The outcome of one attempt (one POST).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has the message.
    Delivered {
        /// 2xx.
        status: u16,
    },
    /// The receiver takes nothing at the moment: the next message would fare the same.
    Down {
        /// The sign of it.
        reason: Reason,
        /// Time that the receiver asked refpost to wait.
        retry_after: Option<Duration>,
    },
    /// The receiver answers, but does not want this message: the next one may pass.
    Refused {
        /// Neither 2xx nor a status of another variant.
        status: u16,
        /// Time that the receiver asked refpost to wait.
        retry_after: Option<Duration>,
    },
    /// 410: the receiver says it has gone for good.
    ///
    /// Only a person can confirm this, so its queue is held.
    Gone,
    /// 413: the receiver would refuse these bytes again.
    TooLarge,
}

/// The sign that an endpoint is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An HTTP status that means "not now".
    Status(u16),
    /// An answer without a status, of a bus: `nacked`, `unroutable`, …
    Answer(&'static str),
    /// No answer at all. The word names the failure: `timeout`, `dns`, `tls`, …
    Transport(&'static str),
}

impl Outcome {
    /// Returns whether the endpoint accepts no message at all, rather than not this one.
    #[must_use]
    pub fn is_about_the_endpoint(&self) -> bool {
        matches!(self, Self::Down { .. } | Self::Gone)
    }

    /// Returns the meaning of an answer with this status.
    ///
    /// A redirect is not followed, so 3xx is a refusal: a person has to correct the URL.
    #[must_use]
    pub fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            200..=299 => Self::Delivered { status },
            408 | 425 | 429 | 500..=599 => Self::Down {
                reason: Reason::Status(status),
                retry_after,
            },
            410 => Self::Gone,
            413 => Self::TooLarge,
            _ => Self::Refused {
                status,
                retry_after,
            },
        }
    }
}

/// Parses a `Retry-After` header (RFC 9110, 10.2.3): seconds or a date, one hour at most.
///
/// Another value is ignored. A date in the past is zero.
#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number with more digits than fit still asks for a long time.
        value
            .parse()
            .map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        until.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_meaning() {
        let delivered = |status| Outcome::Delivered { status };
        let down = |status| Outcome::Down {
            reason: Reason::Status(status),
            retry_after: None,
        };
        let refused = |status| Outcome::Refused {
            status,
            retry_after: None,
        };
        for status in 0..1000 {
            let expected = match status {
                200..=299 => delivered(status),
                408 | 425 | 429 | 500..=599 => down(status),
                410 => Outcome::Gone,
                413 => Outcome::TooLarge,
                other => refused(other),
            };
            assert_eq!(Outcome::of_status(status, None), expected, "{status}");
        }
    }

    #[test]
    fn the_receivers_wish_is_kept() {
        let wait = Some(Duration::from_secs(7));
        for status in [429, 503, 404, 302] {
            let (Outcome::Down { retry_after, .. } | Outcome::Refused { retry_after, .. }) =
                Outcome::of_status(status, wait)
            else {
                panic!("{status}");
            };
            assert_eq!(retry_after, wait, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // 1994-11-06 08:49:37 UTC, the date of RFC 9110's examples.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 120);
        let table: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("90", Some(90)),
            (" 90\t", Some(90)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(120)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(120)),
            ("Sun Nov  6 08:49:37 1994", Some(120)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
            ("Sun, 06 Nov 2050 08:49:37 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            ("１２", None),
        ];
        for (value, seconds) in table {
            assert_eq!(
                retry_after(value, now),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }
}
