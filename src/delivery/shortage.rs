//! A shortage of file descriptors: work waits until some are closed.

use std::time::Duration;

use tokio::time::Instant;

/// Time after which work is tried again.
const WAIT: Duration = Duration::from_millis(100);
/// Number of waits in a row after which the error is reported.
const MOST: u32 = 100;

/// Waits for file descriptors, in a row.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    until: Option<Instant>,
    waits: u32,
}

impl Shortage {
    /// Begins a wait, if an operation failed for lack of descriptors. Returns false if the error is
    /// to be reported instead.
    pub(super) fn begins(&mut self, is_want_of_files: bool) -> bool {
        let waits = is_want_of_files && self.waits < MOST;
        if waits && self.until.is_none() {
            self.waits += 1;
            self.until = Some(Instant::now() + WAIT);
        }
        waits
    }

    /// Returns the end of the wait, if there is one.
    pub(super) fn until(&mut self) -> Option<Instant> {
        self.until = self.until.filter(|until| *until > Instant::now());
        self.until
    }

    /// Records progress, which ends the waits in a row.
    pub(super) fn ends(&mut self) {
        *self = Self::default();
    }
}
