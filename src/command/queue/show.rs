//! `queue show`: shows an entry and its messages.

use std::path::PathBuf;

use clap::Args;

use super::act::{apart, line_of, nothing_chosen, nowhere};
use super::describe::describe;
use super::selection::Choice;
use super::selection::select;
use crate::command::parse_id;
use crate::context::{Context, targets};
use crate::error::{Error, Exit};
use crate::event::Oid;
use crate::report;
use crate::spool::Id;
use crate::spool::{Content, SpoolError};

/// Arguments of `queue show`.
#[derive(Debug, Args)]
pub(crate) struct QueueShowArgs {
    /// Id of the entry
    #[arg(value_parser = parse_id)]
    pub(crate) id: Id,
    /// Repository, spool, or folder to search [default: the current repository, or the server]
    #[arg(long = "in", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

pub(super) fn run(args: &QueueShowArgs, ctx: &Context) -> Result<Exit, Error> {
    let choice = Choice {
        ids: vec![args.id.clone()],
        endpoint: None,
        repository: None,
        older_than: None,
        paths: args.paths.clone(),
    };
    let searched = targets::search_here(&choice.paths, ctx)?;
    if searched.is_of_others(ctx) {
        return apart(searched, line_of("show", &choice), ctx);
    }
    let mut shown = None;
    for target in searched.targets(ctx) {
        for listed in select(&target, &choice, ctx)? {
            report::line(&describe(&listed));
            // The entry is one file, in every queue.
            let entry = listed
                .location
                .open(&target.spool)
                .map_err(SpoolError::from)?;
            if let Some(header) = listed.header {
                shown.get_or_insert((header, entry));
            }
        }
    }
    let Some((header, entry)) = shown else {
        return nowhere(ctx, nothing_chosen);
    };
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
            for (number, entry) in (0..built.messages.len()).zip(entry.iter().cycle()) {
                let message = entry.message(number).map_err(SpoolError::from)?;
                report::raw(&message.body);
                report::raw(b"\n");
            }
        }
    }
    Ok(ctx.outcome())
}
