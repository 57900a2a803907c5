//! Ids of objects in one repository: each has the length of that repository's hash.
//!
//! What a hook reads and what lies in a spool may be longer or shorter. Below this type,
//! nothing is sized by an id that somebody else wrote.

use std::fmt;

use gix_hash::Kind;

use crate::event::Oid;

/// Hash that names the objects of a repository (git-config(1), `extensions.objectFormat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::git) enum HashKind {
    Sha1,
    Sha256,
}

/// An id of the length that ids have in its repository.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::git) struct Id(Oid);

impl HashKind {
    /// SHA-256, or SHA-1.
    pub(in crate::git) fn of(sha256: bool) -> Self {
        if sha256 { Self::Sha256 } else { Self::Sha1 }
    }

    /// Returns the number of bytes of an id: 20 or 32.
    pub(in crate::git) fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Returns the number of hex digits of an id.
    pub(in crate::git) fn digits(self) -> usize {
        2 * self.bytes()
    }

    /// Returns the same as the commit-graph's crates call it.
    pub(in crate::git) fn kind(self) -> Kind {
        match self {
            Self::Sha1 => Kind::Sha1,
            Self::Sha256 => Kind::Sha256,
        }
    }

    /// An id from anywhere; `None` if it has another length.
    pub(in crate::git) fn id(self, id: Oid) -> Option<Id> {
        (id.as_bytes().len() == self.bytes()).then_some(Id(id))
    }

    /// An id from its bytes; `None` for zeros, too, which name nothing.
    pub(in crate::git) fn id_of_bytes(self, raw: &[u8]) -> Option<Id> {
        self.id(Oid::from_bytes(raw)?)
    }

    /// An id from its hex digits.
    pub(in crate::git) fn id_of_digits(self, digits: &[u8]) -> Option<Id> {
        let mut raw = [0; 32];
        let raw = &mut raw[..self.bytes()];
        if digits.len() != self.digits() {
            return None;
        }
        faster_hex::hex_decode(digits, raw).ok()?;
        self.id_of_bytes(raw)
    }
}

impl Id {
    pub(in crate::git) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<Id> for Oid {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_length_of_its_hash() {
        for (hash, other) in [
            (HashKind::Sha1, HashKind::Sha256),
            (HashKind::Sha256, HashKind::Sha1),
        ] {
            let digits = "1f".repeat(hash.bytes());
            let id = hash.id_of_digits(digits.as_bytes()).expect("an id");
            assert_eq!(id.to_string(), digits);
            assert_eq!(hash.id(id.into()), Some(id));
            assert_eq!(other.id(id.into()), None);
            assert_eq!(other.id_of_bytes(id.as_bytes()), None);
            assert_eq!(other.id_of_digits(digits.as_bytes()), None);
            assert_eq!(hash.id_of_digits(&digits.as_bytes()[1..]), None);
            let zeros = "0".repeat(hash.digits());
            assert_eq!(hash.id_of_digits(zeros.as_bytes()), None);
        }
    }
}
