//! Items: entries in a queue or in `failed/`, as written in their file names.
//!
//! | in | name | is |
//! |---|---|---|
//! | `retry/` | `<due>.<attempts>.<n>.<id>` | *in order*: message n and all after it |
//! | `retry/` | `<due>.<attempts>.<n>.<id>,<n>` | *refused*: message n alone |
//! | `failed/` | `<id>` | every message |
//! | `failed/` | `<id>,<n>-` | message n and all after it |
//! | `failed/` | `<id>,<n>` | message n alone |
//!
//! Messages count from 0 in the list of those that this endpoint gets.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::id::Id;
use super::queue::Queue;
use super::times;

/// A part of an entry's messages for one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// This one and all after it.
    From(u32),
    /// This one alone.
    Only(u32),
}

impl Part {
    /// Returns the first of its messages: the next to be delivered.
    #[must_use]
    pub fn first(self) -> u32 {
        let (Self::From(n) | Self::Only(n)) = self;
        n
    }
}

/// An item that waits in `retry/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Time of its next attempt, in whole seconds.
    pub due: SystemTime,
    /// Number of failed attempts of its next message.
    pub attempts: u32,
    /// The entry.
    pub id: Id,
    /// The messages that wait.
    pub part: Part,
}

impl Item {
    /// Returns the item that distribution makes of an entry.
    ///
    /// The item is due at the id's own time, so that each process makes the same name, and none is
    /// made twice.
    pub(in crate::spool) fn first(id: &Id) -> Self {
        Self::due_at(id, Part::From(0), times::round_down(id.time()))
    }

    /// Returns an item that was not tried since `due`, or never.
    pub(in crate::spool) fn due_at(id: &Id, part: Part, due: SystemTime) -> Self {
        Self {
            due,
            attempts: 0,
            id: id.clone(),
            part,
        }
    }

    /// Returns the id within an item's name, as text. If the name is no item's, the result is
    /// any text.
    pub(in crate::spool) fn id_in(name: &str) -> &str {
        let last = name.splitn(4, '.').nth(3).unwrap_or_default();
        last.split_once(',').map_or(last, |(id, _)| id)
    }

    /// Parses a file name.
    pub(in crate::spool) fn parse(name: &str) -> Option<Self> {
        // The id holds a dot too, and comes last.
        let mut fields = name.splitn(4, '.');
        let due = times::parse(fields.next()?)?;
        let attempts = number(fields.next()?)?;
        let first = number(fields.next()?)?;
        let id = fields.next()?;
        let (id, part) = match id.split_once(',') {
            None => (id, Part::From(first)),
            Some((id, n)) if number(n)? == first => (id, Part::Only(first)),
            Some(_) => return None,
        };
        Some(Self {
            due,
            attempts,
            id: Id::parse(id)?,
            part,
        })
    }

    /// Returns whether nothing is left of it once its next message is done.
    ///
    /// `total` is the number of messages that its queue gets.
    #[must_use]
    pub fn is_last(&self, total: u32) -> bool {
        match self.part {
            Part::Only(_) => true,
            Part::From(n) => n.saturating_add(1) >= total,
        }
    }

    /// Returns whether it was never tried or changed since distribution made it.
    fn is_untried(&self) -> bool {
        self.attempts == 0 && self.due == Self::first(&self.id).due
    }

    /// Returns whether the item is to be tried now.
    ///
    /// A due time further ahead than the `longest` delay was written while the clock was wrong, and
    /// counts as come. So does an id's own time, which is ahead of the clock for as long as the
    /// clock is behind the newest id.
    #[must_use]
    pub fn is_due(&self, now: SystemTime, longest: Duration) -> bool {
        self.is_untried() || has_come(self.due, now, longest)
    }
}

/// Returns whether a due time has come, or is further ahead than the `longest` delay.
pub(in crate::spool) fn has_come(due: SystemTime, now: SystemTime, longest: Duration) -> bool {
    let ahead = due.duration_since(now).unwrap_or_default();
    // A second more: due times are rounded up.
    ahead.is_zero() || ahead > longest + Duration::from_secs(1)
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let due = times::seconds(self.due);
        let (attempts, id) = (self.attempts, &self.id);
        match self.part {
            Part::From(n) => write!(f, "{due}.{attempts}.{n}.{id}"),
            Part::Only(n) => write!(f, "{due}.{attempts}.{n}.{id},{n}"),
        }
    }
}

/// An item in `failed/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The queue that it was in, or [`Queue::unreadable`].
    pub queue: Queue,
    /// The entry.
    pub id: Id,
    /// The messages that have failed.
    pub part: Part,
}

impl Failed {
    /// Parses a file name.
    pub(in crate::spool) fn parse(queue: &Queue, name: &str) -> Option<Self> {
        let (id, part) = match name.split_once(',') {
            None => (name, Part::From(0)),
            Some((id, part)) => match part.strip_suffix('-') {
                // "From 0 on" has no suffix: one thing has one name.
                Some(n) => (id, Part::From(number(n).filter(|&n| n > 0)?)),
                None => (id, Part::Only(number(part)?)),
            },
        };
        Some(Self {
            queue: queue.clone(),
            id: Id::parse(id)?,
            part,
        })
    }

    /// Returns the file name.
    #[must_use]
    pub fn name(&self) -> String {
        match self.part {
            Part::From(0) => self.id.to_string(),
            Part::From(n) => format!("{},{n}-", self.id),
            Part::Only(n) => format!("{},{n}", self.id),
        }
    }
}

/// Parses a number as this module writes it: no sign, no leading zeros.
fn number(text: &str) -> Option<u32> {
    let is_plain = text == "0" || text.starts_with(|c: char| ('1'..='9').contains(&c));
    text.parse().ok().filter(|_| is_plain)
}
