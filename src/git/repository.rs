//! A repository, and the few questions that events ask of it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::store::{Bytes, Cause, Kind, Objects, Store};
use super::{Error, ReadContext, object};
use crate::event::{Author, Oid, RefKind, RefName};

/// Chains of tags are followed so far.
const MOST_TAGS: usize = 10_000;

/// So many objects are kept, none of them longer.
const MOST_KEPT: usize = 4;
const LONGEST_KEPT: usize = 8 * 1024;

/// A git repository, bare or not.
pub struct Repository {
    store: Store,
    /// The first that are read are the ends of a push: whoever peels, walks and compares
    /// asks for them.
    kept: RefCell<Vec<Kept>>,
}

/// An object that was read.
struct Kept {
    id: Oid,
    kind: Kind,
    bytes: Rc<[u8]>,
}

/// What an object is once its annotated tags are peeled off.
pub(super) enum Peeled {
    Commit(Oid),
    /// A blob or a tree, and who tagged it if somebody did.
    Other(Option<Author>),
}

/// Where new branches are measured from.
pub(super) struct DefaultBranch {
    /// The branch that HEAD names; `None` if HEAD is detached.
    pub(super) name: Option<RefName>,
    /// Its commit; `None` while it has none.
    pub(super) tip: Option<Oid>,
}

impl Repository {
    /// Opens the repository in this folder: a bare one, or the parent of a `.git`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Store::open(path, false).map(Self::of)
    }

    /// Opens the repository in whose hook this process runs, with the object
    /// directories that git's environment names (git(1), `GIT_DIR`,
    /// `GIT_OBJECT_DIRECTORY`, `GIT_ALTERNATE_OBJECT_DIRECTORIES`).
    pub fn open_in_hook(git_dir: &Path) -> Result<Self, Error> {
        Store::open(git_dir, true).map(Self::of)
    }

    fn of(store: Store) -> Self {
        Self {
            store,
            kept: RefCell::default(),
        }
    }

    /// The repository's own folder, the one with `HEAD` in it: absolute, links resolved.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.store.git().git_dir().to_owned()
    }

    /// How it is read.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// How many bytes an object id has here: 20 or 32.
    pub(super) fn id_length(&self) -> usize {
        self.store.id_length()
    }

    pub(super) fn objects(&self) -> Objects<'_> {
        self.store.objects()
    }

    pub(super) fn default_branch(&self) -> Result<DefaultBranch, Error> {
        let Some(refs) = self.store.refs_by_libgit2() else {
            let (name, tip) = self.store.head_by_git();
            return Ok(DefaultBranch { name, tip });
        };
        let head = refs.find_reference("HEAD");
        let head = head.reading(|| "HEAD".to_owned())?;
        let name = head.symbolic_target_bytes().map(RefName::new);
        let tip = match refs.head() {
            Ok(tip) => Some(tip),
            Err(error)
                if matches!(
                    error.code(),
                    git2::ErrorCode::UnbornBranch | git2::ErrorCode::NotFound
                ) =>
            {
                None
            }
            Err(error) => return Err(error).reading(|| "HEAD".to_owned()),
        };
        let tip = tip.and_then(|tip| Oid::from_bytes(tip.target()?.as_bytes()));
        Ok(DefaultBranch { name, tip })
    }

    /// An object, and what it is.
    pub(super) fn object<'a>(
        &self,
        objects: &'a Objects<'_>,
        id: Oid,
    ) -> Result<(Kind, Bytes<'a>), Cause> {
        let mut kept = self.kept.borrow_mut();
        if let Some(known) = kept.iter().find(|kept| kept.id == id) {
            return Ok((known.kind, Bytes::Kept(Rc::clone(&known.bytes))));
        }
        let (kind, bytes) = objects.read(id)?;
        if kept.len() < MOST_KEPT && bytes.len() <= LONGEST_KEPT {
            kept.push(Kept {
                id,
                kind,
                bytes: Rc::from(&*bytes),
            });
        }
        Ok((kind, bytes))
    }

    /// What an object is. What a branch is at can be read at once: it is no blob of
    /// gigabytes, but a commit (git-receive-pack(1)).
    fn kind(&self, objects: &Objects<'_>, id: Oid, of: RefKind) -> Result<Kind, Cause> {
        match of {
            RefKind::Branch => self.object(objects, id).map(|(kind, _)| kind),
            RefKind::Tag | RefKind::Other => objects.kind(id),
        }
    }

    /// Follows annotated tags, from what a ref of some kind is at, to what they tag; a
    /// longer chain than anybody makes in earnest leads to no commit.
    pub(super) fn peel(&self, id: Oid, of: RefKind) -> Result<Peeled, Error> {
        let (mut id, mut of) = (id, of);
        let mut tagged_by = None;
        let mut tags = 0;
        let objects = self.objects();
        loop {
            let what = || format!("object `{id}`");
            match self.kind(&objects, id, of).reading(what)? {
                Kind::Commit => return Ok(Peeled::Commit(id)),
                Kind::Tag => {
                    if tags == MOST_TAGS {
                        return Ok(Peeled::Other(tagged_by));
                    }
                    tags += 1;
                    let (_, tag) = self.object(&objects, id).reading(what)?;
                    tagged_by = tagged_by.or_else(|| object::tagger(&tag));
                    id = object::target(&tag)
                        .ok_or("it tags nothing")
                        .reading(what)?;
                    of = RefKind::Tag;
                }
                _ => return Ok(Peeled::Other(tagged_by)),
            }
        }
    }

    pub(super) fn commit_author(&self, id: Oid) -> Result<Author, Error> {
        let objects = self.objects();
        let commit = self.object(&objects, id);
        let (_, commit) = commit.reading(|| format!("commit `{id}`"))?;
        Ok(object::commit_author(&commit))
    }

    /// The tree of a commit.
    pub(super) fn tree(&self, commit: Oid) -> Result<Oid, Error> {
        let what = || format!("commit `{commit}`");
        let objects = self.objects();
        let (_, bytes) = self.object(&objects, commit).reading(what)?;
        object::tree(&bytes).ok_or("it names no tree").reading(what)
    }
}
