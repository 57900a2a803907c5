//! What a person was told of a receiver.

use serde::{Deserialize, Serialize};

/// What a person was told of a receiver. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToldReceiver {
    /// Time at which a person was last told that it fails.
    pub failing: Option<u64>,
    /// Total of messages given up that a person knows of.
    pub given_up: u64,
    /// Time at which a person was last told of those.
    pub given_up_told: u64,
}
