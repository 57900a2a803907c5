//! `queue drop`: removes entries, never to be delivered.

use super::act::{QueueChooseArgs, on_chosen};
use crate::context::Context;
use crate::error::{Done, Error};

pub(super) fn run(args: &QueueChooseArgs, ctx: &Context) -> Result<Done, Error> {
    on_chosen(
        args,
        ctx,
        ("drop", "dropped"),
        |_| true,
        |spool, chosen| {
            let mut count = spool.drop_new(&chosen.new)? + spool.drop_spare(&chosen.spare)?;
            for (queue, items) in &chosen.waiting {
                count += spool.drop_waiting(queue, items)?;
            }
            for failed in &chosen.failed {
                count += usize::from(spool.drop_failed(failed)?);
            }
            Ok(count)
        },
    )
}
