//! Brings spools up to date before they are delivered.

use crate::announce::delivery_host::World;
use crate::announce::intents;
use crate::context::Surroundings;
use crate::context::targets::Target;
use crate::delivery::Surveyor;
use crate::error::Error;

/// Brings a spool up to date.
///
/// Takes over former spools, makes entries due whose endpoints are not configured any more, removes
/// remains, reserves space, and settles intents. Errors are told.
pub(crate) fn prepare(target: &Target, world: &World<'_>, around: &Surroundings) {
    let done = target
        .adopt()
        .and_then(|()| target.unconfigured_are_due(around.now()))
        .and_then(|()| target.spool.sweep(around.now()).map(drop));
    if let Err(error) = done {
        world.distributed(&target.spool, Err(error));
    }
    // `check` tells why no space can be reserved.
    target.spool.keep_spare().ok();
    match intents::settle_all(&target.spool, around) {
        Err(Error::Spool(error)) => world.tell_spool(&error),
        Err(error) => around.tell_error(error),
        Ok(()) => {}
    }
}
