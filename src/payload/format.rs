//! The wire formats: their names, topics and limits.

use serde::{Deserialize, Serialize};

/// A wire format, by the name that it has in the configuration and in the spool.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Pagure's web-hooks.
    #[default]
    Pagure,
    /// GitHub's.
    Github,
    /// GitLab's.
    Gitlab,
    /// Gitea's.
    Gitea,
    /// Forgejo's: Gitea's with more headers.
    Forgejo,
    /// Slack's incoming web-hooks: a text for people.
    Slack,
    /// A body that an endpoint's template makes of the facts.
    Template,
}

/// Beginnings of the headers that formats set, in lower case.
const RESERVED: [&str; 9] = [
    "x-pagure",
    "x-github-",
    "x-hub-signature",
    "x-gitlab-",
    "x-gitea-",
    "x-gogs-",
    "x-forgejo-",
    "x-refpost-",
    "webhook-",
];

/// Returns whether a header, its name in lower case, is a format's own.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    name == "idempotency-key" || RESERVED.iter().any(|start| name.starts_with(start))
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 7] = [
        Self::Pagure,
        Self::Github,
        Self::Gitlab,
        Self::Gitea,
        Self::Forgejo,
        Self::Slack,
        Self::Template,
    ];

    /// Returns the format of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Returns the format's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pagure => "pagure",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::Slack => "slack",
            Self::Template => "template",
        }
    }

    /// Returns whether an endpoint of this format needs no key: a chat knows by the URL who may post,
    /// and a template's receiver may know no signature.
    #[must_use]
    pub fn needs_no_key(self) -> bool {
        matches!(self, Self::Slack | Self::Template)
    }

    /// Returns the topics of its messages. `None` if there are others than those of pushes.
    #[must_use]
    pub fn topics(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Pagure => None,
            Self::Github | Self::Gitea | Self::Forgejo => Some(&["push", "create", "delete"]),
            Self::Gitlab | Self::Slack | Self::Template => Some(&["push", "tag_push"]),
        }
    }

    /// Returns the topics for an endpoint that asks for none: those that a forge's own form ticks.
    /// An empty list is all of them.
    #[must_use]
    pub fn default_topics(self) -> &'static [&'static str] {
        match self {
            Self::Github | Self::Gitea | Self::Forgejo => &["push"],
            Self::Pagure | Self::Gitlab | Self::Slack | Self::Template => &[],
        }
    }

    /// Returns the most commits that a message lists, unless the configuration says it.
    #[must_use]
    pub fn most_commits(self) -> usize {
        match self {
            Self::Pagure => 0,
            Self::Gitlab | Self::Template => 20,
            Self::Slack => 10,
            Self::Github | Self::Gitea | Self::Forgejo => 2048,
        }
    }
}
