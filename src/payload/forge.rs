//! Turns a change of a ref into the requests of GitHub's, GitLab's, Gitea's and Forgejo's web-hooks
//! (docs/reference/payloads.md, "Forges' formats").

use super::context::{Context, Seen, commit_of};
use super::pagure::Stamp;
use super::{Format, Message, facts, gitea, github, gitlab, slack};
use crate::event::{RefChange, RefKind};
use crate::json;

/// Returns the topics of the messages that tell of a change, in their order. Forges tell of
/// branches and tags that lead to commits, and of nothing else.
#[must_use]
pub fn topics(change: &RefChange, format: Format) -> &'static [&'static str] {
    let kind = change.update.name.kind();
    let end = change.new.as_ref().or(change.old.as_ref());
    if kind == RefKind::Other || end.and_then(commit_of).is_none() {
        return &[];
    }
    let (old, new) = (change.update.old, change.update.new);
    match (format, kind) {
        (Format::Pagure, _) => &[],
        (Format::Gitlab | Format::Slack | Format::Template, RefKind::Tag) => &["tag_push"],
        (Format::Gitlab | Format::Slack | Format::Template, _) => &["push"],
        (Format::Gitea | Format::Forgejo, RefKind::Branch) if old.is_none() => &["create", "push"],
        (Format::Gitea | Format::Forgejo, RefKind::Branch) if new.is_none() => &["delete"],
        _ if old.is_none() => &["push", "create"],
        _ if new.is_none() => &["push", "delete"],
        _ => &["push"],
    }
}

/// Returns the message of this topic and format about a change, no longer than `longest` if leaving
/// parts out makes it so.
#[must_use]
pub fn message(
    change: &RefChange,
    (format, topic): (Format, &str),
    context: Context<'_>,
    stamp: &Stamp,
    longest: usize,
) -> Message {
    let seen = Seen { change, context };
    let (body, left_out) = match format {
        Format::Github => github::body(topic, seen, stamp, longest),
        Format::Gitlab => gitlab::body(seen, longest),
        Format::Slack => (slack::body(seen, longest), Vec::new()),
        Format::Template => (facts::body(topic, seen, stamp, longest), Vec::new()),
        Format::Gitea | Format::Forgejo => gitea::body(topic, seen, longest),
        Format::Pagure => unreachable!("Pagure's messages are made of events"),
    };
    let mut message = frozen((format, topic), context, stamp, body);
    message.reference = change.update.name.full();
    message.headers.extend(left_out);
    message
}

/// Returns the test message of a format, for which no receiver starts a build. `receiver` is the
/// scheme and host that it goes to; `wanted` are the topics that are wanted there.
#[must_use]
pub fn ping(
    format: Format,
    context: Context<'_>,
    stamp: &Stamp,
    (receiver, wanted): (&str, &[&str]),
) -> Message {
    let body = match format {
        Format::Github => json::to_bytes(&github::ping(context, stamp, receiver, wanted)),
        Format::Gitlab => json::to_bytes(&gitlab::ping(context)),
        Format::Slack => slack::ping(context),
        Format::Template => facts::ping(context, stamp),
        Format::Gitea | Format::Forgejo => json::to_bytes(&gitea::ping(context)),
        Format::Pagure => unreachable!("Pagure's test message is one of any topic"),
    };
    let topic = if format == Format::Gitlab {
        "test"
    } else {
        "ping"
    };
    frozen((format, topic), context, stamp, body)
}

fn frozen(
    (format, topic): (Format, &str),
    context: Context<'_>,
    stamp: &Stamp,
    body: Vec<u8>,
) -> Message {
    let delivery = stamp.delivery();
    let owned = |headers: Vec<(&str, String)>| {
        let headers = headers.into_iter();
        headers
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    };
    let headers = match format {
        Format::Github => owned(github::headers(topic, context, delivery)),
        Format::Gitlab => owned(gitlab::headers(topic, context, delivery)),
        Format::Gitea => gitea::headers(topic, &["Gitea", "Gogs"], delivery),
        Format::Forgejo => gitea::headers(topic, &["Forgejo", "Gitea", "Gogs"], delivery),
        Format::Pagure | Format::Slack | Format::Template => Vec::new(),
    };
    Message {
        format,
        topic: topic.to_owned(),
        msg_id: stamp.msg_id.clone(),
        project: context.project.fullname.clone(),
        reference: String::new(),
        headers,
        ends: None,
        template: None,
        body,
    }
}
