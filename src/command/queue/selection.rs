//! Selects the entries of a spool that `queue` is asked about, in every place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::scope::Choice;
use crate::context::Context;
use crate::context::targets::Target;
use crate::error::Error;
use crate::spool::{
    Content, Entry, EntryError, Failed, Frozen, Header, Id, IoError, Item, Part, Queue, Spool,
    SpoolError,
};

/// An entry in one of the places where it can be.
pub(crate) struct Listed {
    pub(crate) location: Location,
    /// The header. `None`: the entry cannot be read.
    pub(crate) header: Option<Header>,
}

/// A place where an entry can be.
pub(crate) enum Location {
    /// In the space reserved for a full disk.
    Spare(Id),
    /// In `new/`, not yet brought to its queues.
    New(Id),
    Waiting(Queue, Item),
    Failed(Failed),
}

impl Location {
    pub(crate) fn id(&self) -> &Id {
        match self {
            Self::Spare(id) | Self::New(id) => id,
            Self::Waiting(_, item) => &item.id,
            Self::Failed(failed) => &failed.id,
        }
    }

    pub(crate) fn queue(&self) -> Option<&Queue> {
        match self {
            Self::Spare(_) | Self::New(_) => None,
            Self::Waiting(queue, _) => Some(queue),
            Self::Failed(failed) => Some(&failed.queue),
        }
    }

    /// Returns whether the entry was put aside, for all its endpoints.
    pub(crate) fn is_aside(&self) -> bool {
        matches!(self, Self::Failed(failed) if failed.queue.is_unreadable())
    }

    pub(crate) fn state(&self) -> &'static str {
        match self {
            Self::Spare(_) => "spare",
            Self::New(_) => "new",
            Self::Waiting(_, item) if matches!(item.part, Part::Only(_)) => "refused",
            Self::Waiting(..) => "waiting",
            Self::Failed(_) => "failed",
        }
    }

    /// Opens the entry. Returns `None` for a push in `spare`.
    pub(crate) fn open(&self, spool: &Spool) -> Result<Option<Entry>, EntryError> {
        let opened = match self {
            Self::Spare(_) => return Ok(None),
            Self::New(id) => spool.open_new(id),
            Self::Waiting(queue, item) => spool.open_item(queue, item),
            Self::Failed(failed) => spool.open_failed(failed),
        };
        opened.map(Some)
    }
}

impl Listed {
    pub(crate) fn endpoint(&self) -> String {
        let queue = self.location.queue();
        let header = self.header.as_ref();
        let name = queue.and_then(|queue| header?.endpoint(queue));
        name.or(queue.map(Queue::as_str)).unwrap_or("-").to_owned()
    }

    /// Returns the message if there is exactly one here, and the entry has others too.
    pub(crate) fn single(&self) -> Option<&Frozen> {
        let header = self.header.as_ref()?;
        match (&self.messages()[..], &header.content) {
            ([number], Content::Built(built)) if built.messages.len() > 1 => {
                built.messages.get(*number)
            }
            _ => None,
        }
    }

    /// Returns the numbers of its messages within the entry.
    pub(crate) fn messages(&self) -> Vec<usize> {
        let Some(header) = &self.header else {
            return Vec::new();
        };
        let all = match (self.location.queue(), &header.content) {
            (Some(queue), _) => header.messages_for(queue),
            (None, Content::Built(built)) => (0..built.messages.len()).collect(),
            (None, Content::Deferred(_)) => Vec::new(),
        };
        let part = match &self.location {
            Location::Spare(_) | Location::New(_) => return all,
            Location::Waiting(_, item) => item.part,
            Location::Failed(failed) => failed.part,
        };
        let (Part::From(first) | Part::Only(first)) = part;
        let last = match part {
            Part::From(_) => all.len(),
            Part::Only(n) => n as usize + 1,
        };
        all.get(first as usize..last).unwrap_or_default().to_vec()
    }
}

