//! Opening a repository, and the few questions that events ask of it.

use std::path::{Path, PathBuf};
use std::sync::Once;

use git2::{ConfigLevel, ObjectType, RepositoryOpenFlags};

use super::{Error, ReadContext, object};
use crate::event::{Author, Oid, RefKind, RefName};

/// Chains of tags are followed so far.
const MOST_TAGS: usize = 10_000;

/// A git repository, bare or not.
pub struct Repository {
    pub(super) inner: git2::Repository,
    /// The folder with `HEAD` in it: absolute, links resolved.
    path: PathBuf,
}

/// What an object is once its annotated tags are peeled off.
pub(super) enum Peeled {
    Commit(git2::Oid),
    /// A blob or a tree, and who tagged it if somebody did.
    Other(Option<Author>),
}

/// Where new branches are measured from.
pub(super) struct DefaultBranch {
    /// The branch that HEAD names; `None` if HEAD is detached.
    pub(super) name: Option<RefName>,
    /// Its commit; `None` while it has none.
    pub(super) tip: Option<git2::Oid>,
}

impl Repository {
    /// Opens the repository in this folder: a bare one, or the parent of a `.git`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, RepositoryOpenFlags::NO_SEARCH)
    }

    /// Opens the repository in whose hook this process runs, with the object
    /// directories that git's environment names (git(1), `GIT_DIR`,
    /// `GIT_OBJECT_DIRECTORY`, `GIT_ALTERNATE_OBJECT_DIRECTORIES`).
    pub fn open_in_hook(git_dir: &Path) -> Result<Self, Error> {
        let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::FROM_ENV;
        let opened = Self::open_with(git_dir, flags)?;
        if opened.inner.is_worktree() {
            // A worktree's HEAD is nobody else's business (git-worktree(1)).
            return Self::open(git_dir);
        }
        Ok(opened)
    }

    fn open_with(path: &Path, flags: RepositoryOpenFlags) -> Result<Self, Error> {
        settle_libgit2();
        let inner = git2::Repository::open_ext(path, flags, std::iter::empty::<&Path>()).map_err(
            |source| Error::Open {
                path: path.display().to_string(),
                source,
            },
        )?;
        // libgit2 resolves the links in what it is given, but not that of a `.git` in it:
        // found at the very path that was asked for, there are none.
        let found = inner.path();
        let resolved = (found != path).then(|| found.canonicalize().ok()).flatten();
        let path = resolved.unwrap_or_else(|| found.components().collect());
        Ok(Self { inner, path })
    }

    /// The repository's own folder, the one with `HEAD` in it: absolute, links resolved.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// How many hex digits an object id has here: 40 or 64.
    pub(super) fn oid_digits(&self) -> usize {
        match self.inner.object_format() {
            git2::ObjectFormat::Sha256 => 64,
            git2::ObjectFormat::Sha1 => 40,
        }
    }

    /// Whether refs are kept in a reftable, which libgit2 cannot read
    /// (git-config(1), extensions.refStorage).
    pub(super) fn is_reftable(&self) -> bool {
        self.inner
            .config()
            .and_then(|config| config.get_string("extensions.refstorage"))
            .is_ok_and(|format| format == "reftable")
    }

    pub(super) fn default_branch(&self) -> Result<DefaultBranch, Error> {
        if self.is_reftable() {
            return Ok(self.default_branch_by_git());
        }
        let head = self
            .inner
            .find_reference("HEAD")
            .reading(|| "HEAD".to_owned())?;
        let name = head.symbolic_target_bytes().map(RefName::new);
        let tip = match self.inner.head() {
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
        let tip = tip.and_then(|tip| tip.target());
        Ok(DefaultBranch { name, tip })
    }

    fn default_branch_by_git(&self) -> DefaultBranch {
        // It fails for a detached HEAD, which names no branch.
        let name = self.ask_git(&["symbolic-ref", "--quiet", "HEAD"]).ok();
        let value = |rev| {
            let answer = self
                .ask_git(&["rev-parse", "--verify", "--quiet", rev])
                .ok()?;
            let id = Oid::from_bytes(&hex::decode(answer.trim_ascii_end()).ok()?)?;
            Some(to_git2(id))
        };
        DefaultBranch {
            name: name.map(|name| RefName::new(name.trim_ascii_end())),
            tip: value("HEAD"),
        }
    }

    /// Follows annotated tags to what they tag; a longer chain than anybody makes in
    /// earnest leads to no commit. `kind` is the ref's that named the object.
    pub(super) fn peel(&self, id: Oid, kind: RefKind) -> Result<Peeled, Error> {
        let mut id = to_git2(id);
        let mut tagged_by = None;
        let mut tags = 0;
        let odb = self.inner.odb().reading(|| "objects".to_owned())?;
        if kind == RefKind::Branch {
            // git lets a branch name commits alone, and a commit is read whole in any
            // case: libgit2 keeps it, and need not open it once more for its kind.
            odb.read(id).reading(|| format!("object `{id}`"))?;
        }
        loop {
            let what = || format!("object `{id}`");
            let (_, kind) = odb.read_header(id).reading(what)?;
            match kind {
                ObjectType::Commit => return Ok(Peeled::Commit(id)),
                ObjectType::Tag => {
                    if tags == MOST_TAGS {
                        return Ok(Peeled::Other(tagged_by));
                    }
                    tags += 1;
                    let tag = odb.read(id).reading(what)?;
                    tagged_by = tagged_by.or_else(|| object::tagger(tag.data()));
                    id = object::target(tag.data())
                        .ok_or_else(|| git2::Error::from_str("it tags nothing"))
                        .reading(what)?;
                }
                _ => return Ok(Peeled::Other(tagged_by)),
            }
        }
    }

    pub(super) fn commit_author(&self, id: git2::Oid) -> Result<Author, Error> {
        let what = || format!("commit `{id}`");
        let odb = self.inner.odb().reading(what)?;
        let commit = odb.read(id).reading(what)?;
        Ok(object::commit_author(commit.data()))
    }

    /// The tree of a commit.
    pub(super) fn tree(&self, commit: git2::Oid) -> Result<git2::Oid, Error> {
        let what = || format!("commit `{commit}`");
        let odb = self.inner.odb().reading(what)?;
        let object = odb.read(commit).reading(what)?;
        object::tree(object.data())
            .ok_or_else(|| git2::Error::from_str("it names no tree"))
            .reading(what)
    }
}

