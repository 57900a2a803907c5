//! Chooses the commits that a body lists: as many as it has room for.

use std::borrow::Cow;

use serde::Serialize;

use crate::event::{Commit, FileStatus, RefChange};
use crate::json;

/// Number of characters of a commit's message that has no room.
const SHORT_MESSAGE: usize = 1024;

/// Numbers of characters of a text and of a name if otherwise not one commit has room: of either,
/// JSON needs twelve bytes for a character at most, and 16 KiB hold the head and one commit.
const LEAST_TEXT: usize = 128;
const LEAST_NAME: usize = 32;

/// Extent to which commits are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Number of commits that are listed, the newest ones.
    pub(super) commits: usize,
    /// True if their files are listed.
    pub(super) files: bool,
    /// True if their messages are whole.
    pub(super) messages: bool,
    /// True if messages and names are as short as may be.
    pub(super) is_least: bool,
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
        let most = if self.is_least {
            LEAST_TEXT
        } else {
            SHORT_MESSAGE
        };
        match cut(message, most) {
            Cow::Borrowed(whole) if commit.is_cut => format!("{whole}…"),
            text => text.into_owned(),
        }
    }

    /// Returns a person's name or e-mail.
    pub(super) fn name(self, name: &str) -> Cow<'_, str> {
        if self.is_least {
            cut(name, LEAST_NAME)
        } else {
            name.into()
        }
    }

    /// Returns another text of strangers: that of a tag.
    pub(super) fn text(self, text: &str) -> Cow<'_, str> {
        if self.is_least {
            cut(text, LEAST_TEXT)
        } else {
            text.into()
        }
    }
}

/// Returns a text of at most `most` characters; `…` stands in place of the others.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
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
/// of the `most` that may be listed, then the ends of names. What strangers do not write is never
/// left out, nor is the name of a ref: with that a body may be longer.
pub(super) fn within<T: Serialize>(
    commits: &[&Commit],
    most: usize,
    longest: usize,
    body: impl Fn(Extent) -> T,
) -> (Vec<u8>, Extent) {
    let has_files = commits.iter().all(|commit| commit.files.is_some());
    let is_whole = commits.iter().all(|commit| !commit.is_cut);
    let short = Extent {
        commits: most,
        files: false,
        messages: false,
        is_least: false,
    };
    let made = |extent| {
        let bytes = json::to_bytes_within(&body(extent), longest)?;
        Some((bytes, extent))
    };
    let tried = [(true, true), (false, true), (false, false)].into_iter();
    let tried = tried.filter(|(files, messages)| (has_files || !files) && (is_whole || !messages));
    let extents = tried.map(|(files, messages)| Extent {
        files,
        messages,
        ..short
    });
    let fewer = |extent: Extent| {
        let (mut fits, mut exceeds) = (0, most + 1);
        while exceeds - fits > 1 {
            let commits = fits.midpoint(exceeds);
            match made(Extent { commits, ..extent }) {
                Some(_) => fits = commits,
                None => exceeds = commits,
            }
        }
        Extent {
            commits: fits,
            ..extent
        }
    };
    let least = Extent {
        is_least: true,
        ..short
    };
    extents.into_iter().find_map(made).unwrap_or_else(|| {
        let extent = Some(fewer(short)).filter(|extent| extent.commits > 0);
        let extent = extent.unwrap_or_else(|| fewer(least));
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
