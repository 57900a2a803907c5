//! The decision that follows from an outcome: one pure function.

use std::time::{Duration, SystemTime};

use super::outcome::{LONGEST_RETRY_AFTER, Outcome};
use crate::config::Retry;

/// Longest time between two attempts of an endpoint while down.
///
/// The longer steps of a schedule are for messages that are refused, and for endpoints that say
/// they are gone.
pub(super) const LONGEST_PROBE: Duration = Duration::from_hours(1);
/// Largest change of a delay by jitter, as a fraction of the delay.
const JITTER: f64 = 0.2;
/// Delay in place of an empty schedule, which the configuration does not accept.
const NO_SCHEDULE: Duration = Duration::from_mins(1);

/// The state of a message besides the outcome of its attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Number of failed attempts before this one.
    pub(super) attempts: u32,
    /// Time at which the message was enqueued.
    pub(super) enqueued: SystemTime,
    /// The current time.
    pub(super) now: SystemTime,
    /// Position of the delay in the jitter's range, from -1 to 1.
    pub(super) jitter: f64,
    /// True if the message can be given up because of its age: the clock is believed.
    pub(super) may_expire: bool,
}

impl Retry {
    /// Returns the longest delay.
    ///
    /// No due time is further ahead than this, unless the clock was wrong when it was written.
    #[must_use]
    pub(crate) fn longest_delay(&self) -> Duration {
        jittered(self.last_resort(), 1.0).max(LONGEST_RETRY_AFTER)
    }

    fn last_resort(&self) -> Duration {
        self.schedule.iter().max().copied().unwrap_or(NO_SCHEDULE)
    }

    fn delay(&self, attempts: u32) -> Duration {
        let step = usize::try_from(attempts).unwrap_or(usize::MAX);
        let step = self.schedule.get(step).or(self.schedule.last());
        step.copied().unwrap_or(NO_SCHEDULE)
    }
}

/// The decision about a message after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The message is delivered.
    Done,
    /// The message holds the endpoint's queue and is tried again.
    Hold {
        /// Time of the next attempt.
        due: SystemTime,
    },
    /// The message lets the next ones pass and is tried again.
    StepAside {
        /// Time of the next attempt.
        due: SystemTime,
    },
    /// The message goes to `failed/`.
    GiveUp,
}

/// Decides about a message after an attempt.
///
/// A message is not given up at its first failure, at any age: a server
/// that was switched off for a week would otherwise fail its whole spool
/// because the network came up a second late.
#[must_use]
pub(super) fn decide(outcome: &Outcome, situation: &Situation, policy: &Retry) -> Decision {
    let (delay, most, retry_after, aside) = match outcome {
        Outcome::Delivered { .. } => return Decision::Done,
        Outcome::TooLarge => return Decision::GiveUp,
        Outcome::Down { retry_after, .. } => {
            let delay = policy.delay(situation.attempts);
            (delay, LONGEST_PROBE, *retry_after, false)
        }
        Outcome::Refused { retry_after, .. } => {
            let delay = policy.delay(situation.attempts);
            (delay, Duration::MAX, *retry_after, true)
        }
        Outcome::Gone => (policy.last_resort(), Duration::MAX, None, false),
    };
    let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
    let delay = jittered(delay.min(most), situation.jitter).min(most);
    let delay = delay.max(asked);
    let Some(due) = situation.now.checked_add(delay) else {
        return Decision::GiveUp;
    };
    // A message from the future (the clock was set back) has no age yet.
    let age = due.duration_since(situation.enqueued).unwrap_or_default();
    if age > policy.give_up_after && situation.attempts > 0 && situation.may_expire {
        Decision::GiveUp
    } else if aside {
        Decision::StepAside { due }
    } else {
        Decision::Hold { due }
    }
}

