//! `queue list`: lists entries.

use clap::Args;
use serde_json::json;

use super::act::{is_typo, no_such_endpoint, nothing_chosen, nowhere, tell_strangers};
use super::rows::Rows;
use super::scope::{Asked, FilterArgs};
use super::selection::{Listed, Location, select};
use crate::as_account::apart::{self, Job};
use crate::command::ReposArgs;
use crate::context::Context;
use crate::context::configured::{Configured, NOT_CONFIGURED};
use crate::context::targets::{self, Target};
use crate::error::{Error, Exit};
use crate::observe::State;
use crate::report;
use crate::spool::{Spool, SpoolError};

/// Arguments of `queue list`.
#[derive(Debug, Args)]
pub(crate) struct QueueListArgs {
    /// The spools in which entries are looked for.
    #[command(flatten)]
    pub(crate) repos: ReposArgs,
    /// The selection.
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Print a JSON object for each entry
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn run(args: &QueueListArgs, ctx: &Context) -> Result<Exit, Error> {
    let asked = Asked {
        ids: &[],
        filter: args.filter.clone(),
        named: args.repos.named(),
    };
    let (searched, choice) = asked.search(ctx)?;
    if searched.is_of_others(ctx) {
        let mut line = asked.line("list", &choice);
        line.extend(args.json.then(|| "--json".into()));
        let job = Job::looking(line, args.json);
        return match apart::run(searched.by_owner, &job, ctx)? {
            Exit::NotHere if choice.filter.endpoint.is_some() => Err(no_such_endpoint(&choice)),
            Exit::NotHere => Err(nothing_chosen()),
            done => Ok(done),
        };
    }
    let targets = searched.targets(ctx);
    if let Some(outcome) = tell_strangers(&targets, &choice, ctx) {
        return Ok(outcome);
    }
    let configured = Configured::new(ctx);
    let mut rows = Rows::new(ctx);
    let done = targets::each(&targets, ctx, |target| {
        let killers = target.spool.killers().map_err(SpoolError::from)?;
        for listed in select(target, &choice, ctx)? {
            let orphan = configured
                .orphan(listed.header.as_ref(), listed.location.queue())
                .map(|_| NOT_CONFIGURED);
            let kills = killers.iter().find(|(id, _)| id == listed.location.id());
            let kills = kills.map(|(_, why)| why.as_str());
            let reason = orphan
                .or(is_paused(&listed.location, target).then(|| State::Paused.word()))
                .or(kills.filter(|_| listed.location.is_aside()));
            if args.json {
                report::json(&object(&target.spool, &listed, reason));
            } else {
                rows.add(&listed, reason);
            }
        }
        Ok(())
    });
    rows.print();
    if done == Exit::Well && is_typo(&targets, &choice, ctx) {
        return nowhere(ctx, || no_such_endpoint(&choice));
    }
    Ok(done)
}

/// Returns whether what is there is not tried because its endpoint is paused.
fn is_paused(location: &Location, target: &Target) -> bool {
    let Location::Waiting(queue, _) = location else {
        return false;
    };
    let endpoint = target.endpoints.get(queue);
    endpoint.is_some_and(|endpoint| endpoint.is_paused)
}

pub(super) fn object(spool: &Spool, listed: &Listed, reason: Option<&str>) -> serde_json::Value {
    let item = match &listed.location {
        Location::Waiting(_, item) => Some(item),
        Location::Spare(_) | Location::New(_) | Location::Failed(_) => None,
    };
    let header = listed.header.as_ref();
    json!({
        "id": listed.location.id().as_str(),
        "state": listed.location.state(),
        "endpoint": listed.endpoint(),
        "spool": spool.root().to_string_lossy(),
        "repository": header.map(|header| header.repository.to_string_lossy()),
        "messages": listed.messages().len(),
        "topic": listed.single().map(|one| &one.topic),
        "reference": listed.single().map(|one| &one.reference),
        "attempts": item.map_or(0, |item| item.attempts),
        "reason": reason,
        "due": item.map(|item| humantime::format_rfc3339_seconds(item.due).to_string()),
    })
}
