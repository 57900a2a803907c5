//! The first way of reading: libgit2.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Once;

use git2::{Config, ConfigLevel, ObjectFormat, ObjectType, Odb, RepositoryOpenFlags};

use super::command::Git;
use super::config_file;
use super::loose::Loose;
use super::store::{Bytes, Cause, Kind, Setting, last, truth};
use crate::event::Oid;

/// A repository that libgit2 can read.
pub(super) struct ByLibgit2 {
    pub(super) git: Git,
    pub(super) common_dir: PathBuf,
    pub(super) is_bare: bool,
    format: ObjectFormat,
    /// The repository's own; `None`: it cannot be read.
    config: Option<Vec<Setting>>,
    is_in_hook: bool,
    /// Where objects are, but for what those folders borrow from.
    object_folders: Vec<String>,
    loose: Loose,
    /// Opened at their first use: an ordinary push needs neither.
    objects: OnceCell<Odb<'static>>,
    refs: OnceCell<Option<git2::Repository>>,
}

/// Opens the repository in this folder, or in a `.git` in it; in a hook with the object
/// directories that git's environment names (git(1), `GIT_DIR`, `GIT_OBJECT_DIRECTORY`,
/// `GIT_ALTERNATE_OBJECT_DIRECTORIES`).
pub(super) fn open(path: &Path, is_in_hook: bool) -> Result<ByLibgit2, git2::Error> {
    if is_in_hook && let Some(known) = of_hook(path) {
        return Ok(known);
    }
    let mut repository = open_whole(path, is_in_hook)?;
    let mut is_in_hook = is_in_hook;
    if is_in_hook && repository.is_worktree() {
        // A worktree's HEAD is nobody else's business (git-worktree(1)).
        repository = open_whole(path, false)?;
        is_in_hook = false;
    }
    // libgit2 resolves the links in what it is given, but not that of a `.git` in it:
    // found at the very path that was asked for, there are none.
    let found = repository.path();
    let resolved = (found != path).then(|| found.canonicalize().ok()).flatten();
    let git_dir = resolved.unwrap_or_else(|| found.components().collect());
    let object_folders = object_folders(repository.commondir(), is_in_hook)?;
    Ok(ByLibgit2 {
        git: Git::new(git_dir, is_in_hook),
        loose: Loose::new(object_folders.iter().map(PathBuf::from).collect()),
        object_folders,
        common_dir: repository.commondir().to_owned(),
        is_bare: repository.is_bare(),
        format: repository.object_format(),
        config: repository.config().and_then(|config| list(&config)).ok(),
        is_in_hook,
        objects: OnceCell::new(),
        refs: OnceCell::from(Some(repository)),
    })
}

fn open_whole(path: &Path, is_in_hook: bool) -> Result<git2::Repository, git2::Error> {
    settle_libgit2();
    let mut flags = RepositoryOpenFlags::NO_SEARCH;
    flags.set(RepositoryOpenFlags::FROM_ENV, is_in_hook);
    git2::Repository::open_ext(path, flags, std::iter::empty::<&Path>())
}

/// The repository in whose hook we are: git has found it a moment ago, and looked at all
/// that libgit2 would look at again. `None`: something in it is out of the ordinary, and
/// libgit2 must judge.
fn of_hook(git_dir: &Path) -> Option<ByLibgit2> {
    if !git_dir.is_absolute() {
        return None;
    }
    let file = git_dir.join("config");
    let config = config_of(&file)?;
    let object_folders = object_folders(git_dir, true).ok()?;
    Some(ByLibgit2 {
        git: Git::new(git_dir.to_owned(), true),
        loose: Loose::new(object_folders.iter().map(PathBuf::from).collect()),
        object_folders,
        common_dir: git_dir.to_owned(),
        is_bare: truth(&config, "core.bare")?,
        format: ordinary_format(&config)?,
        config: Some(config),
        is_in_hook: true,
        objects: OnceCell::new(),
        refs: OnceCell::new(),
    })
}

/// Which ids a repository of this configuration has, if that is all there is to know of
/// its format (gitrepository-layout(5), `repository-version.txt`).
fn ordinary_format(config: &[Setting]) -> Option<ObjectFormat> {
    let version = last(config, "core.repositoryformatversion")?;
    let is_odd = |setting: &Setting| {
        // What holds under a condition is judged by where the repository is.
        let name = setting.name.as_str();
        name.starts_with("includeif.")
            || (name.starts_with("extensions.")
                && (version != "1" || !KNOWN_EXTENSIONS.contains(&name)))
    };
    if !["0", "1"].contains(&version) || config.iter().any(is_odd) {
        return None;
    }
    match last(config, "extensions.objectformat") {
        None | Some("sha1") => Some(ObjectFormat::Sha1),
        Some("sha256") => Some(ObjectFormat::Sha256),
        Some(_) => None,
    }
}