fn jittered(delay: Duration, jitter: f64) -> Duration {
    let jitter = if jitter.is_nan() { 0.0 } else { jitter };
    let seconds = delay.as_secs_f64() * (1.0 + JITTER * jitter.clamp(-1.0, 1.0));
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Reason;
    use super::*;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
    }

    fn policy() -> Retry {
        Retry {
            schedule: [MINUTE, 5 * MINUTE, 2 * HOUR, DAY]
                .map(Duration::from_secs)
                .to_vec(),
            give_up_after: Duration::from_secs(5 * DAY),
            build_after: Duration::from_secs(DAY),
        }
    }

    fn down(retry_after: Option<u64>) -> Outcome {
        Outcome::Down {
            reason: Reason::Transport("timeout"),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn refused(retry_after: Option<u64>) -> Outcome {
        Outcome::Refused {
            status: 404,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn hold(seconds: u64) -> Decision {
        Decision::Hold { due: at(seconds) }
    }

    fn aside(seconds: u64) -> Decision {
        Decision::StepAside { due: at(seconds) }
    }

    /// Outcome, attempts before, age, jitter → decision; times count from the enqueuing.
    #[test]
    fn the_table() {
        use Decision::{Done, GiveUp};
        let table = [
            // What was delivered is done, however old and often tried.
            (Outcome::of_status(204, None), 0, 0, 0.0, Done),
            (Outcome::of_status(200, None), 9, 9 * DAY, 0.0, Done),
            // Down holds, refused steps aside, each along the schedule.
            (down(None), 0, 0, 0.0, hold(MINUTE)),
            (down(None), 1, 0, 0.0, hold(5 * MINUTE)),
            // The long steps are not for an endpoint that is down: it may be back.
            (down(None), 2, 0, 0.0, hold(HOUR)),
            (down(None), 3, 0, 0.0, hold(HOUR)),
            (down(None), u32::MAX, 0, 0.0, hold(HOUR)),
            (down(None), 3, 0, 1.0, hold(HOUR)),
            (down(None), 3, 0, -1.0, hold(HOUR * 4 / 5)),
            (refused(None), 3, 0, 0.0, aside(DAY)),
            (refused(None), u32::MAX, 0, 0.0, aside(DAY)),
            (refused(None), 0, 0, 0.0, aside(MINUTE)),
            (refused(None), 2, 0, 0.0, aside(2 * HOUR)),
            // Jitter is a fifth either way, and never more.
            (down(None), 1, 0, 1.0, hold(6 * MINUTE)),
            (down(None), 1, 0, -1.0, hold(4 * MINUTE)),
            (down(None), 1, 0, 40.0, hold(6 * MINUTE)),
            (down(None), 1, 0, f64::NAN, hold(5 * MINUTE)),
            // Retry-After lengthens, never shortens, an hour at most.
            (down(Some(10 * MINUTE)), 0, 0, 0.0, hold(10 * MINUTE)),
            (refused(Some(10 * MINUTE)), 0, 0, 0.0, aside(10 * MINUTE)),
            (down(Some(1)), 0, 0, 0.0, hold(MINUTE)),
            (down(Some(HOUR)), 0, 0, -1.0, hold(HOUR)),
            (down(Some(DAY)), 0, 0, 0.0, hold(HOUR)),
            (refused(Some(HOUR)), 2, 0, 0.0, aside(2 * HOUR)),
            // 410 holds for the schedule's longest.
            (Outcome::Gone, 0, 0, 0.0, hold(DAY)),
            (Outcome::Gone, 3, 4 * DAY + 1, 0.0, GiveUp),
            // 413 would be refused again.
            (Outcome::TooLarge, 0, 0, 0.0, GiveUp),
            // Given up when the next attempt would be too late, to the second.
            (down(None), 3, 5 * DAY - HOUR, 0.0, hold(5 * DAY)),
            (down(None), 3, 5 * DAY - HOUR + 1, 0.0, GiveUp),
            (refused(None), 3, 4 * DAY + 1, 0.0, GiveUp),
            (down(None), 1, 6 * DAY, 0.0, GiveUp),
            // But never at the first failure.
            (down(None), 0, 6 * DAY, 0.0, hold(6 * DAY + MINUTE)),
            (refused(None), 0, 6 * DAY, 0.0, aside(6 * DAY + MINUTE)),
        ];
        for (row, (outcome, attempts, age, jitter, expected)) in table.into_iter().enumerate() {
            let situation = Situation {
                attempts,
                enqueued: at(0),
                now: at(age),
                jitter,
                may_expire: true,
            };
            assert_eq!(
                decide(&outcome, &situation, &policy()),
                expected,
                "row {row}: {outcome:?}"
            );
        }
    }

    #[test]
    fn a_clock_set_back_gives_nothing_up() {
        let situation = Situation {
            attempts: 7,
            enqueued: at(400 * DAY),
            now: at(0),
            jitter: 0.0,
            may_expire: true,
        };
        assert_eq!(decide(&down(None), &situation, &policy()), hold(HOUR));
    }

    #[test]
    fn an_empty_schedule_is_a_minute() {
        let policy = Retry {
            schedule: vec![],
            give_up_after: Duration::from_secs(DAY),
            build_after: Duration::from_secs(DAY),
        };
        let situation = Situation {
            attempts: 3,
            enqueued: at(0),
            now: at(0),
            jitter: 0.0,
            may_expire: true,
        };
        assert_eq!(decide(&down(None), &situation, &policy), hold(MINUTE));
    }

    #[test]
    fn no_delay_is_longer_than_the_longest() {
        let policy = policy();
        assert_eq!(
            policy.longest_delay(),
            Duration::from_secs(DAY).mul_f64(1.2)
        );
        let short = Retry {
            schedule: vec![Duration::from_secs(1)],
            ..policy
        };
        assert_eq!(short.longest_delay(), Duration::from_secs(HOUR));
    }
}
