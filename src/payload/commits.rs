//! Chooses the commits that a body lists: as many as it has room for.

use serde::Serialize;

use crate::event::{Commit, FileStatus, RefChange};
use crate::json;

/// Number of characters of a commit's message that has no room.
const SHORT_MESSAGE: usize = 1024;

/// Extent to which commits are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Number of commits that are listed, the newest ones.
    pub(super) commits: usize,
    /// True if their files are listed.
    pub(super) files: bool,
    /// True if their messages are whole.
    pub(super) messages: bool,
}

/// The paths of a commit's files.
pub(super) struct Paths {
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    pub(super) modified: Vec<String>,
}

impl Extent {
    /// Returns the paths of a commit's files; none if files are not listed.
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

    /// Returns the message of a commit, as far as messages are listed.
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

/// Returns the commits of a change that its messages can list, the newest first.
pub(super) fn listed(change: &RefChange) -> &[Commit] {
    let details = change.details.as_ref();
    details.map_or(&[], |details| &details.commits)
}

/// Returns the number of commits of a change.
pub(super) fn total(change: &RefChange) -> usize {
    change.gained.as_ref().map_or(0, |gained| gained.total)
}

/// Returns the body with the most in it that is no longer than `longest`, and its extent.
///
/// The files of all `commits` are left out first, then the ends of their messages, then the oldest
/// of the `most` that may be listed. A body that lists none may be longer.
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

/// Returns the headers that tell which parts of `total` commits a body leaves out.
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
