//! Wire formats: turns the changes of refs into the bytes of messages' bodies.
//!
//! ```text
//! sent, authors, pagure     Pagure's
//! forge                     GitHub's, GitLab's, Gitea's and Forgejo's: the requests for a change
//! context                   the data that their messages name: project, people, ends of a change
//! addresses                 addresses of a project, and of the pages of its commits
//! commits                   the commits that a body lists, within a length
//! wording                   dates, paths in URLs, numbers without a database
//! github, gitlab, gitea     the formats
//! slack                     a text for people
//! project, allowance        the project; the length that bodies may have
//! ```
//!
//! Everything here is pure. The body is serialised once; those bytes are stored, signed and
//! sent.

mod addresses;
mod allowance;
mod authors;
mod commits;
mod context;
pub mod forge;
mod format;
mod gitea;
mod github;
mod gitlab;
pub mod pagure;
mod project;
pub mod sent;
mod slack;
mod wording;

pub use addresses::{AddressPattern, Addresses, Configured};
pub use allowance::Allowance;
pub use context::Context;
pub use format::{Format, is_reserved_header};
pub use project::{AccessGroups, AccessUsers, Account, People, Project, User};
pub use wording::number as derived_id;

/// A message, frozen: a repeat of it carries the same bytes and the same `msg_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The wire format of the body, which also decides on the signatures.
    pub format: Format,
    /// The kind of event, in the format's own words.
    pub topic: String,
    /// Unique to this message; a receiver tells a repeat by it.
    pub msg_id: String,
    /// The project's full name at the time, for the header of that name.
    pub project: String,
    /// Full name of the ref that the message is about, as text; empty for a topic that is about
    /// none. Endpoints choose by it.
    pub reference: String,
    /// The format's headers, without signatures; Pagure's are made when the message is sent.
    pub headers: Vec<(String, String)>,
    /// Old and new value of the ref, as hex, if the message is about one.
    pub ends: Option<[String; 2]>,
    /// The body's bytes.
    pub body: Vec<u8>,
}
