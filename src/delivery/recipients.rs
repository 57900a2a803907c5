//! Decides who gets which messages, and by which queue (pure).

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::{self, Endpoint, Origin, Settings, Via};
use crate::payload::{About, Message};
use crate::spool::{Forward, Header, Queue, Recipient, Selection};

/// Returns who gets which of these messages: endpoints, the service for all endpoints that it
/// delivers to, and the broker for those that workers deliver to.
#[must_use]
pub fn recipients(messages: &[Message], settings: &Settings, git_dir: &Path) -> Vec<Recipient> {
    let about: Vec<About<'_>> = messages.iter().map(Message::about).collect();
    let gets = |endpoint: &Endpoint| selection(&about, |message| endpoint.gets(message));
    recipients_of(gets, settings, git_dir)
}

/// Returns who gets an entry that another machine or account has made: the endpoints that it means,
/// with the messages that each had then, as from a queue there, whatever their filters say now.
///
/// Those that are not configured here are left out, and those for alerts.
#[must_use]
pub fn recipients_meant(
    meant: &[Recipient],
    settings: &Settings,
    git_dir: &Path,
) -> Vec<Recipient> {
    let gets = |endpoint: &Endpoint| {
        let mut meant = meant.iter().filter(|_| !endpoint.is_for_alerts);
        let own = meant.find(|one| one.endpoint == endpoint.name)?;
        Some(own.messages.clone())
    };
    recipients_of(gets, settings, git_dir)
}

/// Returns the reason for which an endpoint does not get a message. `None`: it gets it.
#[must_use]
pub fn why_unwanted(endpoint: &Endpoint, message: About<'_>) -> Option<String> {
    let (own, other) = (endpoint.format.name(), message.format.name());
    if endpoint.gets(message) {
        None
    } else if endpoint.is_for_alerts {
        Some("it gets alerts alone".to_owned())
    } else if endpoint.format != message.format {
        Some(format!("its format is `{own}`, not `{other}`"))
    } else if let Some(name) = message.endpoint.filter(|name| *name != endpoint.name) {
        Some(format!("it is made by the template of `{name}`"))
    } else if !endpoint.topics.matches(message.topic) {
        Some("its `topics` do not match".to_owned())
    } else {
        Some(format!("its `refs` do not match `{}`", message.reference))
    }
}

/// Returns who gets an entry, where an endpoint gets those of its messages.
fn recipients_of(
    gets: impl Fn(&Endpoint) -> Option<Selection>,
    settings: &Settings,
    git_dir: &Path,
) -> Vec<Recipient> {
    let of = |via| {
        let each = settings.via(via).filter_map(|endpoint| {
            Some(Recipient {
                queue: queue_of(endpoint, settings, git_dir),
                endpoint: endpoint.name.clone(),
                messages: gets(endpoint)?,
                forward: None,
            })
        });
        each.collect::<Vec<_>>()
    };
    let whole = |queue: Queue, endpoint: String, to: Vec<Recipient>| {
        Some(Recipient {
            queue,
            endpoint,
            messages: union(&to)?,
            forward: Some(Forward {
                path: path_below(settings, git_dir),
                to,
            }),
        })
    };
    let mut all = of(Via::Here);
    let service = Queue::service();
    let name = service.to_string();
    all.extend(whole(service, name, of(Via::Service)));
    all.extend(settings.broker.as_ref().and_then(|broker| {
        let queue = queue_of(&broker.endpoint, settings, git_dir);
        whole(queue, broker.endpoint.name.clone(), of(Via::Broker))
    }));
    all
}

/// Returns whether an entry for a broker is this machine's to deliver: no broker is configured for
/// its repository, and some of its endpoints are.
#[must_use]
pub fn is_left(header: &Header, settings: &Settings) -> bool {
    let to = header.forward().map_or(&[][..], |forward| &forward.to);
    let is_known = |one: &Recipient| settings.receiver(&one.endpoint).is_some();
    settings.broker.is_none() && to.iter().any(is_known)
}

/// Returns the path by which workers know a repository. None other is left to them.
fn path_below(settings: &Settings, git_dir: &Path) -> PathBuf {
    let root = settings.root.as_deref();
    let below = root.and_then(|root| config::below(root, git_dir));
    below.unwrap_or_default()
}

/// Returns the messages that are wanted, or `None` if there are none.
fn selection<'a>(about: &[About<'a>], wants: impl Fn(About<'a>) -> bool) -> Option<Selection> {
    let all = about.iter().enumerate();
    let wanted = all.filter(|(_, message)| wants(**message));
    let wanted: Vec<usize> = wanted.map(|(at, _)| at).collect();
    if wanted.is_empty() {
        return None;
    }
    Some(if wanted.len() == about.len() {
        Selection::All
    } else {
        Selection::Only(wanted)
    })
}

/// Returns the messages that any of these gets, or `None` if there are none of these.
fn union(all: &[Recipient]) -> Option<Selection> {
    let mut numbers = BTreeSet::new();
    for one in all {
        match &one.messages {
            Selection::All => return Some(Selection::All),
            Selection::Only(own) => numbers.extend(own),
        }
    }
    (!all.is_empty()).then(|| Selection::Only(numbers.into_iter().collect()))
}

/// Returns the name of an endpoint's queue, which is the endpoint's own name.
///
/// Where repositories share a spool and not all of them have this endpoint, six digits of a hash
/// follow, of the repository's path or of the section's patterns: a dead receiver of one does not
/// hold the messages of another.
#[must_use]
pub fn queue_of(endpoint: &Endpoint, settings: &Settings, git_dir: &Path) -> Queue {
    let owner = match &endpoint.origin {
        _ if endpoint.takes_entries() => return broker_queue(settings, git_dir),
        Origin::Repository => Some(git_dir.as_os_str().as_bytes()),
        Origin::Section(patterns) => Some(patterns.as_bytes()),
        Origin::Server => None,
    };
    let name = match digits(owner, settings) {
        Some(digits) => format!("{}@{digits}", endpoint.name),
        None => endpoint.name.clone(),
    };
    Queue::new(name).expect("the config lets no other names through")
}

/// Returns the queue of a repository's entries for a broker: those of each leave one by one.
#[must_use]
pub fn broker_queue(settings: &Settings, git_dir: &Path) -> Queue {
    let owner = Some(git_dir.as_os_str().as_bytes());
    Queue::broker(digits(owner, settings).as_deref())
}

/// Returns digits that tell owners of queues apart, where they share a spool.
fn digits(owner: Option<&[u8]>, settings: &Settings) -> Option<String> {
    let owner = owner.filter(|_| settings.spool_is_shared);
    owner.map(|owner| hex::encode(&Sha256::digest(owner)[..3]))
}
