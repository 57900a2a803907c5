//! `queue retry`: makes entries due now.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::act::{QueueChooseArgs, act_on_selected};
use super::selection::Listed;
use crate::context::Context;
use crate::context::configured::{Configured, Orphan};
use crate::error::{Error, Exit};
use crate::report;

pub(super) fn run(args: &QueueChooseArgs, ctx: &Context) -> Result<Exit, Error> {
    let now = ctx.now();
    let configured = Configured::new(ctx);
    // An entry of an endpoint that is not configured would be given up once more.
    let refused = RefCell::new(BTreeMap::<Orphan, usize>::new());
    let is_wanted = |listed: &Listed| {
        let orphan = configured.orphan(listed.header.as_ref(), listed.location.queue());
        let is_wanted = orphan.is_none();
        if let Some(orphan) = orphan {
            *refused.borrow_mut().entry(orphan).or_default() += 1;
        }
        is_wanted
    };
    let what = ("retry", "to be tried again now");
    let done = act_on_selected(args, ctx, what, is_wanted, |spool, selected| {
        // The next flush takes entries in `new/` anyway.
        let mut count = selected.new.len() + selected.spare.len();
        for (queue, items) in &selected.waiting {
            count += spool.retry_waiting(queue, items, now)?;
        }
        for failed in &selected.failed {
            spool.retry_failed(failed, now)?;
            count += 1;
        }
        Ok(count)
    })?;
    for (orphan, count) in refused.borrow().iter() {
        let (endpoint, repository) = (&orphan.endpoint, orphan.repository.display());
        ctx.tell_error(Error::Failed {
            what: format!(
                "cannot retry {} of `{endpoint}`: it is not configured for `{repository}`",
                report::count(*count, "entry")
            ),
            hint: Some(configured.ways_out(orphan)),
        });
    }
    Ok(if refused.borrow().is_empty() {
        done
    } else {
        Exit::No
    })
}
