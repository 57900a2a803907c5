//! Giving what waits for a broker to its endpoints, where no broker is configured any more.

use std::time::Duration;

use super::delivery_host::DeliveryHost;
use crate::context::Context;
use crate::delivery::{self, Outside, Unavailable};
use crate::spool::{Header, Queue, Spool};

/// Longest time for which a watch gives entries away before it delivers.
pub(crate) const MOMENT: Duration = Duration::from_millis(200);

/// Gives what waits for the broker to its endpoints, as far as it is left to this machine and for
/// as long as that goes on. Returns whether there was any. Errors are told.
pub(crate) fn leave_broker(
    spool: &Spool,
    host: &DeliveryHost<'_>,
    ctx: &Context,
    goes_on: &dyn Fn() -> bool,
) -> bool {
    if ctx.server().is_ok_and(|server| server.broker().is_some()) {
        return false;
    }
    let queues = spool.broker_queues().unwrap_or_else(|error| {
        host.tell_spool(&error);
        Vec::new()
    });
    let mut is_any = false;
    for queue in queues.iter().take_while(|_| goes_on()) {
        is_any |= leave_queue(spool, queue, host, goes_on);
    }
    is_any
}

/// Gives what waits in one of the broker's queues to its endpoints, as [`leave_broker`] does.
pub(crate) fn leave_queue(
    spool: &Spool,
    queue: &Queue,
    host: &DeliveryHost<'_>,
    goes_on: &dyn Fn() -> bool,
) -> bool {
    let is_left = |header: &Header| match host.settings(&header.repository) {
        Ok(settings) => delivery::is_left(header, &settings),
        // In queues of endpoints a renamed repository's entries find its new path.
        Err(Unavailable::Gone(_)) => true,
        Err(Unavailable::Broken(_)) => false,
    };
    let given = spool.deliver_here(queue, &is_left, goes_on);
    given.unwrap_or_else(|error| {
        host.tell_spool(&error);
        true
    })
}
