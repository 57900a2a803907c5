//! Mode `sync`: attempts the push's own entry while the pusher waits.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use super::delivery_host::DeliveryHost;
use super::moved_out;
use crate::config::Settings;
use crate::context::{Context, signals};
use crate::delivery::{
    self, Client, DeliveryAgent, Instant, LaneReport, Left, Limits, Receivers, Surveyor,
};
use crate::spool::{Id, Lock, Queue, Recipient, Spool};
use crate::{report, service};

/// Time between two tries for a lock that another process holds, within the push budget.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Number of waiting entries from which on no more are counted.
const MOST_COUNTED: usize = 1001;

/// Result of attempting the push's messages in one queue.
pub(crate) struct Attempted {
    pub(crate) queue: Queue,
    pub(crate) report: LaneReport,
    /// Number of entries that wait in its queue after the attempt, up to [`MOST_COUNTED`].
    waiting: usize,
    /// Time since which its attempts failed before this one.
    failing_since: Option<SystemTime>,
}

impl Attempted {
    /// Returns whether nothing waits, of this push or of another, in its queue or on the way there.
    pub(crate) fn is_empty_now(&self) -> bool {
        self.waiting == 0 && self.report.left.is_none()
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
        match (&self.report.left, self.failing_since) {
            (Some(Left::NotDue | Left::Older | Left::Down { .. }), Some(since)) => {
                failing(&self.queue, since, now, self.waiting)
            }
            (Some(Left::Older), _) if self.waiting == 0 => " (behind older ones)".to_owned(),
            (Some(Left::Older), _) => {
                format!(" (behind older ones, {})", waiting(self.waiting))
            }
            (Some(Left::Failed { why, for_pusher }), _) => {
                let who = if self.queue.is_broker() {
                    "the broker"
                } else {
                    "it"
                };
                format!(" ({who} {})", if verbose { why } else { for_pusher })
            }
            (Some(Left::OutOfTime | Left::Crowded), _) => " (no time left)".to_owned(),
            (None, _) if self.report.refused > 0 => {
                format!(" ({} refused)", self.report.refused)
            }
            (None | Some(Left::NotDue | Left::Down { .. } | Left::Fault), _) => String::new(),
        }
    }
}

/// Counts the entries that wait for an endpoint: those beyond [`MOST_COUNTED`] are not read, so that
/// a push costs the same however many there are.
pub(crate) fn count(spool: &Spool, queue: &Queue) -> usize {
    spool
        .count_in_order(queue, MOST_COUNTED)
        .unwrap_or_default()
}

fn waiting(count: usize) -> String {
    match count {
        MOST_COUNTED.. => "over 1,000 waiting".to_owned(),
        _ => format!("{count} waiting"),
    }
}

/// Says, for the pusher, since when a queue's receiver fails, and how many entries wait for it.
pub(crate) fn failing(queue: &Queue, since: SystemTime, now: SystemTime, count: usize) -> String {
    let since = now.duration_since(since).unwrap_or_default();
    let since = humantime::format_duration(Duration::from_secs(since.as_secs()));
    let who = if queue.is_broker() {
        "the broker: "
    } else {
        ""
    };
    format!(" ({who}failing for {since}, {})", waiting(count))
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
    // What waited for a broker is older.
    if settings.broker.is_none()
        && let Ok(entry) = spool.open_new(id)
    {
        let queue = delivery::broker_queue(settings, &entry.header().repository);
        moved_out::leave_queue(spool, &queue, &host, &|| Instant::now() < end);
    }
    let receivers = Receivers::default();
    let failures = spool.stats().failures;
    receivers.learn(spool, failures.clone());
    let attempted = |recipient: &Recipient, report| Attempted {
        queue: recipient.queue.clone(),
        report,
        waiting: count(spool, &recipient.queue),
        failing_since: failures.get(recipient.queue.as_str()).map(|it| it.since),
    };
    let agent = DeliveryAgent::of_push(spool, id, &client, &host, &receivers, limits, &stop);
    signals::panic_ends("cannot wait for answers", 0);
    let ran = delivery::run(async {
        let ran = distribute(spool, &host, end, Some(id)).await;
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
                _ => attempt(&agent, spool, &recipient.queue, end).await,
            };
            attempted(recipient, report)
        });
        futures_util::future::join_all(attempts).await
    });
    receivers.save(|_| Some(spool), || true, true);
    ran.unwrap_or_else(|error| {
        report::say(&format!("cannot wait for answers: {error}"));
        let untried = LaneReport::of(Left::OutOfTime);
        let all = recipients.iter();
        all.map(|one| attempted(one, untried.clone())).collect()
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
    if let Err(error) = delivery::run(distribute(spool, &host, end, None)) {
        return Submitted::Left(format!("cannot wait for answers: {error}"));
    }
    match service::submit(spool, &host.submitter(), &|| end.into_std()) {
        Err(error) => Submitted::Left(report::chain(&error)),
        Ok(None) if spool.open_new(id).is_ok() => Submitted::Left("behind older ones".to_owned()),
        Ok(None) => Submitted::All,
        Ok(Some(why)) => Submitted::Left(why),
    }
}

/// Distributes recorded entries to their queues: those of all repositories, or those of the
/// repository of `own`. Returns `None` if another process has `new/` for all of the time.
async fn distribute(
    spool: &Spool,
    host: &DeliveryHost<'_>,
    end: Instant,
    own: Option<&Id>,
) -> Option<()> {
    let mut has_run = false;
    let own = own.and_then(|id| spool.open_new(id).ok());
    let repository = own.map(|entry| entry.header().repository.clone());
    let ran = wait_until(end, || {
        let build = |id: &Id, header: &_| host.build(spool, id, header);
        let distribution = spool.distribution(Lock::Try, build);
        let mut distribution = distribution.ok().flatten()?;
        if let Some(repository) = &repository {
            distribution = distribution.of_repository(repository);
        }
        // The pusher does not wait for a long backlog: a flush distributes the rest.
        while distribution.step(|| Instant::now() < end).ok()?? && Instant::now() < end {}
        has_run = true;
        // The messages of an older push that was only recorded are made soon.
        (!distribution.finish().builds).then_some(())
    })
    .await;
    ran.or(has_run.then_some(()))
}

async fn attempt(
    agent: &DeliveryAgent<'_>,
    spool: &Spool,
    queue: &Queue,
    end: Instant,
) -> LaneReport {
    let ask = || match spool.lane(queue).ok().flatten() {
        // Nothing waits: another process has delivered it.
        None if spool.count_in_order(queue, 1).is_ok_and(|count| count == 0) => Some(None),
        lane => lane.map(Some),
    };
    let lane = match wait_until(end, ask).await {
        Some(Some(lane)) => lane,
        Some(None) => return LaneReport::default(),
        None => return LaneReport::of(Left::OutOfTime),
    };
    loop {
        let ran = agent.run(&lane, None).await;
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
