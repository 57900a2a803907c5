//! `queue drop`: removes entries, never to be delivered.

use super::act::{QueueChooseArgs, act_on_selected};
use crate::context::Context;
use crate::error::{Error, Exit};

pub(super) fn run(args: &QueueChooseArgs, ctx: &Context) -> Result<Exit, Error> {
    act_on_selected(
        args,
        ctx,
        ("drop", "dropped"),
        |_| true,
        |spool, selected| {
            let mut count = spool.drop_new(&selected.new)? + spool.drop_spare(&selected.spare)?;
            for (queue, items) in &selected.waiting {
                count += spool.drop_waiting(queue, items)?;
            }
            for failed in &selected.failed {
                count += usize::from(spool.drop_failed(failed)?);
            }
            Ok(count)
        },
    )
}
