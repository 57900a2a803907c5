//! The first way of reading: libgit2 opens the repository, and reads what lies in packs.
//! Where it errs, git is asked.

use std::cell::{Cell, OnceCell};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Once;

use git2::{Binding, Config, ConfigLevel, ObjectFormat, ObjectType, Odb, RepositoryOpenFlags};

use crate::git::command::Git;
use crate::git::error::Cause;
use crate::git::objects::alternates;
use crate::git::objects::bytes::{Bytes, Kind};
use crate::git::objects::cat_file::CatFile;
use crate::git::objects::id::{HashKind, Id};
use crate::git::objects::irregular;
use crate::git::objects::loose::{self, Loose};
use crate::git::objects::settings::{Setting, last};

/// A repository that libgit2 can read.
pub(in crate::git) struct ByLibgit2 {
    pub(in crate::git) git: Git,
    pub(in crate::git) common_dir: PathBuf,
    pub(in crate::git) is_bare: bool,
    pub(in crate::git) hash: HashKind,
    /// The repository's own; `None`: it cannot be read.
    pub(in crate::git) config: Option<Vec<Setting>>,
    repository: git2::Repository,
    /// The folder that pushed objects are stored in.
    own: PathBuf,
    /// The folders from which objects are borrowed.
    others: OnceCell<Vec<PathBuf>>,
    /// Opened at its first use: an ordinary push does not need it.
    packs: OnceCell<Odb<'static>>,
    /// True if the last object that was found is in a pack.
    was_packed: Cell<bool>,
    /// For objects that libgit2 cannot read.
    git_objects: CatFile,
    loose: Loose,
}

/// Opens the repository in this folder, or in a `.git` in it.
pub(in crate::git) fn open(path: &Path, is_in_hook: bool) -> Result<ByLibgit2, git2::Error> {
    settle_libgit2();
    let flags = RepositoryOpenFlags::NO_SEARCH;
    let repository = git2::Repository::open_ext(path, flags, std::iter::empty::<&Path>())?;
    // libgit2 resolves the links in what it is given, but not that of a `.git` in it:
    // found at the very path that was asked for, there are none.
    let found = repository.path();
    let resolved = (found != path).then(|| found.canonicalize().ok()).flatten();
    let git_dir = resolved.unwrap_or_else(|| found.components().collect());
    let git = Git::new(git_dir, is_in_hook);
    let hash = match repository.object_format() {
        ObjectFormat::Sha256 => HashKind::Sha256,
        ObjectFormat::Sha1 => HashKind::Sha1,
    };
    let common_dir = repository.commondir().to_owned();
    Ok(ByLibgit2 {
        is_bare: repository.is_bare(),
        hash,
        config: repository.config().and_then(|config| list(&config)).ok(),
        repository,
        own: alternates::own(&git, &common_dir),
        others: OnceCell::new(),
        packs: OnceCell::new(),
        was_packed: Cell::new(false),
        git_objects: CatFile::new(&git, hash),
        loose: Loose::default(),
        common_dir,
        git,
    })
}

/// Returns the settings of a file and of its unconditional includes.
pub(in crate::git) fn list_config(file: &Path) -> Result<Vec<Setting>, git2::Error> {
    settle_libgit2();
    list(&Config::open(file)?)
}

