//! Data that messages of forges' formats name: the project, people, the ends of a change.

use super::addresses::host;
use super::commits::{self, Extent};
use super::wording::{self, Utc, number};
use super::{Addresses, Format, People, Project};
use crate::event::{Commit, Oid, RefChange, RefKind, Signature, Tip};

/// Data that all messages of one push have in common.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The instance's URL, ending in `/`.
    pub instance: &'a str,
    /// The project, whole.
    pub project: &'a Project,
    /// Addresses of the project.
    pub addresses: &'a Addresses,
    /// Accounts by the e-mails of authors.
    pub people: &'a People,
    /// Account name of the pusher.
    pub pusher: &'a str,
    /// The short name of the branch that HEAD names, if it names one.
    pub default_branch: Option<&'a str>,
    /// True if ids are SHA-256.
    pub is_sha256: bool,
    /// Most commits that a message lists; `None`: as many as the format has it.
    pub max_commits: Option<usize>,
}

/// A person, or a group, with an account.
pub(super) struct Person {
    pub(super) login: String,
    pub(super) fullname: Option<String>,
    pub(super) email: Option<String>,
    pub(super) id: u64,
    pub(super) is_group: bool,
}

impl<'a> Context<'a> {
    /// Returns the most commits that a message of this format lists.
    #[must_use]
    pub fn most_commits(&self, format: Format) -> usize {
        self.max_commits.unwrap_or(format.most_commits())
    }

    pub(super) fn branch(&self) -> &'a str {
        // HEAD is at a commit itself: its own name is no branch's.
        self.default_branch.unwrap_or("HEAD")
    }

    pub(super) fn host(&self) -> String {
        host(self.instance)
    }

    /// Returns OWNER/NAME.
    pub(super) fn full_name(&self) -> String {
        match self.project.namespace {
            Some(_) => self.project.fullname.clone(),
            None => format!("{}/{}", self.project.user.name, self.project.name),
        }
    }

    /// Returns the pusher.
    pub(super) fn pusher(&self) -> Person {
        self.account(self.pusher)
    }

    /// Returns the namespace, or else the account that owns the project.
    pub(super) fn owner(&self) -> Person {
        match &self.project.namespace {
            Some(namespace) => Person {
                login: namespace.clone(),
                fullname: None,
                email: None,
                id: number(&format!("user/{namespace}")),
                is_group: true,
            },
            None => self.account(&self.project.user.name),
        }
    }

    fn account(&self, login: &str) -> Person {
        let mut known = self.people.iter();
        let known = known.find(|(_, account)| account.name == login);
        Person {
            login: login.to_owned(),
            fullname: known.map(|(_, account)| account.fullname.clone()),
            email: known.map(|(email, _)| email.clone()),
            id: number(&format!("user/{login}")),
            is_group: false,
        }
    }

    /// Returns the account of the person who made a commit, if known.
    pub(super) fn login(&self, signature: &Signature) -> Option<&'a str> {
        let account = self.people.get(&signature.email)?;
        Some(&account.name)
    }

    /// Returns the number of the web-hook.
    pub(super) fn hook(&self) -> u64 {
        number(&format!("hook/{}", self.project.fullname))
    }

    /// Returns the times at which the project was made and changed, in seconds since the epoch.
    pub(super) fn dates(&self) -> [u64; 2] {
        let project = self.project;
        [&project.date_created, &project.date_modified].map(|date| date.parse().unwrap_or(0))
    }
}

/// A change of a ref, seen with the context of its messages.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) change: &'a RefChange,
    pub(super) context: Context<'a>,
}

impl<'a> Seen<'a> {
    pub(super) fn is_created(&self) -> bool {
        self.change.update.old.is_none()
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.change.update.new.is_none()
    }

    pub(super) fn is_tag(&self) -> bool {
        self.change.update.name.kind() == RefKind::Tag
    }

    /// Returns `branch` or `tag`.
    pub(super) fn ref_type(&self) -> &'static str {
        if self.is_tag() { "tag" } else { "branch" }
    }

    pub(super) fn before(&self) -> String {
        self.change.update.digits(self.change.update.old)
    }

    pub(super) fn after(&self) -> String {
        self.change.update.digits(self.change.update.new)
    }

    /// Returns the commit that the ref leads to now. `None` if the ref is gone. A commit that
    /// cannot be read has its id alone.
    pub(super) fn head(&self) -> Option<Commit> {
        let details = self.change.details.as_ref();
        let id = commit_of(self.change.new.as_ref()?)?;
        let head = details.and_then(|details| details.head.clone());
        Some(head.unwrap_or_else(|| Commit {
            id,
            tree: id,
            message: String::new(),
            is_cut: false,
            author: Signature::default(),
            committer: Signature::default(),
            files: None,
        }))
    }

    /// Returns the newest commits that are listed, the newest first, at most `count`.
    pub(super) fn newest(&self, count: usize) -> &'a [Commit] {
        let listed = commits::listed(self.change);
        &listed[..listed.len().min(count)]
    }
}

/// Commits that a body lists.
pub(super) struct Lists<'a> {
    pub(super) commits: &'a [Commit],
    pub(super) head: Option<&'a Commit>,
    /// Number of commits of the change.
    pub(super) total: usize,
}

impl Lists<'_> {
    /// Makes a body with as much in it as there is room for. Returns it, and the headers that tell
    /// which parts are left out.
    pub(super) fn within<T: serde::Serialize>(
        &self,
        longest: usize,
        body: impl Fn(Extent) -> T,
    ) -> (Vec<u8>, Vec<(String, String)>) {
        let all: Vec<&Commit> = self.commits.iter().chain(self.head).collect();
        let (bytes, extent) = commits::within(&all, self.commits.len(), longest, body);
        (bytes, commits::headers(extent, self.total))
    }
}

/// Returns the commit that a tip leads to; for one that cannot be read, its object.
pub(super) fn commit_of(tip: &Tip) -> Option<Oid> {
    tip.commit.or(tip.incomplete.then_some(tip.object))
}

/// Returns a date of the project as text (RFC 3339).
pub(super) fn date(seconds: u64) -> String {
    wording::rfc3339(seconds, 0, Utc::Zulu)
}
