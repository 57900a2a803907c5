//! Pagure's web-hook format: envelope, `msg`, authors (docs/reference/payloads.md).

use std::collections::BTreeMap;

use serde::Serialize;

use super::authors::{AuthorEntry, Authors};
use super::project::{People, Project};
use super::sent::{Change, Event, Received};
use super::{Format, Message};
use crate::event::RefKind;
use crate::json::{self, Object};

/// Length of the longest topic. A topic is a header's value, and stands in lines for people.
const LONGEST_TOPIC: usize = 128;

/// Keys of `msg` by which Pagure's topics name the project: issues and projects, commits, pull
/// requests.
const NAMES_PROJECT: [&str; 3] = ["project", "repo", "pullrequest"];

/// Data that all messages of one push have in common.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The instance's URL, ending in `/`.
    pub instance: &'a str,
    /// The project, whole.
    pub project: &'a Project,
    /// Accounts by the e-mails of authors.
    pub people: &'a People,
    /// Account name of the pusher.
    pub pusher: &'a str,
    /// The pusher's own text about the push.
    pub note: Option<&'a str>,
}

/// Data by which one message differs from all others.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Number of the message among those of one push, from 1.
    pub i: usize,
    /// `<UTC year>-<uuid4>`.
    pub msg_id: String,
    /// Seconds since the epoch.
    pub timestamp: u64,
}

impl Stamp {
    /// Returns the name of the message in other formats: the UUID of its `msg_id`.
    #[must_use]
    pub fn delivery(&self) -> &str {
        delivery(&self.msg_id)
    }
}

/// Returns the UUID of a `msg_id`.
#[must_use]
pub fn delivery(msg_id: &str) -> &str {
    msg_id.split_once('-').map_or(msg_id, |(_, uuid)| uuid)
}

/// Extent to which an event is told, more to less.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// All of it.
    Whole,
    /// Without the changed files.
    NoFiles,
    /// Without them, and with a few authors only.
    FewAuthors,
}

/// The outermost object. Fields are in the order of their names, here and below, which is the order
/// of the wire; a test holds them to it.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
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

/// Returns the message of an event, no longer than `longest` if leaving parts out makes it so:
/// first the changed files, then all but the first authors. Parts that cannot be left out are sent
/// at any length.
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
        headers: Vec::new(),
        ends: None,
        template: None,
        body,
    }
}

/// Returns the body. `None` if longer than `longest`.
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
        incomplete: event.incomplete.then_some(true),
        note: context.note,
        pagure_instance: context.instance,
        project_fullname: &context.project.fullname,
        repo: context.project,
        rev: rev.to_string(),
        tag: (!is_branch).then(|| event.name.short()),
        total_authors: authors.total,
    };
    envelope(topic(event), &msg, stamp, longest)
}

/// Parses a topic that a header can carry: words of letters, digits, `-` and `_`, with dots between
/// them. The forge alone decides which topics exist.
pub fn parse_topic(text: &str) -> Result<String, String> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if text.len() <= LONGEST_TOPIC && text.split('.').all(is_word) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "a topic is at most {LONGEST_TOPIC} ASCII letters, digits, `-` and `_`, in words with \
         `.` between them, such as `issue.comment.added`"
    ))
}

/// Returns the keys of every `msg` that refpost alone sets, with their values.
#[must_use]
pub fn own_keys(context: Context<'_>) -> [(&'static str, &str); 2] {
    [
        ("pagure_instance", context.instance),
        ("project_fullname", &context.project.fullname),
    ]
}

/// Adds the keys of Pagure's messages that can be known and are missing: the pusher, and the
/// project, unless a key names one already.
pub fn complete(msg: &mut Object, context: Context<'_>) {
    let agent = msg.entry("agent".to_owned());
    agent.or_insert_with(|| context.pusher.into());
    if NAMES_PROJECT.iter().all(|key| !msg.contains_key(*key)) {
        let project = serde_json::to_value(context.project);
        let project = project.expect("a project's maps have text for keys");
        msg.insert("project".to_owned(), project);
    }
}

/// Returns a message of any other topic: `msg` keeps its keys and gains the instance and the
/// project's full name.
#[must_use]
pub fn other_message(topic: &str, mut msg: Object, context: Context<'_>, stamp: &Stamp) -> Message {
    for (key, value) in own_keys(context) {
        msg.insert(key.to_owned(), value.into());
    }
    about_no_push(topic, &msg, &context.project.fullname, stamp)
}

/// Returns a message that is about no push, with `msg` as it is.
#[must_use]
pub fn about_no_push(topic: &str, msg: &Object, project: &str, stamp: &Stamp) -> Message {
    Message {
        format: Format::Pagure,
        topic: topic.to_owned(),
        msg_id: stamp.msg_id.clone(),
        project: project.to_owned(),
        reference: String::new(),
        headers: Vec::new(),
        ends: None,
        template: None,
        body: envelope(topic, msg, stamp, usize::MAX).expect("memory takes every byte"),
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

/// Topics that a push can have.
pub const PUSH_TOPICS: [&str; 5] = [
    "git.receive",
    "git.branch.creation",
    "git.branch.deletion",
    "git.tag.creation",
    "git.tag.deletion",
];

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
    let listed = listed.iter();
    let listed = listed.map(|(path, status)| (text(path), status.letter()));
    // Paths that are no UTF-8 may become one key.
    let changed_files: BTreeMap<_, _> = listed.collect();
    let truncated = files.more || files.total > changed_files.len();
    let authors = authors(event, fill, context);
    ReceiveMessage {
        agent: context.pusher,
        authors: authors.listed,
        authors_truncated: authors.total.map(|_| true),
        branch: match event.name.kind() {
            RefKind::Branch => event.name.short(),
            RefKind::Tag | RefKind::Other => event.name.full(),
        },
        changed_files,
        changed_files_truncated: truncated.then_some(true),
        end_commit: received.end_commit.to_string(),
        forced: received.forced,
        incomplete: event.incomplete.then_some(true),
        note: context.note,
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
    let Context {
        people,
        pusher,
        instance,
        ..
    } = context;
    Authors::of(event, people, pusher, instance).cut(fill == Fill::FewAuthors)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
