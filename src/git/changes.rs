//! What became of a ref: where it was and is, and what commits came of that. Which messages
//! tell of it is for the wire formats to say (`payload`).

use std::cell::OnceCell;
use std::rc::Rc;

use crate::event::{
    self, Author, ChangedFiles, Gained, Oid, RefChange, RefKind, RefName, RefUpdate, Tip,
};
use crate::git::details::{Details, WantedDetails};
use crate::git::error::{Error, present};
use crate::git::history::gained::{self, Authors};
use crate::git::history::graph::Graph;
use crate::git::history::shallow::Shallow;
use crate::git::objects::id::Id;
use crate::git::repository::{DefaultBranch, Peeled, Repository};
use crate::git::tree_diff::{self, Budget, Wants};

/// State that the updates of one push are measured against.
pub struct Changes<'repo> {
    repository: &'repo Repository,
    shallow: Rc<Shallow>,
    graph: Graph<'repo>,
    /// Read at its first use: only new refs are measured against it.
    default: OnceCell<DefaultBranch>,
    wants: Wants,
    /// Whether an update that misses its own objects is an error.
    waits: bool,
    /// Budget for comparing trees in this push.
    budget: Budget,
    details: Details<'repo>,
    /// The details of single commits that are wanted, if any.
    wanted: Option<WantedDetails>,
}

impl Repository {
    /// Makes ready to tell the changes of a push.
    ///
    /// Refs are read as they are now, after the push, and only HEAD is: the
    /// updates themselves say where the others were and are.
    #[must_use]
    pub fn changes(&self, wants: Wants) -> Changes<'_> {
        let shallow = Rc::new(Shallow::of(self));
        Changes {
            repository: self,
            shallow: Rc::clone(&shallow),
            graph: Graph::new(self, Rc::clone(&shallow)),
            default: OnceCell::new(),
            wants,
            waits: true,
            budget: Budget::default(),
            details: Details::new(self, shallow),
            wanted: None,
        }
    }
}

