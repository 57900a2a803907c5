//! One turn of a queue: due messages are delivered, for a quarter of a second.

use std::cell::Cell;
use std::time::Duration;

use super::courier::{Courier, Limits, Outside};
use super::receivers::{Receivers, Visit};
use super::result::LaneReport;
use super::transport::Transport;
use crate::spool::{IoError, Queue, Spool, SpoolError, Standing};

/// Length of a turn: no attempt begins later than this.
const TURN: Duration = Duration::from_millis(250);

/// A turn and the data that it needs.
pub(super) struct Turn<'a> {
    pub(super) spool: Spool,
    pub(super) queue: Queue,
    pub(super) client: &'a dyn Transport,
    pub(super) outside: &'a dyn Outside,
    pub(super) limits: Limits,
    pub(super) receivers: Receivers,
    /// As in [`Courier`].
    pub(super) is_probe: bool,
    /// As in [`Courier`].
    pub(super) may_expire: bool,
    pub(super) stop: &'a Cell<bool>,
    /// A request to the queue's receiver, if that is known.
    pub(super) counted: Option<Visit>,
}

/// A finished turn and its result.
pub(super) struct Finished {
    pub(super) spool: Spool,
    pub(super) queue: Queue,
    /// `None`: another process has the queue.
    pub(super) result: Option<Result<LaneReport, SpoolError>>,
    /// As in [`Courier`].
    pub(super) is_probe: bool,
}

impl Finished {
    /// Returns whether messages were delivered, and no attempt failed.
    pub(super) fn has_only_delivered(&self) -> bool {
        let report = self.result.as_ref().and_then(|it| it.as_ref().ok());
        report.is_some_and(LaneReport::has_only_delivered)
    }
}

impl Turn<'_> {
    pub(super) async fn run(self) -> Finished {
        let result = match self.spool.lane(&self.queue) {
            Ok(None) => None,
            Err(error) => Some(Err(error.into())),
            Ok(Some(lane)) => {
                let courier = Courier {
                    spool: &self.spool,
                    client: self.client,
                    outside: self.outside,
                    limits: self.limits,
                    turn: Some(TURN),
                    receivers: &self.receivers,
                    is_probe: self.is_probe,
                    may_expire: self.may_expire,
                    stop: self.stop,
                    only: None,
                };
                Some(courier.run(&lane, self.counted).await)
            }
        };
        Finished {
            spool: self.spool,
            queue: self.queue,
            result,
            is_probe: self.is_probe,
        }
    }
}

/// Reads a queue, and removes its folder if empty.
pub(super) fn read(spool: &Spool, queue: &Queue) -> Result<Standing, IoError> {
    let standing = spool.standing(queue)?;
    if standing.next_due().is_some() {
        return Ok(standing);
    }
    spool.remove_if_empty(queue);
    spool.standing(queue)
}
