//! `status`: prints a line for each endpoint.

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::json;

use super::ReposArgs;
use super::check::disk;
use crate::as_account::apart::{self, Job};
use crate::context::configured::{Configured, NOT_CONFIGURED};
use crate::context::targets::{self, Target};
use crate::context::{Context, max_spool};
use crate::error::{Error, Exit};
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
    /// Exit with 3 if an endpoint fails or refuses messages now, or there is no room for pushes
    #[arg(long)]
    pub(crate) exit_code: bool,
}

pub(crate) fn run(args: &StatusArgs, ctx: &Context) -> Result<Exit, Error> {
    let searched = targets::search(args.repos.named(), ctx)?;
    if searched.is_of_others(ctx) {
        let mut line: Vec<OsString> = vec!["status".into()];
        line.extend(args.json.then(|| "--json".into()));
        line.extend(args.exit_code.then(|| "--exit-code".into()));
        let job = Job::looking(line, args.json);
        return apart::run(searched.by_owner, &job, ctx);
    }
    let targets = searched.targets(ctx);
    let configured = Configured::new(ctx);
    let mut is_healthy = true;
    let done = targets::each(&targets, ctx, |target| {
        is_healthy &= show(target, args.json, &configured, ctx)?;
        Ok(())
    });
    Ok(match done {
        Exit::Well if args.exit_code && !is_healthy => Exit::Failing,
        done => done,
    })
}

/// Prints the state of a spool and its endpoints. Returns whether no endpoint fails or refuses
/// messages, and there is room for pushes.
fn show(
    target: &Target,
    as_json: bool,
    configured: &Configured<'_>,
    ctx: &Context,
) -> Result<bool, Error> {
    let now = ctx.now();
    let mut is_healthy = true;
    let survey = target.spool.survey().map_err(SpoolError::from)?;
    for error in survey.unseen {
        ctx.tell_failure(SpoolError::from(error));
    }
    let spool = target.spool.root().display().to_string();
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
        for (id, why) in target.spool.killers().map_err(SpoolError::from)? {
            if as_json {
                report::json(
                    &json!({ "spool": spool, "state": "kills", "id": id.as_str(), "reason": why }),
                );
            } else {
                report::line(&format!("{spool}: entry `{id}` given up: {why}"));
            }
        }
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
        let name = known.or(orphaned);
        let name = name.map_or(queue.queue.as_str(), String::as_str);
        is_healthy &= orphan.is_some() || !is_failing(&queue);
        let outage = failures
            .get(queue.queue.as_str())
            .filter(|it| it.by_transport);
        if as_json {
            let state = orphan.as_ref().map_or(state(&queue), |_| "unconfigured");
            report::json(&object(&spool, name, &queue, state, outage));
        } else {
            let queue_name = queue.queue.as_str();
            let apart = if queue_name == name {
                String::new()
            } else {
                format!(", queue `{queue_name}`")
            };
            let text = describe(&queue, orphan.is_some(), outage, now);
            report::line(&format!("{spool}: `{name}` {text}{apart}"));
        }
    }
    Ok(is_healthy)
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

/// Returns whether the endpoint of a queue does not take messages.
fn is_failing(queue: &QueueSurvey) -> bool {
    queue.aside > 0 || queue.head.as_ref().is_some_and(|head| head.attempts > 0)
}

fn empty(queue: &Queue) -> QueueSurvey {
    QueueSurvey {
        queue: queue.clone(),
        waiting: 0,
        aside: 0,
        failed: 0,
        head: None,
        oldest: None,
    }
}

/// Returns the state of an endpoint as one word, for programs.
fn state(queue: &QueueSurvey) -> &'static str {
    match &queue.head {
        Some(head) if head.attempts > 0 => "failing",
        Some(_) => "waiting",
        None if queue.aside > 0 => "refusing",
        None => "healthy",
    }
}

fn describe(
    queue: &QueueSurvey,
    is_orphan: bool,
    outage: Option<&Failure>,
    now: SystemTime,
) -> String {
    let mut parts = Vec::new();
    match &queue.head {
        _ if is_orphan => parts.push(NOT_CONFIGURED.to_owned()),
        Some(head) if head.attempts > 0 || outage.is_some() => {
            // The head failed for the first time soon after it was enqueued.
            let (word, since) = match outage {
                Some(outage) => ("down", outage.since),
                None => ("failing", head.id.time()),
            };
            let failures = report::count(head.attempts as usize, "time");
            parts.push(format!("{word} since {} ({failures})", rfc3339(since)));
        }
        _ => parts.push(state(queue).to_owned()),
    }
    if queue.waiting > 0 {
        parts.push(format!("{} waiting", queue.waiting));
    }
    if queue.aside > 0 {
        parts.push(format!("{} refused", queue.aside));
    }
    if let Some(oldest) = queue.oldest {
        parts.push(format!("oldest {}", whole(now.duration_since(oldest))));
    }
    if let Some(head) = &queue.head {
        parts.push(match head.due.duration_since(now) {
            Ok(wait) => format!("next try in {}", whole(Ok(wait))),
            Err(_) => "due now".to_owned(),
        });
    }
    if queue.failed > 0 {
        parts.push(format!("{} given up", queue.failed));
    }
    parts.join(", ")
}

fn whole(duration: Result<Duration, std::time::SystemTimeError>) -> String {
    let seconds = Duration::from_secs(duration.unwrap_or_default().as_secs());
    humantime::format_duration(seconds).to_string()
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

fn object(
    spool: &str,
    endpoint: &str,
    queue: &QueueSurvey,
    state: &str,
    outage: Option<&Failure>,
) -> serde_json::Value {
    let failing = queue.head.as_ref().filter(|head| head.attempts > 0);
    json!({
        "spool": spool,
        "endpoint": endpoint,
        "queue": queue.queue.as_str(),
        "state": state,
        "failing_since": failing.map(|head| rfc3339(head.id.time())),
        "down_since": outage.map(|outage| rfc3339(outage.since)),
        "attempts": failing.map_or(0, |head| head.attempts),
        "waiting": queue.waiting,
        "refused": queue.aside,
        "failed": queue.failed,
        "oldest": queue.oldest.map(rfc3339),
        "next_try": queue.head.as_ref().map(|head| rfc3339(head.due)),
    })
}
