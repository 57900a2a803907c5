//! Message + endpoint → request. Pure: `preview --http` shows what is sent.

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
    pub headers: Vec<(String, HeaderValue)>,
    /// The message's body, as it was frozen.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The request that carries this message. `key` is `None` for an endpoint that
    /// wants no signature; `extra` are the headers of its configuration.
    #[must_use]
    pub fn new(
        message: &'a Message,
        instance: &str,
        key: Option<&Secret>,
        extra: Vec<(String, Secret)>,
    ) -> Self {
        let mut headers = Vec::with_capacity(8 + extra.len());
        let mut plain = |name: &str, value: &str| {
            headers.push((name.to_owned(), HeaderValue::Plain(one_line(value))));
        };
        plain("Content-Type", "application/json");
        plain("Accept", "*/*");
        plain("User-Agent", concat!("refpost/", env!("CARGO_PKG_VERSION")));
        match message.format {
            Format::Pagure => {
                plain("X-Pagure", instance);
                plain("X-Pagure-Project", &message.project);
                if let Some(key) = key {
                    plain("X-Pagure-Signature", &signature::sha1(key, &message.body));
                    plain(
                        "X-Pagure-Signature-256",
                        &signature::sha256(key, &message.body),
                    );
                }
                plain("X-Pagure-Topic", &message.topic);
            }
        }
        let hidden = |(name, value)| (name, HeaderValue::Hidden(value));
        headers.extend(extra.into_iter().map(hidden));
        Self {
            headers,
            body: &message.body,
        }
    }
}

/// A project is named by whoever may name a folder: a line break in it must not
/// begin another header.
fn one_line(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
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
        let request = Request::new(&message, "https://x/", None, Vec::new());
        let names: Vec<_> = request
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
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
