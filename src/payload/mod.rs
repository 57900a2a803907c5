//! Wire formats: what became of a ref goes in, the bytes of a message's body come out.
//!
//! ```text
//! sent, authors, pagure     Pagure's
//! forge                     what GitHub's, GitLab's, Gitea's and Forgejo's have in common
//! context                   what their messages name: the project, people, ends of a change
//! addresses                 where a project is found, and the pages of its commits
//! commits                   what is listed of a push, within a length
//! wording                   dates, paths in URLs, numbers without a database
//! github, gitlab, gitea     the formats
//! slack                     a text for people
//! project, allowance        the project; how long bodies may be
//! ```
//!
//! Everything here is pure. The body is serialised once; those bytes are what is
//! stored, signed and sent.

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
    /// The wire format of the body, which also decides how it is signed.
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
    /// The format's headers, without signatures; Pagure's are made when it is sent.
    pub headers: Vec<(String, String)>,
    /// Where the ref was and is, as hex, if it is about one.
    pub ends: Option<[String; 2]>,
    /// The body's bytes.
    pub body: Vec<u8>,
}