/// Those that say of what kind objects and refs are.
const KNOWN_EXTENSIONS: [&str; 2] = ["extensions.objectformat", "extensions.refstorage"];

/// What a file says, and those that it includes under no condition; `None` if it cannot be
/// read.
pub(super) fn config_of(file: &Path) -> Option<Vec<Setting>> {
    config_file::read(file).or_else(|| list_config(file).ok())
}

pub(super) fn list_config(file: &Path) -> Result<Vec<Setting>, git2::Error> {
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
    pub(super) fn id_length(&self) -> usize {
        match self.format {
            ObjectFormat::Sha256 => 32,
            ObjectFormat::Sha1 => 20,
        }
    }

    /// Whether refs are kept in a reftable, which libgit2 cannot read.
    pub(super) fn is_reftable(&self) -> bool {
        let config = self.own_config().unwrap_or_default();
        last(config, "extensions.refstorage") == Some("reftable")
    }

    pub(super) fn own_config(&self) -> Option<&[Setting]> {
        self.config.as_deref()
    }

    /// The refs, if they are such as libgit2 can read.
    pub(super) fn refs(&self) -> Option<&git2::Repository> {
        if self.is_reftable() {
            return None;
        }
        let open = || open_whole(self.git.git_dir(), self.is_in_hook).ok();
        self.refs.get_or_init(open).as_ref()
    }

    /// Reads an object. As long as each that is asked for lies by itself, as what was
    /// pushed just now does, packs are not looked for.
    pub(super) fn read(&self, id: Oid) -> Result<(Kind, Bytes<'_>), Cause> {
        if let Some(read) = self.loose.read(id) {
            return read;
        }
        let object = self.objects()?.read(to_git2(id))?;
        Ok((kind(object.kind())?, Bytes::Libgit2(object)))
    }

    /// What an object is, found out without reading all of it.
    pub(super) fn kind(&self, id: Oid) -> Result<Kind, Cause> {
        if let Some(kind) = self.loose.kind(id) {
            return kind;
        }
        kind(self.objects()?.read_header(to_git2(id))?.1)
    }

    pub(super) fn has(&self, id: Oid) -> bool {
        self.objects()
            .is_ok_and(|objects| objects.exists(to_git2(id)))
    }

    fn objects(&self) -> Result<&Odb<'static>, Cause> {
        if let Some(known) = self.objects.get() {
            return Ok(known);
        }
        settle_libgit2();
        let objects = Odb::new_ext(self.format)?;
        for folder in &self.object_folders {
            objects.add_disk_alternate(folder)?;
        }
        Ok(self.objects.get_or_init(|| objects))
    }
}

fn object_folders(common_dir: &Path, is_in_hook: bool) -> Result<Vec<String>, git2::Error> {
    let variable = |name| std::env::var_os(name).filter(|_| is_in_hook);
    let own = match variable("GIT_OBJECT_DIRECTORY") {
        Some(own) => PathBuf::from(own),
        None => common_dir.join("objects"),
    };
    let others = variable("GIT_ALTERNATE_OBJECT_DIRECTORIES").unwrap_or_default();
    let others = std::env::split_paths(&others);
    let others = others.filter(|folder| !folder.as_os_str().is_empty());
    let texts = std::iter::once(own).chain(others).map(|folder| {
        let text = folder.into_os_string().into_string();
        // git2 takes no other path to objects; git itself does.
        text.map_err(|_| git2::Error::from_str("the path of its objects is not UTF-8"))
    });
    texts.collect()
}

fn to_git2(id: Oid) -> git2::Oid {
    git2::Oid::from_bytes(id.as_bytes()).expect("an Oid has 20 or 32 bytes")
}

fn kind(kind: ObjectType) -> Result<Kind, Cause> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_ordinary_if_all_of_it_is_known() {
        let format = |text: &str| {
            let config: Vec<Setting> = text
                .split_whitespace()
                .map(|line| {
                    let (name, value) = line.split_once('=').expect("NAME=VALUE");
                    let (name, value) = (name.to_owned(), Some(value.to_owned()));
                    Setting { name, value }
                })
                .collect();
            ordinary_format(&config)
        };
        let version = "core.repositoryformatversion";
        let of = |rest: &str| format(&format!("{version}={rest}"));
        assert_eq!(of("0 core.bare=true"), Some(ObjectFormat::Sha1));
        assert_eq!(
            of("1 extensions.objectformat=sha256 extensions.refstorage=reftable"),
            Some(ObjectFormat::Sha256)
        );
        for odd in [
            "2",
            "1 extensions.objectformat=sha3",
            "0 extensions.objectformat=sha256",
            "1 extensions.worktreeconfig=true",
            "1 extensions.unheardof=true",
            "0 includeif.gitdir:/srv/.path=/etc/more",
        ] {
            assert_eq!(of(odd), None, "{odd}");
        }
        // A folder without one is no repository.
        assert_eq!(format("core.bare=true"), None);
    }
}
