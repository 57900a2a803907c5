//! Message + endpoint → publication: what Pagure publishes to fedora-messaging. Pure.
//!
//! Key, properties and headers are fedora-messaging's wire format, with the schemas of
//! pagure-messages. All of them come from the frozen message, so that a repeat is the same.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;

use crate::config::Bus;
use crate::payload::Message;
use crate::payload::pagure::delivery;

/// Topics that pagure-messages has a schema for.
const WITH_SCHEMA: [&str; 45] = [
    "Test.notification",
    "commit.flag.added",
    "commit.flag.updated",
    "git.branch.creation",
    "git.branch.deletion",
    "git.receive",
    "git.tag.creation",
    "git.tag.deletion",
    "group.edit",
    "issue.assigned.added",
    "issue.assigned.reset",
    "issue.comment.added",
    "issue.dependency.added",
    "issue.dependency.removed",
    "issue.drop",
    "issue.edit",
    "issue.new",
    "issue.tag.added",
    "issue.tag.removed",
    "project.deleted",
    "project.edit",
    "project.forked",
    "project.group.access.updated",
    "project.group.added",
    "project.group.removed",
    "project.new",
    "project.tag.edited",
    "project.tag.removed",
    "project.user.access.updated",
    "project.user.added",
    "project.user.removed",
    "pull-request.assigned.added",
    "pull-request.assigned.reset",
    "pull-request.closed",
    "pull-request.comment.added",
    "pull-request.comment.edited",
    "pull-request.flag.added",
    "pull-request.flag.updated",
    "pull-request.initial_comment.edited",
    "pull-request.new",
    "pull-request.rebased",
    "pull-request.reopened",
    "pull-request.tag.added",
    "pull-request.tag.removed",
    "pull-request.updated",
];

/// Namespaces whose repositories notifications can be filtered by, and their words in headers.
const PACKAGES: [(&str, &str); 4] = [
    ("rpms", "rpm"),
    ("containers", "container"),
    ("modules", "module"),
    ("flatpaks", "flatpak"),
];

/// Severity `INFO`.
const INFO: i32 = 20;
/// Length of the longest name in a header's name, in bytes. AMQP's names have 255 at most.
const LONGEST_NAME: usize = 200;
/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// A header's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// A text.
    Text(String),
    /// A number.
    Number(i32),
    /// True.
    True,
}

/// A published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication<'a> {
    /// The exchange.
    pub exchange: &'a str,
    /// The routing key.
    pub routing_key: String,
    /// Property `message_id`.
    pub message_id: String,
    /// Headers by name.
    pub headers: BTreeMap<String, Header>,
    /// The value of `msg` in the web-hook's body.
    pub body: &'a [u8],
}

/// Parts of `msg` by which consumers filter. Those that are missing, or of another type, are left out.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Facts {
    agent: Option<String>,
    issue: Option<Subject>,
    pullrequest: Option<Subject>,
    repo: Option<Repo>,
}

