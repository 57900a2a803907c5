//! The headers of commits and tags, read straight from their bytes.
//!
//! libgit2 refuses a whole commit for a malformed author line; a notification
//! must not be lost for that, so only what is needed is read, leniently.

use encoding_rs::{Encoding, UTF_8};

use crate::event::{Author, Oid};

/// Names and addresses are cut to so many characters.
const LONGEST_TEXT: usize = 1024;

/// More bytes than that many characters have, in nearly every encoding.
const LONGEST_BYTES: usize = 8 * LONGEST_TEXT;

/// Who made an object, as it says: `NAME <EMAIL> TIME ZONE`, in the encoding that
/// its `encoding` header names.
#[derive(Clone, Copy)]
pub(super) struct Signature<'a> {
    name: &'a [u8],
    email: &'a [u8],
    encoding: &'a [u8],
}

/// The author of a commit, from the commit's bytes.
pub(super) fn commit_author(commit: &[u8]) -> Author {
    Signature::of_author(commit).person()
}

/// Who made an annotated tag, from the tag's bytes; very old tags do not say.
pub(super) fn tagger(tag: &[u8]) -> Option<Author> {
    Signature::of(tag, b"tagger ").map(|signature| signature.person())
}

/// What walks need of a commit, from the commit's bytes.
pub(super) struct Walked<'a> {
    /// When it was committed, in seconds since the epoch; 0 if that is not said.
    pub(super) time: i64,
    pub(super) author: Signature<'a>,
}

/// Reads a commit's headers once, and tells its parents in their order.
pub(super) fn walked(commit: &[u8], mut parent: impl FnMut(Oid)) -> Walked<'_> {
    let (mut author, mut committer, mut encoding) = (None, None, None);
    // Of two headers of one name the first counts.
    for line in headers(commit) {
        match line.first() {
            Some(b'p') => {
                if let Some(id) = line.strip_prefix(b"parent ").and_then(oid) {
                    parent(id);
                }
            }
            Some(b'a') => author = author.or_else(|| line.strip_prefix(b"author ")),
            Some(b'c') => committer = committer.or_else(|| line.strip_prefix(b"committer ")),
            Some(b'e') => encoding = encoding.or_else(|| line.strip_prefix(b"encoding ")),
            _ => {}
        }
    }
    Walked {
        time: committer.and_then(time).unwrap_or(0),
        author: Signature::new(author.unwrap_or_default(), encoding.unwrap_or_default()),
    }
}

/// The tree of a commit, from the commit's bytes.
pub(super) fn tree(commit: &[u8]) -> Option<Oid> {
    oid(header(commit, b"tree ")?)
}

/// What a tag tags, from the tag's bytes.
pub(super) fn target(tag: &[u8]) -> Option<Oid> {
    oid(header(tag, b"object ")?)
}

/// The time in `NAME <EMAIL> TIME ZONE`.
fn time(ident: &[u8]) -> Option<i64> {
    let at = memchr::memrchr(b'>', ident)?;
    let text = std::str::from_utf8(&ident[at + 1..]).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// An id from its hex digits; `None` for zeros, too, which name nothing.
pub(super) fn oid(digits: &[u8]) -> Option<Oid> {
    let mut raw = [0; 32];
    let raw = raw.get_mut(..digits.len() / 2)?;
    faster_hex::hex_decode(digits, raw).ok()?;
    Oid::from_bytes(raw)
}

impl<'a> Signature<'a> {
    /// The author of a commit; without a name, if it has none.
    pub(super) fn of_author(commit: &'a [u8]) -> Self {
        Self::of(commit, b"author ").unwrap_or(Self::new(&[], &[]))
    }

    /// Reads it behind `field`.
    fn of(object: &'a [u8], field: &[u8]) -> Option<Self> {
        let ident = header(object, field)?;
        let encoding = header(object, b"encoding ").unwrap_or_default();
        Some(Self::new(ident, encoding))
    }

    fn new(ident: &'a [u8], encoding: &'a [u8]) -> Self {
        let (name, rest) = split_at_byte(ident, b'<');
        let (email, _) = split_at_byte(rest, b'>');
        Self {
            name,
            email,
            encoding,
        }
    }

    /// Writes what is the same only for signatures of the same person.
    pub(super) fn write_key(&self, key: &mut Vec<u8>) {
        key.clear();
        for part in [self.name, b"<", self.email, b">", self.encoding] {
            key.extend_from_slice(part);
        }
    }

    /// The person, read as git log does.
    pub(super) fn person(&self) -> Author {
        let encoding = Encoding::for_label(self.encoding).unwrap_or(UTF_8);
        let decode = |bytes: &[u8]| {
            let bytes = bytes.trim_ascii();
            let start = &bytes[..bytes.len().min(LONGEST_BYTES)];
            let (text, _) = encoding.decode_without_bom_handling(start);
            cut(text.trim(), start.len() < bytes.len())
        };
        Author::Person {
            name: decode(self.name),
            email: decode(self.email),
        }
    }
}

/// The text, or its start and `…`: nobody's name is that long, and every commit of a
/// push may name another. `is_cut`: there was more of it.
fn cut(text: &str, is_cut: bool) -> String {
    let mut starts = text.char_indices().map(|(at, _)| at);
    match starts.nth(LONGEST_TEXT - 1) {
        Some(at) if is_cut || starts.next().is_some() => format!("{}…", &text[..at]),
        None if is_cut => format!("{text}…"),
        _ => text.to_owned(),
    }
}

/// The rest of the first header line that starts with `field`. Headers end at
/// the first empty line; continuation lines start with a space.
fn header<'a>(object: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    headers(object).find_map(|line| line.strip_prefix(field))
}

