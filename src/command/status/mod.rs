//! `status`: shows the state of each receiver.

mod rows;

use std::ffi::OsString;

use clap::Args;
use serde_json::json;

use self::rows::{Last, Rows, rfc3339};
use super::ReposArgs;
use super::check::disk;
use crate::as_account::apart::{self, Job};
use crate::context::configured::Configured;
use crate::context::targets::{self, Target};
use crate::context::{Context, max_spool};
use crate::error::{Error, Exit};
use crate::observe::State;
use crate::observe::state::is_late;
use crate::report;
use crate::spool::{Failure, Queue, QueueSurvey, SpoolError};

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The repositories.
    #[command(flatten)]
    pub(crate) repos: ReposArgs,
    /// Print a JSON object for each endpoint
    #[arg(long)]
    pub(crate) json: bool,
    /// Show the healthy endpoints too, a row each
    #[arg(long, conflicts_with = "json")]
    pub(crate) healthy: bool,
    /// Exit with 3 if an endpoint fails or refuses messages now, messages are late or were given up, or
    /// there is no room for pushes
    #[arg(long)]
    pub(crate) exit_code: bool,
}

pub(crate) fn run(args: &StatusArgs, ctx: &Context) -> Result<Exit, Error> {
    let searched = targets::search(args.repos.named(), ctx)?;
    if searched.is_of_others(ctx) {
        let mut line: Vec<OsString> = vec!["status".into()];
        line.extend(args.json.then(|| "--json".into()));
        line.extend(args.healthy.then(|| "--healthy".into()));
        line.extend(args.exit_code.then(|| "--exit-code".into()));
        let job = Job::looking(line, args.json);
        return apart::run(searched.by_owner, &job, ctx);
    }
    let targets = searched.targets(ctx);
    let configured = Configured::new(ctx);
    let mut rows = Rows::default();
    let mut is_healthy = true;
    let done = targets::each(&targets, ctx, |target| {
        is_healthy &= show(target, args, &configured, &mut rows, ctx)?;
        Ok(())
    });
    // Of what could not be examined nothing is said.
    if !args.json && (done == Exit::Well || !rows.is_empty()) {
        rows.print(args.healthy, ctx.now());
    }
    Ok(match done {
        Exit::Well if args.exit_code && !is_healthy => Exit::Failing,
        done => done,
    })
}

/// Prints the state of a spool, and adds its endpoints to the rows or prints them as JSON.
///
/// Returns whether no endpoint fails or refuses messages, none are late or in `failed/`, and there is
/// room for pushes.
fn show(
    target: &Target,
    args: &StatusArgs,
    configured: &Configured<'_>,
    rows: &mut Rows,
    ctx: &Context,
) -> Result<bool, Error> {
    let as_json = args.json;
    let mut is_healthy = true;
    let survey = target.spool.survey().map_err(SpoolError::from)?;
    for error in survey.unseen {
        ctx.tell_failure(SpoolError::from(error));
    }
    let spool = target.spool.root().display().to_string();
    rows.arriving += survey.new + survey.spare.map_or(0, |spare| spare.used);
    is_healthy &= !is_late(survey.oldest_new, ctx.now());
    if survey.new + survey.unreadable > 0 {
        let (new, unreadable) = (survey.new, survey.unreadable);
        if as_json {
            report::json(
                &json!({ "spool": spool, "state": "undistributed", "new": new, "unreadable": unreadable }),
            );
        } else {
            report::line(&format!(
                "{spool}: {new} in `new/`, {unreadable} unreadable"
            ));
        }
    }
    if survey.unreadable > 0 {
        show_killers(target, as_json, &spool)?;
    }
    if let Some(spare) = survey.spare.filter(|it| it.used > 0 || it.lost.is_some()) {
        is_healthy &= spare.used == 0;
        if as_json {
            let lost = spare.lost;
            report::json(&json!({
                "spool": spool,
                "state": "full",
                "spare": spare.used,
                "lost": lost.map_or(0, |lost| lost.pushes),
                "last_lost": lost.map(|lost| rfc3339(lost.last)),
            }));
        } else {
            for text in disk::shown(spare) {
                report::line(&format!("{spool}: {text}"));
            }
        }
    }
    is_healthy &= show_bounds(target, as_json, &spool);
    let healthy = target
        .endpoints
        .keys()
        .filter(|queue| survey.queues.iter().all(|one| one.queue != **queue))
        .map(empty);
    let failures = target.spool.stats().failures;
    let queues: Vec<QueueSurvey> = survey.queues.iter().cloned().chain(healthy).collect();
    for queue in queues {
        let known = target.endpoints.get(&queue.queue);
        let orphan = match known {
            None => configured.orphan_in(&target.spool, &queue.queue),
            Some(_) => None,
        };
        let orphaned = orphan.as_ref().map(|orphan| &orphan.endpoint);
        let name = known.map(|known| &known.name).or(orphaned);
        let name = name.map_or(queue.queue.as_str(), String::as_str);
        let receiver = known.map_or("", |known| &known.receiver);
        let is_paused = known.is_some_and(|known| known.is_paused);
        is_healthy &=
            orphan.is_some() || is_paused || !State::of(&queue, false, ctx.now()).is_bad();
        is_healthy &= queue.failed == 0;
        let outage = failures
            .get(queue.queue.as_str())
            .filter(|it| it.by_transport);
        let state = match orphan {
            Some(_) => State::Unconfigured,
            None if is_paused => State::Paused,
            None => State::of(&queue, false, ctx.now()),
        };
        let is_shown = as_json || args.healthy || state != State::Healthy || queue.failed > 0;
        let last = is_shown.then(|| Last::of(&target.spool, name));
        let last = last.unwrap_or_default();
        if as_json {
            report::json(&object(
                &spool,
                (name, receiver),
                &queue,
                (state, outage),
                &last,
            ));
            continue;
        }
        // The head failed for the first time soon after it was enqueued.
        let head = queue.head.as_ref().filter(|_| state == State::Failing);
        let state_since = match outage {
            Some(outage) if orphan.is_none() && !is_paused && queue.head.is_some() => {
                (State::Down, Some(outage.since))
            }
            _ => (state, head.map(|head| head.id.time())),
        };
        rows.add((name, receiver), &queue, state_since, last);
    }
    Ok(is_healthy)
}

