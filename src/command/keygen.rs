//! `keygen`: prints a fresh key.

use crate::context::Context;
use crate::error::{Done, Error};
use crate::report;

pub(crate) fn run(ctx: &Context) -> Result<Done, Error> {
    report::line(ctx.fresh_key()?.expose());
    Ok(Done::Well)
}
