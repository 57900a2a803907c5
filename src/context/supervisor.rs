//! The service manager that started this process.
//!
//! It is told when a service is ready, how it stands, that it is alive, and that it ends
//! (`sd_notify(3)`). Without one, nothing happens.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::Context;

/// Interval at which a changed status is sent, at most.
const STATUS: Duration = Duration::from_secs(5);

/// The service manager, as a service sees it.
pub(crate) struct Supervisor {
    /// Interval at which a sign of life is sent: half of what the manager waits for.
    alive: Option<Duration>,
    next: Instant,
    status: String,
}

impl Supervisor {
    /// Finds the manager that started this process (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).
    pub(crate) fn find() -> Self {
        Self {
            alive: sd_notify::watchdog_enabled().map(|patience| patience / 2),
            next: Instant::now(),
            status: String::new(),
        }
    }

    /// Tells that the service is ready.
    pub(crate) fn ready() {
        tell(&[NotifyState::Ready]);
    }

    /// Tells that the service ends.
    pub(crate) fn ends() {
        tell(&[NotifyState::Stopping]);
    }

    /// Tells at intervals that the service is alive, and its state.
    pub(crate) fn tick(&mut self, status: impl FnOnce() -> String) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + self.interval();
        let status = status();
        if self.alive.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
        if self.status != status {
            tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// Returns the time between two ticks.
    pub(crate) fn interval(&self) -> Duration {
        self.alive.unwrap_or(STATUS).min(STATUS)
    }
}

/// A manager that does not listen is no reason to stop.
fn tell(state: &[NotifyState<'_>]) {
    sd_notify::notify(state).ok();
}

impl Context {
    /// Returns whether standard error is a stream to the journal (systemd.exec(5),
    /// `JOURNAL_STREAM`).
    pub(crate) fn is_journal(&self) -> bool {
        let Some(named) = self.variable("JOURNAL_STREAM") else {
            return false;
        };
        let stderr = std::fs::metadata("/proc/self/fd/2");
        stderr.is_ok_and(|it| named == format!("{}:{}", it.dev(), it.ino()))
    }
}
