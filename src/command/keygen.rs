//! `keygen`: prints a fresh key.

use crate::context::Surroundings;
use crate::error::{Done, Error};
use crate::report;

pub(crate) fn run(around: &Surroundings) -> Result<Done, Error> {
    report::line(around.fresh_key()?.expose());
    Ok(Done::Well)
}
