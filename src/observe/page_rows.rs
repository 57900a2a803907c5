//! The endpoints and deliveries of one spool, as far as the page shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use super::board::{Board, EndpointRow, place};
use super::labels::{Labels, Route};
use super::look::{Look, seconds};
use super::recent::{Delivery, RECENT};
use super::scrape::Receiver;
use super::state::State;
use crate::spool::{Attempt, IoError, Queue, Spool, Status, Totals};

/// What the page may show of a spool.
pub struct Shown<'a> {
    /// Endpoints of repositories that are shown.
    pub routes: BTreeMap<Queue, Route>,
    /// Queues that are paused or of no endpoint.
    pub marked: BTreeMap<Queue, State>,
    /// True if all queues are shown: the spool is that of one repository, or of the service.
    pub is_open: bool,
    /// Whether a repository is shown.
    pub shows: &'a dyn Fn(&Path) -> bool,
}

/// A spool whose log is still to be read.
pub struct Active {
    /// Time of its last attempt.
    pub last: SystemTime,
    /// Ids of the entries that wait or were given up.
    kept: BTreeSet<String>,
}

/// Returns the endpoints of a spool. The second value is there if attempts were made.
pub fn endpoints(
    spool: &Spool,
    look: &Look,
    shown: &Shown<'_>,
    now: SystemTime,
) -> Result<(Board, Option<Active>), IoError> {
    let own = look.row(true);
    let mut board = Board {
        new: own.new,
        unreadable: own.unreadable,
        unrecorded: own.unrecorded,
        is_partial: !look.survey.unseen.is_empty(),
        ..Board::default()
    };
    let routes: BTreeSet<&Route> = shown.routes.values().collect();
    let labels = |receiver: &str, endpoint: &str| Labels::new(receiver, endpoint, "");
    for row in look.receivers(now, &shown.routes, &shown.marked) {
        let route = Route {
            endpoint: row.labels.endpoint.clone(),
            receiver: row.labels.receiver.clone(),
        };
        if shown.is_open || routes.contains(&route) {
            board.endpoints.push(EndpointRow {
                receiver: Receiver {
                    labels: labels(&route.receiver, &route.endpoint),
                    totals: Totals::default(),
                    ..row
                },
                ..EndpointRow::default()
            });
        }
    }
    let mut newest = None;
    for (receiver, endpoint, tally) in look.counts.each() {
        let time = tally.last.as_ref().map(|last| last.time);
        newest = newest.max(time);
        let labels = labels(receiver, endpoint);
        let row = board
            .endpoints
            .iter_mut()
            .find(|one| one.receiver.labels == labels);
        if let Some(row) = row {
            row.counts = [1, 24, 168].map(|hours| tally.within(hours, now));
            let last = tally.last.as_ref();
            row.last = last.map(|last| (seconds(last.time), last.answer.clone()));
        }
    }
    let mut kept = BTreeSet::new();
    for queue in look.survey.queues.iter().map(|one| &one.queue) {
        let waiting = spool.peek(queue)?;
        let Route { endpoint, receiver } = look.route(queue, &shown.routes);
        let labels = labels(&receiver, &endpoint);
        let mut row = board
            .endpoints
            .iter_mut()
            .find(|one| one.receiver.labels == labels);
        for item in waiting.in_order.iter().chain(&waiting.refused) {
            kept.insert(item.id.to_string());
            if let Some(row) = &mut row {
                let age = now.duration_since(item.id.time()).unwrap_or_default();
                row.ages[place(age.as_secs())] += 1;
            }
        }
        kept.extend(spool.failed(queue)?.iter().map(|one| one.id.to_string()));
    }
    let active = newest.map(|last| Active { last, kept });
    Ok((board, active))
}

/// Returns the last attempts of a spool, and the last that failed.
pub fn recent(spool: &Spool, active: &Active, shown: &Shown<'_>) -> Result<Vec<Delivery>, IoError> {
    let is_sent =
        |attempt: &Attempt| !attempt.msg_id.is_empty() && (shown.shows)(&attempt.repository);
    let log = spool.log();
    let mut all = log.last(RECENT, is_sent)?;
    let failures = log.last(RECENT, |it| is_sent(it) && !is_delivered(it))?;
    for failure in failures {
        if !all.contains(&failure) {
            all.push(failure);
        }
    }
    let delivery = |attempt: Attempt| {
        let is_delivered = is_delivered(&attempt);
        Delivery {
            account: String::new(),
            time: seconds(attempt.time),
            repository: attempt.repository.display().to_string(),
            is_delivered,
            id: Some(attempt.id).filter(|id| !is_delivered && active.kept.contains(id)),
            attempt: attempt.attempt.into(),
            answer: match attempt.status {
                Status::Http(status) => status.to_string(),
                Status::Error(word) => word,
            },
            endpoint: attempt.endpoint,
            reference: attempt.reference,
            topic: attempt.topic,
            ms: attempt.ms,
            note: attempt.note.unwrap_or_default(),
        }
    };
    Ok(all.into_iter().map(delivery).collect())
}

fn is_delivered(attempt: &Attempt) -> bool {
    matches!(attempt.status, Status::Http(200..=299))
}