impl Changes<'_> {
    /// Tells of commits one by one, too.
    #[must_use]
    pub fn with_details(self, wanted: Option<WantedDetails>) -> Self {
        Self { wanted, ..self }
    }

    /// Tells the known part of updates whose own objects are missing.
    #[must_use]
    pub fn of_what_is_known(self) -> Self {
        Self {
            waits: false,
            ..self
        }
    }

    /// Returns the change that one ref update made.
    pub fn of(&self, update: &RefUpdate) -> Result<RefChange, Error> {
        for id in [update.old, update.new].into_iter().flatten() {
            self.repository.id(id)?;
        }
        self.shallow.ensure_read()?;
        self.graph.begin_ref();
        match self.whole(update) {
            Err(error) if error.is_of_absent_object() && !self.waits => Ok(self.known(update)),
            told => told,
        }
    }

    fn whole(&self, update: &RefUpdate) -> Result<RefChange, Error> {
        let kind = update.name.kind();
        let (old, new) = match (update.old, update.new) {
            // A ref whose object is damaged or gone can be deleted all the same
            // (git-receive-pack(1)), and that must be told.
            (Some(old), None) => (Some(self.tip_if_known(old, kind)), None),
            (old, new) => {
                let tip = |id: Option<Oid>| id.map(|id| self.tip(id, kind)).transpose();
                (tip(old)?, tip(new)?)
            }
        };
        let commit = |tip: &Option<Tip>| {
            let commit = tip.as_ref().and_then(|tip| tip.commit);
            commit.map(|id| self.repository.id(id)).transpose()
        };
        let gained = match (&old, commit(&old)?, commit(&new)?) {
            (None, _, Some(new)) if kind != RefKind::Tag => self.created(update, new)?,
            (Some(_), Some(old), Some(new)) => Some(self.moved(old, new)?),
            _ => None,
        };
        let mut change = RefChange {
            update: update.clone(),
            old,
            new,
            gained,
            details: None,
        };
        if let Some(wanted) = self.wanted {
            change.details = Some(
                self.details
                    .of(&change, wanted, &|| self.default_branch())?,
            );
        }
        Ok(change)
    }

    /// The branch that HEAD names, if it names one.
    pub fn default_branch_name(&self) -> Result<Option<&RefName>, Error> {
        Ok(self.default_branch()?.name.as_ref())
    }

    /// Returns the change as the ids of an update tell it, without its objects.
    fn known(&self, update: &RefUpdate) -> RefChange {
        let kind = update.name.kind();
        let tip = |id: Option<Oid>| {
            id.map(|id| Tip {
                incomplete: true,
                ..self.tip_if_known(id, kind)
            })
        };
        let (old, new) = (tip(update.old), tip(update.new));
        let gained = new.as_ref().map(|new| {
            let commit = new.commit.unwrap_or(new.object);
            let author = new.author.clone().unwrap_or(Author::Pusher);
            thin(commit, Authors::only(author), 0)
        });
        RefChange {
            update: update.clone(),
            gained: gained.filter(|_| old.is_some() || kind != RefKind::Tag),
            details: self.wanted.map(|_| event::Details::default()),
            old,
            new,
        }
    }

    /// Returns the number of single commits that are wanted.
    fn wanted_commits(&self) -> usize {
        self.wanted.map_or(0, |wanted| wanted.commits)
    }

    fn tip(&self, object: Oid, kind: RefKind) -> Result<Tip, Error> {
        let peeled = self.repository.peel(self.repository.id(object)?, kind)?;
        let (commit, author) = match peeled {
            Peeled::Commit(id) => (Some(id.into()), Some(self.repository.commit_author(id)?)),
            Peeled::Other(tagger) => (None, tagger),
        };
        Ok(Tip {
            object,
            commit,
            author,
            incomplete: false,
        })
    }

    fn tip_if_known(&self, object: Oid, kind: RefKind) -> Tip {
        self.tip(object, kind).unwrap_or(Tip {
            object,
            commit: None,
            author: None,
            incomplete: true,
        })
    }

    fn default_branch(&self) -> Result<&DefaultBranch, Error> {
        if let Some(known) = self.default.get() {
            return Ok(known);
        }
        let found = self.repository.default_branch()?;
        Ok(self.default.get_or_init(|| found))
    }

    /// Whether the push has cost too much to look at more of it.
    fn is_spent(&self) -> bool {
        self.graph.is_spent() || self.budget.is_spent()
    }

    /// Returns the facts of commits once the push has cost too much.
    fn unlisted(&self, new: Id, listed: Option<&gained::Listed>) -> Result<Gained, Error> {
        let total = listed.map_or(0, |listed| listed.total);
        let authors = Authors::only(self.repository.commit_author(new)?);
        Ok(thin(new.into(), authors, total))
    }

    /// Returns the commits of a new branch or other ref that the default branch does not have.
    /// `None` if there are none.
    fn created(&self, update: &RefUpdate, new: Id) -> Result<Option<Gained>, Error> {
        if self.is_spent() {
            return self.unlisted(new, None).map(Some);
        }
        let default = self.default_branch()?;
        let is_default = default.name.as_ref() == Some(&update.name);
        let against = default.tip.filter(|_| !is_default);
        let listed = gained::list(&self.graph, new, against, self.wanted_commits())?;
        if self.is_spent() {
            return self.unlisted(new, listed.as_ref()).map(Some);
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
            return self.unlisted(new, Some(&listed)).map(Some);
        }
        self.gained(listed, base, base, new, false).map(Some)
    }

    /// A ref whose commit was `old` and is `new`.
    fn moved(&self, old: Id, new: Id) -> Result<Gained, Error> {
        if self.is_spent() {
            return self.unlisted(new, None);
        }
        let (base, is_cut) = self.graph.merge_base(old, new)?;
        let forced = base != Some(old);
        let listed = gained::list(&self.graph, new, Some(old), self.wanted_commits())?;
        if self.is_spent() {
            return self.unlisted(new, listed.as_ref());
        }
        let (mut listed, from) = match listed {
            Some(listed) => (listed, base.unwrap_or(old)),
            // Rewound: nothing new, and what is gone is what differs from old.
            None => (
                gained::Listed {
                    oldest: new,
                    newest: new,
                    total: 0,
                    ids: Vec::new(),
                    authors: Authors::only(self.repository.commit_author(new)?),
                    is_cut: false,
                },
                old,
            ),
        };
        listed.is_cut |= is_cut;
        self.gained(listed, base, Some(from), new, forced)
    }

    fn tree(&self, commit: Id) -> Result<Id, Error> {
        self.repository.commit(commit, |commit| commit.tree)
    }

    /// `from`: what files are compared with; `None` is the empty tree.
    fn gained(
        &self,
        listed: gained::Listed,
        base: Option<Id>,
        from: Option<Id>,
        new: Id,
        forced: bool,
    ) -> Result<Gained, Error> {
        let new_tree = Some(self.tree(new)?);
        let old_tree = present(from.map(|from| self.tree(from)).transpose())?;
        let (files, is_cut) = match old_tree {
            Some(old_tree) => tree_diff::changed_files(
                self.repository,
                old_tree,
                new_tree,
                self.wants,
                &self.budget,
            )?,
            None => (ChangedFiles::unknown(), true),
        };
        Ok(Gained {
            base: base.map(Oid::from),
            forced,
            total: listed.total,
            oldest: listed.oldest.into(),
            newest: listed.newest.into(),
            listed: listed.ids.into_iter().map(Oid::from).collect(),
            authors: listed.authors.named,
            more_authors: listed.authors.more,
            files,
            incomplete: listed.is_cut || is_cut,
        })
    }
}

/// Returns facts of commits that were not read, except for their number.
fn thin(new: Oid, authors: Authors, total: usize) -> Gained {
    Gained {
        base: None,
        forced: false,
        total,
        oldest: new,
        newest: new,
        listed: Vec::new(),
        authors: authors.named,
        more_authors: authors.more,
        files: ChangedFiles::unknown(),
        incomplete: true,
    }
}
