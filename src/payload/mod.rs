//! Wire formats: what became of a ref goes in, the bytes of a message's body come out.
//!
//! Everything here is pure. The body is serialised once; those bytes are what is
//! stored, signed and sent.

mod allowance;
mod authors;
pub mod pagure;
mod project;
pub mod sent;

pub use allowance::Allowance;
pub use project::{AccessGroups, AccessUsers, Account, People, Project, User};

/// A wire format, by the name that it has in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Pagure's web-hooks.
    Pagure,
}

/// A message, frozen: a repeat of it carries the same bytes and the same `msg_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The wire format of the body, which also decides the headers.
    pub format: Format,
    /// The kind of event, in the format's own words.
    pub topic: String,
    /// Unique to this message; a receiver tells a repeat by it.
    pub msg_id: String,
    /// The project's full name at the time, for the header of that name.
    pub project: String,
    /// The full name of the ref that it is about, as text; empty for a topic
    /// that is about none. Endpoints choose by it.
    pub reference: String,
    /// The body's bytes.
    pub body: Vec<u8>,
}
