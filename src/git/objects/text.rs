//! What commits and tags say in full, read as git reads it.

use super::header::{self, Commit, last_line};
use crate::event::{Author, Signature};
use crate::git::objects::id::HashKind;

/// The first lines of signatures of tags (gpg-interface.c).
const SIGNATURES: [&[u8]; 4] = [
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
    b"-----BEGIN SSH SIGNATURE-----",
];

/// The contents of a commit.
pub(in crate::git) struct Said {
    pub(in crate::git) author: Signature,
    pub(in crate::git) committer: Signature,
    pub(in crate::git) message: String,
    /// Whether the message is longer.
    pub(in crate::git) is_cut: bool,
}

impl Commit<'_> {
    /// Reads who made it, and no more of its message than `most` bytes.
    pub(in crate::git) fn said(&self, most: usize) -> Said {
        let converted = self.converted();
        let text = converted.as_deref().unwrap_or(self.whole);
        let text = before_zero(text);
        // What is too long to be converted has a message all the same.
        let message = message(text).or_else(|| message(before_zero(self.whole)));
        let message = message.unwrap_or_default();
        let (message, is_cut) = beginning(message, most);
        Said {
            author: signature(last_line(text, b"author ")),
            committer: signature(last_line(text, b"committer ")),
            message,
            is_cut,
        }
    }
}

/// Returns the contents of a commit, for the tests of hostile bytes: author, committer, and no more
/// of the message than `most` bytes.
#[must_use]
pub fn commit_text(
    bytes: &[u8],
    sha256: bool,
    most: usize,
) -> Option<(Signature, Signature, String)> {
    let commit = Commit::parse(bytes, HashKind::of(sha256))?;
    let said = commit.said(most);
    Some((said.author, said.committer, said.message))
}

/// The text of a tag, without a signature, as far as `most` bytes.
pub(in crate::git) fn of_tag(tag: &[u8], most: usize) -> String {
    let text = message(before_zero(tag)).unwrap_or_default();
    let mut end = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if SIGNATURES.iter().any(|start| line.starts_with(start)) {
            break;
        }
        end += line.len();
    }
    beginning(&text[..end], most).0
}

/// A zero byte ends a text for git.
fn before_zero(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(0, text).unwrap_or(text.len())]
}

/// Returns everything after the first empty line.
fn message(object: &[u8]) -> Option<&[u8]> {
    let start = memchr::memmem::find(object, b"\n\n")?;
    Some(&object[start + 2..])
}

/// As text, bytes that are no UTF-8 as U+FFFD; and whether there is more of it.
fn beginning(bytes: &[u8], most: usize) -> (String, bool) {
    let mut end = bytes.len().min(most);
    let is_cut = end < bytes.len();
    // Not within a character.
    while is_cut && end > 0 && bytes[end] & 0xc0 == 0x80 && most - end < 4 {
        end -= 1;
    }
    (String::from_utf8_lossy(&bytes[..end]).into_owned(), is_cut)
}

fn signature(line: &[u8]) -> Signature {
    let (name, email) = match header::Signature::new(line).person() {
        Author::Person { name, email } => (name, email),
        Author::Pusher => Default::default(),
    };
    let (seconds, offset) = date(line).unwrap_or_default();
    Signature {
        name,
        email,
        seconds,
        offset,
    }
}

/// Returns the date of a line as git reads it: seconds since the epoch, and minutes by which its
/// zone is ahead of UTC (ident.c, `split_ident_line`; pretty.c, `show_ident_date`). Without an
/// address or a zone nothing is a date, and a time beyond 63 bits is the epoch.
fn date(line: &[u8]) -> Option<(u64, i32)> {
    let address = &line[memchr::memchr(b'<', line)?..];
    let behind = &address[memchr::memrchr(b'>', address)? + 1..];
    let (seconds, zone) = digits(header::trim_start(behind))?;
    let (sign, zone) = match header::trim_start(zone).split_first()? {
        (b'+', zone) => (1, zone),
        (b'-', zone) => (-1, zone),
        _ => return None,
    };
    let (zone, _) = digits(zone)?;
    if i64::try_from(seconds).is_err() {
        return Some((0, 0));
    }
    // `HHMM`, whatever the numbers; git drops what is no `int`.
    let zone = i32::try_from(zone).ok().filter(|&zone| zone < i32::MAX);
    let zone = zone.unwrap_or_default();
    Some((seconds, sign * (zone / 100 * 60 + zone % 100)))
}

