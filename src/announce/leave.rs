//! Leaves recorded entries to delivery, as the mode says, and tells the result.

use std::cell::LazyCell;

use super::recorder::{Recorded, Share};
use super::sync::{self, Attempted, Submitted};
use crate::config::{Mode, Settings};
use crate::context::Context;
use crate::error::Error;
use crate::report;
use crate::spool::Spool;

/// The person who is told the result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// The pusher, by way of the hook's standard error.
    Pusher,
    /// The person who ran a command on the server.
    Admin,
}

/// Submits and delivers recorded entries as the mode says, and tells the listener the result.
pub(crate) fn leave(
    recorded: &Recorded,
    spool: &Spool,
    settings: &Settings,
    listener: Listener,
    ctx: &Context,
) -> Result<(), Error> {
    let submitted = recorded.entry.as_ref().and_then(|(id, _)| {
        let is_served = recorded.shares.iter().any(is_services);
        is_served.then(|| sync::submit_now(spool, id, ctx))
    });
    let is_submitted = !matches!(submitted, Some(Submitted::Left(_)));
    let attempted = match (settings.mode, &recorded.entry) {
        // A push of several batches takes longer than a pusher should wait.
        (Mode::Sync, Some((id, recipients))) if recorded.is_one_entry() => {
            sync::deliver_now(spool, id, recipients, settings, ctx)
        }
        _ => Vec::new(),
    };
    let is_one = recorded.is_one_entry() && is_submitted;
    let told = (&attempted[..], submitted.as_ref());
    tell(recorded, (spool, settings), told, listener, ctx);
    match settings.mode {
        Mode::Spool => Ok(()),
        Mode::Sync if is_one && attempted.iter().all(Attempted::is_empty_now) => Ok(()),
        Mode::Background if is_submitted && recorded.shares.iter().all(is_services) => Ok(()),
        // The rest of this push, and pushes that found this process holding a lock, go on without
        // the pusher.
        Mode::Sync | Mode::Background => ctx.flush_detached(spool.root()),
    }
}

/// Greatest number of endpoints that one line names.
const ENDPOINTS_TOLD: usize = 10;

/// Returns whether a share is the service's, for all endpoints that the service delivers to.
fn is_services(share: &Share) -> bool {
    share.queue.is_service()
}

/// Prints the notices that need a person, and one line with the result.
fn tell(
    recorded: &Recorded,
    (spool, settings): (&Spool, &Settings),
    (attempted, submitted): (&[Attempted], Option<&Submitted>),
    listener: Listener,
    ctx: &Context,
) {
    let verbose = settings.verbose_to_pusher || listener == Listener::Admin;
    for notice in attempted.iter().flat_map(|one| &one.report.notices) {
        let words = if verbose {
            &notice.admin
        } else {
            &notice.pusher
        };
        ctx.tell_once(&words.text, words.hint.as_deref());
    }
    let now = ctx.now();
    let total = recorded.messages;
    // Most pushes attempt each endpoint, or find none that fails.
    let failures = LazyCell::new(|| spool.stats().failures);
    let (mut sent, mut handed) = (Vec::new(), Vec::new());
    let (mut queued, mut failed) = (Vec::new(), Vec::new());
    let part_of = |count: usize| match count {
        count if count == total => String::new(),
        count => format!(" ({count} of them)"),
    };
    for share in &recorded.shares {
        let part = part_of(share.wanted);
        if is_services(share) {
            match submitted {
                Some(Submitted::Left(why)) => queued.push(format!("the service{part} ({why})")),
                _ => sent.push(format!("the service{part}")),
            }
            continue;
        }
        let mut endpoints = settings.endpoints.iter();
        let endpoint = endpoints.find(|one| one.name == share.endpoint);
        let name = match endpoint {
            Some(endpoint) if !verbose => &endpoint.name_for_pusher(),
            _ => &share.endpoint,
        };
        if endpoint.is_some_and(|endpoint| endpoint.paused) {
            queued.push(format!("`{name}`{part} (paused)"));
            continue;
        }
        let attempt = attempted.iter().find(|one| one.queue == share.queue);
        match attempt {
            Some(one) if share.queue.is_broker() => {
                if one.report.left.is_none() && one.report.refused == 0 {
                    handed.push(format!("`{name}`{part}"));
                } else {
                    let state = one.state(now, verbose);
                    queued.push(format!("`{name}`{part}{state}"));
                }
            }
            Some(one) => {
                let given_up = one.given_up(share.wanted);
                let rest = share.wanted - given_up;
                let (part, state) = (part_of(rest), one.state(now, verbose));
                if given_up > 0 {
                    failed.push(format!("`{name}`{}", part_of(given_up)));
                }
                if one.report.delivered < rest {
                    queued.push(format!("`{name}`{part}{state}"));
                } else if rest > 0 {
                    sent.push(format!("`{name}`{part}"));
                }
            }
            // Of those that are only counted nothing is looked up.
            None if queued.len() >= ENDPOINTS_TOLD => queued.push(String::new()),
            None => {
                let failure = failures.get(share.queue.as_str());
                let state = failure.map(|failure| {
                    let count = sync::count(spool, &share.queue);
                    sync::failing(&share.queue, failure.since, now, count)
                });
                queued.push(format!("`{name}`{part}{}", state.unwrap_or_default()));
            }
        }
    }
    let tried = attempted.len() + usize::from(submitted.is_some());
    let well = sent.len() + usize::from(!handed.is_empty());
    if settings.quiet && failed.is_empty() && tried == well {
        return;
    }
    let told = [
        ("sent to", sent),
        ("handed over for", handed),
        ("queued for", queued),
        ("kept in `failed/` for", failed),
    ];
    let told = told.iter().filter(|(_, names)| !names.is_empty());
    let mut parts: Vec<String> = told
        .map(|(verb, names)| format!("{verb} {}", some_of(names)))
        .collect();
    if settings.mode == Mode::Sync && !recorded.is_one_entry() {
        parts.push("too many to send during the push".to_owned());
    }
    let line = format!("{} {}", report::count(total, "message"), parts.join(", "));
    match listener {
        Listener::Pusher => report::say(&line),
        Listener::Admin => report::line(&line),
    }
}

/// Joins the first of these names with commas, and counts the others.
fn some_of(names: &[String]) -> String {
    match names.split_at_checked(ENDPOINTS_TOLD) {
        Some((first, others)) if !others.is_empty() => {
            format!("{} and {} more", first.join(", "), others.len())
        }
        _ => names.join(", "),
    }
}
