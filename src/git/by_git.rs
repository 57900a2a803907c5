//! The second way of reading: git itself, asked by its command line.

use std::cell::{OnceCell, RefCell};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::batch::{Batch, Manner};
use super::by_libgit2;
use super::command::Git;
use super::store::{Cause, Kind, Setting, last, truth};
use crate::event::{Oid, RefName};

const HEAD: &str = "HEAD";

/// How a git ends that is given an option that it does not know (git's `usage.c`).
const USAGE: i32 = 129;

/// A repository that git reads for us.
pub(super) struct ByGit {
    pub(super) git: Git,
    pub(super) common_dir: PathBuf,
    pub(super) is_bare: bool,
    pub(super) id_length: usize,
    pub(super) refs_are_files: bool,
    /// The repository's own, read once.
    config: OnceCell<Option<Vec<Setting>>>,
    objects: RefCell<Batch>,
    /// The process that says what an object is, where one cannot say both: to know that of
    /// a blob of gigabytes, nobody need read it.
    kinds: Option<RefCell<Batch>>,
}

impl ByGit {
    /// Opens the repository in this folder, or in a `.git` in it. If it cannot be, says
    /// whether that is for want of a git.
    ///
    /// The process that will tell of objects is asked where HEAD is: one that answers has
    /// opened the repository.
    pub(super) fn open(path: &Path, is_in_hook: bool) -> Result<Self, bool> {
        let git_dir = locate(path).ok_or(false)?;
        let git = Git::new(git_dir, is_in_hook);
        let start = |manner| {
            let started = Batch::start(&git, manner);
            started.map_err(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let mut objects = start(Manner::Either)?;
        let mut kinds = None;
        match objects.value(HEAD) {
            Ok(_) => {}
            Err(Some(USAGE)) => {
                let mut older = start(Manner::Kinds)?;
                older.value(HEAD).map_err(|_| false)?;
                kinds = Some(RefCell::new(older));
                objects = start(Manner::Contents)?;
            }
            Err(_) => return Err(false),
        }
        let common_dir = match fs::read_to_string(git.git_dir().join("commondir")) {
            Ok(text) => git.git_dir().join(text.trim_end()),
            Err(_) => git.git_dir().to_owned(),
        };
        let mut opened = Self {
            git,
            common_dir,
            is_bare: false,
            id_length: 20,
            refs_are_files: false,
            config: OnceCell::new(),
            objects: RefCell::new(objects),
            kinds,
        };
        let config = opened.own_config().unwrap_or_default();
        let is_bare = truth(config, "core.bare") == Some(true);
        let is_sha256 = last(config, "extensions.objectformat") == Some("sha256");
        let refs = last(config, "extensions.refstorage");
        opened.refs_are_files = matches!(refs, None | Some("files"));
        opened.is_bare = is_bare;
        opened.id_length = if is_sha256 { 32 } else { 20 };
        Ok(opened)
    }

    /// libgit2 can read most of such files by themselves, which spares a process. It leaves
    /// out what is included under a condition.
    pub(super) fn own_config(&self) -> Option<&[Setting]> {
        let config = self.config.get_or_init(|| {
            let file = by_libgit2::config_of(&self.common_dir.join("config"));
            let is_conditional = |setting: &Setting| setting.name.starts_with("includeif.");
            let file = file.filter(|settings| !settings.iter().any(is_conditional));
            file.or_else(|| self.config_by_git())
        });
        config.as_deref()
    }

    fn config_by_git(&self) -> Option<Vec<Setting>> {
        let args = ["config", "--local", "--includes", "--list", "-z"];
        let list = self.git.ask(&args).ok()?;
        let list = String::from_utf8_lossy(&list).into_owned();
        let entries = list.split_terminator('\0').map(|entry| {
            let (name, value) = match entry.split_once('\n') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (entry, None),
            };
            let name = name.to_owned();
            Setting { name, value }
        });
        Some(entries.collect())
    }

    /// The ref that HEAD names: `None` if that is none.
    pub(super) fn head_name(&self) -> Option<RefName> {
        let file = self.git.git_dir().join(HEAD);
        // It was a symbolic link once (git-symbolic-ref(1)).
        let is_file = fs::symlink_metadata(&file).is_ok_and(|meta| meta.is_file());
        let text = (is_file && self.refs_are_files).then(|| fs::read(&file).ok());
        match text.flatten().as_deref().map(<[u8]>::trim_ascii) {
            Some(text) if let Some(name) = text.strip_prefix(b"ref:") => {
                Some(RefName::new(name.trim_ascii_start()))
            }
            Some(text) if text.len() == 2 * self.id_length => None,
            _ => self.git.head_name(),
        }
    }

    /// Where HEAD is.
    pub(super) fn head(&self) -> Option<Oid> {
        let value = self.kinds().borrow_mut().value(HEAD).ok().flatten();
        // The object may be gone, and whoever reads it is told so.
        value.or_else(|| self.git.head())
    }

    pub(super) fn kind(&self, id: Oid) -> Result<Kind, Cause> {
        self.kinds().borrow_mut().kind(id)
    }

    fn kinds(&self) -> &RefCell<Batch> {
        self.kinds.as_ref().unwrap_or(&self.objects)
    }

    pub(super) fn read(&self, id: Oid) -> Result<(Kind, Vec<u8>), Cause> {
        self.objects.borrow_mut().read(id)
    }

    pub(super) fn most_expected(&self) -> usize {
        self.objects.borrow().most_expected()
    }

    pub(super) fn expect(&self, ids: impl IntoIterator<Item = Oid>) {
        self.objects.borrow_mut().expect(ids);
    }

    pub(super) fn forget(&self) {
        self.objects.borrow_mut().forget();
    }
}

/// The folder with `HEAD` in it, its links resolved, as libgit2 looks for it.
fn locate(path: &Path) -> Option<PathBuf> {
    let within = path.join(".git");
    let named = match fs::metadata(&within) {
        Ok(meta) if meta.is_dir() => within,
        Ok(_) => {
            // gitrepository-layout(5), `.git` as a file.
            let text = fs::read_to_string(&within).ok()?;
            path.join(text.strip_prefix("gitdir:")?.trim())
        }
        Err(_) => path.to_owned(),
    };
    let git_dir = named.canonicalize().ok()?;
    fs::symlink_metadata(git_dir.join("HEAD")).ok()?;
    Some(git_dir)
}
