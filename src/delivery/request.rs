//! Message + endpoint → request. Pure: `preview --http` shows what is sent.

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
    pub headers: Vec<(String, HeaderValue)>,
    /// The message's body, as it was frozen.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The request that carries this message to the endpoint whose credentials
    /// these are.
    #[must_use]
    pub fn new(message: &'a Message, instance: &str, credentials: Credentials) -> Self {
        let mut headers = Vec::with_capacity(10 + credentials.headers.len());
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
                let body = &message.body;
                for (key, suffix) in [(&credentials.key, ""), (&credentials.previous, "-Previous")]
                {
                    if let Some(key) = key {
                        let name = |base: &str| format!("{base}{suffix}");
                        plain(&name("X-Pagure-Signature"), &signature::sha1(key, body));
                        plain(
                            &name("X-Pagure-Signature-256"),
                            &signature::sha256(key, body),
                        );
                    }
                }
                plain("X-Pagure-Topic", &message.topic);
            }
        }
        let hidden = |(name, value)| (name, HeaderValue::Hidden(value));
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
        let unsigned = Credentials {
            key: None,
            previous: None,
            headers: Vec::new(),
        };
        let request = Request::new(&message, "https://x/", unsigned);
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
