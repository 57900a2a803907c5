//! The name of an entry.

use std::fmt;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::times;

/// The length of `20261123T214501.123456789Z`.
const TIME_LEN: usize = 26;
/// The length of the random part.
const RANDOM_LEN: usize = 16;
/// Longest part of a host's name in an id.
const HOST_LEN: usize = 32;
/// Digits of a hash in the id of an entry that was handed over.
const DIGITS: usize = 6;

/// `20261123T214501.123456789Z-git1-3f2a9c1b00ab12cd`: time, host, random.
///
/// Sorts in push order as text. Time, host and random together are unique across
/// hosts, containers that share a host name, and process ids that come back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    // First, so that the derived order is that of the text.
    text: String,
    time: SystemTime,
}

impl Id {
    /// Makes an id from `time`, `host` and a random number.
    ///
    /// The host's name is cut, and cleaned to letters, digits and `-`.
    #[must_use]
    pub fn new(time: SystemTime, host: &str, random: u64) -> Self {
        let time = times::clamp(time);
        let mut clean: String = host.chars().take(HOST_LEN).map(clean).collect();
        if clean.is_empty() {
            clean.push_str("localhost");
        }
        let text = format!("{}-{clean}-{random:016x}", times::nanoseconds(time));
        Self { text, time }
    }

    /// Returns the id `by` places behind this one, with the same time and host.
    #[must_use]
    pub(in crate::spool) fn behind(&self, by: u64) -> Self {
        let (front, random) = self.text.split_at(self.text.len() - RANDOM_LEN);
        let random = u64::from_str_radix(random, 16).unwrap_or_default();
        Self {
            text: format!("{front}{:016x}", random.saturating_add(by)),
            time: self.time,
        }
    }

    /// Returns the id of the same entry once its queue `from` was handed over.
    ///
    /// The id has the same place in the order, and is the same at each call.
    #[must_use]
    pub(in crate::spool) fn handed_over(&self, from: &str) -> Self {
        let (front, random) = self.text.split_at(self.text.len() - RANDOM_LEN);
        let (time, host) = front.split_at(TIME_LEN);
        let host = &host[1..host.len() - 1];
        let digest = hex::encode(Sha256::digest(format!("{host}/{from}")));
        let kept: String = host.chars().take(HOST_LEN - DIGITS - 1).collect();
        Self {
            text: format!("{time}-{kept}-{}-{random}", &digest[..DIGITS]),
            time: self.time,
        }
    }

    /// Parses an id. Returns `None` for any text that [`Id::new`] does not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = times::parse(text.get(..TIME_LEN)?)?;
        let rest = text.get(TIME_LEN..)?.strip_prefix('-')?;
        let (host, random) = rest.rsplit_once('-')?;
        let host_fits = (1..=HOST_LEN).contains(&host.len()) && host.chars().all(|c| clean(c) == c);
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let random_fits = random.len() == RANDOM_LEN && random.bytes().all(is_hex);
        (host_fits && random_fits).then(|| Self {
            text: text.to_owned(),
            time,
        })
    }

    /// Returns the id as in file names.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the id's time: that of the push, unless the clock was set back in between.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.time
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn clean(c: char) -> char {
    if c.is_ascii_alphanumeric() { c } else { '-' }
}
