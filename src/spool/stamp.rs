//! Times in file names: UTC, sorting as text, readable in `ls`, free of `:`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999: later ones would not sort as text.
const LAST: u64 = 253_402_300_799;

/// `20261123T214501.123456789Z`
pub(super) fn nanoseconds(time: SystemTime) -> String {
    compact(&humantime::format_rfc3339_nanos(clamp(time)))
}

/// `20261123T214501Z`, rounded down.
pub(super) fn seconds(time: SystemTime) -> String {
    compact(&humantime::format_rfc3339_seconds(clamp(time)))
}

/// The whole second at or before `time`: what is due by then is due at `time`.
pub(super) fn round_down(time: SystemTime) -> SystemTime {
    let time = clamp(time);
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// The whole second at or after `time`: a delay is never shortened by rounding.
pub(super) fn round_up(time: SystemTime) -> SystemTime {
    let time = clamp(time);
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let up = u64::from(since.subsec_nanos() > 0);
    clamp(UNIX_EPOCH + Duration::from_secs(since.as_secs() + up))
}

/// Reads what [`nanoseconds`] or [`seconds`] wrote, and no other spelling of it:
/// one time has one name.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once('T')?;
    let spelled = format!(
        "{}-{}-{}T{}:{}:{}",
        date.get(..4)?,
        date.get(4..6)?,
        date.get(6..)?,
        time.get(..2)?,
        time.get(2..4)?,
        time.get(4..)?,
    );
    let time = humantime::parse_rfc3339(&spelled).ok()?;
    [seconds(time), nanoseconds(time)]
        .iter()
        .any(|written| written == text)
        .then_some(time)
}

/// What cannot be spelled in four digits of a year is moved to where it can be.
pub(super) fn clamp(time: SystemTime) -> SystemTime {
    time.clamp(UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(LAST))
}

fn compact(rfc3339: &impl ToString) -> String {
    rfc3339.to_string().replace(['-', ':'], "")
}