fn list(config: &Config) -> Result<Vec<Setting>, git2::Error> {
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

impl ByLibgit2 {
    /// Whether refs are kept in a reftable, which libgit2 cannot read.
    pub(in crate::git) fn is_reftable(&self) -> bool {
        let config = self.config.as_deref().unwrap_or_default();
        last(config, "extensions.refstorage") == Some("reftable")
    }

    /// The refs, if they are such as libgit2 can read.
    pub(in crate::git) fn refs(&self) -> Option<&git2::Repository> {
        (!self.is_reftable()).then_some(&self.repository)
    }

    /// The folders of objects, its own first.
    pub(in crate::git) fn object_folders(&self) -> impl Iterator<Item = &PathBuf> {
        let others = self
            .others
            .get_or_init(|| alternates::others(&self.git, &self.own));
        std::iter::once(&self.own).chain(others)
    }

    /// Reads an object: one that lies by itself, as what was pushed just now does, one in a
    /// pack, or what git finds.
    pub(in crate::git) fn read(&self, id: Id) -> Result<(Kind, Bytes<'_>), Cause> {
        let loose = |folder: &Path| self.loose.read(folder, id);
        let found = self.find(id, loose, |packs| {
            let object = packs.read(to_git2(id)).ok()?;
            Some((kind(object.kind())?, Bytes::Libgit2(object)))
        });
        if let Some(found) = found? {
            return Ok(found);
        }
        let (kind, bytes) = self.git_objects.read(id)?;
        Ok((kind, Bytes::Owned(bytes)))
    }

    /// Returns the kind of an object without reading all of it.
    pub(in crate::git) fn kind(&self, id: Id) -> Result<Kind, Cause> {
        let loose = |folder: &Path| loose::kind(folder, id);
        let found = self.find(id, loose, |packs| {
            kind(packs.read_header(to_git2(id)).ok()?.1)
        });
        match found? {
            Some(found) => Ok(found),
            None => self.git_objects.kind(id),
        }
    }

    /// Finds an object, first where the last one was: a walk comes from new objects to packs.
    ///
    /// `None`: only git may find it.
    fn find<'a, T>(
        &'a self,
        id: Id,
        loose: impl Fn(&Path) -> Option<T>,
        packed: impl Fn(&'a Odb<'static>) -> Option<T>,
    ) -> Result<Option<T>, Cause> {
        let was_packed = self.was_packed.get();
        for is_packed in [was_packed, !was_packed] {
            let found = if is_packed {
                packed(self.packs()?)
            } else {
                loose(&self.own)
            };
            if found.is_some() {
                self.was_packed.set(is_packed);
                return Ok(found);
            }
        }
        let found = self.object_folders().skip(1).find_map(|it| loose(it));
        if found.is_none() {
            self.ensure_loose_is_plain(id)?;
        }
        Ok(found)
    }

    /// Fails if the file of a loose object is no regular file: git would open it.
    fn ensure_loose_is_plain(&self, id: Id) -> Result<(), Cause> {
        irregular::ensure_none(self.object_folders().map(|folder| loose::file(folder, id)))
    }

    fn packs(&self) -> Result<&Odb<'static>, Cause> {
        if let Some(known) = self.packs.get() {
            return Ok(known);
        }
        let packs = Odb::new_ext(match self.hash {
            HashKind::Sha1 => ObjectFormat::Sha1,
            HashKind::Sha256 => ObjectFormat::Sha256,
        })?;
        irregular::ensure_none_in_packs(&self.own)?;
        for folder in self.object_folders() {
            irregular::ensure_none_in_packs(folder)?;
            add_packs(&packs, folder, self.hash)?;
        }
        Ok(self.packs.get_or_init(|| packs))
    }
}

/// Adds the packs of a folder, and nothing else: libgit2 1.9 waits for ever for the rest of
/// a file that ends too soon, as a power failure leaves it (libgit2 issue 7342), and reads
/// `alternates` otherwise than git. None of the objects that lie by themselves gets there.
#[allow(unsafe_code)]
fn add_packs(packs: &Odb<'_>, folder: &Path, hash: HashKind) -> Result<(), Cause> {
    let folder = CString::new(folder.as_os_str().as_bytes())?;
    let options = libgit2_sys::git_odb_backend_pack_options {
        version: libgit2_sys::GIT_ODB_BACKEND_PACK_OPTIONS_VERSION,
        oid_type: match hash {
            HashKind::Sha1 => libgit2_sys::GIT_OID_SHA1,
            HashKind::Sha256 => libgit2_sys::GIT_OID_SHA256,
        },
    };
    let mut backend = ptr::null_mut();
    // SAFETY: the folder's name ends in zero and, like the options, is copied by the call.
    // The backend belongs to the object database from the moment that it is added.
    unsafe {
        if libgit2_sys::git_odb_backend_pack(&raw mut backend, folder.as_ptr(), &raw const options)
            < 0
            || libgit2_sys::git_odb_add_backend(packs.raw(), backend, 1) < 0
        {
            return Err(git2::Error::last_error(-1).into());
        }
    }
    Ok(())
}

fn to_git2(id: Id) -> git2::Oid {
    git2::Oid::from_bytes(id.as_bytes()).expect("an id has 20 or 32 bytes")
}

fn kind(kind: ObjectType) -> Option<Kind> {
    match kind {
        ObjectType::Commit => Some(Kind::Commit),
        ObjectType::Tree => Some(Kind::Tree),
        ObjectType::Blob => Some(Kind::Blob),
        ObjectType::Tag => Some(Kind::Tag),
        ObjectType::Any => None,
    }
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
