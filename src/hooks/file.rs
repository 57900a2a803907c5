//! The file of one hook in a repository: reads its state, enables and disables it.
//!
//! A hook that was there before stays: it moves to `NAME.d/`, and the chain of `hooks/chain` takes
//! its place. A host's own dispatcher over `NAME.d/` (GitLab, Gitea, Forgejo) is left alone;
//! refpost gets an entry in that folder.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::foreign;
use super::script::{LONGEST_SCRIPT, beginning};
use crate::error::{Error, IoContext};
use crate::plain_file;

/// The chain script, whose one placeholder is the binary's path.
const CHAIN: &str = include_str!("../../hooks/chain");
const PLACEHOLDER: &str = "@REFPOST@";

/// Name of refpost's entry in `NAME.d/`, beside a dispatcher.
const ENTRY: &str = "90-refpost";

/// State of the place of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HookState {
    /// Nothing is there.
    Empty,
    /// A link to this binary, or one that leads nowhere.
    Linked(PathBuf),
    /// The chain script, which runs other hooks too.
    Chained,
    /// An entry of refpost beside a host's dispatcher.
    Dispatched,
    /// A file that refpost must not change runs refpost: the hook, or one that it leads to.
    Called(PathBuf),
    /// A hook of another program.
    Foreign,
}

/// One hook of one repository.
pub(crate) struct Hook {
    path: PathBuf,
    folder: PathBuf,
    /// Path for the hook that was there before: its own name in `NAME.d/`, since some hooks look at
    /// the name by which they were called.
    before: PathBuf,
    /// True if the host itself runs the files in `NAME.d/`, without a dispatcher.
    has_host: bool,
}

impl Hook {
    /// Returns the hook of this name (githooks(5)) in a folder of hooks.
    pub(crate) fn new(hooks_dir: &Path, name: &str) -> Self {
        let folder = hooks_dir.join(format!("{name}.d"));
        Self {
            path: hooks_dir.join(name),
            before: folder.join(name),
            folder,
            has_host: false,
        }
    }

