//! The headers of commits and tags, read from their bytes as git reads them.
//!
//! Where a line stands decides what it means: git looks for parents directly behind the
//! tree and for the time directly behind the author (commit.c, `parse_commit_buffer`), so
//! that a line which stands elsewhere is a text like any other. libgit2 refuses a whole
//! commit for a malformed author line; a notification must not be lost for that, so the
//! rest is read leniently.

use std::borrow::Cow;

use crate::event::{Author, Oid};
use crate::git::objects::iconv;
use crate::git::objects::id::{HashKind, Id};

/// Longest name or address, in characters.
const LONGEST_TEXT: usize = 1024;

/// More bytes than that many characters have.
const LONGEST_BYTES: usize = 8 * LONGEST_TEXT;

/// Longest commit in another encoding that is converted whole. Of a longer one only the header is
/// converted.
const MOST_CONVERTED: usize = 1 << 20;

/// A commit.
pub(in crate::git) struct Commit<'a> {
    pub(in crate::git) tree: Id,
    pub(in crate::git) parents: Vec<Id>,
    pub(super) whole: &'a [u8],
    /// Behind the parents.
    rest: &'a [u8],
}

/// An annotated tag.
pub(in crate::git) struct Tag<'a> {
    /// The tagged object.
    pub(in crate::git) target: Id,
    /// Very old tags do not say who made them.
    pub(in crate::git) tagger: Option<Signature<'a>>,
}

/// Author, committer or tagger: `NAME <EMAIL> TIME ZONE`.
pub(in crate::git) struct Signature<'a> {
    name: Cow<'a, [u8]>,
    email: Cow<'a, [u8]>,
}

impl<'a> Commit<'a> {
    /// Parses a commit. Returns `None` if git does not take it for one either.
    pub(in crate::git) fn parse(commit: &'a [u8], hash: HashKind) -> Option<Self> {
        let (tree, mut rest) = id_line(commit, b"tree ", hash)?;
        let mut parents = Vec::new();
        let length = b"parent ".len() + hash.digits();
        // What ends within such a line has no parent there, and is a commit all the same.
        while rest.starts_with(b"parent ") && rest.len() > length {
            let (parent, behind) = id_line(rest, b"parent ", hash)?;
            parents.push(parent);
            rest = behind;
        }
        Some(Self {
            tree,
            parents,
            whole: commit,
            rest,
        })
    }

    /// Returns the commit time in seconds since the epoch; 0 if the line is not in its place
    /// (commit.c, `parse_commit_date`).
    pub(in crate::git) fn time(&self) -> u64 {
        let (author, rest) = split_at_byte(self.rest, b'\n');
        let (committer, _) = rest.split_at(memchr::memchr(b'\n', rest).unwrap_or(0));
        if !author.starts_with(b"author") || !committer.starts_with(b"committer") {
            return 0;
        }
        let start = memchr::memrchr(b'>', committer).map_or(0, |at| at + 1);
        seconds(committer[start..].trim_ascii_start())
    }

    /// Returns the author. Of several lines the last one counts, as for `git log --format=%an`;
    /// without one, the name is empty. git converts a commit in another encoding whole, or not at
    /// all, before it looks for lines (pretty.c, `repo_logmsg_reencode`).
    pub(in crate::git) fn author(&self) -> Signature<'a> {
        match self.converted() {
            Some(text) => Signature::new(last_line(&text, b"author ")).into_owned(),
            None => Signature::new(last_line(self.rest, b"author ")),
        }
    }

    /// Returns the commit in UTF-8, if it declares another encoding.
    pub(in crate::git) fn converted(&self) -> Option<Vec<u8>> {
        let mut encodings = headers(self.rest).filter_map(|line| line.strip_prefix(b"encoding "));
        let encoding = encodings.next()?;
        let end = memchr::memchr(0, self.whole).unwrap_or(self.whole.len());
        let mut text = &self.whole[..end];
        if text.len() > MOST_CONVERTED {
            text = &text[..memchr::memmem::find(text, b"\n\n").unwrap_or(0)];
        }
        iconv::to_utf8(text, encoding)
    }
}

impl<'a> Tag<'a> {
    /// Parses a tag. Returns `None` if git does not take it for one either (tag.c,
    /// `parse_tag_buffer`).
    pub(in crate::git) fn parse(tag: &'a [u8], hash: HashKind) -> Option<Self> {
        let (target, rest) = id_line(tag, b"object ", hash)?;
        let (_, rest) = split_at_byte(rest.strip_prefix(b"type ")?, b'\n');
        let (_, rest) = split_at_byte(rest.strip_prefix(b"tag ")?, b'\n');
        let (tagger, _) = split_at_byte(rest, b'\n');
        let tagger = tagger.strip_prefix(b"tagger ");
        Some(Self {
            target,
            tagger: tagger.map(Signature::new),
        })
    }
}

