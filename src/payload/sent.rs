//! What Pagure's format sends of a ref that changed: the table "which commits, which files" of
//! docs/payloads.md.

use crate::event::{Author, ChangedFiles, Gained, Oid, RefChange, RefKind, RefName, Tip};

/// Something worth a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The ref that it happened to.
    pub name: RefName,
    /// What happened.
    pub change: Change,
    /// Who wrote what the message is about, in order of first appearance from
    /// the oldest commit. Never empty.
    pub authors: Vec<Author>,
    /// Whether there are more of them than are gathered.
    pub more_authors: bool,
    /// Whether less is told than there was.
    pub incomplete: bool,
}

/// What happened to a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A branch or a tag is there now, pointing at `rev`.
    Created {
        /// What the ref points at: of an annotated tag, the tag object.
        rev: Oid,
    },
    /// A branch or a tag is gone; it pointed at `rev`.
    Deleted {
        /// What the ref pointed at: of an annotated tag, the tag object.
        rev: Oid,
    },
    /// Commits arrived on a ref, or left it.
    Received(Received),
}

/// Commits that a ref gained, and what they changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What the listed commits build on, as hex; zeros of the repository's
    /// length where there was nothing.
    pub old_commit: String,
    /// The oldest of the listed commits.
    pub start_commit: Oid,
    /// The newest of the listed commits.
    pub end_commit: Oid,
    /// How many are listed.
    pub total_commits: usize,
    /// Whether a commit reachable from the old value is not from the new one.
    pub forced: bool,
    /// The files that differ.
    pub changed_files: ChangedFiles,
}

/// The events of a change; of a created branch its creation first.
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

/// What the listed commits build on. Where there is none, what the ref was at, an annotated
/// tag by its own id; where nothing was, zeros of the length that ids have here.
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
