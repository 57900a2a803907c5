//! `queue`: lists, shows, retries, drops and moves entries that wait or have failed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;

use serde_json::json;

use super::chosen::{ByPlace, Listed, Place, chosen};
use super::queue_move;
use crate::as_account::apart::{self, Job};
use crate::cli::{Choice, QueueChooseArgs, QueueCommand, QueueListArgs, QueueShowArgs};
use crate::context::Surroundings;
use crate::context::configured::{Configured, NOT_CONFIGURED, Orphan};
use crate::context::targets::{self, Searched};
use crate::error::{Done, Error};
use crate::report;
use crate::spool::{Content, Spool, SpoolError};

pub(super) fn run(command: &QueueCommand, around: &Surroundings) -> Result<Done, Error> {
    match command {
        QueueCommand::List(args) => list(args, around),
        QueueCommand::Show(args) => show(args, around),
        QueueCommand::Retry(args) => retry(args, around),
        QueueCommand::Move(args) => queue_move::run(args, around),
        QueueCommand::Drop(args) => discard(args, around),
    }
}

fn list(args: &QueueListArgs, around: &Surroundings) -> Result<Done, Error> {
    let searched = targets::search_here(&args.choice.paths, around)?;
    if searched.is_of_others(around) {
        let mut line = line_of("list", &args.choice);
        line.extend(args.json.then(|| "--json".into()));
        let job = Job::looking(line, args.json);
        return Ok(apart::run(searched.by_owner, &job, around)?.done());
    }
    let targets = searched.targets(around);
    let configured = Configured::new(around);
    Ok(targets::each(&targets, around, |target| {
        let killers = target.spool.killers().map_err(SpoolError::from)?;
        for listed in chosen(target, &args.choice, around)? {
            let orphan = configured
                .orphan(listed.header.as_ref(), listed.place.queue())
                .map(|_| NOT_CONFIGURED);
            let kills = killers.iter().find(|(id, _)| id == listed.place.id());
            let kills = kills.map(|(_, why)| why.as_str());
            let reason = orphan.or(kills.filter(|_| listed.place.is_aside()));
            if args.json {
                report::json(&object(&target.spool, &listed, reason));
            } else {
                let reason = reason.map(|reason| format!(", {reason}"));
                let line = describe(&listed) + &reason.unwrap_or_default();
                report::line(&line);
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
            // Each of the messages of one push may wait by itself.
            let about = listed.single().map_or_else(String::new, |one| {
                let reference = report::printable(&one.reference);
                format!(" ({} `{reference}`)", one.topic)
            });
            format!("{messages}{about} of `{}`", header.repository.display())
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

fn object(spool: &Spool, listed: &Listed, reason: Option<&str>) -> serde_json::Value {
    let item = match &listed.place {
        Place::Waiting(_, item) => Some(item),
        Place::Spare(_) | Place::New(_) | Place::Failed(_) => None,
    };
    let header = listed.header.as_ref();
    json!({
        "id": listed.place.id().as_str(),
        "state": listed.place.state(),
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

fn show(args: &QueueShowArgs, around: &Surroundings) -> Result<Done, Error> {
    let choice = Choice {
        ids: vec![args.id.clone()],
        endpoint: None,
        repository: None,
        older_than: None,
        paths: args.paths.clone(),
    };
    let searched = targets::search_here(&choice.paths, around)?;
    if searched.is_of_others(around) {
        return apart(searched, line_of("show", &choice), around);
    }
    let mut shown = None;
    for target in searched.targets(around).all {
        for listed in chosen(&target, &choice, around)? {
            report::line(&describe(&listed));
            // The entry is one file, in every queue.
            let entry = listed.place.open(&target.spool).map_err(SpoolError::from)?;
            if let Some(header) = listed.header {
                shown.get_or_insert((header, entry));
            }
        }
    }
    let Some((header, entry)) = shown else {
        return nowhere(around, nothing_chosen);
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
            for (number, entry) in (0..built.messages.len()).zip(entry.iter().cycle()) {
                let message = entry.message(number).map_err(SpoolError::from)?;
                report::raw(&message.body);
                report::raw(b"\n");
            }
        }
    }
    Ok(Done::Well)
}

/// Runs a command line as each owner of what was found, on that owner's own.
pub(super) fn apart(
    searched: Searched,
    line: Vec<OsString>,
    around: &Surroundings,
) -> Result<Done, Error> {
    let ended = apart::run(searched.by_owner, &Job::for_a_person(line), around)?;
    if ended.is_nowhere {
        return Err(nothing_chosen());
    }
    Ok(ended.done())
}

/// Returns the command line that makes the same choice among another account's entries.
fn line_of(verb: &str, choice: &Choice) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec!["queue".into(), verb.into()];
    line.extend(choice.ids.iter().map(|id| id.as_str().into()));
    if let Some(endpoint) = &choice.endpoint {
        line.extend(["--endpoint".into(), endpoint.into()]);
    }
    if let Some(repository) = &choice.repository {
        let repository = std::path::absolute(repository);
        line.push("--repository".into());
        line.extend(repository.map(OsString::from));
    }
    if let Some(age) = &choice.older_than {
        line.extend(["--older-than".into(), age.to_string().into()]);
    }
    line
}

/// Returns the error that nothing of what was asked for is here. If root's refpost asks several
/// accounts, returns [`Done::NotHere`] instead.
pub(super) fn nowhere(around: &Surroundings, error: impl Fn() -> Error) -> Result<Done, Error> {
    if around.is_given {
        return Ok(Done::NotHere);
    }
    Err(error())
}

fn nothing_chosen() -> Error {
    Error::Failed {
        what: "nothing of that kind waits or has failed".to_owned(),
        hint: Some("`refpost queue list` shows what does".to_owned()),
    }
}

fn retry(args: &QueueChooseArgs, around: &Surroundings) -> Result<Done, Error> {
    let now = around.now();
    let configured = Configured::new(around);
    // An entry of an endpoint that is not configured would be given up once more.
    let refused = RefCell::new(BTreeMap::<Orphan, usize>::new());
    let is_wanted = |listed: &Listed| {
        let orphan = configured.orphan(listed.header.as_ref(), listed.place.queue());
        let is_wanted = orphan.is_none();
        if let Some(orphan) = orphan {
            *refused.borrow_mut().entry(orphan).or_default() += 1;
        }
        is_wanted
    };
    let what = ("retry", "to be tried again now");
    let done = on_chosen(args, around, what, is_wanted, |spool, chosen| {
        // The next flush takes entries in `new/` anyway.
        let mut count = chosen.new.len() + chosen.spare.len();
        for (queue, items) in &chosen.waiting {
            count += spool.retry_waiting(queue, items, now)?;
        }
        for failed in &chosen.failed {
            spool.retry_failed(failed, now)?;
            count += 1;
        }
        Ok(count)
    })?;
    for (orphan, count) in refused.borrow().iter() {
        let (endpoint, repository) = (&orphan.endpoint, orphan.repository.display());
        around.tell_error(Error::Failed {
            what: format!(
                "cannot retry {} of `{endpoint}`: it is not configured for `{repository}`",
                report::entries(*count)
            ),
            hint: Some(configured.ways_out(orphan)),
        });
    }
    Ok(if refused.borrow().is_empty() {
        done
    } else {
        Done::No
    })
}

fn discard(args: &QueueChooseArgs, around: &Surroundings) -> Result<Done, Error> {
    on_chosen(
        args,
        around,
        ("drop", "dropped"),
        |_| true,
        |spool, chosen| {
            let mut count = spool.drop_new(&chosen.new)? + spool.drop_spare(&chosen.spare)?;
            for (queue, items) in &chosen.waiting {
                count += spool.drop_waiting(queue, items)?;
            }
            for failed in &chosen.failed {
                count += usize::from(spool.drop_failed(failed)?);
            }
            Ok(count)
        },
    )
}

/// Acts on the entries of each spool that are chosen and wanted, and prints how many there were.
/// Starts a flush of each spool for those that are due then.
fn on_chosen(
    args: &QueueChooseArgs,
    around: &Surroundings,
    (verb, what): (&str, &str),
    is_wanted: impl Fn(&Listed) -> bool,
    act: impl Fn(&Spool, &ByPlace) -> Result<usize, SpoolError>,
) -> Result<Done, Error> {
    let searched = targets::search_here(&args.choice.paths, around)?;
    if searched.is_of_others(around) {
        let mut line = line_of(verb, &args.choice);
        line.extend(args.all.then(|| "--all".into()));
        return apart(searched, line, around);
    }
    let (mut count, mut is_any, mut has_acted) = (0, false, args.all);
    let targets = searched.targets(around);
    let done = targets::each(&targets, around, |target| {
        let mut chosen = chosen(target, &args.choice, around)?;
        is_any |= !chosen.is_empty();
        chosen.retain(&is_wanted);
        if chosen.is_empty() {
            return Ok(());
        }
        has_acted = true;
        let chosen: ByPlace = chosen.into_iter().map(|listed| listed.place).collect();
        count += act(&target.spool, &chosen)?;
        around.flush_detached(target.spool.root())
    });
    if !is_any && !args.all && done == Done::Well {
        return nowhere(around, nothing_chosen);
    }
    if has_acted {
        report::line(&format!("{} {what}", report::entries(count)));
    }
    Ok(done)
}
