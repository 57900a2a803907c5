//! One attempt over AMQP 0-9-1. The only user of amqprs.
//!
//! ```text
//! publication  message + endpoint → key, properties, headers, body (pure)
//! said         the words of a broker, and their meaning (pure)
//! client       publication → Answer; connections that are kept
//! worker       a thread of its own for each connection
//! link         a connection and its channel
//! ```
//!
//! amqprs panics on what a broker should not send, and its tasks outlive an attempt that is given
//! up. So each connection has a thread and a runtime of its own: a panic ends that connection, and
//! giving one up ends all that belongs to it. Its own logic for connecting again is not used.

#[cfg(feature = "amqp")]
pub(super) mod client;
#[cfg(feature = "amqp")]
mod link;
pub(super) mod publication;
#[cfg(feature = "amqp")]
mod said;
#[cfg(feature = "amqp")]
mod worker;
