//! Keys, and the signatures that they make (RFC 2104, FIPS 198-1).

use std::fmt;
use std::ops::RangeInclusive;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Prefix of a key of Standard Webhooks, and its permitted length in bytes, decoded.
const STANDARD_PREFIX: &str = "whsec_";
const STANDARD_LENGTH: RangeInclusive<usize> = 24..=64;

/// A text that must stay hidden: a key, or a header's value.
///
/// Its memory is wiped on drop. It has no `Display`, and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Secret {
    /// Returns whether the secret is this text. The comparison takes the same time wherever they
    /// differ.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let (own, other) = (sha256(self, b""), sha256(&Self::new(text), b""));
        own == other && self.expose() == text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Returns the HMAC-SHA-1 of the body as lower-case hex: `X-Pagure-Signature`.
#[must_use]
pub fn sha1(key: &Secret, body: &[u8]) -> String {
    hex::encode(mac::<Hmac<Sha1>>(key, body).finalize().into_bytes())
}

/// Returns the HMAC-SHA-256 of the body as lower-case hex: `X-Pagure-Signature-256`.
#[must_use]
pub fn sha256(key: &Secret, body: &[u8]) -> String {
    hex::encode(mac::<Hmac<Sha256>>(key, body).finalize().into_bytes())
}

/// Returns the Standard Webhooks signature of a message and the time of an attempt
/// (standard-webhooks.md, "Signature scheme").
#[must_use]
pub fn standard_webhooks(key: &Secret, id: &str, time: u64, body: &[u8]) -> String {
    let key = standard_key(key);
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).expect("HMAC takes any length");
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(body);
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    format!("v1,{signature}")
}

/// Returns the signing bytes of a key.
///
/// They are the decoded base64 behind `whsec_`, if it has the length of such a key, or else the
/// text itself.
fn standard_key(key: &Secret) -> Zeroizing<Vec<u8>> {
    let text = key.expose();
    let encoded = text.strip_prefix(STANDARD_PREFIX);
    let decoded = encoded.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
    let decoded = decoded.filter(|bytes| STANDARD_LENGTH.contains(&bytes.len()));
    Zeroizing::new(decoded.unwrap_or_else(|| text.as_bytes().to_owned()))
}

/// Returns whether one of these signatures, separated by spaces, is the Standard Webhooks
/// signature.
#[must_use]
pub fn verify_standard_webhooks(
    key: &Secret,
    id: &str,
    time: u64,
    body: &[u8],
    signatures: &str,
) -> bool {
    let right = Secret::new(standard_webhooks(key, id, time, body));
    let mut signatures = signatures.split_whitespace();
    signatures.any(|signature| right.is(signature))
}

/// Returns the hex digits of a signature of GitHub's format, without `sha1=` or `sha256=`.
#[must_use]
pub fn without_prefix(signature: &str) -> &str {
    let bare = signature.strip_prefix("sha256=");
    bare.or(signature.strip_prefix("sha1="))
        .unwrap_or(signature)
}

/// Returns whether a text is the body's signature.
///
/// The length of 40 or 64 hex digits decides between SHA-1 and SHA-256. The comparison takes the
/// same time wherever the signatures differ.
#[must_use]
pub fn verify(key: &Secret, body: &[u8], signature: &str) -> bool {
    let Ok(signature) = hex::decode(signature) else {
        return false;
    };
    match signature.len() {
        20 => mac::<Hmac<Sha1>>(key, body)
            .verify_slice(&signature)
            .is_ok(),
        32 => mac::<Hmac<Sha256>>(key, body)
            .verify_slice(&signature)
            .is_ok(),
        _ => false,
    }
}

fn mac<M: Mac + KeyInit>(key: &Secret, body: &[u8]) -> M {
    let mut mac =
        <M as KeyInit>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes any key length");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answer of Pagure's own test suite.
    #[test]
    fn signs_as_pagure_does() {
        let key = Secret::new("aaabbbccc");
        let body = br#"{"i": 1, "msg": {"pagure_instance": "http://localhost.localdomain/", "payload": ["a", "b", "c"], "project_fullname": "test"}, "msg_id": "2018-not_so_random", "timestamp": 2, "topic": "topic"}"#;
        let sha1_known = "74b12f0b25bf7767014a0c0de9f3c10191e943d8";
        let sha256_known = "f3d757796554466eac49a5282b24ee32a1ecfb65dedd6c6231fb207240a9fe58";
        assert_eq!(sha1(&key, body), sha1_known);
        assert_eq!(sha256(&key, body), sha256_known);
        assert!(verify(&key, body, sha1_known));
        assert!(verify(&key, body, &sha256_known.to_uppercase()));
        assert!(!verify(&key, b"{}", sha256_known));
        assert!(!verify(&Secret::new("other"), body, sha1_known));
        for nonsense in ["", "74", "zz", &sha1_known[..38]] {
            assert!(!verify(&key, body, nonsense), "{nonsense}");
        }
    }

    /// The known answer of the specification's own libraries.
    #[test]
    fn signs_as_standard_webhooks_does() {
        let key = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let (id, time) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        let body = br#"{"test": 2432232314}"#;
        let known = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(standard_webhooks(&key, id, time, body), known);
        // Any other text signs as the bytes that it has.
        let text = "a text that is no such key";
        let given = format!("whsec_{}", BASE64_STANDARD.encode(text));
        let signed = |key: &str| standard_webhooks(&Secret::new(key), id, time, body);
        assert_eq!(signed(text), signed(&given));
    }

    /// The known answer of GitHub's documentation.
    #[test]
    fn signs_as_github_does() {
        let key = Secret::new("It's a Secret to Everybody");
        assert_eq!(
            sha256(&key, b"Hello, World!"),
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hidden")), "Secret(…)");
    }
}
