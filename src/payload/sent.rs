//! Turns a change of a ref into events of Pagure's format: the table "which commits, which files"
//! of docs/reference/payloads.md.

use crate::event::{Author, ChangedFiles, Gained, Oid, RefChange, RefKind, RefName, Tip};

/// Something worth a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The ref that it happened to.
    pub name: RefName,
    /// Change of the ref.
    pub change: Change,
    /// Authors of the commits or the tag that the message is about, in order of first appearance
    /// from the oldest commit. Never empty.
    pub authors: Vec<Author>,
    /// True if there are more authors than are gathered.
    pub more_authors: bool,
    /// True if less is told than there was.
    pub incomplete: bool,
}

/// Change of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A branch or a tag is there now, pointing at `rev`.
    Created {
        /// Object that the ref points at: for an annotated tag, the tag object.
        rev: Oid,
    },
    /// A branch or a tag is gone; it pointed at `rev`.
    Deleted {
        /// Object that the ref pointed at: for an annotated tag, the tag object.
        rev: Oid,
    },
    /// Commits arrived on a ref, or left it.
    Received(Received),
}

/// Commits that a ref gained, and what they changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Commit that the listed commits build on, as hex. Where there is none, the old value of the
    /// ref; zeros of the repository's length where there was nothing.
    pub old_commit: String,
    /// The oldest of the listed commits.
    pub start_commit: Oid,
    /// The newest of the listed commits.
    pub end_commit: Oid,
    /// Number of listed commits.
    pub total_commits: usize,
    /// True if a commit reachable from the old value is not reachable from the new one.
    pub forced: bool,
    /// The files that differ.
    pub changed_files: ChangedFiles,
}

/// Returns the events of a change; for a created branch, its creation first.
#[must_use]
pub fn events(change: RefChange) -> Vec<Event> {
    let RefChange {
        update,
        old,
        new,
        gained,
        details: _,
    } = change;
    let kind = update.name.kind();
    let of_tip = |change, tip: &Tip, incomplete| Event {
        name: update.name.clone(),
        change,
        authors: vec![tip.author.clone().unwrap_or(Author::Pusher)],
        more_authors: false,
        incomplete,
    };
    let mut events = Vec::new();
    match (&old, &new) {
        // There is no topic for it.
        (_, None) if kind == RefKind::Other => {}
        (Some(old), None) => {
            let rev = old.object;
            events.push(of_tip(Change::Deleted { rev }, old, false));
        }
        (old, Some(new)) => {
            // No list of commits leads from a commit to a blob: the tag is announced as
            // what it is now.
            let is_created = match old {
                None => kind != RefKind::Other,
                Some(_) => kind == RefKind::Tag && gained.is_none(),
            };
            if is_created {
                let rev = new.object;
                events.push(of_tip(Change::Created { rev }, new, new.incomplete));
            }
        }
        (None, None) => {}
    }
    events.extend(gained.map(|gained| {
        let old_commit = old_commit(old.as_ref(), new.as_ref(), &gained);
        Event {
            name: update.name.clone(),
            change: Change::Received(Received {
                old_commit,
                start_commit: gained.oldest,
                end_commit: gained.newest,
                total_commits: gained.total,
                forced: gained.forced,
                changed_files: gained.files,
            }),
            authors: gained.authors,
            more_authors: gained.more_authors,
            incomplete: gained.incomplete,
        }
    }));
    events
}

/// Returns the commit that the listed commits build on.
///
/// Where there is none, returns the old value of the ref, an annotated tag by its own id; where
/// there was nothing, zeros of the length that ids have here.
fn old_commit(old: Option<&Tip>, new: Option<&Tip>, gained: &Gained) -> String {
    let Some(old) = old else {
        let length = new.map_or(0, |new| new.object.as_bytes().len());
        return "00".repeat(length);
    };
    match gained.base.filter(|_| gained.total > 0) {
        Some(base) if Some(base) != old.commit => base.to_string(),
        _ => old.object.to_string(),
    }
}
