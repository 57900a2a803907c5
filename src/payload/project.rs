//! The project that a message is about, and the accounts behind e-mails.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// An account of the git server, as messages name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Account {
    /// The person's name.
    pub fullname: String,
    /// The account's name.
    pub name: String,
}

/// Accounts by e-mail, exactly as the e-mail stands in commits.
pub type People = BTreeMap<String, Account>;

/// `msg.repo`: the project as Pagure keeps it in its database. Fields are in the order of their
/// names, which is the order of the wire.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(
    missing_docs,
    reason = "the names are Pagure's; docs/reference/payloads.md lists them"
)]
pub struct Project {
    pub access_groups: AccessGroups,
    pub access_users: AccessUsers,
    pub close_status: Vec<Value>,
    pub custom_keys: Vec<Value>,
    pub date_created: String,
    pub date_modified: String,
    pub description: String,
    pub full_url: String,
    pub fullname: String,
    pub id: u64,
    pub milestones: BTreeMap<String, Value>,
    pub name: String,
    pub namespace: Option<String>,
    pub parent: Option<Value>,
    pub priorities: BTreeMap<String, Value>,
    pub tags: Vec<String>,
    pub url_path: String,
    pub user: User,
}

/// `msg.repo.user`: the account that owns the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are Pagure's")]
pub struct User {
    pub full_url: String,
    pub fullname: String,
    pub name: String,
    pub url_path: String,
}

/// `msg.repo.access_users`: account names by what they may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
#[allow(missing_docs, reason = "the names are Pagure's")]
pub struct AccessUsers {
    pub admin: Vec<String>,
    pub collaborator: Vec<String>,
    pub commit: Vec<String>,
    pub owner: Vec<String>,
    pub ticket: Vec<String>,
}

/// `msg.repo.access_groups`: group names by what they may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
#[allow(missing_docs, reason = "the names are Pagure's")]
pub struct AccessGroups {
    pub admin: Vec<String>,
    pub collaborator: Vec<String>,
    pub commit: Vec<String>,
    pub ticket: Vec<String>,
}
