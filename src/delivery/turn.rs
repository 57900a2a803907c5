//! One turn of a queue: due messages are delivered, for a quarter of a second.

use std::time::Duration;

use super::agent::DeliveryAgent;
use super::receivers::Visit;
use super::result::LaneReport;
use crate::spool::{IoError, Queue, Spool, SpoolError, Standing};

/// Length of a turn: no attempt begins later than this.
pub(super) const TURN: Duration = Duration::from_millis(250);

/// A finished turn and its result.
pub(super) struct Finished {
    pub(super) spool: Spool,
    pub(super) queue: Queue,
    /// `None`: another process has the queue.
    pub(super) result: Option<Result<LaneReport, SpoolError>>,
    /// As in [`DeliveryAgent`].
    pub(super) is_probe: bool,
}

impl Finished {
    /// Returns whether messages were delivered, and no attempt failed.
    pub(super) fn has_only_delivered(&self) -> bool {
        let report = self.result.as_ref().and_then(|it| it.as_ref().ok());
        report.is_some_and(LaneReport::has_only_delivered)
    }
}

/// Works on a queue for a turn. `counted` is a request to its receiver, if that is known.
pub(super) async fn take_turn(
    agent: DeliveryAgent<'_>,
    queue: Queue,
    counted: Option<Visit>,
) -> Finished {
    let result = match agent.spool.lane(&queue) {
        Ok(None) => None,
        Err(error) => Some(Err(error.into())),
        Ok(Some(lane)) => Some(agent.run(&lane, counted).await),
    };
    Finished {
        spool: agent.spool,
        queue,
        result,
        is_probe: agent.is_probe,
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
