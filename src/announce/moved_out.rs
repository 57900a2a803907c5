//! Giving what waits for a broker to its endpoints, where no broker takes it any more.

use super::delivery_host::DeliveryHost;
use crate::context::Context;
use crate::spool::Spool;

/// Gives what waits for the broker to its endpoints, once no broker is configured, and on a worker,
/// where an entry that it could not read is tried again. Returns whether anything waited. Errors are
/// told.
pub(crate) fn leave_broker(spool: &Spool, host: &DeliveryHost<'_>, ctx: &Context) -> bool {
    let queues = spool.broker_queues().unwrap_or_else(|error| {
        host.tell_spool(&error);
        Vec::new()
    });
    let is_left = || {
        let server = ctx.server().ok();
        server.is_some_and(|server| {
            let is_worker = server.worker().is_some() && ctx.is_service().unwrap_or(false);
            server.broker().is_none() || is_worker
        })
    };
    if queues.is_empty() || !is_left() {
        return false;
    }
    for queue in &queues {
        if let Err(error) = spool.deliver_here(queue) {
            host.tell_spool(&error);
        }
    }
    true
}
