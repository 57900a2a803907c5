//! `keygen`: prints a fresh key.

use crate::context::Context;
use crate::error::{Error, Exit};
use crate::report;

pub(crate) fn run(ctx: &Context) -> Result<Exit, Error> {
    report::line(ctx.fresh_key()?.expose());
    Ok(Exit::Well)
}