/// Returns what the header of a commit says, for the tests of hostile bytes: tree, parents, time
/// and author.
#[must_use]
pub fn commit_header(bytes: &[u8], sha256: bool) -> Option<(Oid, Vec<Oid>, u64, Author)> {
    let commit = Commit::parse(bytes, HashKind::of(sha256))?;
    let parents = commit.parents.iter().map(|&id| id.into()).collect();
    let author = commit.author().person();
    Some((commit.tree.into(), parents, commit.time(), author))
}

/// Returns what the header of a tag says, for the tests of hostile bytes: target and tagger.
#[must_use]
pub fn tag_header(bytes: &[u8], sha256: bool) -> Option<(Oid, Option<Author>)> {
    let tag = Tag::parse(bytes, HashKind::of(sha256))?;
    let tagger = tag.tagger.map(|tagger| tagger.person());
    Some((tag.target.into(), tagger))
}

/// Splits a line of `field` and an id off an object. Returns the id and the rest.
fn id_line<'a>(object: &'a [u8], field: &[u8], hash: HashKind) -> Option<(Id, &'a [u8])> {
    let (digits, rest) = object
        .strip_prefix(field)?
        .split_at_checked(hash.digits())?;
    Some((hash.id_of_digits(digits)?, rest.strip_prefix(b"\n")?))
}

/// Reads a number as strtoumax(3) does, and so git: up to the first byte that is no digit, with the
/// largest number for one beyond it, and wrapped around below zero.
pub(super) fn seconds(text: &[u8]) -> u64 {
    let (digits, is_negative) = match text.strip_prefix(b"-") {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let mut digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    match number {
        Some(number) if is_negative => number.wrapping_neg(),
        Some(number) => number,
        None => u64::MAX,
    }
}

/// Returns the rest of the last line of a header that begins with `field`.
pub(super) fn last_line<'a>(header: &'a [u8], field: &[u8]) -> &'a [u8] {
    let lines = headers(header).filter_map(|line| line.strip_prefix(field));
    lines.last().unwrap_or_default()
}

impl<'a> Signature<'a> {
    pub(super) fn new(ident: &'a [u8]) -> Self {
        let (name, rest) = split_at_byte(ident, b'<');
        let (email, _) = split_at_byte(rest, b'>');
        Self {
            name: name.into(),
            email: email.into(),
        }
    }

    fn into_owned<'b>(self) -> Signature<'b> {
        Signature {
            name: self.name.into_owned().into(),
            email: self.email.into_owned().into(),
        }
    }

    /// Writes a key that only signatures of the same person share.
    pub(in crate::git) fn write_key(&self, key: &mut Vec<u8>) {
        key.clear();
        for part in [&self.name, &b"<"[..], &self.email] {
            key.extend_from_slice(part);
        }
    }

    /// Returns the person. Bytes that are no UTF-8 become U+FFFD. For git, blanks behind the name
    /// are no part of it, and all others are (ident.c, `split_ident_line`).
    pub(in crate::git) fn person(&self) -> Author {
        let text = |bytes: &[u8]| {
            let start = &bytes[..bytes.len().min(LONGEST_BYTES)];
            let text = String::from_utf8_lossy(start);
            cut(&text, start.len() < bytes.len())
        };
        Author::Person {
            name: text(trim_end(&self.name)),
            email: text(&self.email),
        }
    }
}

/// Cuts a text to its start and `…`: every commit of a push may name another author. `is_cut`:
/// there was more of it.
fn cut(text: &str, is_cut: bool) -> String {
    let mut starts = text.char_indices().map(|(at, _)| at);
    match starts.nth(LONGEST_TEXT - 1) {
        Some(at) if is_cut || starts.next().is_some() => format!("{}…", &text[..at]),
        None if is_cut => format!("{text}…"),
        _ => text.to_owned(),
    }
}

/// Returns the lines of a header. It ends at the first empty line, or at a zero byte, which ends a
/// text for git; continued lines start with a space.
fn headers(object: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let ends = memchr::memchr2_iter(b'\n', 0, object).chain([object.len()]);
    let mut has_ended = false;
    ends.map_while(move |end| {
        let line = &object[std::mem::replace(&mut start, end + 1)..end];
        let is_over = has_ended || line.is_empty();
        has_ended = object.get(end) == Some(&0);
        (!is_over).then_some(line)
    })
}

/// Whether git takes a byte for a blank (`isspace` of `sane_ctype.h`).
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

