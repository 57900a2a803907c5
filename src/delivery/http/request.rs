//! Message + endpoint → request. Pure: `preview --http` shows what is sent.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use crate::config::{Credentials, EndpointUrl};
use crate::payload::pagure::delivery;
use crate::payload::{Format, Message, is_reserved_header};
use crate::signature::{self, Secret};

/// The header that a message of format `template` has stored.
pub const CONTENT_TYPE: &str = "Content-Type";

/// Length of the longest words of a receiver, in characters.
const LONGEST_WORDS: usize = 200;

/// A header's value.
#[derive(Clone, Debug)]
pub enum HeaderValue {
    /// A value that may be shown.
    Plain(String),
    /// A value that must not be shown.
    Hidden(Secret),
}

/// A POST request without its address.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The headers, in the order and the spelling of the wire.
    pub headers: Vec<(Cow<'static, str>, HeaderValue)>,
    /// The message's body, as stored.
    pub body: &'a [u8],
    message: &'a Message,
}

impl<'a> Request<'a> {
    /// Makes the request that carries this message to the endpoint with these credentials.
    #[must_use]
    pub fn new(message: &'a Message, instance: &str, credentials: Credentials) -> Self {
        let mut signed = Signed {
            headers: Vec::with_capacity(16 + credentials.headers.len()),
            body: &message.body,
        };
        // A template's bodies have the type that they were rendered as.
        let own = message.headers.iter();
        let own = own.filter(|_| message.format == Format::Template);
        let own = own.filter(|(name, _)| name == CONTENT_TYPE);
        let content_type = own.map(|(_, value)| value.as_str()).next();
        signed.plain(CONTENT_TYPE, content_type.unwrap_or("application/json"));
        signed.plain("Accept", "*/*");
        let agent = match message.format {
            Format::Github => concat!("GitHub-Hookshot/refpost-", env!("CARGO_PKG_VERSION")),
            _ => concat!("refpost/", env!("CARGO_PKG_VERSION")),
        };
        signed.plain("User-Agent", agent);
        match message.format {
            Format::Pagure => signed.as_pagure(message, instance, &credentials),
            format => {
                let own = message.headers.iter().filter(|(name, _)| is_frozen(name));
                own.for_each(|(name, value)| signed.plain(name.clone(), value));
                signed.as_forge(format, &credentials);
            }
        }
        let signs_gitlab = message.format == Format::Gitlab && credentials.key.is_some();
        if signs_gitlab || credentials.standard_webhooks {
            signed.as_standard_webhooks(message, &credentials);
        }
        let mut headers = signed.headers;
        let hidden = |(name, value): (String, _)| (name.into(), HeaderValue::Hidden(value));
        headers.extend(credentials.headers.into_iter().map(hidden));
        Self {
            headers,
            body: &message.body,
            message,
        }
    }

    /// Returns the message that it carries.
    #[cfg(feature = "amqp")]
    pub(in crate::delivery) fn message(&self) -> &Message {
        self.message
    }

    /// Returns the URL of an endpoint, with values of the message in place of names in braces.
    #[must_use]
    pub fn fill(&self, url: &EndpointUrl) -> EndpointUrl {
        let message = self.message;
        let project = &message.project;
        let (namespace, name) = project.rsplit_once('/').unwrap_or(("", project));
        let end = |at: usize| message.ends.as_ref().map_or("", |ends| ends[at].as_str());
        url.fill(&[
            ("fullname", project.as_str()),
            ("name", name),
            ("namespace", namespace),
            ("ref", &message.reference),
            ("old", end(0)),
            ("new", end(1)),
        ])
    }
}

impl Request<'_> {
    /// Returns the first line of an answer's body, of at most 200 characters.
    ///
    /// Some receivers repeat the request: secrets in it are replaced.
    pub(super) fn words(&self, body: &[u8], url: &EndpointUrl) -> Option<String> {
        let mut body = String::from_utf8_lossy(body).into_owned();
        for secret in self.fill(url).secrets() {
            body = body.replace(&secret, "…");
        }
        for (_, value) in &self.headers {
            if let HeaderValue::Hidden(secret) = value {
                body = body.replace(secret.expose(), "…");
            }
        }
        let line = body.lines().next()?.trim();
        (!line.is_empty()).then(|| line.chars().take(LONGEST_WORDS).collect())
    }
}

