//! What a lane delivers from `new/`, once nothing older is in its queue.

use std::time::Duration;

use super::courier::Left;
use super::lane::{Came, Work};
use super::pause;
use crate::spool::{self, Id, Item, SpoolError};

/// How soon it is looked whether others are done with `new/`, or have caught up.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long those who are ahead wait for the others: longer than a receiver or the
/// scheduler pauses now and then.
const PATIENCE: Duration = Duration::from_millis(20);

/// What comes next from `new/`.
enum Arrival {
    Item(Item),
    /// It is in the queue now.
    Waits,
    Nothing,
    /// There is no time left.
    OutOfTime,
}

impl Work<'_, '_> {
    /// Delivers what comes after all in the queue, from where it lies. Settled: some of it
    /// was, and the queue is to be looked at again; blocked: there was nothing.
    pub(super) async fn arrivals(&mut self) -> Result<Came, SpoolError> {
        // What a fault of ours stops is in the queue, and nothing overtakes it.
        if !self.blocked.is_empty() {
            return Ok(Came::Blocked);
        }
        self.lane.join();
        self.has_caught_up = true;
        let (mut came, mut after) = (Came::Blocked, None);
        loop {
            let item = match self.arrival(after.as_ref()).await? {
                Arrival::Item(item) => item,
                Arrival::Waits => return Ok(Came::Settled),
                Arrival::Nothing => return Ok(came),
                Arrival::OutOfTime => return Ok(Came::Held(Left::OutOfTime)),
            };
            came = Came::Settled;
            after = Some(item.id.clone());
            self.in_new.clone_from(&after);
            let next = self.item(item).await?;
            self.in_new = None;
            match next {
                Came::Settled => {}
                // It has left `new/` before.
                Came::Changed => return Ok(Came::Settled),
                Came::Blocked => {
                    self.report.left = Some(Left::Fault);
                    self.lane.leave()?;
                    return Ok(came);
                }
                held @ Came::Held(_) => return Ok(held),
            }
        }
    }

    /// Waits for the others if need be.
    async fn arrival(&mut self, after: Option<&Id>) -> Result<Arrival, SpoolError> {
        let mut waited = Duration::ZERO;
        loop {
            match self.lane.next_in_new(after) {
                spool::Next::Item(item) => return Ok(Arrival::Item(item)),
                spool::Next::Nothing => return Ok(Arrival::Nothing),
                spool::Next::Left => {
                    // The others wait for whoever was held up for once.
                    if std::mem::take(&mut self.has_caught_up) {
                        self.lane.join();
                    }
                    return Ok(Arrival::Waits);
                }
                spool::Next::Full if waited >= PATIENCE => {
                    self.lane.leave_behind()?;
                    waited = Duration::ZERO;
                    continue;
                }
                spool::Next::Full => waited += LOOK_AGAIN,
                spool::Next::Later => {}
            }
            self.cross_off()?;
            if self.courier.is_over() {
                return Ok(Arrival::OutOfTime);
            }
            pause(LOOK_AGAIN).await;
        }
    }
}