/// Returns every place in a spool where an entry is.
///
/// A queue that cannot be read is told, and does not hide the others.
pub(super) fn locations(spool: &Spool, ctx: &Context) -> Result<Vec<Location>, Error> {
    let tell = |error: IoError| ctx.tell_failure(SpoolError::from(error));
    let mut locations: Vec<Location> = Vec::new();
    let spare = spool.in_spare().map_err(tell).unwrap_or_default();
    locations.extend(spare.into_iter().map(|(id, _)| Location::Spare(id)));
    let new = spool.ids_in_new().map_err(SpoolError::from)?;
    locations.extend(new.into_iter().map(Location::New));
    for queue in spool.queues().map_err(SpoolError::from)? {
        let waiting = spool.peek(&queue).map_err(tell).unwrap_or_default();
        let items = waiting.in_order.into_iter().chain(waiting.refused);
        locations.extend(items.map(|item| Location::Waiting(queue.clone(), item)));
    }
    for queue in spool.failed_queues().map_err(SpoolError::from)? {
        let failed = spool.failed(&queue).map_err(tell).unwrap_or_default();
        locations.extend(failed.into_iter().map(Location::Failed));
    }
    Ok(locations)
}

/// Returns everything in a spool that the choice selects, in push order.
pub(super) fn select(
    target: &Target,
    choice: &Choice,
    ctx: &Context,
) -> Result<Vec<Listed>, Error> {
    let spool = &target.spool;
    let now = ctx.now();
    let mut locations = locations(spool, ctx)?;
    // An error was told above.
    let spare: BTreeMap<Id, Header> = spool.in_spare().into_iter().flatten().collect();
    locations.retain(|location| choice.has(location.id()));
    locations.sort_by(|a, b| (a.id(), a.queue()).cmp(&(b.id(), b.queue())));
    let repositories: Option<BTreeSet<PathBuf>> = if choice.gone.is_empty() {
        // Everything in a spool inside a repository is that repository's, by any path it had.
        let is_its = |repository: &PathBuf| spool.root().starts_with(repository);
        let is_all = choice.is_server || target.is_whole;
        let is_all = is_all || target.repositories.iter().any(is_its);
        (!is_all).then(|| target.repositories.clone())
    } else {
        Some(choice.gone.iter().cloned().collect())
    };
    let listed = locations.into_iter().map(|location| {
        let entry = location.open(spool).ok().flatten();
        let header = entry.map(|entry| entry.header().clone());
        let header = header.or_else(|| spare.get(location.id()).cloned());
        Listed { location, header }
    });
    let is_old = |listed: &Listed, least: Duration| {
        // After a clock that was ahead, ids run ahead of the pushes' times.
        let header = listed.header.as_ref();
        let pushed = header.map_or(listed.location.id().time(), |header| header.time);
        now.duration_since(pushed).unwrap_or_default() > least
    };
    let mut listed: Vec<Listed> = listed
        .filter(|listed| {
            choice
                .filter
                .older_than
                .is_none_or(|least| is_old(listed, *least))
        })
        .filter(|listed| {
            let header = listed.header.as_ref();
            repositories.as_ref().is_none_or(|wanted| {
                header.is_some_and(|header| wanted.contains(&header.repository))
            })
        })
        .filter(|listed| {
            let endpoint = listed.endpoint();
            let wanted = choice.filter.endpoint.as_ref();
            wanted.is_none_or(|wanted| *wanted == endpoint)
        })
        .collect();
    // An entry that moves is in both places, for a moment or since a crash.
    let is_later =
        |one: &Listed| matches!(one.location, Location::Spare(_) | Location::Waiting(..));
    let is_new = |one: &&Listed| matches!(one.location, Location::New(_));
    let arriving: BTreeSet<Id> = listed
        .iter()
        .filter(is_new)
        .map(|one| one.location.id().clone())
        .collect();
    listed.retain(|one| !(is_later(one) && arriving.contains(one.location.id())));
    Ok(listed)
}

/// Selected entries of a spool, by place.
#[derive(Default)]
pub(crate) struct ByLocation {
    pub(crate) spare: Vec<Id>,
    pub(crate) new: Vec<Id>,
    pub(crate) waiting: BTreeMap<Queue, Vec<Item>>,
    pub(crate) failed: Vec<Failed>,
}

impl FromIterator<Location> for ByLocation {
    fn from_iter<T: IntoIterator<Item = Location>>(locations: T) -> Self {
        let mut by_location = Self::default();
        for location in locations {
            match location {
                Location::Spare(id) => by_location.spare.push(id),
                Location::New(id) => by_location.new.push(id),
                Location::Waiting(queue, item) => {
                    by_location.waiting.entry(queue).or_default().push(item);
                }
                Location::Failed(failed) => by_location.failed.push(failed),
            }
        }
        by_location
    }
}
