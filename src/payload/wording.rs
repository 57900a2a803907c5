//! Writes dates, paths in URLs, and numbers that no database gave, as forges' formats do.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use crate::event::{Oid, Signature};

/// Characters that are escaped in a path of a URL (RFC 3986, `pchar`).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/');

/// Characters that are escaped anywhere in a URL.
const TEXT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Returns a path as it stands in a URL.
pub(super) fn path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// Returns a text as it stands anywhere in a URL.
pub(super) fn text(text: &str) -> String {
    utf8_percent_encode(text, TEXT).to_string()
}

/// Returns the first twelve digits of an id.
pub(super) fn short(id: Oid) -> String {
    let mut digits = id.to_string();
    digits.truncate(12);
    digits
}

/// Returns a number that stays with a name, where no database gave one: 31 bits of its hash, so
/// that it fits any integer type of a receiver.
#[must_use]
pub fn number(name: &str) -> u64 {
    let digest = Sha256::digest(name);
    let bytes = [digest[0] & 0x7f, digest[1], digest[2], digest[3]];
    u64::from(u32::from_be_bytes(bytes))
}

/// Spelling of a date without an offset.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Utc {
    /// As `Z`.
    Zulu,
    /// As `+00:00`.
    Zeros,
}

/// Returns the date of a commit, in its local time (RFC 3339).
pub(super) fn date(signature: &Signature, utc: Utc) -> String {
    rfc3339(signature.seconds, signature.offset, utc)
}

/// Returns seconds since the epoch as a date (RFC 3339), `minutes` east of UTC. A date after the
/// year 9999, which has no spelling there, becomes the last day of it, and an offset of a day or
/// more, which has none either, becomes UTC.
pub(super) fn rfc3339(seconds: u64, minutes: i32, utc: Utc) -> String {
    let last = Date::from_calendar_date(9999, Month::December, 31);
    let last = last.map(|date| date.with_time(Time::MIDNIGHT).assume_utc());
    let moment = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let moment = moment.or(last.ok()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let offset = (minutes.unsigned_abs() < 24 * 60).then(|| minutes * 60);
    let offset = offset.and_then(|seconds| UtcOffset::from_whole_seconds(seconds).ok());
    let local = offset.and_then(|offset| moment.checked_to_offset(offset));
    let local = local.filter(|local| (0..10_000).contains(&local.year()));
    let at = local.unwrap_or(moment);
    let (hours, minutes, _) = at.offset().as_hms();
    let sign = if at.offset().is_negative() { '-' } else { '+' };
    let zone = if at.offset().is_utc() && utc == Utc::Zulu {
        "Z".to_owned()
    } else {
        format!(
            "{sign}{:02}:{:02}",
            hours.unsigned_abs(),
            minutes.unsigned_abs()
        )
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{zone}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
    )
}

/// Keys with the same beginning of a URL, in their order.
pub(super) struct Links<'a> {
    pub(super) base: &'a str,
    pub(super) ends: &'static [(&'static str, &'static str)],
}

impl Serialize for Links<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let links = self.ends.iter();
        to.collect_map(links.map(|(key, end)| (key, format!("{}{end}", self.base))))
    }
}

/// Keys with the same value, in their order.
pub(super) struct Same<T: 'static> {
    pub(super) keys: &'static [&'static str],
    pub(super) value: T,
}

impl<T: Serialize> Serialize for Same<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.keys.iter().map(|key| (key, &self.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_that_date_prints() {
        for (seconds, minutes, expected) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_700_000_000, 120, "2023-11-15T00:13:20+02:00"),
            (1_700_010_800, -330, "2023-11-14T19:43:20-05:30"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (0, -60, "1969-12-31T23:00:00-01:00"),
            (253_402_300_799, 0, "9999-12-31T23:59:59Z"),
            (253_402_300_799, 60, "9999-12-31T23:59:59Z"),
            (u64::MAX, 60, "9999-12-31T01:00:00+01:00"),
            (1, 24 * 60 - 1, "1970-01-01T23:59:01+23:59"),
            (1, 24 * 60, "1970-01-01T00:00:01Z"),
            (1, 1_288_490_226, "1970-01-01T00:00:01Z"),
        ] {
            assert_eq!(rfc3339(seconds, minutes, Utc::Zulu), expected);
        }
        assert_eq!(rfc3339(0, 0, Utc::Zeros), "1970-01-01T00:00:00+00:00");
    }

    #[test]
    fn a_path_is_a_part_of_a_url() {
        assert_eq!(path("a b/c++/ö?#%"), "a%20b/c++/%C3%B6%3F%23%25");
        assert_eq!(text("refs/heads/a"), "refs%2Fheads%2Fa");
    }
}