pub(super) fn to_git2(id: Oid) -> git2::Oid {
    git2::Oid::from_bytes(id.as_bytes()).expect("an Oid has 20 or 32 bytes")
}

pub(super) fn from_git2(id: git2::Oid) -> Oid {
    Oid::from_bytes(id.as_bytes()).expect("libgit2 found an object, so its id is not zero")
}

/// libgit2's process-wide settings: made once, before the first repository opens.
///
/// - The pusher's own `~/.gitconfig` and the system's are none of our business,
///   and an unreadable one must not stop a notification.
/// - git has already checked whose repository this is when it runs a hook
///   (safe.directory, git-config(1)), and libgit2's check can only be told about
///   exceptions through the very files that are not read.
/// - Objects can be read whatever way the refs are kept; for refs git is asked.
/// - Objects are not hashed anew at each read: git checked them on arrival.
#[allow(unsafe_code)]
fn settle_libgit2() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: these write libgit2's global settings without a lock. The
        // `Once` lets one thread through, and no repository is open before it.
        unsafe {
            for level in [
                ConfigLevel::ProgramData,
                ConfigLevel::System,
                ConfigLevel::XDG,
                ConfigLevel::Global,
            ] {
                git2::opts::set_search_path(level, "").ok();
            }
            git2::opts::set_verify_owner_validation(false).ok();
            git2::opts::set_extensions(&["refstorage"]).ok();
        }
        git2::opts::strict_hash_verification(false);
    });
}
