//! What is listed of a push: as much as a body has room for.

use serde::Serialize;

use crate::event::{Commit, FileStatus, RefChange};
use crate::json;

/// A message of a commit that has no room is cut at so many characters.
const SHORT_MESSAGE: usize = 1024;

/// How much of commits is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// How many of the newest are listed.
    pub(super) commits: usize,
    /// Whether their files are.
    pub(super) files: bool,
    /// Whether their messages are whole.
    pub(super) messages: bool,
}

/// The paths of a commit's files.
pub(super) struct Paths {
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    pub(super) modified: Vec<String>,
}

impl Extent {
    /// The files of a commit, if they are told.
    pub(super) fn paths(self, commit: &Commit) -> Paths {
        let files = commit.files.as_deref().filter(|_| self.files);
        let of = |wanted: &[FileStatus]| {
            let files = files.unwrap_or_default().iter();
            let files = files.filter(|(_, status)| wanted.contains(status));
            files
                .map(|(path, _)| String::from_utf8_lossy(path).into_owned())
                .collect()
        };
        Paths {
            added: of(&[FileStatus::Added]),
            removed: of(&[FileStatus::Deleted]),
            modified: of(&[FileStatus::Modified, FileStatus::TypeChanged]),
        }
    }

    /// The message of a commit, as far as it is told.
    pub(super) fn message(self, commit: &Commit) -> String {
        let message = &commit.message;
        if self.messages {
            return message.clone();
        }
        match message.char_indices().nth(SHORT_MESSAGE) {
            Some((end, _)) => format!("{}…", &message[..end]),
            None if commit.is_cut => format!("{message}…"),
            None => message.clone(),
        }
    }
}

/// The commits of a change that its messages can list, the newest first.
pub(super) fn listed(change: &RefChange) -> &[Commit] {
    let details = change.details.as_ref();
    details.map_or(&[], |details| &details.commits)
}

/// How many commits a change has.
pub(super) fn total(change: &RefChange) -> usize {
    change.gained.as_ref().map_or(0, |gained| gained.total)
}

/// The body with the most in it that is no longer than `longest`, and how much that is. Of
/// `commits`, those that may be listed, the oldest go last, after the files of all and the
/// ends of messages.
pub(super) fn within<T: Serialize>(
    commits: &[&Commit],
    most: usize,
    longest: usize,
    body: impl Fn(Extent) -> T,
) -> (Vec<u8>, Extent) {
    let has_files = commits.iter().all(|commit| commit.files.is_some());
    let is_whole = commits.iter().all(|commit| !commit.is_cut);
    let extent = |commits, files, messages| Extent {
        commits,
        files,
        messages,
    };
    let made = |extent| {
        let bytes = json::to_bytes_within(&body(extent), longest)?;
        Some((bytes, extent))
    };
    let tried = [(true, true), (false, true), (false, false)].into_iter();
    let tried = tried.filter(|(files, messages)| (has_files || !files) && (is_whole || !messages));
    let fitting = tried
        .map(|(files, messages)| extent(most, files, messages))
        .find_map(made);
    fitting.unwrap_or_else(|| {
        let (mut fits, mut exceeds) = (0, most);
        while exceeds - fits > 1 {
            let middle = fits.midpoint(exceeds);
            match made(extent(middle, false, false)) {
                Some(_) => fits = middle,
                None => exceeds = middle,
            }
        }
        let extent = extent(fits, false, false);
        (json::to_bytes(&body(extent)), extent)
    })
}

/// The headers that say what a body leaves out of so many commits.
pub(super) fn headers(extent: Extent, total: usize) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    if extent.commits < total {
        let value = format!("{}/{total}", extent.commits);
        headers.push(("X-Refpost-Commits".to_owned(), value));
    }
    if !extent.files {
        headers.push(("X-Refpost-Truncated".to_owned(), "files".to_owned()));
    }
    headers
}
