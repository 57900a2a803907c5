//! Message + endpoint → request. Pure: `preview --http` shows what is sent.

use std::borrow::Cow;

use crate::config::Credentials;
use crate::payload::{Format, Message};
use crate::signature::{self, Secret};

/// A header's value.
#[derive(Clone, Debug)]
pub enum HeaderValue {
    /// Anybody may see it.
    Plain(String),
    /// Nobody may.
    Hidden(Secret),
}

/// Everything of a POST but where it goes.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// In the order and the spelling of the wire.
    pub headers: Vec<(Cow<'static, str>, HeaderValue)>,
    /// The message's body, as it was frozen.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The request that carries this message to the endpoint whose credentials
    /// these are.
    #[must_use]
    pub fn new(message: &'a Message, instance: &str, credentials: Credentials) -> Self {
        let mut headers = Vec::with_capacity(10 + credentials.headers.len());
        let mut plain = |name: &'static str, value: &str| {
            headers.push((name.into(), HeaderValue::Plain(one_line(value))));
        };
        plain("Content-Type", "application/json");
        plain("Accept", "*/*");
        plain("User-Agent", concat!("refpost/", env!("CARGO_PKG_VERSION")));
        match message.format {
            Format::Pagure => {
                plain("X-Pagure", instance);
                plain("X-Pagure-Project", &message.project);
                let body = &message.body;
                if let Some(key) = &credentials.key {
                    plain("X-Pagure-Signature", &signature::sha1(key, body));
                    plain("X-Pagure-Signature-256", &signature::sha256(key, body));
                }
                if let Some(key) = &credentials.previous {
                    plain("X-Pagure-Signature-Previous", &signature::sha1(key, body));
                    plain(
                        "X-Pagure-Signature-256-Previous",
                        &signature::sha256(key, body),
                    );
                }
                plain("X-Pagure-Topic", &message.topic);
            }
        }
        let hidden = |(name, value): (String, _)| (name.into(), HeaderValue::Hidden(value));
        headers.extend(credentials.headers.into_iter().map(hidden));
        Self {
            headers,
            body: &message.body,
        }
    }
}

/// A project is named by whoever may name a folder: a line break in it must not
/// begin another header.
fn one_line(value: &str) -> String {
    value.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_name_adds_no_header() {
        let message = Message {
            format: Format::Pagure,
            topic: "git.receive".into(),
            msg_id: "2026-x".into(),
            project: "a\r\nX-Evil: 1\u{7f}".into(),
            reference: String::new(),
            body: b"{}".to_vec(),
        };
        let unsigned = Credentials {
            key: None,
            previous: None,
            headers: Vec::new(),
        };
        let request = Request::new(&message, "https://x/", unsigned);
        let names: Vec<_> = request
            .headers
            .iter()
            .map(|(name, _)| name.as_ref())
            .collect();
        assert_eq!(
            names,
            [
                "Content-Type",
                "Accept",
                "User-Agent",
                "X-Pagure",
                "X-Pagure-Project",
                "X-Pagure-Topic"
            ]
        );
        let HeaderValue::Plain(project) = &request.headers[4].1 else {
            panic!("a project's name is no secret")
        };
        assert_eq!(project, "a??X-Evil: 1?");
    }
}
