//! AMQP 0-9-1: publishes messages, and takes entries from queues. The only user of amqprs.
//!
//! ```text
//! publication  message + endpoint → key, properties, headers, body (pure)
//! said         the words of a broker, and their meaning (pure)
//! client       publication → Answer; connections that are kept
//! consumer     messages of a queue → a place where they are durable
//! probe        whether a broker has all that entries need
//! thread       a thread of its own for each connection
//! route        the way to a broker: nodes, and addresses that may be dialled
//! link         a connection and its channel
//! ```
//!
//! amqprs panics on what a broker should not send, and its tasks outlive an attempt that is given
//! up. So each connection has a thread and a runtime of its own: a panic ends that connection, and
//! giving one up ends all that belongs to it. Its own logic for connecting again is not used.

/// Name of the threads with a connection to a broker. A panic on one is a failed attempt, which is
/// told.
pub const THREAD: &str = "bus";

#[cfg(feature = "amqp")]
pub(super) mod client;
#[cfg(feature = "amqp")]
pub(super) mod consumer;
#[cfg(feature = "amqp")]
mod link;
#[cfg_attr(not(feature = "amqp"), path = "no_probe.rs")]
pub(super) mod probe;
pub(super) mod publication;
#[cfg(feature = "amqp")]
mod route;
#[cfg(feature = "amqp")]
mod said;
#[cfg(feature = "amqp")]
mod thread;
