//! The table "which commits, which files" of the contract (docs/payloads.md).

use std::cell::OnceCell;

use super::graph::Graph;
use super::id::Id;
use super::repository::{DefaultBranch, Peeled};
use super::tree_diff::{self, Budget};
use super::walk::{self, Authors};
use super::{Error, Repository, present};
use crate::event::{Author, Change, ChangedFiles, Event, Oid, Received, RefKind, RefUpdate};

/// How much of one push's changes is told.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most files that an event lists.
    pub files: usize,
    /// The most bytes that their paths have: with more, none is listed.
    pub path_bytes: usize,
}

/// What the updates of one push are measured against.
pub struct Events<'repo> {
    repository: &'repo Repository,
    graph: Graph<'repo>,
    /// Read when it is first asked for: only what is created is measured against it.
    default: OnceCell<DefaultBranch>,
    limits: Limits,
    /// Whether an update whose own objects are missing is an error.
    waits: bool,
    /// What comparing trees may yet cost in this push.
    budget: Budget,
}

/// Who wrote what an event tells of, and whether some of that is missing.
type Beside = (Authors, bool);

impl Repository {
    /// Makes ready to tell the events of a push.
    ///
    /// Refs are read as they are now, after the push, and only HEAD is: the
    /// updates themselves say where the others were and are.
    #[must_use]
    pub fn events(&self, limits: Limits) -> Events<'_> {
        Events {
            repository: self,
            graph: Graph::new(self),
            default: OnceCell::new(),
            limits,
            waits: true,
            budget: Budget::default(),
        }
    }
}

