//! `queue show`: shows an entry and its messages.

use std::collections::BTreeMap;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Map, Value, json};

use super::act::{none_found, nothing_chosen, nowhere};
use super::describe::describe;
use super::list::object;
use super::scope::{Asked, FilterArgs, IdPrefix, ScopeArgs};
use super::selection::select;
use crate::as_account::apart::{self, Job};
use crate::command::completions::candidates;
use crate::context::{Context, targets};
use crate::error::{Error, Exit};
use crate::event::Oid;
use crate::report;
use crate::spool::{Content, Entry, Header, Id, SpoolError};

/// Arguments of `queue show`.
#[derive(Debug, Args)]
pub(crate) struct QueueShowArgs {
    /// Entries, by their ids or the beginnings of these
    #[arg(value_name = "ID", required = true, add = ArgValueCompleter::new(candidates::ids))]
    pub(crate) ids: Vec<IdPrefix>,
    /// The spools in which entries are looked for.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Print a JSON object for each entry
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn run(args: &QueueShowArgs, ctx: &Context) -> Result<Exit, Error> {
    let asked = Asked {
        ids: &args.ids,
        filter: FilterArgs::default(),
        named: args.scope.named(),
    };
    let (searched, mut choice) = asked.search(ctx)?;
    if searched.is_of_others(ctx) {
        let mut line = asked.line("show", &choice);
        line.extend(args.json.then(|| "--json".into()));
        let job = Job {
            as_json: args.json,
            ..Job::for_a_person(line)
        };
        return match apart::run(searched.by_owner, &job, ctx)? {
            Exit::NotHere => Err(nothing_chosen()),
            done => Ok(done),
        };
    }
    let targets = searched.targets(ctx);
    if !asked.resolve(&mut choice, &targets, ctx)? {
        return none_found(ctx);
    }
    let mut shown: BTreeMap<Id, (Header, Option<Entry>)> = BTreeMap::new();
    let mut places: BTreeMap<Id, Vec<(String, Value)>> = BTreeMap::new();
    let done = targets::each(&targets, ctx, |target| {
        for listed in select(target, &choice, ctx)? {
            let id = listed.location.id().clone();
            let place = (describe(&listed), object(&target.spool, &listed, None));
            places.entry(id.clone()).or_default().push(place);
            // The entry is one file, in every queue.
            let entry = listed.location.open(&target.spool);
            let entry = entry.map_err(SpoolError::from)?;
            if let Some(header) = listed.header {
                shown.entry(id).or_insert((header, entry));
            }
        }
        Ok(())
    });
    if places.is_empty() && done == Exit::Well {
        return nowhere(ctx, nothing_chosen);
    }
    for (id, places) in &places {
        if args.json {
            let places: Vec<&Value> = places.iter().map(|(_, place)| place).collect();
            let shown = shown.get(id);
            let mut whole = json!({ "id": id.as_str(), "places": places });
            if let (Some((header, entry)), Some(whole)) = (shown, whole.as_object_mut()) {
                describe_in(whole, header, entry.as_ref())?;
            }
            report::json(&whole);
            continue;
        }
        for (place, _) in places {
            report::line(place);
        }
        if let Some((header, entry)) = shown.get(id) {
            show(header, entry.as_ref())?;
        }
    }
    Ok(done.max(ctx.outcome()))
}

/// Adds the contents of an entry.
fn describe_in(
    whole: &mut Map<String, Value>,
    header: &Header,
    entry: Option<&Entry>,
) -> Result<(), Error> {
    let time = humantime::format_rfc3339_seconds(header.time).to_string();
    whole.insert(
        "repository".into(),
        json!(header.repository.to_string_lossy()),
    );
    whole.insert("time".into(), json!(time));
    whole.insert("pusher".into(), json!(header.pusher));
    whole.insert("push_options".into(), json!(header.push_options));
    let (mut updates, mut messages) = (Vec::new(), Vec::new());
    match &header.content {
        Content::Deferred(deferred) => updates.extend(deferred.iter().map(|update| {
            let oid = |oid: Option<Oid>| oid.map(|oid| oid.to_string());
            json!({
                "old": oid(update.old),
                "new": oid(update.new),
                "reference": update.name.full(),
            })
        })),
        Content::Built(built) => {
            let entries = entry.into_iter().cycle();
            for ((number, frozen), entry) in built.messages.iter().enumerate().zip(entries) {
                let message = entry.message(number).map_err(SpoolError::from)?;
                messages.push(json!({
                    "format": frozen.format.name(),
                    "topic": frozen.topic,
                    "reference": frozen.reference,
                    "msg_id": frozen.msg_id,
                    "body": String::from_utf8_lossy(&message.body),
                }));
            }
        }
    }
    whole.insert("updates".into(), updates.into());
    whole.insert("messages".into(), messages.into());
    Ok(())
}

fn show(header: &Header, entry: Option<&Entry>) -> Result<(), Error> {
    report::line(&format!("repository: {}", header.repository.display()));
    report::line(&format!(
        "time: {}",
        humantime::format_rfc3339_seconds(header.time)
    ));
    report::line(&format!(
        "pusher: {}",
        header.pusher.as_deref().unwrap_or("-")
    ));
    for option in &header.push_options {
        report::line(&format!("push option: {option}"));
    }
    match &header.content {
        Content::Deferred(updates) => {
            for update in updates {
                let oid = |oid: Option<Oid>| {
                    oid.map_or_else(|| "(none)".to_owned(), |oid| oid.to_string())
                };
                let (old, new) = (oid(update.old), oid(update.new));
                report::line(&format!("{old} {new} {}", update.name.full()));
            }
        }
        Content::Built(built) => {
            for (number, entry) in (0..built.messages.len()).zip(entry.into_iter().cycle()) {
                let message = entry.message(number).map_err(SpoolError::from)?;
                report::raw(&message.body);
                report::raw(b"\n");
            }
        }
    }
    Ok(())
}
