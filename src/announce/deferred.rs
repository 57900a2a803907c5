//! Decides how long a push whose messages are deferred waits for an object that is missing.

use std::time::{Duration, SystemTime};

/// Decision on a push with a missing object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// The push waits. The object is known to be missing since this time, if a time is known.
    Waits(Option<SystemTime>),
    /// The push is announced with the data that exists.
    IsTold,
}

/// Judges a push in a run that could open everything that holds objects. `since` is the time of the
/// first such run.
pub(crate) fn judge(since: Option<SystemTime>, now: SystemTime, build_after: Duration) -> Judged {
    // A time in the future comes from a clock that was wrong.
    let since = since.filter(|&since| since <= now).unwrap_or(now);
    if now.duration_since(since).unwrap_or_default() >= build_after {
        Judged::IsTold
    } else {
        Judged::Waits(Some(since))
    }
}

/// Returns `1 recorded push is`, `2 recorded pushes are`.
pub(crate) fn recorded_pushes(count: usize) -> String {
    if count == 1 {
        "1 recorded push is".to_owned()
    } else {
        format!("{count} recorded pushes are")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_waits_from_the_first_run_that_missed_an_object() {
        let at = |hours: u64| SystemTime::UNIX_EPOCH + Duration::from_hours(1000 + hours);
        let day = Duration::from_hours(24);
        for (since, now, expected) in [
            (None, 0, Judged::Waits(Some(at(0)))),
            (Some(0), 0, Judged::Waits(Some(at(0)))),
            (Some(0), 23, Judged::Waits(Some(at(0)))),
            (Some(0), 24, Judged::IsTold),
            (Some(0), 900, Judged::IsTold),
            (Some(50), 24, Judged::Waits(Some(at(24)))),
        ] {
            assert_eq!(
                judge(since.map(at), at(now), day),
                expected,
                "{since:?}, {now}"
            );
        }
        assert_eq!(judge(None, at(0), Duration::ZERO), Judged::IsTold);
    }
}
