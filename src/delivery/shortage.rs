//! A want of file descriptors: work waits until some are closed.

use std::time::Duration;

use tokio::time::Instant;

/// Time after which it is tried again.
const WAIT: Duration = Duration::from_millis(100);
/// Waits in a row, after which the error is told.
const MOST: u32 = 100;

/// Waits for file descriptors, in a row.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    until: Option<Instant>,
    waits: u32,
}

impl Shortage {
    /// Begins a wait, if what failed did so for want of descriptors. Returns false if it is to be
    /// told instead.
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

    /// Notes that something was done.
    pub(super) fn ends(&mut self) {
        *self = Self::default();
    }
}