impl Events<'_> {
    /// The same, which tell what is known of updates whose own objects are missing.
    #[must_use]
    pub fn of_what_is_known(self) -> Self {
        Self {
            waits: false,
            ..self
        }
    }

    /// The events of one ref update; of a created branch its creation first.
    pub fn of(&self, update: &RefUpdate) -> Result<Vec<Event>, Error> {
        for id in [update.old, update.new].into_iter().flatten() {
            self.repository.id(id)?;
        }
        self.graph.begin_ref();
        match self.whole(update) {
            Err(error) if error.is_of_absent_object() && !self.waits => Ok(self.known(update)),
            told => told,
        }
    }

    /// What the ids of an update say, without its objects.
    fn known(&self, update: &RefUpdate) -> Vec<Event> {
        let kind = update.name.kind();
        let mut changes = Vec::new();
        let Some(rev) = update.new else {
            return Vec::new();
        };
        if update.old.is_none() && kind != RefKind::Other {
            changes.push(Change::Created { rev });
        }
        if update.old.is_some() || kind != RefKind::Tag {
            let commit = match self.peel(rev, kind) {
                Ok(Peeled::Commit(commit)) => commit.into(),
                Ok(Peeled::Other(_)) | Err(_) => rev,
            };
            changes.push(Change::Received(self.thin(update.old, commit, 0)));
        }
        let authors = self.author_if_known(rev, kind);
        let events = changes.into_iter().map(|change| Event {
            name: update.name.clone(),
            change,
            authors: authors.named.clone(),
            more_authors: false,
            incomplete: true,
        });
        events.collect()
    }

    /// What is known of commits that nobody looked at, but for so many of them.
    fn thin(&self, old: Option<Oid>, new: Oid, total_commits: usize) -> Received {
        let old = old.map(|old| old.to_string());
        Received {
            old_commit: old.unwrap_or_else(|| self.zeros()),
            start_commit: new,
            end_commit: new,
            total_commits,
            forced: false,
            changed_files: ChangedFiles::unknown(),
        }
    }

    /// The same of a ref of a push that has cost too much.
    fn unlisted(
        &self,
        old: Option<Oid>,
        new: Id,
        listed: Option<&walk::Listed>,
    ) -> Result<(Received, Beside), Error> {
        let total = listed.map_or(0, |listed| listed.total);
        let authors = Authors::only(self.repository.commit_author(new)?);
        Ok((self.thin(old, new.into(), total), (authors, true)))
    }

    /// Whether the push has cost too much to look at more of it.
    fn is_spent(&self) -> bool {
        self.graph.is_spent() || self.budget.is_spent()
    }

    fn whole(&self, update: &RefUpdate) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        let mut push = |change, (authors, incomplete): (Authors, bool)| {
            events.push(Event {
                name: update.name.clone(),
                change,
                authors: authors.named,
                more_authors: authors.more,
                incomplete,
            });
        };
        let kind = update.name.kind();
        match (update.old, update.new) {
            (None, None) => {}
            (Some(rev), None) => {
                if kind != RefKind::Other {
                    let authors = self.author_if_known(rev, kind);
                    push(Change::Deleted { rev }, (authors, false));
                }
            }
            (None, Some(rev)) => {
                let peeled = self.peel(rev, kind)?;
                if kind != RefKind::Other {
                    push(Change::Created { rev }, (self.author_of(&peeled)?, false));
                }
                if kind != RefKind::Tag
                    && let Peeled::Commit(new) = peeled
                    && let Some((received, beside)) = self.created(update, new)?
                {
                    push(Change::Received(received), beside);
                }
            }
            (Some(old), Some(rev)) => {
                match (self.peel(old, kind)?, self.peel(rev, kind)?) {
                    (Peeled::Commit(old_commit), Peeled::Commit(new_commit)) => {
                        let (received, beside) = self.moved(old, old_commit, new_commit)?;
                        push(Change::Received(received), beside);
                    }
                    // No list of commits leads from a commit to a blob: the tag is
                    // announced as what it is now.
                    (_, peeled) if kind == RefKind::Tag => {
                        push(Change::Created { rev }, (self.author_of(&peeled)?, false));
                    }
                    _ => {}
                }
            }
        }
        Ok(events)
    }

    fn peel(&self, id: Oid, kind: RefKind) -> Result<Peeled, Error> {
        self.repository.peel(self.repository.id(id)?, kind)
    }

    fn default_branch(&self) -> Result<&DefaultBranch, Error> {
        if let Some(known) = self.default.get() {
            return Ok(known);
        }
        let found = self.repository.default_branch()?;
        Ok(self.default.get_or_init(|| found))
    }

    fn author_of(&self, peeled: &Peeled) -> Result<Authors, Error> {
        Ok(Authors::only(match peeled {
            Peeled::Commit(id) => self.repository.commit_author(*id)?,
            Peeled::Other(tagger) => tagger.clone().unwrap_or(Author::Pusher),
        }))
    }

    /// A ref whose object is damaged or gone can be deleted all the same
    /// (git-receive-pack(1)), and that must be told.
    fn author_if_known(&self, rev: Oid, kind: RefKind) -> Authors {
        self.peel(rev, kind)
            .and_then(|peeled| self.author_of(&peeled))
            .unwrap_or_else(|_| Authors::only(Author::Pusher))
    }

    /// A branch or another ref that was not there before: what it has that the
    /// default branch has not. `None` if that is nothing.
    fn created(&self, update: &RefUpdate, new: Id) -> Result<Option<(Received, Beside)>, Error> {
        if self.is_spent() {
            return self.unlisted(None, new, None).map(Some);
        }
        let default = self.default_branch()?;
        let is_default = default.name.as_ref() == Some(&update.name);
        let against = default.tip.filter(|_| !is_default);
        let listed = walk::list(&self.graph, new, against)?;
        if self.is_spent() {
            return self.unlisted(None, new, listed.as_ref()).map(Some);
        }
        let Some(mut listed) = listed else {
            return Ok(None);
        };
        let base = match against {
            Some(tip) => {
                let (base, is_cut) = self.graph.merge_base(tip, new)?;
                listed.is_cut |= is_cut;
                base
            }
            None => None,
        };
        if self.is_spent() {
            return self.unlisted(None, new, Some(&listed)).map(Some);
        }
        let received = self.received(listed, base, new, self.zeros(), false)?;
        Ok(Some(received))
    }

    /// A ref that was at `old`, whose commit is `old_commit`, and is at `new_commit`.
    fn moved(&self, old: Oid, old_commit: Id, new_commit: Id) -> Result<(Received, Beside), Error> {
        if self.is_spent() {
            return self.unlisted(Some(old), new_commit, None);
        }
        let (base, is_cut) = self.graph.merge_base(old_commit, new_commit)?;
        let forced = base != Some(old_commit);
        let listed = walk::list(&self.graph, new_commit, Some(old_commit))?;
        if self.is_spent() {
            return self.unlisted(Some(old), new_commit, listed.as_ref());
        }
        let (mut listed, base) = match listed {
            Some(listed) => (listed, base.unwrap_or(old_commit)),
            // Rewound: nothing new, and what is gone is what differs from old.
            None => (
                walk::Listed {
                    oldest: new_commit,
                    newest: new_commit,
                    total: 0,
                    authors: Authors::only(self.repository.commit_author(new_commit)?),
                    is_cut: false,
                },
                old_commit,
            ),
        };
        listed.is_cut |= is_cut;
        let old_commit_text = if base == old_commit {
            old.to_string()
        } else {
            base.to_string()
        };
        self.received(listed, Some(base), new_commit, old_commit_text, forced)
    }

    /// What stands for the id of nothing.
    fn zeros(&self) -> String {
        "0".repeat(self.repository.hash().digits())
    }

    fn tree(&self, commit: Id) -> Result<Id, Error> {
        self.repository.commit(commit, |commit| commit.tree)
    }

    fn received(
        &self,
        listed: walk::Listed,
        base: Option<Id>,
        new: Id,
        old_commit: String,
        forced: bool,
    ) -> Result<(Received, Beside), Error> {
        let new_tree = Some(self.tree(new)?);
        let old_tree = present(base.map(|base| self.tree(base)).transpose())?;
        let (changed_files, is_cut) = match old_tree {
            Some(old_tree) => tree_diff::changed_files(
                self.repository,
                old_tree,
                new_tree,
                self.limits,
                &self.budget,
            )?,
            None => (ChangedFiles::unknown(), true),
        };
        let received = Received {
            old_commit,
            start_commit: listed.oldest.into(),
            end_commit: listed.newest.into(),
            total_commits: listed.total,
            forced,
            changed_files,
        };
        Ok((received, (listed.authors, listed.is_cut || is_cut)))
    }
}
