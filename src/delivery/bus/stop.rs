//! Hearing that this process is to end, on any thread.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

/// The signals that tell this process to end.
pub(super) struct Stop {
    signals: [Signal; 2],
    has_come: bool,
}

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        let [terminate, interrupt] = kinds.map(signal);
        Ok(Self {
            signals: [terminate?, interrupt?],
            has_come: false,
        })
    }

    /// Waits for one.
    pub(super) async fn come(&mut self) {
        if !self.has_come {
            let [one, other] = &mut self.signals;
            tokio::select! {
                _ = one.recv() => {}
                _ = other.recv() => {}
            }
            self.has_come = true;
        }
    }

    /// Waits for a time. Returns whether one came in it.
    pub(super) async fn comes_within(&mut self, time: Duration) -> bool {
        timeout(time, self.come()).await.is_ok()
    }
}
