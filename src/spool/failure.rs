//! An endpoint that fails, as flushes tell each other.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::encoding;

/// An endpoint that failed at its last attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its scheme, host and port: `https://ci.example.org:443`.
    pub receiver: String,
    /// True if the receiver could not be reached, or gave no answer.
    pub by_transport: bool,
    /// True if the receiver answered another queue since: this one is tried soon.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_woken: bool,
    /// The extent of the failure, as far as the queue's own attempt showed.
    #[serde(default, skip_serializing_if = "Extent::is_path")]
    pub extent: Extent,
    /// Time of the first of the failures.
    #[serde(with = "encoding::time")]
    pub since: SystemTime,
    /// Time of the last attempt.
    #[serde(with = "encoding::time")]
    pub last: SystemTime,
    /// Time of the next attempt in the schedule.
    #[serde(with = "encoding::time")]
    pub next: SystemTime,
    /// Time before which the receiver wants no attempt (`Retry-After`, RFC 9110, 10.2.3).
    #[serde(with = "encoding::time")]
    pub not_before: SystemTime,
    /// By the message (entry and number): number of answers that may be about it, not about the
    /// receiver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, u32>,
}

/// The extent of a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// The path of the queue's endpoint at least.
    #[default]
    Path,
    /// All paths of the receiver: DNS, a connection or TLS failed.
    Receiver,
    /// Unknown: another queue could not reach the receiver, and this one was not tried since.
    Untried,
}

impl Extent {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
    fn is_path(&self) -> bool {
        *self == Self::Path
    }
}
