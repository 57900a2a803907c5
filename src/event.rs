//! Plain facts of what happened: the words that every other room shares.
//!
//! Nothing here knows libgit2, JSON or HTTP. `git/` fills these types in,
//! `payload/` turns them into bytes.

use std::fmt;

/// An object id: 40 or 64 lower-case hex digits, never all zeros.
///
/// A ref that does not exist has no id (`Option::None`), so that past the
/// parser nobody compares with forty zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid {
    bytes: [u8; 32],
    len: u8,
}

impl Oid {
    /// The id with these raw bytes: 20 (SHA-1) or 32 (SHA-256), not all zero.
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

    /// The raw bytes, 20 or 32 of them.
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

/// What a ref name stands for, by where it lies (gitglossary(7), "ref").
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
    /// Takes the bytes as they are: git has checked them (git-check-ref-format(1)).
    #[must_use]
    pub fn new(name: impl Into<Vec<u8>>) -> Self {
        Self(name.into())
    }

    /// The name's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The full name as text; bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn full(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The name without its first `refs/heads/` or `refs/tags/`, and only that:
    /// `refs/heads/refs/heads/x` is the branch `refs/heads/x`.
    #[must_use]
    pub fn short(&self) -> String {
        let (_, short) = self.split();
        String::from_utf8_lossy(short).into_owned()
    }

    /// What the name stands for.
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

/// One ref that moved: a line of `post-receive`'s standard input (githooks(5)).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefUpdate {
    /// Where the ref was; `None`: it was created.
    pub old: Option<Oid>,
    /// Where the ref is; `None`: it was deleted.
    pub new: Option<Oid>,
    /// The ref.
    pub name: RefName,
}

impl RefUpdate {
    /// Whether its ids are SHA-256.
    #[must_use]
    pub fn is_sha256(&self) -> bool {
        let mut ids = self.old.iter().chain(&self.new);
        ids.any(|id| id.as_bytes().len() == 32)
    }

    /// Returns the digits of one of its ids; of none, zeros of the same length.
    #[must_use]
    pub fn digits(&self, id: Option<Oid>) -> String {
        let length = if self.is_sha256() { 64 } else { 40 };
        id.map_or_else(|| "0".repeat(length), |id| id.to_string())
    }
}

/// A ref that changed, and what came of that: facts of the repository, in no forge's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefChange {
    /// What git told.
    pub update: RefUpdate,
    /// What the ref was at; `None`: it was not there.
    pub old: Option<Tip>,
    /// What it is at; `None`: it is gone.
    pub new: Option<Tip>,
    /// The commits that it gained, or lost. `None`: there is nothing to list, or no commits
    /// lead from the one to the other.
    pub gained: Option<Gained>,
    /// What formats that list commits tell besides, if it is wanted.
    pub details: Option<Details>,
}

/// One end of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// What the ref points at: of an annotated tag, the tag object.
    pub object: Oid,
    /// The commit that it leads to, if it leads to one.
    pub commit: Option<Oid>,
    /// Who wrote that commit; of anything else, who tagged it, if somebody did.
    pub author: Option<Author>,
    /// Whether an object of this end is missing or damaged.
    pub incomplete: bool,
}

/// Commits that a ref gained, and what they changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gained {
    /// The merge base with what the ref was at, or, if it is new, with the default branch.
    pub base: Option<Oid>,
    /// Whether a commit reachable from the old end is not from the new one.
    pub forced: bool,
    /// How many commits there are.
    pub total: usize,
    /// The oldest of them; the new end, if there are none.
    pub oldest: Oid,
    /// The newest of them; the new end, if there are none.
    pub newest: Oid,
    /// The newest of them, the newest first, as many as are wanted one by one.
    pub listed: Vec<Oid>,
    /// Who wrote them, in order of first appearance from the oldest; of none, who wrote the
    /// new end. Never empty.
    pub authors: Vec<Author>,
    /// Whether there are more authors than are gathered.
    pub more_authors: bool,
    /// The files that differ from the base, or from the old end if there is no base or no
    /// commit is new.
    pub files: ChangedFiles,
    /// Whether less is known than there was: an object is missing or damaged, or the push
    /// has cost too much.
    pub incomplete: bool,
}

/// Commits one by one, and what else only some formats tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Commits that were gained, the newest first; those that can be read, and no more than
    /// are wanted.
    pub commits: Vec<Commit>,
    /// The commit that the new end leads to, if it can be read.
    pub head: Option<Commit>,
    /// Of a new end that is an annotated tag its text, without a signature.
    pub tag_text: Option<String>,
    /// The first parent of the oldest commit that was gained.
    pub before_oldest: Option<Oid>,
    /// Of a ref that was created and gained nothing, a branch that is at the same commit: the
    /// default branch, or the first by name.
    pub same_as: Option<RefName>,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: Oid,
    /// Its tree.
    pub tree: Oid,
    /// What it says, as text.
    pub message: String,
    /// Whether that is only its beginning.
    pub is_cut: bool,
    /// Who wrote it.
    pub author: Signature,
    /// Who committed it.
    pub committer: Signature,
    /// The files that differ from its first parent, in the order of the path's bytes. `None`:
    /// they are not known, or more than are wanted.
    pub files: Option<Vec<(Vec<u8>, FileStatus)>>,
}

/// Who made a commit, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// The name as it was written.
    pub name: String,
    /// The address between `<` and `>`.
    pub email: String,
    /// Seconds since the epoch; 0 if that is not said.
    pub seconds: u64,
    /// How many minutes local time is ahead of UTC.
    pub offset: i32,
}

/// Files that differ between two trees, without rename detection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedFiles {
    /// Path and status, in the order of the path's bytes; no more than was asked
    /// for, and none if their paths are longer than was asked for.
    pub listed: Vec<(Vec<u8>, FileStatus)>,
    /// How many there are in all, as far as they were counted.
    pub total: usize,
    /// Whether counting stopped before the end.
    pub more: bool,
}

impl ChangedFiles {
    /// Which files differ is not known.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            more: true,
            ..Self::default()
        }
    }
}

/// How a file differs (git-diff(1), `--name-status`).
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
    /// git's letter for it.
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

/// Somebody to name in a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Author {
    /// The author of a commit or the tagger of a tag, decoded to text.
    Person {
        /// The name as it was written.
        name: String,
        /// The address between `<` and `>`.
        email: String,
    },
    /// Nobody is named in the repository: whoever pushed.
    Pusher,
}
