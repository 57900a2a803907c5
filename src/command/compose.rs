//! From ref updates to messages and who gets them: what `hook`, `preview` and
//! `flush` share.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::Error;
use super::surroundings::Surroundings;
use crate::config::{self, Endpoint, Settings};
use crate::event::RefUpdate;
use crate::git::{self, Repository};
use crate::payload::pagure::{self, Context, Stamp};
use crate::payload::{Message, Project};
use crate::spool::{Built, Queue, Recipient, Selection};

/// One push, as far as messages tell of it.
pub(super) struct Push<'a> {
    pub(super) updates: &'a [RefUpdate],
    /// The account name of whoever pushed.
    pub(super) pusher: &'a str,
    /// When it happened.
    pub(super) time: SystemTime,
}

/// The messages of one push, in order.
pub(super) fn messages(
    push: &Push<'_>,
    repository: &Repository,
    settings: &Settings,
    around: &Surroundings,
) -> Result<Vec<Message>, Error> {
    let events = repository.events(push.updates, settings.max_changed_files)?;
    let project = project(repository, settings, around);
    let context = Context {
        instance: &settings.instance,
        project: &project,
        people: &settings.people,
        pusher: push.pusher,
    };
    events
        .iter()
        .enumerate()
        .map(|(at, event)| {
            let stamp = stamp(at + 1, push.time, around)?;
            Ok(pagure::message(event, context, &stamp))
        })
        .collect()
}

/// The messages of one push and who gets which. An endpoint that wants none of
/// them is no recipient.
pub(super) fn built(
    push: &Push<'_>,
    repository: &Repository,
    settings: &Settings,
    around: &Surroundings,
) -> Result<Built<Message>, Error> {
    let messages = messages(push, repository, settings, around)?;
    let git_dir = repository.path();
    let recipients = settings
        .endpoints
        .iter()
        .filter_map(|endpoint| recipient(endpoint, &messages, settings, &git_dir))
        .collect();
    Ok(Built {
        messages,
        recipients,
    })
}

fn recipient(
    endpoint: &Endpoint,
    messages: &[Message],
    settings: &Settings,
    git_dir: &Path,
) -> Option<Recipient> {
    let wanted: Vec<usize> = messages
        .iter()
        .enumerate()
        .filter(|(_, message)| endpoint.wants(&message.topic, &message.reference))
        .map(|(at, _)| at)
        .collect();
    if wanted.is_empty() {
        return None;
    }
    Some(Recipient {
        queue: queue(endpoint, settings, git_dir),
        endpoint: endpoint.name.clone(),
        messages: if wanted.len() == messages.len() {
            Selection::All
        } else {
            Selection::Only(wanted)
        },
    })
}

/// The name of an endpoint's queue: its own name; where repositories share a
/// spool and this one's file made the name up, with six digits of a hash of the
/// repository's path, so that one's dead receiver does not hold another's.
pub(super) fn queue(endpoint: &Endpoint, settings: &Settings, git_dir: &Path) -> Queue {
    let name = if endpoint.is_own && settings.spool_is_shared {
        let digest = hex::encode(Sha256::digest(git_dir.as_os_str().as_bytes()));
        format!("{}@{}", endpoint.name, &digest[..6])
    } else {
        endpoint.name.clone()
    };
    Queue::new(name).expect("the config lets no other names through")
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
