//! `queue retry`: makes entries due now. A message whose template could not be rendered is rendered
//! again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::SystemTime;

use super::act::{QueueChooseArgs, act_on_selected};
use super::selection::Listed;
use crate::announce::templates::Templates;
use crate::context::Context;
use crate::context::configured::{Configured, Orphan};
use crate::error::{Error, Exit};
use crate::payload::Message;
use crate::report;
use crate::service;
use crate::spool::{Failed, Header, Part, Spool, SpoolError};

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
            count += usize::from(retry(spool, failed, &configured, now, ctx)?);
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

/// Puts a failed item back into its queue. Returns whether it did: a message without a body stays.
fn retry(
    spool: &Spool,
    failed: &Failed,
    configured: &Configured<'_>,
    now: SystemTime,
    ctx: &Context,
) -> Result<bool, SpoolError> {
    if failed.queue.is_unreadable() {
        match service::take_again(spool, failed, ctx) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => {
                ctx.tell_failure(error);
                return Ok(false);
            }
        }
    }
    // An entry that cannot be read is told of once it is tried.
    let entry = spool.open_failed(failed).ok();
    let entry = entry.filter(|entry| entry.header().is_unrendered(&failed.queue, failed.part));
    let Some(entry) = entry else {
        spool.retry_failed(failed, now)?;
        return Ok(true);
    };
    let header = entry.header();
    let numbers = header.messages_for(&failed.queue);
    let messages = numbers.iter().map(|&number| entry.message(number));
    let mut messages: Vec<Message> = messages.collect::<Result<_, _>>()?;
    render(&mut messages, header, failed, configured);
    let of_part = of_part(&messages, failed.part);
    for fault in of_part.iter().filter_map(|message| message.fault()) {
        let endpoint = header.endpoint(&failed.queue).unwrap_or_default();
        ctx.tell_failure(Error::failed(format!(
            "cannot render a message for `{endpoint}` again: {fault}"
        )));
    }
    let is_any_whole = of_part.iter().any(|message| message.fault().is_none());
    if is_any_whole {
        spool.retry_anew(failed, messages, now)?;
    }
    Ok(is_any_whole)
}

/// Renders the messages of a failed item that have no body yet.
fn render(messages: &mut [Message], header: &Header, failed: &Failed, configured: &Configured<'_>) {
    let name = header.endpoint(&failed.queue);
    let settings = configured.settings(&header.repository);
    let Some(settings) = settings else { return };
    let mut endpoints = settings.endpoints.iter();
    let endpoint = endpoints.find(|endpoint| Some(endpoint.name.as_str()) == name);
    let Some(endpoint) = endpoint else { return };
    let templates = Templates::default();
    for message in messages.iter_mut().filter(|own| own.fault().is_some()) {
        templates.render(message, endpoint, &settings);
    }
}

/// Returns the messages of a part.
fn of_part(messages: &[Message], part: Part) -> &[Message] {
    let first = part.first() as usize;
    match part {
        Part::From(_) => messages.get(first..),
        Part::Only(_) => messages.get(first..=first),
    }
    .unwrap_or_default()
}