pub(super) fn trim_start(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|&&byte| is_blank(byte)).count();
    &text[blanks..]
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| !is_blank(byte));
    &text[..end.map_or(0, |at| at + 1)]
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

    const HASH: HashKind = HashKind::Sha1;

    fn id(digit: &str) -> Id {
        HASH.id_of_digits(digit.repeat(40).as_bytes())
            .expect("an id")
    }

    /// A commit with these lines behind its tree.
    fn commit(lines: &[u8]) -> Vec<u8> {
        [format!("tree {}\n", id("1")).as_bytes(), lines].concat()
    }

    fn author(lines: &[u8]) -> (String, String) {
        let commit = commit(lines);
        let parsed = Commit::parse(&commit, HASH).expect("a commit");
        match parsed.author().person() {
            Author::Person { name, email } => (name, email),
            Author::Pusher => unreachable!("a commit has an author"),
        }
    }

    #[test]
    fn names_are_decoded_as_the_commit_says() {
        let latin1 = b"author Jos\xe9 <j@x> 1 +0000\nencoding ISO-8859-1\n\nauthor X <y> 1";
        assert_eq!(author(latin1), ("José".into(), "j@x".into()));
        let unlabelled = b"author Jos\xe9 <j@x> 1 +0000\n\nencoding ISO-8859-1";
        assert_eq!(author(unlabelled), ("Jos\u{fffd}".into(), "j@x".into()));
    }

    #[test]
    fn malformed_author_lines_are_read_leniently() {
        assert_eq!(
            author(b"author no address"),
            ("no address".into(), String::new())
        );
        assert_eq!(author(b"author  <a@b"), (String::new(), "a@b".into()));
        assert_eq!(author(b"\nbody"), (String::new(), String::new()));
        assert_eq!(
            author(b"author \"Q\" Z \xf0\x9f\x98\x80 <a@b> 1 +0000"),
            ("\"Q\" Z \u{1f600}".into(), "a@b".into())
        );
    }

    #[test]
    fn a_line_means_what_its_place_says() {
        let behind = format!(
            "author A <a> 7 +0000\ncommitter C <c> > 1600000000 +0000\nparent {}\n\
             committer D <d> 9 +0000\ngpgsig x\n parent {}\nauthor B <b> 8 +0000\n\nparent {}\n",
            id("3"),
            id("4"),
            id("5"),
        );
        let whole = commit(format!("parent {}\n{behind}", id("2")).as_bytes());
        let read = Commit::parse(&whole, HASH).expect("a commit");
        assert_eq!(read.tree, id("1"));
        assert_eq!(read.parents, [id("2")]);
        assert_eq!(read.time(), 1_600_000_000);
        assert_eq!(*read.author().name, *b"B ");
        // An author that is not there, or not in its place, hides the time.
        let whole = commit(b"committer C <c> 1600000000 +0000\nauthor A <a> 7 +0000\n");
        let read = Commit::parse(&whole, HASH).expect("a commit");
        assert_eq!(read.time(), 0);
        assert_eq!(*read.author().name, *b"A ");
        // A zero byte ends the text.
        let whole = commit(b"author A <a> 7 +0000\0\nauthor B <b> 8 +0000\n");
        let read = Commit::parse(&whole, HASH).expect("a commit");
        assert_eq!(*read.author().name, *b"A ");
    }

    #[test]
    fn ids_of_another_length_are_none() {
        let long = "2".repeat(64);
        for lines in [
            format!("parent {long}\nauthor"),
            format!("parent 22\nauthor {long}"),
            format!("parent {} \nauthor", id("2")),
            format!("parent {}\nparent\nauthor", "0".repeat(40)),
        ] {
            let whole = commit(lines.as_bytes());
            assert!(Commit::parse(&whole, HASH).is_none(), "{lines}");
        }
        let whole = format!("tree {long}\nauthor A <a> 1 +0000\n");
        assert!(Commit::parse(whole.as_bytes(), HASH).is_none());
        assert!(Commit::parse(whole.as_bytes(), HashKind::Sha256).is_some());
        assert!(Commit::parse(b"", HASH).is_none());
        let whole = commit(format!("parent {}", id("2")).as_bytes());
        let cut = Commit::parse(&whole, HASH).expect("a commit");
        assert!(cut.parents.is_empty());
        let tag = format!("object {long}\ntype commit\ntag x\n");
        assert!(Tag::parse(tag.as_bytes(), HASH).is_none());
    }

    #[test]
    fn times_are_read_as_strtoumax_reads_them() {
        for (text, expected) in [
            ("1600000000 +0000", 1_600_000_000),
            ("12x", 12),
            ("x", 0),
            ("", 0),
            ("-1", u64::MAX),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551616", u64::MAX),
            ("99999999999999999999999", u64::MAX),
        ] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
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
                let (name, email) = author(format!("author {name} <{name}> 1 +0\n\n").as_bytes());
                assert!(name == *expected, "{character} {length}: {name}");
                assert!(email == *expected, "{character} {length}: {email}");
            }
        }
    }

    #[test]
    fn a_tag_names_its_tagger_behind_its_name_or_nowhere() {
        let tagger = |lines: &str| {
            let tag = format!("object {}\ntype blob\n{lines}", id("1"));
            let read = Tag::parse(tag.as_bytes(), HASH)?;
            assert_eq!(read.target, id("1"));
            Some(read.tagger.map(|tagger| tagger.person()))
        };
        assert_eq!(tagger("tag x\n\ntagger Z <z>"), Some(None));
        assert_eq!(tagger("tag x\nmore\ntagger Z <z>\n"), Some(None));
        assert!(matches!(tagger("tag x\ntagger Z <z>\n"), Some(Some(_))));
        assert_eq!(tagger("tagger Z <z>\n"), None);
    }
}
