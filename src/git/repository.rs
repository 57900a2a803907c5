//! A repository, and the few questions that changes ask of it.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use git2::ErrorCode;

use crate::event::{Author, Oid, RefKind, RefName, namespace_prefix};
use crate::git::error::{Cause, Error, ReadContext, damaged};
use crate::git::objects::alternates;
use crate::git::objects::bytes::{Bytes, Kind};
use crate::git::objects::header::{Commit, Tag};
use crate::git::objects::id::{HashKind, Id};
use crate::git::objects::settings::Setting;
use crate::git::objects::store::Store;
use crate::plain_file::{self, LONGEST_PATH};

/// Chains of tags are followed so far.
const MOST_TAGS: usize = 10_000;

/// Number of objects that are kept, and the longest of them.
const MOST_KEPT: usize = 4;
const LONGEST_KEPT: usize = 8 * 1024;

/// A git repository, bare or not.
pub struct Repository {
    store: Store,
    /// The namespace that its refs are looked for in, and what their full names begin with
    /// there (gitnamespaces(7)): both are empty without one.
    namespace: PathBuf,
    prefix: Vec<u8>,
    /// The first objects that are read. They are the ends of a push, which peeling, walks and
    /// comparisons all need.
    kept: RefCell<Vec<Kept>>,
}

/// An object that was read.
struct Kept {
    id: Id,
    kind: Kind,
    bytes: Rc<[u8]>,
}

/// An object once its annotated tags are peeled off.
pub(super) enum Peeled {
    Commit(Id),
    /// A blob or a tree, and its tagger if it was tagged.
    Other(Option<Author>),
}

