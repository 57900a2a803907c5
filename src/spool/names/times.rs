//! Times in file names: in UTC, sortable as text, readable in `ls`, without `:`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999: later ones would not sort as text.
const LAST: u64 = 253_402_300_799;
/// The lengths of the texts that [`seconds`] and [`nanoseconds`] write.
const SECONDS: usize = 16;
const NANOSECONDS: usize = 26;

/// Formats a time as `20261123T214501.123456789Z`.
pub(in crate::spool) fn nanoseconds(time: SystemTime) -> String {
    compact(&humantime::format_rfc3339_nanos(clamp(time)))
}

/// Formats a time as `20261123T214501Z`, rounded down.
pub(in crate::spool) fn seconds(time: SystemTime) -> String {
    compact(&humantime::format_rfc3339_seconds(clamp(time)))
}

/// Rounds down to a whole second: an item due at that time is due at `time`.
pub(in crate::spool) fn round_down(time: SystemTime) -> SystemTime {
    let time = clamp(time);
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// Rounds up to a whole second: a delay is never shortened by rounding.
pub(in crate::spool) fn round_up(time: SystemTime) -> SystemTime {
    let time = clamp(time);
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let up = u64::from(since.subsec_nanos() > 0);
    clamp(UNIX_EPOCH + Duration::from_secs(since.as_secs() + up))
}

/// Parses the texts of [`nanoseconds`] and [`seconds`], and no other spelling: one time has one
/// name.
pub(in crate::spool) fn parse(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let fits = bytes.iter().enumerate().all(|(at, byte)| match at {
        8 => *byte == b'T',
        15 if bytes.len() == NANOSECONDS => *byte == b'.',
        _ if at + 1 == bytes.len() => *byte == b'Z',
        _ => byte.is_ascii_digit(),
    });
    // A leap second is read as the one before it, which has a name already.
    if !fits || ![SECONDS, NANOSECONDS].contains(&bytes.len()) || &bytes[13..15] == b"60" {
        return None;
    }
    // `2026-11-23T21:45:01.123456789Z`. Names are read by the hundred thousand, so no memory is
    // allocated.
    let mut spelled = [0; NANOSECONDS + 4];
    let mut end = 0;
    let parts: [(_, &[u8]); 5] = [
        (0..4, b"-"),
        (4..6, b"-"),
        (6..11, b":"),
        (11..13, b":"),
        (13..bytes.len(), b""),
    ];
    for (part, then) in parts {
        for &byte in bytes[part].iter().chain(then) {
            spelled[end] = byte;
            end += 1;
        }
    }
    humantime::parse_rfc3339(std::str::from_utf8(&spelled[..end]).ok()?).ok()
}

/// Limits a time to the years that have four digits, from 1970 on.
pub(in crate::spool) fn clamp(time: SystemTime) -> SystemTime {
    time.clamp(UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(LAST))
}

fn compact(rfc3339: &impl ToString) -> String {
    let mut text = rfc3339.to_string();
    text.retain(|c| c != '-' && c != ':');
    text
}
