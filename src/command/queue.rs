//! `queue`: what waits and what failed, and taking it into one's own hands.

use serde_json::json;

use super::chosen::{ByPlace, Listed, Place, chosen};
use super::spools;
use super::surroundings::Surroundings;
use super::{Done, Error};
use crate::cli::{Choice, QueueChooseArgs, QueueCommand, QueueListArgs, QueueShowArgs};
use crate::report;
use crate::spool::{Content, Spool, SpoolError};

pub(super) fn run(command: &QueueCommand, around: &Surroundings) -> Result<Done, Error> {
    match command {
        QueueCommand::List(args) => list(args, around),
        QueueCommand::Show(args) => show(args, around),
        QueueCommand::Retry(args) => retry(args, around),
        QueueCommand::Drop(args) => discard(args, around),
    }
}

fn list(args: &QueueListArgs, around: &Surroundings) -> Result<Done, Error> {
    let targets = spools::find_here(&args.choice.paths, around)?;
    Ok(spools::each(&targets, around, |target| {
        for listed in chosen(target, &args.choice, around)? {
            if args.json {
                report::json(&object(&target.spool, &listed));
            } else {
                report::line(&describe(&listed));
            }
        }
        Ok(())
    }))
}

fn describe(listed: &Listed) -> String {
    let what = match &listed.header {
        None => "cannot be read".to_owned(),
        Some(header) => {
            let messages = match &header.content {
                Content::Owed(updates) => {
                    format!(
                        "{}, messages not built yet",
                        report::count(updates.len(), "ref update")
                    )
                }
                Content::Built(_) => report::count(listed.messages().len(), "message"),
            };
            format!("{messages} of `{}`", header.repository.display())
        }
    };
    let tries = match &listed.place {
        Place::Waiting(_, item) if item.attempts > 0 => format!(
            ", failed {}, due {}",
            report::count(item.attempts as usize, "time"),
            humantime::format_rfc3339_seconds(item.due)
        ),
        _ => String::new(),
    };
    let (state, id) = (listed.place.state(), listed.place.id());
    format!("{id} {state} `{}` {what}{tries}", listed.endpoint())
}

fn object(spool: &Spool, listed: &Listed) -> serde_json::Value {
    let item = match &listed.place {
        Place::Waiting(_, item) => Some(item),
        Place::New(_) | Place::Failed(_) => None,
    };
    let header = listed.header.as_ref();
    json!({
        "id": listed.place.id().as_str(),
        "state": listed.place.state(),
        "endpoint": listed.endpoint(),
        "spool": spool.root().to_string_lossy(),
        "repository": header.map(|header| header.repository.to_string_lossy()),
        "messages": listed.messages().len(),
        "attempts": item.map_or(0, |item| item.attempts),
        "due": item.map(|item| humantime::format_rfc3339_seconds(item.due).to_string()),
    })
}

fn show(args: &QueueShowArgs, around: &Surroundings) -> Result<Done, Error> {
    let choice = Choice {
        ids: vec![args.id.clone()],
        endpoint: None,
        repository: None,
        older_than: None,
        paths: args.paths.clone(),
    };
    let mut shown = None;
    for target in spools::find_here(&choice.paths, around)?.all {
        for listed in chosen(&target, &choice, around)? {
            report::line(&describe(&listed));
            // In whichever queue, it is one file.
            shown.get_or_insert(listed.place.open(&target.spool).map_err(SpoolError::from)?);
        }
    }
    let Some(entry) = shown else {
        return Err(nothing_chosen());
    };
    let header = entry.header();
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
        Content::Owed(updates) => {
            for update in updates {
                let oid = |oid: Option<crate::event::Oid>| {
                    oid.map_or_else(|| "(none)".to_owned(), |oid| oid.to_string())
                };
                let (old, new) = (oid(update.old), oid(update.new));
                report::line(&format!("{old} {new} {}", update.name.full()));
            }
        }
        Content::Built(built) => {
            for number in 0..built.messages.len() {
                let message = entry.message(number).map_err(SpoolError::from)?;
                report::raw(&message.body);
                report::raw(b"\n");
            }
        }
    }
    Ok(Done::Well)
}

fn nothing_chosen() -> Error {
    Error::Failed {
        what: "nothing of that kind waits or has failed".to_owned(),
        hint: Some("`refpost queue list` shows what does".to_owned()),
    }
}

fn retry(args: &QueueChooseArgs, around: &Surroundings) -> Result<Done, Error> {
    let now = around.now();
    on_chosen(args, around, "to be tried again now", |spool, chosen| {
        // What is in `new/` is taken by the next flush anyway.
        let mut count = chosen.new.len();
        for (queue, items) in &chosen.waiting {
            count += spool.retry_waiting(queue, items, now)?;
        }
        for failed in &chosen.failed {
            spool.retry_failed(failed, now)?;
            count += 1;
        }
        Ok(count)
    })
}

fn discard(args: &QueueChooseArgs, around: &Surroundings) -> Result<Done, Error> {
    on_chosen(args, around, "dropped", |spool, chosen| {
        let mut count = spool.drop_new(&chosen.new)?;
        for (queue, items) in &chosen.waiting {
            count += spool.drop_waiting(queue, items)?;
        }
        for failed in &chosen.failed {
            count += usize::from(spool.drop_failed(failed)?);
        }
        Ok(count)
    })
}

fn entries(count: usize) -> String {
    if count == 1 {
        "1 entry".to_owned()
    } else {
        format!("{count} entries")
    }
}

/// Does something to what is chosen of each spool, says to how many, and sets a flush off
/// for what is due then.
fn on_chosen(
    args: &QueueChooseArgs,
    around: &Surroundings,
    what: &str,
    act: impl Fn(&Spool, &ByPlace) -> Result<usize, SpoolError>,
) -> Result<Done, Error> {
    let (mut count, mut is_any) = (0, false);
    let targets = spools::find_here(&args.choice.paths, around)?;
    let done = spools::each(&targets, around, |target| {
        let chosen = chosen(target, &args.choice, around)?;
        if chosen.is_empty() {
            return Ok(());
        }
        is_any = true;
        let chosen: ByPlace = chosen.into_iter().map(|listed| listed.place).collect();
        count += act(&target.spool, &chosen)?;
        around.flush_detached(target.spool.root())
    });
    if !is_any && !args.all && done == Done::Well {
        return Err(nothing_chosen());
    }
    report::line(&format!("{} {what}", entries(count)));
    Ok(done)
}
