//! Mode `sync`: attempts the push's own entry while the pusher waits.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use super::delivery_host::DeliveryHost;
use crate::config::Settings;
use crate::context::{Context, signals};
use crate::delivery::{
    self, Client, Courier, Instant, LaneReport, Left, Limits, Receivers, Surveyor,
};
use crate::spool::{Id, Lock, Queue, Recipient, Spool, Standing};
use crate::{report, service};

/// Time between two tries for a lock that another process holds, within the push budget.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Result of attempting the push's messages for one endpoint.
pub(crate) struct Attempted {
    pub(crate) endpoint: String,
    pub(crate) report: LaneReport,
    /// State of its queue after the attempt.
    waiting: Standing,
}

impl Attempted {
    /// Returns whether nothing waits, of this push or of another, in its queue or on the way there.
    pub(crate) fn is_empty_now(&self) -> bool {
        self.waiting.waiting == 0 && self.report.left.is_none()
    }

    /// Returns how many of the push's messages were given up, and wait no more.
    pub(crate) fn given_up(&self, wanted: usize) -> usize {
        // Those of older pushes count as well.
        if self.report.left.is_some() || self.report.delivered >= wanted {
            return 0;
        }
        self.report.failed.min(wanted)
    }

    /// Returns the reason why messages wait, for the pusher: ` (failing for 3h, 14 waiting)`. With
    /// `verbose`, it has details that are the administrator's to know.
    pub(crate) fn state(&self, now: SystemTime, verbose: bool) -> String {
        let count = self.waiting.waiting;
        match (&self.report.left, &self.waiting.head) {
            (Some(Left::NotDue | Left::Older), Some(head)) if head.attempts > 0 => {
                failing(head.id.time(), now, count)
            }
            (Some(Left::Older), None) => " (behind older ones)".to_owned(),
            (Some(Left::Older), _) => format!(" (behind older ones, {count} waiting)"),
            (Some(Left::Failed { why, for_pusher }), _) => {
                format!(" (it {})", if verbose { why } else { for_pusher })
            }
            (Some(Left::OutOfTime | Left::Crowded), _) => " (no time left)".to_owned(),
            (None, _) if self.report.refused > 0 => {
                format!(" ({} refused)", self.report.refused)
            }
            (None | Some(Left::NotDue | Left::Down { .. } | Left::Fault), _) => String::new(),
        }
    }
}

/// Says, for the pusher, since when an endpoint fails, and how many entries wait for it.
pub(crate) fn failing(since: SystemTime, now: SystemTime, waiting: usize) -> String {
    let since = now.duration_since(since).unwrap_or_default();
    let since = humantime::format_duration(Duration::from_secs(since.as_secs()));
    format!(" (failing for {since}, {waiting} waiting)")
}

/// Attempts the push's own entry at all endpoints at once, for as long as the push budget lasts.
pub(crate) fn deliver_now(
    spool: &Spool,
    id: &Id,
    recipients: &[Recipient],
    settings: &Settings,
    ctx: &Context,
) -> Vec<Attempted> {
    let end = Instant::now() + settings.push_budget;
    let client = Client::of_few(ctx.host());
    let host = DeliveryHost::new(ctx, false);
    let stop = Cell::new(false);
    let limits = Limits {
        begin_before: None,
        end_by: Some(end),
    };
    let receivers = Receivers::default();
    receivers.learn(spool, spool.stats().failures);
    let courier = Courier::of_push(spool, id, &client, &host, &receivers, limits, &stop);
    signals::panic_ends("cannot wait for answers", 0);
    let attempted = delivery::run(async {
        let ran = distribute(spool, &host, end).await;
        // An older push that cannot be announced yet holds this one in `new/`, or the backlog takes
        // longer than the pusher waits: no queue is worth waiting for.
        let held = (ran.is_some() && spool.open_new(id).is_ok()).then(|| {
            let is_late = Instant::now() >= end;
            if is_late {
                Left::OutOfTime
            } else {
                Left::Older
            }
        });
        let own = recipients.iter().filter(|one| !one.queue.is_service());
        let attempts = own.map(async |recipient| {
            let report = match (ran, &held) {
                (None, _) => LaneReport::of(Left::OutOfTime),
                (_, Some(left)) => LaneReport::of(left.clone()),
                _ => attempt(&courier, spool, &recipient.queue, end).await,
            };
            let waiting = spool.standing(&recipient.queue).unwrap_or_default();
            Attempted {
                endpoint: recipient.endpoint.clone(),
                report,
                waiting,
            }
        });
        futures_util::future::join_all(attempts).await
    });
    receivers.save(|_| Some(spool), || true, true);
    attempted.unwrap_or_else(|error| {
        report::say(&format!("cannot wait for answers: {error}"));
        let untried = |recipient: &Recipient| Attempted {
            endpoint: recipient.endpoint.clone(),
            report: LaneReport::of(Left::OutOfTime),
            waiting: spool.standing(&recipient.queue).unwrap_or_default(),
        };
        recipients.iter().map(untried).collect()
    })
}

