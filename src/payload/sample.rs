//! Facts to try a template with: a push of each kind, and a test message.
//!
//! Names and subjects in them have what a template must escape.

use super::context::{Context, Seen};
use super::facts;
use super::pagure::Stamp;
use crate::event::{
    ChangedFiles, Commit, Details, FileStatus, Gained, Oid, RefChange, RefName, RefUpdate,
    Signature, Tip,
};

/// Bound of the facts of a sample, in bytes; they are far shorter.
const LONGEST: usize = 1 << 20;

const SUBJECT: &str = "Fix \"quotes\" \\ and @everyone, <!channel> & *stars* [x](y)";
const NAME: &str = "O\"Neil \\ <b>@here</b>\u{202e}";

/// Returns the facts of a test message.
#[must_use]
pub fn ping(context: Context<'_>, stamp: &Stamp) -> Vec<u8> {
    facts::ping(context, stamp)
}

/// Returns the facts of each kind of push, with a name for each.
#[must_use]
pub fn facts(context: Context<'_>, stamp: &Stamp) -> Vec<(&'static str, Vec<u8>)> {
    let [old, new] = [1, 2].map(|digit| id(digit, context.is_sha256));
    let branch = "refs/heads/a\"b/@here";
    let (tag, note) = ("refs/tags/v1\"<x>", "Version \"1\"\n\n@everyone");
    let gained = |count, forced| (count, forced);
    let cases = [
        (
            "a new branch with commits",
            branch,
            (None, Some(new)),
            gained(2, false),
        ),
        ("a new branch", branch, (None, Some(new)), gained(0, false)),
        (
            "a push of one commit",
            branch,
            (Some(old), Some(new)),
            gained(1, false),
        ),
        (
            "a push of many commits",
            branch,
            (Some(old), Some(new)),
            gained(50, false),
        ),
        (
            "a forced push",
            branch,
            (Some(old), Some(new)),
            gained(1, true),
        ),
        (
            "a branch that went back",
            branch,
            (Some(old), Some(new)),
            gained(0, true),
        ),
        (
            "a deleted branch",
            branch,
            (Some(old), None),
            gained(0, false),
        ),
        ("a new tag", tag, (None, Some(new)), gained(0, false)),
        ("a moved tag", tag, (Some(old), Some(new)), gained(1, false)),
        ("a deleted tag", tag, (Some(old), None), gained(0, false)),
    ];
    let facts = cases.into_iter().map(|(kind, name, (old, new), gained)| {
        let is_tag = name == tag;
        let mut change = change(name, (old, new), gained);
        if let Some(details) = change.details.as_mut().filter(|_| is_tag && new.is_some()) {
            details.tag_text = Some(note.to_owned());
        }
        let topic = if is_tag { "tag_push" } else { "push" };
        let seen = Seen {
            change: &change,
            context,
        };
        (kind, facts::body(topic, seen, stamp, LONGEST))
    });
    facts.collect()
}

fn id(digit: u8, is_sha256: bool) -> Oid {
    let length = if is_sha256 { 32 } else { 20 };
    Oid::from_bytes(&vec![digit * 0x11; length]).expect("the length of an id, and not zero")
}

fn change(
    name: &str,
    (old, new): (Option<Oid>, Option<Oid>),
    (total, forced): (usize, bool),
) -> RefChange {
    let tip = |id: Oid| Tip {
        object: id,
        commit: Some(id),
        author: None,
        incomplete: false,
    };
    let listed = (0..total).filter_map(|_| new.map(commit));
    let gained = new.map(|new| Gained {
        base: old,
        forced,
        total,
        oldest: new,
        newest: new,
        listed: vec![new; total],
        authors: Vec::new(),
        more_authors: false,
        files: ChangedFiles::default(),
        incomplete: false,
    });
    RefChange {
        update: RefUpdate {
            old,
            new,
            name: RefName::new(name),
        },
        old: old.map(tip),
        new: new.map(tip),
        gained,
        details: Some(Details {
            commits: listed.collect(),
            head: new.map(commit),
            tag_text: None,
            before_oldest: old,
            same_as: None,
        }),
    }
}

fn commit(id: Oid) -> Commit {
    let person = Signature {
        name: NAME.to_owned(),
        email: "o'neil@example.org".to_owned(),
        seconds: 1_700_000_000,
        offset: 60,
    };
    Commit {
        id,
        tree: id,
        message: format!("{SUBJECT}\n\nBody with\tcontrol\u{7} characters.\n"),
        is_cut: false,
        author: person.clone(),
        committer: person,
        files: Some(vec![
            (b"a \"b\".txt".to_vec(), FileStatus::Added),
            (b"src/\\x".to_vec(), FileStatus::Modified),
            (b"gone".to_vec(), FileStatus::Deleted),
        ]),
    }
}