/// An issue or a pull request.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Subject {
    user: Option<Account>,
    assignee: Option<Account>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Account {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repo {
    name: Option<String>,
    namespace: Option<String>,
}

impl<'a> Publication<'a> {
    /// Makes the publication of a message. `None` if its body is not a web-hook body of Pagure's
    /// as this format writes it.
    #[must_use]
    pub fn new(message: &'a Message, bus: &'a Bus) -> Option<Self> {
        let (body, timestamp) = msg(message)?;
        let topic = format!("pagure.{}", message.topic);
        let facts: Facts = serde_json::from_slice(body).unwrap_or_default();
        let mut headers = facts.headers(&message.topic);
        let text = |text: &str| Header::Text(text.to_owned());
        let (schema, package) = if WITH_SCHEMA.contains(&message.topic.as_str()) {
            (topic.as_str(), "pagure_messages")
        } else {
            ("base.message", "fedora_messaging")
        };
        headers.extend([
            ("fedora_messaging_schema".to_owned(), text(schema)),
            ("fedora_messaging_schema_package".to_owned(), text(package)),
            ("fedora_messaging_severity".to_owned(), Header::Number(INFO)),
            ("priority".to_owned(), Header::Number(0)),
            ("sent-at".to_owned(), Header::Text(iso(timestamp))),
        ]);
        Some(Self {
            exchange: &bus.exchange,
            routing_key: match &bus.topic_prefix {
                Some(prefix) => format!("{prefix}.{topic}"),
                None => topic,
            },
            message_id: delivery(&message.msg_id).to_owned(),
            headers,
            body,
        })
    }
}

impl Facts {
    /// Returns the headers for filters, as the schemas of pagure-messages have them.
    fn headers(&self, topic: &str) -> BTreeMap<String, Header> {
        let subject = match topic.split_once('.') {
            Some(("issue", _)) => self.issue.as_ref(),
            Some(("pull-request", _)) => self.pullrequest.as_ref(),
            _ => None,
        };
        let accounts = subject.map(|it| [it.user.as_ref(), it.assignee.as_ref()]);
        let accounts = accounts.into_iter().flatten().flatten();
        let users = accounts.filter_map(|account| account.name.as_ref());
        let users = users.chain(&self.agent).map(|name| ("user", name));
        let repo = self.repo.as_ref().filter(|_| topic.starts_with("git."));
        let package = repo.and_then(|repo| {
            let namespace = repo.namespace.as_deref()?;
            let (_, word) = PACKAGES.iter().find(|(own, _)| *own == namespace)?;
            Some((*word, repo.name.as_ref()?))
        });
        let named = users.chain(package);
        let named = named.filter(|(_, name)| name.len() <= LONGEST_NAME);
        named
            .map(|(word, name)| (format!("fedora_messaging_{word}_{name}"), Header::True))
            .collect()
    }
}

/// Returns the bytes of `msg` in a message's body, and the value of `timestamp`.
///
/// Keys are in the order of their names, so that `msg` lies between `i` and `msg_id`.
fn msg(message: &Message) -> Option<(&[u8], u64)> {
    let body = message.body.as_slice();
    let digits = |bytes: &[u8]| bytes.iter().take_while(|it| it.is_ascii_digit()).count();
    let rest = body.strip_prefix(b"{\"i\": ")?;
    let rest = rest.get(digits(rest)..)?.strip_prefix(b", \"msg\": ")?;
    // Nothing behind it can look like it: a number and a topic.
    let behind = format!(", \"msg_id\": \"{}\", \"timestamp\": ", message.msg_id);
    let end = memchr::memmem::rfind(rest, behind.as_bytes())?;
    let (msg, after) = rest.split_at(end);
    let after = after.get(behind.len()..)?;
    let (timestamp, after) = after.split_at(digits(after));
    if after != format!(", \"topic\": \"{}\"}}", message.topic).as_bytes() {
        return None;
    }
    let timestamp: u64 = std::str::from_utf8(timestamp).ok()?.parse().ok()?;
    let is_object = msg.starts_with(b"{") && msg.ends_with(b"}");
    (is_object && timestamp <= LAST_SECOND).then_some((msg, timestamp))
}

/// Returns a time as Python's `isoformat` writes it.
fn iso(seconds: u64) -> String {
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds));
    time.to_string().replace('Z', "+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Format;

    fn bus(prefix: Option<&str>) -> Bus {
        Bus {
            takes_entries: false,
            exchange: "amq.topic".into(),
            topic_prefix: prefix.map(str::to_owned),
            require_route: false,
            fallbacks: Vec::new(),
        }
    }

    fn message(topic: &str, msg: &str) -> Message {
        let msg_id = "2026-0b6c0ee2-6a53-4f7c-9c0f-0123456789ab";
        let body = format!(
            r#"{{"i": 12, "msg": {msg}, "msg_id": "{msg_id}", "timestamp": 1795914966, "topic": "{topic}"}}"#
        );
        Message {
            format: Format::Pagure,
            topic: topic.into(),
            msg_id: msg_id.into(),
            project: "x".into(),
            reference: String::new(),
            headers: Vec::new(),
            ends: None,
            template: None,
            body: body.into_bytes(),
        }
    }

    /// Names of headers, without those that every message has.
    fn filters(topic: &str, msg: &str) -> Vec<String> {
        let message = message(topic, msg);
        let bus = bus(None);
        let made = Publication::new(&message, &bus).expect("a body of Pagure's");
        let filters = made.headers.iter().filter(|it| *it.1 == Header::True);
        let filters = filters.map(|it| it.0.replace("fedora_messaging_", ""));
        filters.collect()
    }

    #[test]
    fn a_publication_is_what_pagure_publishes() {
        let msg = r#"{"agent": "jo", "repo": {"name": "r", "namespace": "rpms"}}"#;
        let message = message("git.receive", msg);
        let bus = bus(Some("io.pagure.prod"));
        let made = Publication::new(&message, &bus).expect("a body of Pagure's");
        assert_eq!(made.routing_key, "io.pagure.prod.pagure.git.receive");
        assert_eq!(made.message_id, "0b6c0ee2-6a53-4f7c-9c0f-0123456789ab");
        assert_eq!(made.body, msg.as_bytes());
        let text = |text: &str| Header::Text(text.to_owned());
        let expected = [
            ("fedora_messaging_rpm_r", Header::True),
            ("fedora_messaging_schema", text("pagure.git.receive")),
            ("fedora_messaging_schema_package", text("pagure_messages")),
            ("fedora_messaging_severity", Header::Number(20)),
            ("fedora_messaging_user_jo", Header::True),
            ("priority", Header::Number(0)),
            ("sent-at", text("2026-11-29T01:16:06+00:00")),
        ];
        let headers = made.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, it)| (name.as_str(), it.clone()))
            .collect();
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_topic_without_a_schema_has_that_of_any_message() {
        let message = message("x.y", "{}");
        let bus = bus(None);
        let made = Publication::new(&message, &bus).expect("a body of Pagure's");
        assert_eq!(made.routing_key, "pagure.x.y");
        let schema = &made.headers["fedora_messaging_schema"];
        assert_eq!(*schema, Header::Text("base.message".into()));
    }

    #[test]
    fn filters_are_those_of_the_schemas() {
        let long = "n".repeat(LONGEST_NAME + 1);
        let about = r#"{"agent": "a", "issue": {"user": {"name": "u"}, "assignee": {"name": "a"}},
            "pullrequest": {"user": {"name": "p"}, "assignee": null},
            "repo": {"name": "r", "namespace": "modules"}}"#;
        let table: [(&str, &str, &[&str]); 8] = [
            ("git.receive", about, &["module_r", "user_a"]),
            ("issue.new", about, &["user_a", "user_u"]),
            ("pull-request.new", about, &["user_a", "user_p"]),
            ("project.new", about, &["user_a"]),
            (
                "git.receive",
                r#"{"agent": null, "repo": {"namespace": null}}"#,
                &[],
            ),
            ("git.receive", r#"{"agent": 1}"#, &[]),
            ("git.receive", &format!(r#"{{"agent": "{long}"}}"#), &[]),
            (
                "git.receive",
                r#"{"repo": {"name": "r", "namespace": "infra"}}"#,
                &[],
            ),
        ];
        for (topic, msg, expected) in table {
            assert_eq!(filters(topic, msg), expected, "{topic} {msg}");
        }
    }

    #[test]
    fn a_body_that_is_not_pagures_is_none() {
        let good = message("x.y", "{}");
        let text = String::from_utf8(good.body.clone()).expect("ASCII");
        for body in [
            "{}".to_owned(),
            String::new(),
            text.replace("\"i\": 12", "\"i\": -1"),
            text.replace("1795914966", ""),
            text.replace("1795914966", "999999999999"),
            text.replace("\"msg\": {}", "\"msg\": 1"),
            text.replace("x.y", "x.z"),
            format!("{text} "),
        ] {
            let body = body.into_bytes();
            let bad = Message {
                body,
                ..good.clone()
            };
            assert_eq!(Publication::new(&bad, &bus(None)), None, "{bad:?}");
        }
        // A `msg` that has the text around itself inside.
        let inside = text.replace('"', "\\\"");
        let nested = message("x.y", &format!(r#"{{"t": "{inside}"}}"#));
        assert!(Publication::new(&nested, &bus(None)).is_some());
    }
}