/// Splits a number off a text, the largest one for a larger one.
fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(end);
    (end > 0).then(|| (header::seconds(digits), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[u8], most: usize) -> Said {
        let tree = format!("tree {}\n", "1".repeat(40));
        let whole = [tree.as_bytes(), lines].concat();
        let commit = Commit::parse(&whole, HashKind::Sha1).expect("a commit");
        commit.said(most)
    }

    #[test]
    fn a_message_is_what_stands_behind_the_header() {
        let lines = b"author A <a> 1600000000 -0530\ncommitter C <c> 7 +0200\n\n\nOne\n\nTwo\n";
        let read = said(lines, 100);
        assert_eq!(
            (read.message.as_str(), read.is_cut),
            ("\nOne\n\nTwo\n", false)
        );
        assert_eq!(
            (read.author.seconds, read.author.offset),
            (1_600_000_000, -330)
        );
        assert_eq!(
            (read.committer.name.as_str(), read.committer.offset),
            ("C", 120)
        );
        assert_eq!(said(b"author A <a> 1 +0\n", 100).message, "");
        assert_eq!(said(b"author A <a> 1 +0\n\nx\0y", 100).message, "x");
        let latin = b"author A <a> 1 +0\nencoding ISO-8859-1\n\n\xe9\n";
        assert_eq!(said(latin, 100).message, "é\n");
        let cut = said("author A <a> 1 +0\n\naéé".as_bytes(), 4);
        assert_eq!((cut.message.as_str(), cut.is_cut), ("aé", true));
    }

    #[test]
    fn dates_are_read_as_git_reads_them() {
        for (line, expected) in [
            ("A <a> 5 +0100", (5, 60)),
            ("A <a>5+0100 x", (5, 60)),
            ("A <a> 5", (0, 0)),
            ("A <a>", (0, 0)),
            ("A <a 5 +0100", (0, 0)),
            ("A a> 5 +0100", (0, 0)),
            ("A > <a 5 +0100", (0, 0)),
            ("A <a> x +0100", (0, 0)),
            ("A <a> +5 +0100", (0, 0)),
            ("A <a> 5 0100", (0, 0)),
            ("A <a> 5 -9999", (5, -6039)),
            ("A <a> 5 +0160", (5, 120)),
            ("A <a> 5 +1", (5, 1)),
            ("A <a> 5 +2147483646", (5, 1_288_490_206)),
            ("A <a> 5 +2147483647", (5, 0)),
            ("A <a> b> 5 -0001", (5, -1)),
            ("A <a> 253402300800 +0100", (253_402_300_800, 60)),
            (
                "A <a> 9223372036854775807 +0100",
                (i64::MAX.unsigned_abs(), 60),
            ),
            ("A <a> 9223372036854775808 +0100", (0, 0)),
            ("A <a> 99999999999999999999 +0100", (0, 0)),
        ] {
            let read = signature(line.as_bytes());
            assert_eq!((read.seconds, read.offset), expected, "{line}");
        }
    }

    #[test]
    fn a_tag_is_told_without_its_signature() {
        let tag = b"object 1\ntag x\n\nOne\n-----BEGIN SSH SIGNATURE-----\nx\n";
        assert_eq!(of_tag(tag, 100), "One\n");
        assert_eq!(of_tag(b"object 1\n", 100), "");
    }
}
