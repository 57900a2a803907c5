//! The first way of reading: libgit2.

use std::path::Path;
use std::sync::Once;

use git2::{ConfigLevel, ObjectType, RepositoryOpenFlags};

use super::command::Git;
use super::store::{Cause, Kind, Setting};
use crate::event::Oid;

/// A repository that libgit2 has opened.
pub(super) struct ByLibgit2 {
    pub(super) repository: git2::Repository,
    pub(super) git: Git,
}

/// Opens the repository in this folder, or in a `.git` in it; in a hook with the object
/// directories that git's environment names (git(1), `GIT_DIR`, `GIT_OBJECT_DIRECTORY`,
/// `GIT_ALTERNATE_OBJECT_DIRECTORIES`).
pub(super) fn open(path: &Path, is_in_hook: bool) -> Result<ByLibgit2, git2::Error> {
    settle_libgit2();
    let open = |flags| git2::Repository::open_ext(path, flags, std::iter::empty::<&Path>());
    let mut flags = RepositoryOpenFlags::NO_SEARCH;
    flags.set(RepositoryOpenFlags::FROM_ENV, is_in_hook);
    let mut repository = open(flags)?;
    let mut is_in_hook = is_in_hook;
    if is_in_hook && repository.is_worktree() {
        // A worktree's HEAD is nobody else's business (git-worktree(1)).
        repository = open(RepositoryOpenFlags::NO_SEARCH)?;
        is_in_hook = false;
    }
    // libgit2 resolves the links in what it is given, but not that of a `.git` in it:
    // found at the very path that was asked for, there are none.
    let found = repository.path();
    let resolved = (found != path).then(|| found.canonicalize().ok()).flatten();
    let git_dir = resolved.unwrap_or_else(|| found.components().collect());
    Ok(ByLibgit2 {
        git: Git::new(git_dir, is_in_hook),
        repository,
    })
}

impl ByLibgit2 {
    pub(super) fn id_length(&self) -> usize {
        match self.repository.object_format() {
            git2::ObjectFormat::Sha256 => 32,
            git2::ObjectFormat::Sha1 => 20,
        }
    }

    /// Whether refs are kept in a reftable, which libgit2 cannot read.
    pub(super) fn is_reftable(&self) -> bool {
        self.repository
            .config()
            .and_then(|config| config.get_string("extensions.refstorage"))
            .is_ok_and(|format| format == "reftable")
    }

    pub(super) fn setting(&self, name: &str) -> Option<bool> {
        self.repository.config().ok()?.get_bool(name).ok()
    }

    pub(super) fn own_config(&self) -> Result<Vec<Setting>, git2::Error> {
        settings(&self.repository.config()?)
    }
}

/// What a configuration says that is a file by itself, and what it includes under no
/// condition.
pub(super) fn config_file(file: &Path) -> Result<Vec<Setting>, git2::Error> {
    settings(&git2::Config::open(file)?)
}

fn settings(config: &git2::Config) -> Result<Vec<Setting>, git2::Error> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut all = Vec::new();
    config.entries(None)?.for_each(|entry| {
        all.push(Setting {
            name: text(entry.name_bytes()),
            value: entry.has_value().then(|| text(entry.value_bytes())),
        });
    })?;
    Ok(all)
}

pub(super) fn id(id: Oid) -> git2::Oid {
    git2::Oid::from_bytes(id.as_bytes()).expect("an Oid has 20 or 32 bytes")
}

pub(super) fn kind(kind: ObjectType) -> Result<Kind, Cause> {
    Ok(match kind {
        ObjectType::Commit => Kind::Commit,
        ObjectType::Tree => Kind::Tree,
        ObjectType::Blob => Kind::Blob,
        ObjectType::Tag => Kind::Tag,
        ObjectType::Any => return Err("it is of no kind".into()),
    })
}

/// libgit2's process-wide settings: made once, before the first repository opens.
///
/// - The pusher's own `~/.gitconfig` and the system's are none of our business,
///   and an unreadable one must not stop a notification.
/// - git has already checked whose repository this is when it runs a hook
///   (safe.directory, git-config(1)), and libgit2's check can only be told about
///   exceptions through the very files that are not read.
/// - Objects can be read whatever way the refs are kept; for refs git is asked.
/// - A partial clone has all that we read, or its owner chose otherwise
///   (git-config(1), extensions.partialClone).
/// - A commit is read once: libgit2 would keep a quarter of a gigabyte of them.
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
            git2::opts::set_extensions(&["refstorage", "partialclone"]).ok();
            git2::opts::set_cache_object_limit(ObjectType::Commit, 0).ok();
        }
        git2::opts::strict_hash_verification(false);
    });
}