/// Result of submitting entries to the service.
pub(crate) enum Submitted {
    /// The service has the entry, and those before it.
    All,
    /// The entry waits, for this reason.
    Left(String),
}

/// Submits to the service the push's own entry and those that wait before it, while the pusher
/// waits.
pub(crate) fn submit_now(spool: &Spool, id: &Id, ctx: &Context) -> Submitted {
    let end = Instant::now() + service::PUSH_PATIENCE;
    let host = DeliveryHost::new(ctx, false);
    signals::panic_ends("cannot wait for answers", 0);
    if let Err(error) = delivery::run(distribute(spool, &host, end)) {
        return Submitted::Left(format!("cannot wait for answers: {error}"));
    }
    match service::submit(spool, &host.submitter(), &|| end.into_std()) {
        Err(error) => Submitted::Left(report::chain(&error)),
        Ok(None) if spool.open_new(id).is_ok() => Submitted::Left("behind older ones".to_owned()),
        Ok(None) => Submitted::All,
        Ok(Some(why)) => Submitted::Left(why),
    }
}

/// Distributes recorded entries to their queues. Returns `None` if another process has `new/` for
/// all of the time.
async fn distribute(spool: &Spool, host: &DeliveryHost<'_>, end: Instant) -> Option<()> {
    let mut has_run = false;
    let ran = wait_until(end, || {
        let build = |id: &Id, header: &_| host.build(spool, id, header);
        let distribution = spool.distribution(Lock::Try, build);
        let mut distribution = distribution.ok().flatten()?;
        // The pusher does not wait for a long backlog: a flush distributes the rest.
        while distribution.step(|| Instant::now() < end).ok()?? && Instant::now() < end {}
        has_run = true;
        // The messages of an older push that was only recorded are made soon.
        (!distribution.finish().builds).then_some(())
    })
    .await;
    ran.or(has_run.then_some(()))
}

async fn attempt(courier: &Courier<'_>, spool: &Spool, queue: &Queue, end: Instant) -> LaneReport {
    let ask = || match spool.lane(queue).ok().flatten() {
        // Nothing waits: another process has delivered it.
        None if spool
            .standing(queue)
            .is_ok_and(|it| it.next_due().is_none()) =>
        {
            Some(None)
        }
        lane => lane.map(Some),
    };
    let lane = match wait_until(end, ask).await {
        Some(Some(lane)) => lane,
        Some(None) => return LaneReport::default(),
        None => return LaneReport::of(Left::OutOfTime),
    };
    loop {
        let ran = courier.run(&lane, None).await;
        let report = ran.unwrap_or_else(|error| {
            LaneReport::of(Left::Failed {
                why: report::chain(&error),
                for_pusher: report::chain(&error),
            })
        });
        // The attempt for another endpoint of the same receiver is over soon.
        let is_crowded = matches!(report.left, Some(Left::Crowded));
        if !is_crowded || Instant::now() + LOOK_AGAIN >= end {
            return report;
        }
        delivery::pause(LOOK_AGAIN).await;
    }
}

/// Calls `ask` until it returns a value or no time is left.
async fn wait_until<T>(end: Instant, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        match ask() {
            Some(answer) => return Some(answer),
            None if Instant::now() + LOOK_AGAIN >= end => return None,
            None => delivery::pause(LOOK_AGAIN).await,
        }
    }
}
