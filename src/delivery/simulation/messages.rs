//! Configurations, and the messages of pushes under them.

use crate::config::Settings;
use crate::payload::{Format, Message};
use crate::spool::{Built, Queue, Recipient, Selection};

/// Makes a message for the configured endpoints.
pub(super) fn built(settings: &Settings, number: u64) -> Built<Message> {
    let names = settings.endpoints.iter();
    let recipients = names.map(|endpoint| recipient(&endpoint.name)).collect();
    Built {
        messages: vec![message(number)],
        recipients,
    }
}

pub(super) fn recipient(name: &str) -> Recipient {
    Recipient {
        queue: Queue::new(name).unwrap(),
        endpoint: name.to_owned(),
        messages: Selection::All,
        forward: None,
    }
}

/// Returns the host of an endpoint's receiver, which two endpoints can share.
pub(super) fn host(name: &str) -> &str {
    match name {
        "b" => "a",
        "d" => "c",
        other => other,
    }
}

pub(super) fn config(names: &[&str]) -> String {
    let endpoint = |name: &&str| {
        let host = host(name);
        format!("[[endpoint]]\nname = \"{name}\"\nurl = \"http://{host}.example.org/{name}\"\n")
    };
    let endpoints: String = names.iter().map(endpoint).collect();
    format!("unsigned = true\n{endpoints}")
}

/// Makes the message whose body is its number.
pub(super) fn message(number: u64) -> Message {
    Message {
        format: Format::Pagure,
        topic: "git.receive".to_owned(),
        msg_id: format!("2026-{number}"),
        project: "p".to_owned(),
        reference: "refs/heads/main".to_owned(),
        headers: Vec::new(),
        ends: None,
        template: None,
        body: number.to_string().into_bytes(),
    }
}
