//! The recipients of an entry's messages.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::encoding;
use super::names::queue::Queue;

/// An endpoint and its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The name of the queue's directory.
    pub queue: Queue,
    /// The endpoint's name in the configuration.
    pub endpoint: String,
    /// The messages that it gets.
    pub messages: Selection,
    /// Of the broker: what workers do with the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
}

impl Recipient {
    /// Returns the endpoints that get messages by way of this queue: its own, or those that workers
    /// deliver to.
    #[must_use]
    pub fn endpoints(&self) -> &[Self] {
        match &self.forward {
            Some(forward) => &forward.to,
            None => std::slice::from_ref(self),
        }
    }

    /// Returns those whom a pusher knows, with the queue: the service, or else the endpoints.
    pub fn shares(&self) -> impl Iterator<Item = (&Queue, &Self)> {
        let each = if self.queue.is_service() {
            std::slice::from_ref(self)
        } else {
            self.endpoints()
        };
        each.iter().map(|one| (&self.queue, one))
    }
}

/// The endpoints that workers deliver an entry to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The repository's path below `root`, by which a worker finds its settings.
    #[serde(with = "encoding::path")]
    pub path: PathBuf,
    /// The endpoints. Their queues are those that they have here.
    #[serde(deserialize_with = "encoding::list")]
    pub to: Vec<Recipient>,
}

/// Some of an entry's messages, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selection {
    /// Every message.
    All,
    /// The messages with these numbers.
    Only(#[serde(deserialize_with = "encoding::list")] Vec<usize>),
}
