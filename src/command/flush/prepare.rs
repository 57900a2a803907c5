//! Brings spools up to date before they are delivered.

use crate::announce::delivery_host::DeliveryHost;
use crate::announce::{intents, moved_out};
use crate::context::Context;
use crate::context::targets::Target;
use crate::delivery::Surveyor;
use crate::error::Error;

/// Brings a spool up to date.
///
/// Takes over former spools, gives what waits for a broker that is not configured any more to its
/// endpoints, makes entries due whose endpoints are not configured any more, removes remains,
/// reserves space, and settles intents. Errors are told. What waits for a broker is given away for
/// as long as that goes on.
pub(crate) fn prepare(
    target: &Target,
    host: &DeliveryHost<'_>,
    ctx: &Context,
    goes_on: &dyn Fn() -> bool,
) {
    let done = target
        .adopt()
        .and_then(|()| target.unconfigured_are_due(ctx.now()))
        .and_then(|()| target.spool.sweep(ctx.now()).map(drop));
    if let Err(error) = done {
        host.distributed(&target.spool, Err(error));
    }
    moved_out::leave_broker(&target.spool, host, ctx, goes_on);
    // `check` tells why no space can be reserved.
    target.spool.keep_spare().ok();
    match intents::settle_all(&target.spool, ctx) {
        Err(Error::Spool(error)) => host.tell_spool(&error),
        Err(error) => ctx.tell_failure(error),
        Ok(()) => {}
    }
}
