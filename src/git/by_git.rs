//! The second way of reading: git itself, asked by its command line.

use std::cell::{OnceCell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};

use super::batch::{Batch, Refusal};
use super::command::Git;
use super::store::{Cause, Kind, Setting};
use crate::event::Oid;

/// A repository that git reads for us.
pub(super) struct ByGit {
    pub(super) git: Git,
    pub(super) common_dir: PathBuf,
    pub(super) is_bare: bool,
    pub(super) id_length: usize,
    pub(super) refs_are_files: bool,
    /// The repository's own, as git lists it, asked once.
    config: OnceCell<Option<Vec<Setting>>>,
    /// Two processes: to say what a blob of gigabytes is, nobody need read it.
    kinds: RefCell<Option<Batch>>,
    contents: RefCell<Option<Batch>>,
}

impl ByGit {
    /// Opens the repository in this folder, or in a `.git` in it. If it cannot be, says
    /// whether that is for want of a git.
    pub(super) fn open(path: &Path, is_in_hook: bool) -> Result<Self, bool> {
        let git_dir = locate(path).ok_or(false)?;
        let git = Git::new(git_dir, is_in_hook);
        let mut ask = git.command();
        // What an older git does not know it repeats.
        ask.args([
            "rev-parse",
            "--is-bare-repository",
            "--show-object-format",
            "--show-ref-format",
        ]);
        let answer = ask
            .output()
            .map_err(|error| error.kind() == std::io::ErrorKind::NotFound)?;
        if !answer.status.success() {
            return Err(false);
        }
        let text = String::from_utf8(answer.stdout).map_err(|_| false)?;
        let mut lines = text.lines();
        let is_bare = lines.next() == Some("true");
        let id_length = match lines.next() {
            Some("sha256") => 32,
            Some("sha1" | "--show-object-format") => 20,
            _ => return Err(false),
        };
        let refs_are_files = matches!(lines.next(), Some("files" | "--show-ref-format"));
        let common_dir = match fs::read_to_string(git.git_dir().join("commondir")) {
            Ok(text) => git.git_dir().join(text.trim_end()),
            Err(_) => git.git_dir().to_owned(),
        };
        Ok(Self {
            git,
            common_dir,
            is_bare,
            id_length,
            refs_are_files,
            config: OnceCell::new(),
            kinds: RefCell::default(),
            contents: RefCell::default(),
        })
    }

    pub(super) fn own_config(&self) -> Option<&[Setting]> {
        let config = self.config.get_or_init(|| {
            let args = ["config", "--local", "--includes", "--list", "-z"];
            let list = self.git.ask(&args).ok()?;
            let list = String::from_utf8_lossy(&list).into_owned();
            let entries = list.split_terminator('\0');
            let entries = entries.map(|entry| {
                let (name, value) = match entry.split_once('\n') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (entry, None),
                };
                let name = name.to_owned();
                Setting { name, value }
            });
            Some(entries.collect())
        });
        config.as_deref()
    }

    pub(super) fn kind(&self, id: Oid) -> Result<Kind, Cause> {
        let mut kinds = self.kinds.borrow_mut();
        let args = ["cat-file", "--batch-check"];
        let answer = answer(&mut kinds, &self.git, &args, |batch| batch.header(id))?;
        Ok(answer.kind)
    }

    pub(super) fn read(&self, id: Oid) -> Result<(Kind, Vec<u8>), Cause> {
        let mut contents = self.contents.borrow_mut();
        let args = ["cat-file", "--batch"];
        answer(&mut contents, &self.git, &args, |batch| {
            let answer = batch.header(id)?;
            let bytes = batch.contents(&answer)?;
            Ok((answer.kind, bytes))
        })
    }

    pub(super) fn expect(&self, ids: impl IntoIterator<Item = Oid>) {
        let mut contents = self.contents.borrow_mut();
        // Whoever reads them is told what is wrong.
        answer(
            &mut contents,
            &self.git,
            &["cat-file", "--batch"],
            |batch| batch.expect(ids),
        )
        .ok();
    }
}

/// Asks a process, which is started if there is none; one that fails is not asked again.
fn answer<T>(
    batch: &mut Option<Batch>,
    git: &Git,
    args: &[&str],
    ask: impl FnOnce(&mut Batch) -> Result<T, Refusal>,
) -> Result<T, Cause> {
    let running = match batch.take() {
        Some(running) => running,
        None => Batch::start(git, args)?,
    };
    let running = batch.insert(running);
    ask(running).map_err(|refusal| match refusal {
        Refusal::Missing => "object not found".into(),
        Refusal::Ended(error) => {
            *batch = None;
            error
        }
    })
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
