//! The plain facts of a push: types that all other modules share.
//!
//! Nothing here knows libgit2, JSON or HTTP. `git/` fills these types in, `payload/` turns them
//! into bytes.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An object id: 40 or 64 lower-case hex digits, never all zeros.
///
/// A ref that does not exist has no id (`Option::None`), so that past the parser no code compares
/// with forty zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid {
    bytes: [u8; 32],
    len: u8,
}

impl Oid {
    /// Makes an id of raw bytes: 20 (SHA-1) or 32 (SHA-256), not all zero.
    #[must_use]
    pub fn from_bytes(raw: &[u8]) -> Option<Self> {
        if !matches!(raw.len(), 20 | 32) || raw.iter().all(|&byte| byte == 0) {
            return None;
        }
        let mut bytes = [0; 32];
        bytes[..raw.len()].copy_from_slice(raw);
        let len = u8::try_from(raw.len()).ok()?;
        Some(Self { bytes, len })
    }

    /// Returns the raw bytes, 20 or 32 of them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        let raw = self.as_bytes();
        let digits = faster_hex::hex_encode(raw, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(digits)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The kind of a ref, by its folder (gitglossary(7), "ref").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// Below `refs/heads/`.
    Branch,
    /// Below `refs/tags/`.
    Tag,
    /// Anything else: `refs/notes/commits`, `refs/pull/1/head`, …
    Other,
}

/// A full ref name, as git spells it; not always UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(Vec<u8>);

impl RefName {
    /// Makes a name of bytes. They are not checked: git has done that (git-check-ref-format(1)).
    #[must_use]
    pub fn new(name: impl Into<Vec<u8>>) -> Self {
        Self(name.into())
    }

    /// Returns the name's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the full name as text; bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn full(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// Returns the name without its first `refs/heads/` or `refs/tags/`.
    ///
    /// Only that prefix is removed: `refs/heads/refs/heads/x` is the branch `refs/heads/x`.
    #[must_use]
    pub fn short(&self) -> String {
        let (_, short) = self.split();
        String::from_utf8_lossy(short).into_owned()
    }

    /// Returns the kind of ref.
    #[must_use]
    pub fn kind(&self) -> RefKind {
        self.split().0
    }

    fn split(&self) -> (RefKind, &[u8]) {
        if let Some(short) = self.0.strip_prefix(b"refs/heads/") {
            (RefKind::Branch, short)
        } else if let Some(short) = self.0.strip_prefix(b"refs/tags/") {
            (RefKind::Tag, short)
        } else {
            (RefKind::Other, &self.0)
        }
    }
}

/// Returns the beginning of the names by which git keeps the refs of a namespace
/// (gitnamespaces(7)).
#[must_use]
pub fn namespace_prefix(namespace: &Path) -> Vec<u8> {
    let parts = namespace.as_os_str().as_bytes().split(|&byte| byte == b'/');
    let parts = parts.filter(|part| !part.is_empty());
    parts.fold(Vec::new(), |before, part| {
        [&before, &b"refs/namespaces/"[..], part, b"/"].concat()
    })
}

/// A moved ref: a line of `post-receive`'s standard input (githooks(5)).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefUpdate {
    /// The id before. `None` if the ref was created.
    pub old: Option<Oid>,
    /// The id after. `None` if the ref was deleted.
    pub new: Option<Oid>,
    /// The ref.
    pub name: RefName,
}

impl RefUpdate {
    /// Returns whether its ids are SHA-256.
    #[must_use]
    pub fn is_sha256(&self) -> bool {
        let mut ids = self.old.iter().chain(&self.new);
        ids.any(|id| id.as_bytes().len() == 32)
    }

    /// Returns the digits of one of its ids, or zeros of the same length.
    #[must_use]
    pub fn digits(&self, id: Option<Oid>) -> String {
        let length = if self.is_sha256() { 64 } else { 40 };
        id.map_or_else(|| "0".repeat(length), |id| id.to_string())
    }
}

/// A changed ref and the commits that it gained: facts of the repository, in no forge's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefChange {
    /// The update, as git reported it.
    pub update: RefUpdate,
    /// The end before. `None` if the ref did not exist.
    pub old: Option<Tip>,
    /// The end after. `None` if the ref was deleted.
    pub new: Option<Tip>,
    /// The commits that it gained, or lost.
    ///
    /// `None` if there is nothing to list, or no commits lead from one end to the other.
    pub gained: Option<Gained>,
    /// Data for formats that list commits, if wanted.
    pub details: Option<Details>,
}

