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
//! facts, template, sample   the facts of a change; a body that a template makes of them; facts to
//!                           try a template with
//! escape                    texts of other people, made harmless in a chat
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
mod escape;
mod facts;
pub mod forge;
mod format;
mod gitea;
mod github;
mod gitlab;
pub mod pagure;
mod project;
pub mod sample;
pub mod sent;
mod slack;
mod template;
mod wording;

pub use addresses::{AddressPattern, Addresses, Configured};
pub use allowance::Allowance;
pub use context::Context;
pub use format::{Format, is_reserved_header};
pub use project::{AccessGroups, AccessUsers, Account, People, Project, User};
pub use slack::text as slack_text;
pub use template::{Template, TemplateFault};
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
    /// The endpoint whose template made the body, if one did.
    pub template: Option<Templated>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

/// The endpoint whose template makes a body.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Templated {
    /// The endpoint's name. No other endpoint gets the message.
    pub endpoint: String,
    /// The reason for which the template could not be rendered. The body is the facts then, and is
    /// not to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Properties of a message by which endpoints choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About<'a> {
    /// See [`Message::format`].
    pub format: Format,
    /// See [`Message::topic`].
    pub topic: &'a str,
    /// See [`Message::reference`].
    pub reference: &'a str,
    /// The one endpoint that the message is for, if its template made the body.
    pub endpoint: Option<&'a str>,
}

impl Message {
    /// Returns the properties by which endpoints choose.
    #[must_use]
    pub fn about(&self) -> About<'_> {
        About {
            format: self.format,
            topic: &self.topic,
            reference: &self.reference,
            endpoint: self.template.as_ref().map(|own| &*own.endpoint),
        }
    }

    /// Returns the reason for which its template could not be rendered, if it could not.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.template.as_ref()?.fault.as_deref()
    }
}
