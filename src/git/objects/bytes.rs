//! Objects as they are read: a kind, and bytes.

use std::rc::Rc;

/// Kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::git) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    /// Returns the kind of this name.
    pub(in crate::git) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"commit" => Some(Self::Commit),
            b"tree" => Some(Self::Tree),
            b"blob" => Some(Self::Blob),
            b"tag" => Some(Self::Tag),
            _ => None,
        }
    }
}

/// The bytes of an object.
pub(in crate::git) enum Bytes<'a> {
    Libgit2(git2::OdbObject<'a>),
    Owned(Vec<u8>),
    Kept(Rc<[u8]>),
}

impl std::ops::Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Libgit2(object) => object.data(),
            Self::Owned(bytes) => bytes,
            Self::Kept(bytes) => bytes,
        }
    }
}