/// Headers of a request, to which signatures of its body are added.
struct Signed<'a> {
    headers: Vec<(Cow<'static, str>, HeaderValue)>,
    body: &'a [u8],
}

impl Signed<'_> {
    fn plain(&mut self, name: impl Into<Cow<'static, str>>, value: &str) {
        let value = HeaderValue::Plain(one_line(value));
        self.headers.push((name.into(), value));
    }

    fn as_pagure(&mut self, message: &Message, instance: &str, credentials: &Credentials) {
        let body = self.body;
        self.plain("X-Pagure", instance);
        self.plain("X-Pagure-Project", &message.project);
        if let Some(key) = &credentials.key {
            self.plain("X-Pagure-Signature", &signature::sha1(key, body));
            self.plain("X-Pagure-Signature-256", &signature::sha256(key, body));
        }
        if let Some(key) = &credentials.previous {
            self.plain("X-Pagure-Signature-Previous", &signature::sha1(key, body));
            let sha256 = signature::sha256(key, body);
            self.plain("X-Pagure-Signature-256-Previous", &sha256);
        }
        self.plain("X-Pagure-Topic", &message.topic);
    }

    /// Adds the signatures or the token of a forge's format.
    ///
    /// These formats have no place for a second signature: the new key signs.
    fn as_forge(&mut self, format: Format, credentials: &Credentials) {
        let own: &[&'static str] = match format {
            Format::Slack => return,
            Format::Pagure | Format::Github | Format::Template => &[],
            Format::Gitea => &["X-Gitea-Signature", "X-Gogs-Signature"],
            Format::Forgejo => &[
                "X-Forgejo-Signature",
                "X-Gitea-Signature",
                "X-Gogs-Signature",
            ],
            Format::Gitlab => {
                if let Some(token) = &credentials.token {
                    let value = HeaderValue::Hidden(token.clone());
                    self.headers.push(("X-Gitlab-Token".into(), value));
                }
                return;
            }
        };
        let Some(key) = &credentials.key else { return };
        let (sha1, sha256) = (
            signature::sha1(key, self.body),
            signature::sha256(key, self.body),
        );
        for &name in own {
            self.plain(name, &sha256);
        }
        self.plain("X-Hub-Signature", &format!("sha1={sha1}"));
        self.plain("X-Hub-Signature-256", &format!("sha256={sha256}"));
    }

    /// Adds the signatures of Standard Webhooks.
    ///
    /// They sign the attempt, not the message: a receiver refuses an old one.
    fn as_standard_webhooks(&mut self, message: &Message, credentials: &Credentials) {
        let since = credentials.time.duration_since(UNIX_EPOCH);
        let time = since.map_or(0, |since| since.as_secs());
        let id = delivery(&message.msg_id);
        let keys = credentials.key.iter().chain(&credentials.previous);
        let signatures = keys.map(|key| signature::standard_webhooks(key, id, time, self.body));
        let signatures: Vec<String> = signatures.collect();
        if !signatures.is_empty() {
            self.plain("webhook-id", id);
            self.plain("webhook-timestamp", &time.to_string());
            self.plain("webhook-signature", &signatures.join(" "));
        }
    }
}

/// Returns whether a header of a message may have been stored by its format.
///
/// In a mail drop any account can write any header, so signatures and tokens in an entry do not
/// count.
fn is_frozen(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_proof = ["signature", "token"]
        .iter()
        .any(|proof| name.contains(proof));
    is_reserved_header(&name) && !name.starts_with("webhook-") && !is_proof
}

/// Replaces control characters.
///
/// A project's name comes from any account that may name a folder: a line break in it must not
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
            headers: Vec::new(),
            ends: None,
            template: None,
            body: b"{}".to_vec(),
        };
        let unsigned = Credentials {
            key: None,
            previous: None,
            token: None,
            standard_webhooks: false,
            time: UNIX_EPOCH,
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
