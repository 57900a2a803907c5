//! What a repository says of itself without being asked for objects.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::git::Repository;
use crate::host::shown::Shown;
use crate::host::software::Host;
use crate::plain_file::Folder;

/// First words that git's templates put into a `description`.
const PLACEHOLDER: &str = "Unnamed repository";

/// Longer descriptions are cut: gitweb and cgit show one line.
const LONGEST_DESCRIPTION: u64 = 4096;

/// A repository's path, and what its files tell.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The folder that users name: the bare repository, or the parent of `.git`.
    pub path: PathBuf,
    /// The first line of the `description` file; empty for git's placeholder.
    pub description: String,
    /// Texts that cgit and gitweb show of it.
    pub shown: Shown,
    /// The software that it lives under.
    pub host: Host,
    /// The user id that owns the repository.
    pub owner_uid: u32,
    /// Time at which the repository's folder was made, in seconds since the epoch, as far as the
    /// file system tells.
    pub created: u64,
    /// Time at which the repository's configuration last changed.
    pub modified: u64,
}

impl Repository {
    /// Gathers the facts. Leaves empty those that cannot be read: none of them is worth the loss of
    /// a message. `variable` is the environment.
    #[must_use]
    pub fn facts(&self, variable: &dyn Fn(&str) -> Option<String>) -> Facts {
        let texts = self.config_texts();
        let git_dir = self.path();
        let folder = fs::metadata(&git_dir).ok();
        let config = fs::metadata(git_dir.join("config")).ok();
        let modified = config
            .as_ref()
            .and_then(|data| data.modified().ok())
            .map_or(0, seconds);
        let created = folder
            .as_ref()
            .and_then(|data| data.created().ok())
            .map_or(modified, seconds);
        let path = match git_dir.parent() {
            Some(parent) if !self.is_bare() && git_dir.ends_with(".git") => parent.to_owned(),
            _ => git_dir.clone(),
        };
        Facts {
            description: description(&git_dir),
            shown: self.shown(&texts),
            host: self.host_with(variable, &texts),
            owner_uid: folder.map_or(0, |data| data.uid()),
            created,
            modified: modified.max(created),
            path,
        }
    }
}

fn description(git_dir: &std::path::Path) -> String {
    // A description that cannot be read is no description.
    let folder = Folder::open(git_dir);
    let bytes = folder.and_then(|folder| folder.read("description", LONGEST_DESCRIPTION));
    let bytes = bytes.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.starts_with(PLACEHOLDER) {
        String::new()
    } else {
        line.to_owned()
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
