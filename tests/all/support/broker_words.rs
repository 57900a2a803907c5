//! The words between a client and a broker, and what is seen of a connection.

use std::collections::BTreeMap;

/// A message as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) is_mandatory: bool,
    /// Properties but headers, by their names in AMQP.
    pub(crate) properties: BTreeMap<&'static str, String>,
    /// Headers: type and value, `S:text`.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Number of the connection that it came on.
    pub(crate) connection: usize,
}

/// A connection as it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) name: String,
    pub(crate) mechanism: String,
    pub(crate) response: String,
    pub(crate) virtual_host: String,
    /// Whether the client took leave.
    pub(crate) is_closed_well: bool,
    /// Whether the client is gone, well or not.
    pub(crate) is_gone: bool,
}

/// What a broker says to a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Ack,
    /// To this message and to all before it.
    AckAll,
    Nack,
    Return,
    CloseChannel(u16, &'static str),
    CloseConnection(u16, &'static str),
    /// A method that nobody asked for.
    Unexpected,
    /// Bytes that are no frame.
    Garbage,
    /// Nothing, until the client goes.
    Nothing,
    /// Signs of life and nothing else, and nothing is read any more: an alarm.
    Alarm,
    Reset,
}

/// What a broker says to a client that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Well,
    /// A text where a table belongs.
    BadProperties,
    Garbage,
    Nothing,
    /// The connection is closed, as with a wrong password.
    CloseAtLogin,
    /// There is no such virtual host.
    NoHost,
    /// Whoever wants to take from a queue gets no answer.
    NoConsumers,
    /// Whoever takes from a queue stands by: another is the active consumer.
    Standby,
}
