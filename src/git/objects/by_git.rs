//! The second way of reading: git itself, asked by its command line.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::git::command::{Git, answer_of};
use crate::git::objects::alternates;
use crate::git::objects::by_libgit2;
use crate::git::objects::cat_file::CatFile;
use crate::git::objects::id::HashKind;
use crate::git::objects::settings::{Setting, last, truth};
use crate::plain_file::{self, LONGEST_PATH};

/// A repository that git reads for us.
pub(in crate::git) struct ByGit {
    pub(in crate::git) git: Git,
    pub(in crate::git) common_dir: PathBuf,
    /// The folder that pushed objects are stored in.
    pub(in crate::git) own: PathBuf,
    pub(in crate::git) is_bare: bool,
    pub(in crate::git) hash: HashKind,
    pub(in crate::git) refs_are_files: bool,
    /// The repository's own; `None`: it cannot be read.
    pub(in crate::git) config: Option<Vec<Setting>>,
    pub(in crate::git) objects: CatFile,
}

impl ByGit {
    /// Opens the repository in this folder, or in a `.git` in it. Returns as error whether git
    /// could not be run.
    pub(in crate::git) fn open(path: &Path, is_in_hook: bool) -> Result<Self, bool> {
        let git_dir = locate(path).ok_or(false)?;
        let git = Git::new(git_dir, is_in_hook);
        let mut command = git.command();
        command.args(["rev-parse", "--git-common-dir", "--show-object-format"]);
        let answer =
            answer_of(&mut command).map_err(|error| error.kind() == io::ErrorKind::NotFound)?;
        if !answer.status.success() {
            return Err(false);
        }
        let mut lines = answer.stdout.split(|&byte| byte == b'\n');
        let common_dir = OsStr::from_bytes(lines.next().unwrap_or_default());
        let common_dir = git.git_dir().join(common_dir);
        // A git that does not know the question knows one hash.
        let hash = match lines.next() {
            Some(b"sha256") => HashKind::Sha256,
            _ => HashKind::Sha1,
        };
        let config = own_config(&git, &common_dir);
        let settings = config.as_deref().unwrap_or_default();
        Ok(Self {
            is_bare: truth(settings, "core.bare") == Some(true),
            refs_are_files: matches!(
                last(settings, "extensions.refstorage"),
                None | Some("files")
            ),
            objects: CatFile::new(&git, hash),
            own: alternates::own(&git, &common_dir),
            git,
            common_dir,
            hash,
            config,
        })
    }
}

/// Reads the file with libgit2, which spares a process, unless it has conditional includes, which
/// libgit2 leaves out.
fn own_config(git: &Git, common_dir: &Path) -> Option<Vec<Setting>> {
    let file = by_libgit2::list_config(&common_dir.join("config")).ok();
    let is_conditional = |setting: &Setting| setting.name.starts_with("includeif.");
    let file = file.filter(|settings| !settings.iter().any(is_conditional));
    file.or_else(|| config_by_git(git))
}

fn config_by_git(git: &Git) -> Option<Vec<Setting>> {
    let args = ["config", "--local", "--includes", "--list", "-z"];
    let list = git.ask(&args).ok()?;
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

/// The folder with `HEAD` in it, its links resolved, as libgit2 looks for it.
fn locate(path: &Path) -> Option<PathBuf> {
    let within = path.join(".git");
    let named = match fs::metadata(&within) {
        Ok(meta) if meta.is_dir() => within,
        Ok(_) => {
            // gitrepository-layout(5), `.git` as a file.
            let text = plain_file::read_text(&within, LONGEST_PATH).ok()?;
            path.join(text.strip_prefix("gitdir:")?.trim())
        }
        Err(_) => path.to_owned(),
    };
    let git_dir = named.canonicalize().ok()?;
    fs::symlink_metadata(git_dir.join("HEAD")).ok()?;
    Some(git_dir)
}