/// One end of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The object that the ref points at: of an annotated tag, the tag object.
    pub object: Oid,
    /// The commit that it leads to, if any.
    pub commit: Option<Oid>,
    /// The author of that commit; of any other object the tagger, if there is one.
    pub author: Option<Author>,
    /// True if an object of this end is missing or damaged.
    pub incomplete: bool,
}

/// Commits that a ref gained, and what they changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gained {
    /// The merge base with the old end or, for a new ref, with the default branch.
    pub base: Option<Oid>,
    /// True if a commit reachable from the old end is not reachable from the new one.
    pub forced: bool,
    /// Number of commits.
    pub total: usize,
    /// The oldest of them; the new end, if there are none.
    pub oldest: Oid,
    /// The newest of them; the new end, if there are none.
    pub newest: Oid,
    /// Ids of the newest of them, the newest first, as many as are wanted one by one.
    pub listed: Vec<Oid>,
    /// The authors, in order of first appearance from the oldest; without commits, the author of
    /// the new end. Never empty.
    pub authors: Vec<Author>,
    /// True if there are more authors than are collected.
    pub more_authors: bool,
    /// The files that differ from the base, or from the old end if there is no base or no
    /// commit is new.
    pub files: ChangedFiles,
    /// True if the data are not complete: an object is missing or damaged, or the push has cost too
    /// much.
    pub incomplete: bool,
}

/// Commits one by one, and other data that only some formats need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The gained commits, the newest first: those that can be read, and no more than are wanted.
    pub commits: Vec<Commit>,
    /// The commit that the new end leads to, if it can be read.
    pub head: Option<Commit>,
    /// The text of a new end that is an annotated tag, without a signature.
    pub tag_text: Option<String>,
    /// The first parent of the oldest gained commit.
    pub before_oldest: Option<Oid>,
    /// A branch at the same commit, for a ref that was created and gained nothing: the default
    /// branch, or the first by name.
    pub same_as: Option<RefName>,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: Oid,
    /// Its tree.
    pub tree: Oid,
    /// Its message, as text.
    pub message: String,
    /// True if the text is only the beginning of the message.
    pub is_cut: bool,
    /// The author.
    pub author: Signature,
    /// The committer.
    pub committer: Signature,
    /// The files that differ from its first parent, in the order of the path's bytes.
    ///
    /// `None` if they are not known, or more than are wanted.
    pub files: Option<Vec<(Vec<u8>, FileStatus)>>,
}

/// The author or committer of a commit, with the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// The name as written in the object.
    pub name: String,
    /// The address between `<` and `>`.
    pub email: String,
    /// Seconds since the epoch, or 0 if unknown.
    pub seconds: u64,
    /// Minutes by which local time is ahead of UTC.
    pub offset: i32,
}

/// Files that differ between two trees, without rename detection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedFiles {
    /// Path and status, in the order of the path's bytes.
    ///
    /// There are no more than the caller asked for, and none if their paths are longer than the
    /// caller asked for.
    pub listed: Vec<(Vec<u8>, FileStatus)>,
    /// Number of files in all, as far as they were counted.
    pub total: usize,
    /// True if counting stopped before the end.
    pub more: bool,
}

impl ChangedFiles {
    /// Returns the value for files that are not known.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            more: true,
            ..Self::default()
        }
    }
}

/// The change of a file (git-diff(1), `--name-status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStatus {
    /// Only in the new tree.
    Added,
    /// Another content or another mode.
    Modified,
    /// Only in the old tree.
    Deleted,
    /// Another type: file, symbolic link, submodule.
    TypeChanged,
}

impl FileStatus {
    /// Returns git's letter for the change.
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Self::Added => "A",
            Self::Modified => "M",
            Self::Deleted => "D",
            Self::TypeChanged => "T",
        }
    }
}

/// An author to name in a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Author {
    /// The author of a commit or the tagger of a tag, decoded to text.
    Person {
        /// The name as written in the object.
        name: String,
        /// The address between `<` and `>`.
        email: String,
    },
    /// The pusher, because the repository names no author.
    Pusher,
}
