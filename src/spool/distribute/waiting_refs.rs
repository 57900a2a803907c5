//! The refs of a repository whose entries stay, because one of them misses an object.

use std::collections::HashSet;
use std::time::SystemTime;

use crate::spool::record::Header;

/// Refs whose entries stay, by their full names as text, as in messages.
#[derive(Debug, Default)]
pub struct WaitingRefs {
    names: HashSet<String>,
    /// Time of this run, if it could open all folders of objects.
    opened: Option<SystemTime>,
}

impl WaitingRefs {
    /// Makes later entries of the same refs wait.
    ///
    /// `opened` is the time of this run, if it could open all folders of objects.
    pub fn add(&mut self, header: &Header, opened: Option<SystemTime>) {
        self.names.extend(header.references());
        self.opened = self.opened.or(opened);
    }

    /// Returns whether an entry is about a ref of one that stays.
    ///
    /// Then later entries of its other refs wait for it in turn.
    pub fn holds(&mut self, header: &Header) -> bool {
        let is_held = header.references().any(|name| self.names.contains(&name));
        if is_held {
            self.names.extend(header.references());
        }
        is_held
    }

    /// Returns the time to note for an entry that waits here.
    ///
    /// `retry.build_after` counts from the first run that could open everything, whichever entry it
    /// was that missed an object.
    pub(super) fn to_note(&self, header: &Header) -> Option<SystemTime> {
        let opened = self.opened?;
        // A time in the future comes from a clock that was wrong.
        let is_noted = header.missing_since.is_some_and(|since| since <= opened);
        (!is_noted).then_some(opened)
    }
}