    /// Returns the hook of this name in a folder where the host runs `NAME`, and all files in
    /// `NAME.d/`.
    pub(crate) fn dispatched(hooks_dir: &Path, name: &str) -> Self {
        Self {
            has_host: true,
            ..Self::new(hooks_dir, name)
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the hook leads, if it is a link that leads nowhere: git runs nothing.
    pub(crate) fn nowhere(&self) -> Option<PathBuf> {
        let target = fs::read_link(&self.path).ok()?;
        (!self.path.exists()).then_some(target)
    }

    /// Returns the path that `enable` made, or would make: an entry beside a dispatcher, or the
    /// hook.
    pub(crate) fn ours(&self) -> PathBuf {
        let entry = self.folder.join(ENTRY);
        if self.has_host || entry.exists() {
            entry
        } else {
            self.path.clone()
        }
    }

    /// Returns the state of the hook's place.
    pub(crate) fn state(&self) -> Result<HookState, Error> {
        if self.folder.join(ENTRY).exists() {
            return Ok(HookState::Dispatched);
        }
        if self.has_host {
            // Other files there are run beside refpost's entry.
            return Ok(HookState::Empty);
        }
        let Ok(metadata) = fs::symlink_metadata(&self.path) else {
            return Ok(HookState::Empty);
        };
        if let Some(caller) = foreign::caller(&self.path) {
            return Ok(HookState::Called(caller));
        }
        if metadata.is_symlink() {
            let target = fs::read_link(&self.path).doing("read link", &self.path)?;
            // Through another link too: some hosts keep all hooks in one folder.
            let end = self.path.canonicalize();
            let is_gone = end.is_err();
            let end = end.unwrap_or_else(|_| target.clone());
            let name = end.file_name().unwrap_or_default();
            // A binary that was removed had any name of ours, such as `refpost-1.2`.
            if name == "refpost" || is_gone && name.as_encoded_bytes().starts_with(b"refpost") {
                return Ok(HookState::Linked(target));
            }
        }
        let first_words = CHAIN.lines().nth(1).unwrap_or_default();
        if beginning(&self.path).contains(first_words) {
            Ok(HookState::Chained)
        } else {
            Ok(HookState::Foreign)
        }
    }

    /// Returns the files that git, the host, the chain and the entry run one after another, before
    /// refpost runs.
    pub(crate) fn run_files(&self, place: &HookState) -> Vec<PathBuf> {
        let entry = self.folder.join(ENTRY);
        let mut files = vec![self.path.clone()];
        match place {
            HookState::Empty | HookState::Foreign => files.clear(),
            HookState::Linked(_) => {}
            HookState::Chained => files.extend(binary_in(&self.path, "refpost=")),
            HookState::Dispatched => {
                files.retain(|_| !self.has_host);
                files.push(entry.clone());
                files.extend(binary_in(&entry, "exec "));
            }
            HookState::Called(by) if by == &self.path => {}
            HookState::Called(by) => files.push(by.clone()),
        }
        files
    }

    /// Puts refpost in place. Returns whether anything changed.
    pub(crate) fn enable(&self, binary: &Path) -> Result<bool, Error> {
        match self.state()? {
            HookState::Called(_) => return Ok(false),
            HookState::Linked(target) if target == binary => return Ok(false),
            HookState::Empty if self.has_host => self.add_entry(binary)?,
            HookState::Empty | HookState::Linked(_) => {
                let hooks_dir = self.path.parent().unwrap_or(Path::new("."));
                Self::make_folder(hooks_dir)?;
                self.replace(|fresh| symlink(binary, fresh).doing("link", fresh))?;
            }
            HookState::Chained => {
                let chain = chain(binary);
                if plain_file::read_named(&self.path, LONGEST_SCRIPT).doing("read", &self.path)?
                    == chain.as_bytes()
                {
                    return Ok(false);
                }
                self.replace(|fresh| write_script(fresh, &chain))?;
            }
            HookState::Dispatched => {
                let entry = self.folder.join(ENTRY);
                let script = entry_script(&self.path, binary);
                if plain_file::read_named(&entry, LONGEST_SCRIPT).doing("read", &entry)?
                    == script.as_bytes()
                {
                    return Ok(false);
                }
                fs::remove_file(&entry).doing("replace", &entry)?;
                write_script(&entry, &script)?;
            }
            HookState::Foreign if self.is_dispatcher() => self.add_entry(binary)?,
            HookState::Foreign => {
                if let Some(way) = foreign::way(&self.path) {
                    return Err(foreign::cannot_enable(&self.path, &way));
                }
                Self::make_folder(&self.folder)?;
                // The hook gets a second name before the chain takes the first one: no push ever
                // finds it missing.
                Self::copy_link(&self.path, &self.before, Path::new(".."))?;
                self.replace(|fresh| write_script(fresh, &chain(binary)))?;
            }
        }
        Ok(true)
    }

    /// Removes refpost, and puts back the hook that was there before. Returns whether anything
    /// changed.
    pub(crate) fn disable(&self) -> Result<bool, Error> {
        match self.state()? {
            HookState::Empty | HookState::Foreign => return Ok(false),
            HookState::Called(caller) => return Err(foreign::cannot_disable(&self.path, &caller)),
            HookState::Linked(_) => fs::remove_file(&self.path).doing("remove", &self.path)?,
            HookState::Dispatched => {
                let entry = self.folder.join(ENTRY);
                fs::remove_file(&entry).doing("remove", &entry)?;
            }
            HookState::Chained => self.unchain()?,
        }
        Ok(true)
    }

    fn add_entry(&self, binary: &Path) -> Result<(), Error> {
        let hooks_dir = self.path.parent().unwrap_or(Path::new("."));
        Self::make_folder(hooks_dir)?;
        Self::make_folder(&self.folder)?;
        let entry = self.folder.join(ENTRY);
        write_script(&entry, &entry_script(&self.path, binary))
    }

    fn unchain(&self) -> Result<(), Error> {
        let others: Vec<String> = fs::read_dir(&self.folder)
            .doing("read", &self.folder)?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| !self.before.ends_with(name))
            .collect();
        if let Some(other) = others.first() {
            return Err(Error::Failed {
                what: format!(
                    "cannot disable `{}`: `{other}` in `{}` runs through it",
                    self.path.display(),
                    self.folder.display()
                ),
                hint: Some("move that hook elsewhere first".to_owned()),
            });
        }
        if fs::symlink_metadata(&self.before).is_ok() {
            self.replace(|fresh| Self::copy_link(&self.before, fresh, &self.folder_name()))?;
            fs::remove_file(&self.before).doing("remove", &self.before)?;
        } else {
            fs::remove_file(&self.path).doing("remove", &self.path)?;
        }
        fs::remove_dir(&self.folder).doing("remove", &self.folder)
    }

    /// Makes a new file beside the hook and moves it into place in one step.
    fn replace(&self, make: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
        let fresh = self.path.with_extension("refpost-new");
        if fs::symlink_metadata(&fresh).is_ok() {
            fs::remove_file(&fresh).doing("remove", &fresh)?;
        }
        make(&fresh)?;
        fs::rename(&fresh, &self.path).doing("replace", &self.path)
    }

    /// Gives a hook a second name in another folder, from which the first one is `back`.
    ///
    /// A file gets a hard link. Of a symbolic link a second one is made that leads to the same
    /// file.
    fn copy_link(from: &Path, to: &Path, back: &Path) -> Result<(), Error> {
        match fs::read_link(from) {
            Ok(target) if target.is_relative() => {
                let target = match (back == Path::new(".."), target.strip_prefix("..")) {
                    (false, Ok(target)) => target.to_owned(),
                    _ => back.join(target),
                };
                symlink(target, to).doing("link", to)
            }
            Ok(target) => symlink(target, to).doing("link", to),
            Err(_) => fs::hard_link(from, to).doing("link", to),
        }
    }

    fn folder_name(&self) -> PathBuf {
        self.folder
            .file_name()
            .map(PathBuf::from)
            .unwrap_or_default()
    }

    /// Returns whether the hook is a script that itself runs the files in `NAME.d/`. Gitea's and
    /// Forgejo's names the folder by a variable.
    fn is_dispatcher(&self) -> bool {
        let name = self.folder_name();
        let text = beginning(&self.path);
        let names = [&*name.to_string_lossy(), "${hookname}.d"];
        names.iter().any(|name| text.contains(name))
    }

    fn make_folder(folder: &Path) -> Result<(), Error> {
        fs::create_dir_all(folder).doing("create", folder)
    }
}

fn chain(binary: &Path) -> String {
    CHAIN.replacen(PLACEHOLDER, &shell_quoted(binary), 1)
}

fn entry_script(hook: &Path, binary: &Path) -> String {
    let name = hook.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "#!/bin/sh\n# Written by `refpost enable`.\nexec {} hook {name} \"$@\"\n",
        shell_quoted(binary)
    )
}

/// Returns the path that stands in quotes behind `word` in a script that refpost wrote.
fn binary_in(script: &Path, word: &str) -> Option<PathBuf> {
    let text = beginning(script);
    let mut quoted = text.lines().filter_map(|line| line.strip_prefix(word));
    let quoted = quoted.next()?.strip_prefix('\'')?;
    let quoted = quoted.split("' hook ").next()?;
    let path = quoted.strip_suffix('\'').unwrap_or(quoted);
    Some(PathBuf::from(path.replace(r"'\''", "'")))
}

fn shell_quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

fn write_script(path: &Path, text: &str) -> Result<(), Error> {
    let mut file = fs::File::create_new(path).doing("write", path)?;
    file.write_all(text.as_bytes()).doing("write", path)?;
    file.set_permissions(fs::Permissions::from_mode(0o755))
        .doing("write", path)
}