fn headers(object: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', object).chain([object.len()]);
    ends.map(move |end| &object[std::mem::replace(&mut start, end + 1)..end])
        .take_while(|line| !line.is_empty())
}

fn split_at_byte(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match memchr::memchr(separator, bytes) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(object: &[u8]) -> (String, String) {
        match commit_author(object) {
            Author::Person { name, email } => (name, email),
            Author::Pusher => unreachable!("a commit has an author"),
        }
    }

    #[test]
    fn names_are_decoded_as_the_commit_says() {
        let latin1 = b"tree 1\nauthor Jos\xe9 <j@x> 1 +0000\nencoding ISO-8859-1\n\nauthor X <y> 1";
        assert_eq!(author(latin1), ("José".into(), "j@x".into()));
        let unlabelled = b"tree 1\nauthor Jos\xe9 <j@x> 1 +0000\n\nencoding ISO-8859-1";
        assert_eq!(author(unlabelled), ("Jos\u{fffd}".into(), "j@x".into()));
    }

    #[test]
    fn malformed_author_lines_are_read_leniently() {
        assert_eq!(
            author(b"author no address"),
            ("no address".into(), String::new())
        );
        assert_eq!(author(b"author  <a@b"), (String::new(), "a@b".into()));
        assert_eq!(author(b"tree 1\n\nbody"), (String::new(), String::new()));
        assert_eq!(
            author(b"author \"Q\" Z \xf0\x9f\x98\x80 <a@b> 1 +0000"),
            ("\"Q\" Z \u{1f600}".into(), "a@b".into())
        );
    }

    #[test]
    fn of_what_walks_need_the_first_line_of_each_kind_counts() {
        let id = |digit: &str| oid(digit.repeat(40).as_bytes()).expect("an id");
        let commit = format!(
            "tree {}\nparent {}\nparent short\nparent {}\nauthor A <a> 7 +0000\nauthor B <b> 8 +0000\n\
             committer C <c> > 1600000000 +0000\ncommitter D <d> 9 +0000\ngpgsig x\n parent {}\n\
             encoding ISO-8859-1\n\nparent {}\n",
            "1".repeat(40),
            "2".repeat(40),
            "3".repeat(40),
            "4".repeat(40),
            "5".repeat(40),
        );
        let mut parents = Vec::new();
        let read = walked(commit.as_bytes(), |id| parents.push(id));
        assert_eq!(parents, [id("2"), id("3")]);
        assert_eq!(read.time, 1_600_000_000);
        let (mut key, mut same) = (Vec::new(), Vec::new());
        read.author.write_key(&mut key);
        Signature::of_author(commit.as_bytes()).write_key(&mut same);
        assert_eq!((&key, &*key), (&same, &b"A <a>ISO-8859-1"[..]));
        let nothing = walked(b"", |_| unreachable!("it has no parents"));
        assert_eq!(nothing.time, 0);
        nothing.author.write_key(&mut key);
        assert_eq!(key, b"<>");
    }

    #[test]
    fn a_name_of_megabytes_is_cut_between_characters() {
        for character in ["x", "é", "\u{1f600}"] {
            let most = character.repeat(LONGEST_TEXT);
            let long = character.repeat(LONGEST_TEXT - 1) + "…";
            for (length, expected) in [
                (LONGEST_TEXT, &most),
                (LONGEST_TEXT + 1, &long),
                (1 << 20, &long),
            ] {
                let name = character.repeat(length);
                let commit = format!("tree 1\nauthor {name} <{name}> 1 +0000\n\n");
                let (name, email) = author(commit.as_bytes());
                assert!(name == *expected, "{character} {length}: {name}");
                assert!(email == *expected, "{character} {length}: {email}");
            }
        }
    }

    #[test]
    fn a_tag_without_a_tagger_has_none() {
        assert_eq!(tagger(b"object 1\ntype blob\ntag x\n\ntagger Z <z>"), None);
    }
}
