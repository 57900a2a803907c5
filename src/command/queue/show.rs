//! `queue show`: shows an entry and its messages.

use std::collections::BTreeMap;

use clap::Args;

use super::act::{apart, nothing_chosen, nowhere};
use super::describe::describe;
use super::scope::{Asked, FilterArgs, IdPrefix, ScopeArgs};
use super::selection::select;
use crate::context::{Context, targets};
use crate::error::{Error, Exit};
use crate::event::Oid;
use crate::report;
use crate::spool::{Content, Entry, Header, Id, SpoolError};

/// Arguments of `queue show`.
#[derive(Debug, Args)]
pub(crate) struct QueueShowArgs {
    /// Entries, by their ids or the beginnings of these
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<IdPrefix>,
    /// Where to look.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

pub(super) fn run(args: &QueueShowArgs, ctx: &Context) -> Result<Exit, Error> {
    let asked = Asked {
        ids: &args.ids,
        filter: FilterArgs::default(),
        named: args.scope.named(),
    };
    let (searched, mut choice) = asked.search(ctx)?;
    if searched.is_of_others(ctx) {
        return apart(searched, asked.line("show", &choice), ctx);
    }
    let targets = searched.targets(ctx);
    if !asked.resolve(&mut choice, &targets, ctx)? && ctx.outcome() == Exit::Well {
        return nowhere(ctx, nothing_chosen);
    }
    let mut shown: BTreeMap<Id, (Header, Option<Entry>)> = BTreeMap::new();
    let mut places: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    let done = targets::each(&targets, ctx, |target| {
        for listed in select(target, &choice, ctx)? {
            let id = listed.location.id().clone();
            places
                .entry(id.clone())
                .or_default()
                .push(describe(&listed));
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
        for place in places {
            report::line(place);
        }
        if let Some((header, entry)) = shown.get(id) {
            show(header, entry.as_ref())?;
        }
    }
    Ok(done.max(ctx.outcome()))
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
