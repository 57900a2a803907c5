//! Pagure's web-hook format: envelope, `msg`, authors (docs/payloads.md).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::authors::{AuthorEntry, Authors};
use super::project::{People, Project};
use super::{Format, Message};
use crate::event::{Change, Event, Received, RefKind};
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

/// How much of an event is told, more to less.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// All of it.
    Whole,
    /// Without the changed files.
    NoFiles,
    /// Without them, and with a few authors only.
    FewAuthors,
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
    authors_truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    pagure_instance: &'a str,
    project_fullname: &'a str,
    repo: &'a Project,
    rev: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_authors: Option<usize>,
}

#[derive(Serialize)]
struct ReceiveMessage<'a> {
    agent: &'a str,
    authors: Vec<AuthorEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authors_truncated: Option<bool>,
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
    total_authors: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_changed_files: Option<usize>,
    total_commits: usize,
}

/// The message of an event, no longer than `longest` if what can be left out makes
/// it so: the changed files, then all but the first authors. What cannot be left out
/// is sent at any length.
#[must_use]
pub fn message(event: &Event, context: Context<'_>, stamp: &Stamp, longest: usize) -> Message {
    let topic = topic(event);
    let within = |fill| body(event, fill, context, stamp, longest);
    let body = within(Fill::Whole)
        .or_else(|| within(Fill::NoFiles))
        .or_else(|| within(Fill::FewAuthors))
        .or_else(|| body(event, Fill::FewAuthors, context, stamp, usize::MAX))
        .expect("memory takes every byte");
    Message {
        format: Format::Pagure,
        topic: topic.to_owned(),
        msg_id: stamp.msg_id.clone(),
        project: context.project.fullname.clone(),
        reference: event.name.full(),
        body,
    }
}

/// The body, unless it is longer than `longest`.
fn body(
    event: &Event,
    fill: Fill,
    context: Context<'_>,
    stamp: &Stamp,
    longest: usize,
) -> Option<Vec<u8>> {
    let rev = match &event.change {
        Change::Received(received) => {
            let msg = receive(event, received, fill, context);
            return envelope(topic(event), &msg, stamp, longest);
        }
        Change::Created { rev } | Change::Deleted { rev } => rev,
    };
    let is_branch = event.name.kind() == RefKind::Branch;
    let authors = authors(event, fill, context);
    let msg = RefMessage {
        agent: context.pusher,
        authors: authors.listed,
        authors_truncated: authors.total.map(|_| true),
        branch: is_branch.then(|| event.name.short()),
        pagure_instance: context.instance,
        project_fullname: &context.project.fullname,
        repo: context.project,
        rev: rev.to_string(),
        tag: (!is_branch).then(|| event.name.short()),
        total_authors: authors.total,
    };
    envelope(topic(event), &msg, stamp, longest)
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
        body: envelope(topic, &msg, stamp, usize::MAX).expect("memory takes every byte"),
    }
}

fn envelope(topic: &str, msg: &impl Serialize, stamp: &Stamp, longest: usize) -> Option<Vec<u8>> {
    let whole = Envelope {
        i: stamp.i,
        msg,
        msg_id: &stamp.msg_id,
        timestamp: stamp.timestamp,
        topic,
    };
    json::to_bytes_within(&whole, longest)
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

fn receive<'a>(
    event: &Event,
    received: &'a Received,
    fill: Fill,
    context: Context<'a>,
) -> ReceiveMessage<'a> {
    let files = &received.changed_files;
    let listed = match fill {
        Fill::Whole => &files.listed[..],
        Fill::NoFiles | Fill::FewAuthors => &[],
    };
    let truncated = files.more || files.total > listed.len();
    let authors = authors(event, fill, context);
    ReceiveMessage {
        agent: context.pusher,
        authors: authors.listed,
        authors_truncated: authors.total.map(|_| true),
        branch: match event.name.kind() {
            RefKind::Branch => event.name.short(),
            RefKind::Tag | RefKind::Other => event.name.full(),
        },
        changed_files: listed
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
        total_authors: authors.total,
        total_commits: received.total_commits,
        total_changed_files: truncated.then_some(files.total),
    }
}

fn authors(event: &Event, fill: Fill, context: Context<'_>) -> Authors {
    Authors::of(event, context).cut(fill == Fill::FewAuthors)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
