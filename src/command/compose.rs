//! From ref updates to messages: what `hook` and `preview` share.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Error;
use super::surroundings::Surroundings;
use crate::config::{self, Settings};
use crate::event::RefUpdate;
use crate::git::{self, Repository};
use crate::payload::pagure::{self, Context, Stamp};
use crate::payload::{Message, Project};

/// The messages of one push, in order. `made` is when it happened.
pub(super) fn messages(
    repository: &Repository,
    settings: &Settings,
    updates: &[RefUpdate],
    pusher: &str,
    made: SystemTime,
    around: &Surroundings,
) -> Result<Vec<Message>, Error> {
    let events = repository.events(updates, settings.max_changed_files)?;
    let project = project(repository, settings, around);
    let context = Context {
        instance: &settings.instance,
        project: &project,
        people: &settings.people,
        pusher,
    };
    events
        .iter()
        .enumerate()
        .map(|(at, event)| {
            let stamp = stamp(at + 1, made, around)?;
            Ok(pagure::message(event, context, &stamp))
        })
        .collect()
}

/// The project of a repository.
pub(super) fn project(
    repository: &Repository,
    settings: &Settings,
    around: &Surroundings,
) -> Project {
    let facts = repository.facts();
    let (name, fullname) = around.account(facts.owner_uid);
    config::project(settings, &facts, (&name, &fullname))
}

/// Who pushes, as far as the environment tells.
pub(super) fn pusher(around: &Surroundings) -> String {
    git::pusher(|name| around.variable(name), &around.own_account())
}

/// What makes the `i`th message of a push unlike any other.
pub(super) fn stamp(i: usize, now: SystemTime, around: &Surroundings) -> Result<Stamp, Error> {
    let timestamp = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let rfc3339 = humantime::format_rfc3339_seconds(now).to_string();
    let (year, _) = rfc3339
        .split_once('-')
        .expect("RFC 3339 begins with the year");
    let uuid = uuid::Builder::from_random_bytes(around.random()?).into_uuid();
    Ok(Stamp {
        i,
        msg_id: format!("{year}-{uuid}"),
        timestamp,
    })
}