/// The commit that new branches are measured from.
pub(super) struct DefaultBranch {
    /// The branch that HEAD names; `None` if HEAD is detached.
    pub(super) name: Option<RefName>,
    /// Its commit; `None` while it has none.
    pub(super) tip: Option<Id>,
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
            namespace: PathBuf::new(),
            prefix: Vec::new(),
            kept: RefCell::default(),
        }
    }

    /// Returns the repository with the refs of a namespace, under the names that hooks are told:
    /// without it.
    #[must_use]
    pub fn in_namespace(self, namespace: &Path) -> Self {
        Self {
            namespace: namespace.to_owned(),
            prefix: namespace_prefix(namespace),
            ..self
        }
    }

    /// Returns the namespace that its refs are in; empty without one.
    #[must_use]
    pub fn namespace(&self) -> &Path {
        &self.namespace
    }

    /// Returns the name by which git keeps a ref.
    pub(super) fn full_name(&self, name: &[u8]) -> RefName {
        RefName::new([&self.prefix, name].concat())
    }

    /// Returns the name by which hooks are told of a ref.
    pub(super) fn name_within(&self, full: &[u8]) -> RefName {
        RefName::new(full.strip_prefix(&self.prefix[..]).unwrap_or(full))
    }

    /// Returns the repository's own folder, the one with `HEAD` in it: absolute, links resolved.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.store.git().git_dir().to_owned()
    }

    /// Returns whether all folders of objects can be opened: its own, and those that it borrows
    /// from. Otherwise a missing object may merely be out of reach.
    #[must_use]
    pub fn can_open_all_objects(&self) -> bool {
        let own = alternates::own(self.store.git(), self.store.common_dir());
        alternates::can_all_be_opened(self.store.git(), &own, self.hash())
    }

    /// Returns the lines of its own configuration, in their order; none if it cannot be read.
    #[must_use]
    pub fn own_config(&self) -> &[Setting] {
        self.store.own_config().unwrap_or_default()
    }

    /// Returns whether it has no work tree.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.store.is_bare()
    }

    /// Returns the store that reads it.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the hash that names objects here.
    pub(super) fn hash(&self) -> HashKind {
        self.store.hash()
    }

    /// Returns an id of this repository, or an error if it has the length of another hash.
    pub(super) fn id(&self, id: Oid) -> Result<Id, Error> {
        self.hash().id(id).ok_or(Error::Length { id })
    }

    /// Returns HEAD, or that of the namespace.
    pub(super) fn default_branch(&self) -> Result<DefaultBranch, Error> {
        let head = self.full_name(b"HEAD");
        let head = head.as_bytes();
        let is_link = fs::symlink_metadata(self.path().join("HEAD"))
            .is_ok_and(|meta| meta.file_type().is_symlink());
        let refs = self.store.refs_by_libgit2().filter(|_| !is_link);
        let (Some(refs), Ok(text)) = (refs, std::str::from_utf8(head)) else {
            return self.default_branch_by_git(head);
        };
        let what = || "HEAD".to_owned();
        self.ensure_ref_is_plain(text.as_bytes()).reading(what)?;
        let head = match refs.find_reference(text) {
            Ok(head) => head,
            // A namespace need not have one, and then nothing is the default.
            Err(error) if error.code() == ErrorCode::NotFound && !self.prefix.is_empty() => {
                return Ok(DefaultBranch {
                    name: None,
                    tip: None,
                });
            }
            refused => refused.reading(what)?,
        };
        let target = head.symbolic_target_bytes();
        let name = target.map(|name| self.name_within(name));
        let tip = match target.map(std::str::from_utf8) {
            None => head
                .target()
                .and_then(|tip| Oid::from_bytes(tip.as_bytes())),
            Some(Ok(target)) => self.ref_by_libgit2(refs, target).reading(what)?,
            Some(Err(_)) => return self.default_branch_by_git(text.as_bytes()),
        };
        let tip = tip.and_then(|tip| self.hash().id(tip));
        Ok(DefaultBranch { name, tip })
    }

    /// The short name of the branch that HEAD names, if it names one.
    pub fn default_branch_name(&self) -> Result<Option<String>, Error> {
        let name = self.default_branch()?.name;
        Ok(name.map(|name| name.short()))
    }

    /// Whether ids are SHA-256.
    #[must_use]
    pub fn is_sha256(&self) -> bool {
        self.hash() == HashKind::Sha256
    }

    fn default_branch_by_git(&self, head: &[u8]) -> Result<DefaultBranch, Error> {
        let what = || "HEAD".to_owned();
        self.ensure_ref_is_plain(head).reading(what)?;
        let file = self.path().join(OsStr::from_bytes(head));
        let text = plain_file::read(&file, LONGEST_PATH).unwrap_or_default();
        if let Some(target) = text.strip_prefix(b"ref:") {
            self.ensure_ref_is_plain(target.trim_ascii())
                .reading(what)?;
        }
        let git = self.store.git();
        let name = git.symbolic_ref(head);
        let tip = git.ref_value(head);
        Ok(DefaultBranch {
            name: name.map(|name| self.name_within(&name)),
            tip: tip.and_then(|digits| self.hash().id_of_digits(&digits)),
        })
    }

    /// Returns the kind and the bytes of an object.
    pub(super) fn object(&self, id: Id) -> Result<(Kind, Bytes<'_>), Cause> {
        let mut kept = self.kept.borrow_mut();
        if let Some(known) = kept.iter().find(|kept| kept.id == id) {
            return Ok((known.kind, Bytes::Kept(Rc::clone(&known.bytes))));
        }
        let (kind, bytes) = self.store.read(id)?;
        if kept.len() < MOST_KEPT && bytes.len() <= LONGEST_KEPT {
            kept.push(Kept {
                id,
                kind,
                bytes: Rc::from(&*bytes),
            });
        }
        Ok((kind, bytes))
    }

    /// Returns the kind of an object. The objects of branches can be read at once: they are
    /// commits, never blobs of gigabytes (git-receive-pack(1)).
    fn kind(&self, id: Id, of: RefKind) -> Result<Kind, Cause> {
        match of {
            RefKind::Branch => self.object(id).map(|(kind, _)| kind),
            RefKind::Tag | RefKind::Other => self.store.kind(id),
        }
    }

    /// Follows annotated tags to the object that they tag. `of`: the kind of the ref. A longer
    /// chain than people make leads to no commit.
    pub(super) fn peel(&self, id: Id, of: RefKind) -> Result<Peeled, Error> {
        let (mut id, mut of) = (id, of);
        let mut tagged_by = None;
        let mut tags = 0;
        loop {
            let what = || format!("object `{id}`");
            match self.kind(id, of).reading(what)? {
                Kind::Commit => return Ok(Peeled::Commit(id)),
                Kind::Tag => {
                    if tags == MOST_TAGS {
                        return Ok(Peeled::Other(tagged_by));
                    }
                    tags += 1;
                    let (_, bytes) = self.object(id).reading(what)?;
                    let tag = Tag::parse(&bytes, self.hash());
                    let tag = tag.ok_or_else(damaged).reading(what)?;
                    tagged_by = tagged_by.or_else(|| tag.tagger.map(|by| by.person()));
                    id = tag.target;
                    of = RefKind::Tag;
                }
                _ => return Ok(Peeled::Other(tagged_by)),
            }
        }
    }

    /// Reads a commit, for `tell`.
    pub(super) fn commit<T>(&self, id: Id, tell: impl FnOnce(Commit<'_>) -> T) -> Result<T, Error> {
        let what = || format!("commit `{id}`");
        let (_, bytes) = self.object(id).reading(what)?;
        let commit = Commit::parse(&bytes, self.hash()).ok_or_else(damaged);
        Ok(tell(commit.reading(what)?))
    }

    pub(super) fn commit_author(&self, id: Id) -> Result<Author, Error> {
        self.commit(id, |commit| commit.author().person())
    }

    /// Returns whether there is a file of grafts (gitrepository-layout(5), `info/grafts`).
    #[must_use]
    pub fn has_grafts(&self) -> bool {
        let grafts = self.store.common_dir().join("info/grafts");
        fs::metadata(grafts).is_ok_and(|meta| meta.len() > 0)
    }

    /// Returns whether git lets a pusher send options (git-config(1),
    /// `receive.advertisePushOptions`).
    #[must_use]
    pub fn takes_push_options(&self) -> bool {
        let key = "receive.advertisePushOptions";
        // It fails where nobody says so.
        self.ask_git(&["config", "--type=bool", "--get", key])
            .is_ok_and(|answer| answer.trim_ascii_end() == b"true")
    }
}
