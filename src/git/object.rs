//! The headers of commits and tags, read straight from their bytes.
//!
//! libgit2 refuses a whole commit for a malformed author line; a notification
//! must not be lost for that, so only what is needed is read, leniently.

use encoding_rs::{Encoding, UTF_8};

use crate::event::Author;

/// The author of a commit, from the commit's bytes.
pub(super) fn commit_author(commit: &[u8]) -> Author {
    person(commit, b"author ").unwrap_or(Author::Person {
        name: String::new(),
        email: String::new(),
    })
}

/// Who made an annotated tag, from the tag's bytes; very old tags do not say.
pub(super) fn tagger(tag: &[u8]) -> Option<Author> {
    person(tag, b"tagger ")
}

/// Reads `NAME <EMAIL> TIME ZONE` behind `field`, in the encoding that the
/// object's `encoding` header names, as git log does.
fn person(object: &[u8], field: &[u8]) -> Option<Author> {
    let ident = header(object, field)?;
    let encoding = header(object, b"encoding ")
        .and_then(Encoding::for_label)
        .unwrap_or(UTF_8);
    let decode = |bytes: &[u8]| {
        let (text, _) = encoding.decode_without_bom_handling(bytes);
        text.trim().to_owned()
    };
    let (name, rest) = split_at_byte(ident, b'<');
    let (email, _) = split_at_byte(rest, b'>');
    Some(Author::Person {
        name: decode(name),
        email: decode(email),
    })
}

/// The rest of the first header line that starts with `field`. Headers end at
/// the first empty line; continuation lines start with a space.
fn header<'a>(object: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    object
        .split(|&byte| byte == b'\n')
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(field))
}

fn split_at_byte(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == separator) {
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
    fn a_tag_without_a_tagger_has_none() {
        assert_eq!(tagger(b"object 1\ntype blob\ntag x\n\ntagger Z <z>"), None);
    }
}