/// Prints which entries killed the process that built their messages.
fn show_killers(target: &Target, as_json: bool, spool: &str) -> Result<(), Error> {
    for (id, why) in target.spool.killers().map_err(SpoolError::from)? {
        if as_json {
            report::json(
                &json!({ "spool": spool, "state": "kills", "id": id.as_str(), "reason": why }),
            );
        } else {
            report::line(&format!("{spool}: entry `{id}` given up: {why}"));
        }
    }
    Ok(())
}

/// Prints which repositories have reached `max_spool`. Returns whether none has.
fn show_bounds(target: &Target, as_json: bool, spool: &str) -> bool {
    let mut has_room = true;
    for (repository, most) in &target.bounds {
        let waiting = target.spool.waiting_bytes(repository, *most, None);
        if waiting < *most {
            continue;
        }
        has_room = false;
        let repository = repository.display();
        if as_json {
            report::json(&json!({
                "spool": spool,
                "state": "no_room",
                "repository": repository.to_string(),
                "waiting_bytes": waiting,
                "max_spool": most,
            }));
        } else {
            let text = max_spool::shown(waiting, *most);
            report::line(&format!("{spool}: `{repository}`: {text}"));
        }
    }
    has_room
}

fn empty(queue: &Queue) -> QueueSurvey {
    QueueSurvey {
        queue: queue.clone(),
        waiting: 0,
        refused: 0,
        failed: 0,
        head: None,
        oldest: None,
        due: None,
    }
}

fn object(
    spool: &str,
    (endpoint, receiver): (&str, &str),
    queue: &QueueSurvey,
    (state, outage): (State, Option<&Failure>),
    last: &Last,
) -> serde_json::Value {
    let failing = queue.head.as_ref().filter(|head| head.attempts > 0);
    let next = queue.due.filter(|_| state != State::Paused);
    json!({
        "spool": spool,
        "endpoint": endpoint,
        "receiver": Some(receiver).filter(|receiver| !receiver.is_empty()),
        "queue": queue.queue.as_str(),
        "state": state.word(),
        "failing_since": failing.map(|head| rfc3339(head.id.time())),
        "down_since": outage.map(|outage| rfc3339(outage.since)),
        "attempts": failing.map_or(0, |head| head.attempts),
        "waiting": queue.waiting,
        "refused": queue.refused,
        "failed": queue.failed,
        "oldest": queue.oldest.map(rfc3339),
        "last_answer": last.answer.as_ref().map(|(_, answer)| answer),
        "last_attempt": last.answer.as_ref().map(|(time, _)| rfc3339(*time)),
        "last_success": last.success.map(rfc3339),
        "next_try": next.map(rfc3339),
    })
}
