//! Pagure's web-hook format: envelope, `msg`, authors (docs/payloads.md).

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::project::{Account, People, Project};
use super::{Format, Message};
use crate::event::{Author, Change, Event, Received, RefKind};
use crate::json;

/// What all messages of one push have in common.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The instance's URL, ending in `/`.
    pub instance: &'a str,
    /// The project, whole.
    pub project: &'a Project,
    /// Who the e-mails of authors belong to.
    pub people: &'a People,
    /// The account name of whoever pushed.
    pub pusher: &'a str,
}

/// What makes one message unlike any other.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Counts the messages of one push from 1.
    pub i: usize,
    /// `<UTC year>-<uuid4>`.
    pub msg_id: String,
    /// Seconds since the epoch.
    pub timestamp: u64,
}

/// Fields are in the order of their names, here and below, for that is the
/// order of the wire; a test holds them to it.
#[derive(Serialize)]
struct Envelope<'a, M> {
    i: usize,
    msg: M,
    msg_id: &'a str,
    timestamp: u64,
    topic: &'a str,
}

#[derive(Serialize)]
struct RefMessage<'a> {
    agent: &'a str,
    authors: Vec<AuthorEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    pagure_instance: &'a str,
    project_fullname: &'a str,
    repo: &'a Project,
    rev: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
}

#[derive(Serialize)]
struct ReceiveMessage<'a> {
    agent: &'a str,
    authors: Vec<AuthorEntry>,
    branch: String,
    changed_files: BTreeMap<String, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_files_truncated: Option<bool>,
    end_commit: String,
    forced: bool,
    old_commit: &'a str,
    pagure_instance: &'a str,
    project_fullname: &'a str,
    pull_request_id: Option<u64>,
    repo: &'a Project,
    start_commit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_changed_files: Option<usize>,
    total_commits: usize,
}

#[derive(Serialize)]
struct AuthorEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    full_url: Option<String>,
    fullname: String,
    name: Option<String>,
    url_path: Option<String>,
}

/// The message of an event.
#[must_use]
pub fn message(event: &Event, context: Context<'_>, stamp: &Stamp) -> Message {
    let topic = topic(event);
    let body = match &event.change {
        Change::Created { rev } | Change::Deleted { rev } => {
            let is_branch = event.name.kind() == RefKind::Branch;
            let msg = RefMessage {
                agent: context.pusher,
                authors: authors(&event.authors, context),
                branch: is_branch.then(|| event.name.short()),
                pagure_instance: context.instance,
                project_fullname: &context.project.fullname,
                repo: context.project,
                rev: rev.to_string(),
                tag: (!is_branch).then(|| event.name.short()),
            };
            envelope(topic, &msg, stamp)
        }
        Change::Received(received) => envelope(topic, &receive(event, received, context), stamp),
    };
    Message {
        format: Format::Pagure,
        topic: topic.to_owned(),
        msg_id: stamp.msg_id.clone(),
        project: context.project.fullname.clone(),
        reference: event.name.full(),
        body,
    }
}

/// A message of any other topic: `msg` keeps its keys and gains the instance
/// and the project's full name.
#[must_use]
pub fn other_message(
    topic: &str,
    mut msg: Map<String, Value>,
    context: Context<'_>,
    stamp: &Stamp,
) -> Message {
    msg.insert("pagure_instance".into(), context.instance.into());
    msg.insert(
        "project_fullname".into(),
        context.project.fullname.clone().into(),
    );
    Message {
        format: Format::Pagure,
        topic: topic.to_owned(),
        msg_id: stamp.msg_id.clone(),
        project: context.project.fullname.clone(),
        reference: String::new(),
        body: envelope(topic, &msg, stamp),
    }
}

fn envelope(topic: &str, msg: &impl Serialize, stamp: &Stamp) -> Vec<u8> {
    json::to_bytes(&Envelope {
        i: stamp.i,
        msg,
        msg_id: &stamp.msg_id,
        timestamp: stamp.timestamp,
        topic,
    })
}

fn topic(event: &Event) -> &'static str {
    match (&event.change, event.name.kind()) {
        (Change::Received(_), _) => "git.receive",
        (Change::Created { .. }, RefKind::Branch) => "git.branch.creation",
        (Change::Created { .. }, _) => "git.tag.creation",
        (Change::Deleted { .. }, RefKind::Branch) => "git.branch.deletion",
        (Change::Deleted { .. }, _) => "git.tag.deletion",
    }
}

fn receive<'a>(event: &Event, received: &'a Received, context: Context<'a>) -> ReceiveMessage<'a> {
    let files = &received.changed_files;
    let truncated = files.total > files.listed.len();
    ReceiveMessage {
        agent: context.pusher,
        authors: authors(&event.authors, context),
        branch: match event.name.kind() {
            RefKind::Branch => event.name.short(),
            RefKind::Tag | RefKind::Other => event.name.full(),
        },
        changed_files: files
            .listed
            .iter()
            .map(|(path, status)| (text(path), status.letter()))
            .collect(),
        changed_files_truncated: truncated.then_some(true),
        end_commit: received.end_commit.to_string(),
        forced: received.forced,
        old_commit: &received.old_commit,
        pagure_instance: context.instance,
        project_fullname: &context.project.fullname,
        pull_request_id: None,
        repo: context.project,
        start_commit: received.start_commit.to_string(),
        total_commits: received.total_commits,
        total_changed_files: truncated.then_some(files.total),
    }
}

/// Names each account and each unknown full name once.
fn authors(authors: &[Author], context: Context<'_>) -> Vec<AuthorEntry> {
    let mut named = HashSet::new();
    authors
        .iter()
        .map(|author| entry(author, context))
        .filter(|entry| named.insert((entry.name.clone(), unknown_name(entry))))
        .collect()
}

/// An account is one person under any spelling; without one the full name is
/// all there is to go by.
fn unknown_name(entry: &AuthorEntry) -> Option<String> {
    entry.name.is_none().then(|| entry.fullname.clone())
}

fn entry(author: &Author, context: Context<'_>) -> AuthorEntry {
    match author {
        Author::Person { name, email } => match context.people.get(email) {
            Some(account) => known(account, context.instance),
            None => unknown(name),
        },
        Author::Pusher => {
            let account = context
                .people
                .values()
                .find(|account| account.name == context.pusher);
            match account {
                Some(account) => known(account, context.instance),
                None => unknown(context.pusher),
            }
        }
    }
}

fn known(account: &Account, instance: &str) -> AuthorEntry {
    let url_path = format!("user/{}", account.name);
    AuthorEntry {
        full_url: Some(format!("{instance}{url_path}")),
        fullname: account.fullname.clone(),
        name: Some(account.name.clone()),
        url_path: Some(url_path),
    }
}

fn unknown(fullname: &str) -> AuthorEntry {
    AuthorEntry {
        full_url: None,
        fullname: fullname.to_owned(),
        name: None,
        url_path: None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
