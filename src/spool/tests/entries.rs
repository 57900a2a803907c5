//! Reading entries: everything that was written, and nothing else.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::*;

/// Opens an entry whose bytes were changed by `change`.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<Entry, EntryError> {
    let fixture = Fixture::new();
    let id = fixture.push("/srv/a.git", &["1", "2"], &["ci"]);
    let path = fixture.path("new").join(id.as_str());
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    fixture.spool.open_new(&id)
}

fn replaced(from: &str, to: &str) -> Result<Entry, EntryError> {
    changed(|bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from));
        *bytes = text.replacen(from, to, 1).into_bytes();
    })
}

/// Opens an entry with this header, and no bodies.
fn with_header(header: &str) -> Result<Entry, EntryError> {
    use sha2::Digest;
    let sum = hex::encode(sha2::Sha256::digest(header));
    changed(|bytes| *bytes = format!("refpost-entry 1 {} {sum}\n{header}", header.len()).into())
}

fn fault(result: Result<Entry, EntryError>) -> EntryFault {
    let error = result.unwrap_err();
    assert!(error.is_corrupt());
    assert!(error.to_string().starts_with("cannot read entry `"));
    error.fault
}

#[test]
fn messages_come_back_byte_for_byte() {
    let fixture = Fixture::new();
    let mut draft = draft("/srv/a.git", &["1", "2", "3"], &["ci", "deploy"]);
    let Content::Built(built) = &mut draft.content else {
        unreachable!();
    };
    built.recipients[1].messages = Selection::Only(vec![0, 2]);
    built.messages[1].body = (0..=255).collect();
    built.messages[2].body = vec![];
    let id = fixture.enqueue(&draft).unwrap();

    let entry = fixture.spool.open_new(&id).unwrap();
    let Content::Built(built) = draft.content else {
        unreachable!();
    };
    for (number, message) in built.messages.iter().enumerate().rev() {
        assert_eq!(&entry.message(number).unwrap(), message);
    }
    let header = entry.header();
    assert_eq!(header.messages_for(&queue("ci")), [0, 1, 2]);
    assert_eq!(header.messages_for(&queue("deploy")), [0, 2]);
    assert!(header.messages_for(&queue("other")).is_empty());
    assert_eq!(header.time, draft.time);
    assert_eq!(header.pusher.as_deref(), Some("alice"));
    let missing = entry.message(3).unwrap_err();
    assert!(matches!(missing.fault, EntryFault::NoMessage(3)));
}

#[test]
fn ref_updates_and_paths_that_are_no_utf8_come_back() {
    let fixture = Fixture::new();
    let mut draft = deferred("", "main");
    draft.repository = OsStr::from_bytes(b"/srv/\xff \n\"a.git").into();
    draft.pusher = None;
    let updates = vec![
        RefUpdate {
            old: Oid::from_bytes(&[1; 32]),
            new: None,
            name: RefName::new(*b"refs/heads/\xfe"),
        },
        RefUpdate {
            old: None,
            new: Oid::from_bytes(&[0xab; 20]),
            name: RefName::new("refs/tags/v1"),
        },
    ];
    draft.content = Content::Deferred(updates.clone());
    let id = fixture.enqueue(&draft).unwrap();

    let entry = fixture.spool.open_new(&id).unwrap();
    assert_eq!(entry.header().repository, draft.repository);
    assert_eq!(entry.header().pusher, None);
    assert_eq!(entry.header().content, Content::Deferred(updates));
}

#[test]
fn an_entry_stays_readable_without_a_name() {
    let fixture = Fixture::new();
    let id = fixture.push("/srv/a.git", &["1"], &["ci"]);
    let entry = fixture.spool.open_new(&id).unwrap();
    fs::remove_file(fixture.path("new").join(id.as_str())).unwrap();
    assert_eq!(entry.message(0).unwrap(), message("1"));
}

#[test]
fn a_truncated_entry_is_refused_wherever_it_was_cut() {
    let mut length = 0;
    changed(|bytes| length = bytes.len()).unwrap();
    for cut in 0..length {
        fault(changed(|bytes| bytes.truncate(cut)));
    }
    let result = changed(|bytes| bytes.truncate(bytes.len() - 1));
    assert!(matches!(fault(result), EntryFault::Length { .. }));
    let result = changed(|bytes| bytes.push(b'x'));
    assert!(matches!(fault(result), EntryFault::Length { .. }));
}

#[test]
fn an_altered_header_is_refused() {
    let result = replaced("/srv/a.git", "/srv/b.git");
    assert!(matches!(fault(result), EntryFault::HeaderChecksum));
}

#[test]
fn an_altered_body_is_refused_and_the_others_are_not() {
    let entry = changed(|bytes| *bytes.last_mut().unwrap() = b'x').unwrap();
    assert_eq!(entry.message(0).unwrap(), message("1"));
    let error = entry.message(1).unwrap_err();
    assert!(error.is_corrupt());
    assert!(matches!(error.fault, EntryFault::BodyChecksum(1)));
}

/// Makes a first line that states a header of this length.
fn claiming(length: impl std::fmt::Display) -> Vec<u8> {
    format!("refpost-entry 1 {length} {}\n{{}}", "0".repeat(64)).into_bytes()
}

/// Makes the header of an entry with this content.
fn header_of(content: &str) -> String {
    format!(r#"{{"repository":"/a","time":"2026-11-23T21:45:01Z","content":{content}}}"#)
}

fn header_of_bodies(lengths: &[u64]) -> String {
    let body = |length| {
        format!(
            r#"{{"format":"pagure","topic":"","msg_id":"","project":"","length":{length},"sha256":""}}"#
        )
    };
    let bodies: Vec<_> = lengths.iter().map(body).collect();
    let bodies = bodies.join(",");
    header_of(&format!(
        r#"{{"built":{{"messages":[{bodies}],"recipients":[]}}}}"#
    ))
}

#[test]
fn a_huge_claim_allocates_nothing() {
    let result = changed(|bytes| *bytes = claiming(1 << 20));
    assert!(matches!(fault(result), EntryFault::Length { .. }));
    for claim in [1 << 30, 99_999_999_999, u64::MAX] {
        let result = changed(|bytes| *bytes = claiming(claim));
        assert!(matches!(
            fault(result),
            EntryFault::TooLong { what: "header", .. }
        ));
    }
    let result = with_header(&header_of_bodies(&[200 << 20, 200 << 20]));
    assert!(matches!(fault(result), EntryFault::Length { .. }));
    // Two bodies whose lengths together do not fit into a number.
    let result = with_header(&header_of_bodies(&[u64::MAX, u64::MAX]));
    assert!(matches!(
        fault(result),
        EntryFault::TooLong {
            what: "message",
            ..
        }
    ));
}

/// A sparse file really has its length, but must not be read whole.
#[test]
fn a_sparse_terabyte_is_refused_before_it_is_read() {
    const TERABYTE: u64 = 1 << 40;
    for (length, header) in [(TERABYTE - 128, None), (2, Some(TERABYTE))] {
        let fixture = Fixture::new();
        let id = fixture.push("/srv/a.git", &["1"], &["ci"]);
        let path = fixture.path("new").join(id.as_str());
        match header {
            None => fs::write(&path, claiming(length)).unwrap(),
            Some(body) => {
                use sha2::Digest;
                let header = header_of_bodies(&[body]);
                let sum = hex::encode(sha2::Sha256::digest(&header));
                let text = format!("refpost-entry 1 {} {sum}\n{header}", header.len());
                fs::write(&path, text).unwrap();
            }
        }
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(TERABYTE).unwrap();
        let fault = fault(fixture.spool.open_new(&id));
        assert!(matches!(fault, EntryFault::TooLong { .. }), "{fault}");
        let told = "is said to have 1099511627";
        assert!(fault.to_string().contains(told), "{fault}");
    }
}

#[test]
fn a_list_does_not_become_more_memory_than_it_is_text() {
    let empty = r#""","#.repeat(1_000_000);
    for (content, options) in [
        (r#"{"owed":[]}"#.to_owned(), format!(r#"[{empty}""]"#)),
        (format!(r#"{{"owed":[{empty}{{}}]}}"#), "[]".to_owned()),
    ] {
        let header = header_of(&content);
        let header = header.replacen('{', &format!(r#"{{"push_options":{options},"#), 1);
        assert!(matches!(fault(with_header(&header)), EntryFault::Header(_)));
    }
    // Deeper than any parser's stack.
    let nested = format!(r#"{{"owed":{}}}"#, "[".repeat(1 << 20));
    let result = with_header(&header_of(&nested));
    assert!(matches!(fault(result), EntryFault::Header(_)));
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let fixture = Fixture::new();
    let mut draft = deferred("/srv/a.git", "main");
    draft.content = Content::Deferred(vec![RefUpdate {
        old: None,
        new: Oid::from_bytes(&[1; 20]),
        name: RefName::new("x".repeat(33 << 20)),
    }]);
    let SpoolError::Io(error) = fixture.enqueue(&draft).unwrap_err() else {
        panic!("it is the file that is too long");
    };
    assert_eq!(error.source.kind(), std::io::ErrorKind::FileTooLarge);
    for name in ["tmp", "new"] {
        assert_eq!(fs::read_dir(fixture.path(name)).unwrap().count(), 0);
    }
    let id = fixture.push("/srv/a.git", &["1"], &["ci"]);
    let header = fixture.spool.open_new(&id).unwrap().header().clone();
    let built = |project: usize| {
        let mut message = message("1");
        message.project = "x".repeat(project);
        Built {
            messages: vec![message],
            recipients: vec![],
        }
    };
    assert!(header.can_hold(&built(31 << 20)));
    assert!(!header.can_hold(&built(33 << 20)));
}

#[test]
fn another_version_says_so() {
    let error = replaced("refpost-entry 1 ", "refpost-entry 3 new words ").unwrap_err();
    assert!(matches!(error.fault, EntryFault::Version(3)));
    assert_eq!(
        error.fault.to_string(),
        "its format version is 3, and this refpost reads 1 and 2"
    );
}

#[test]
fn a_header_that_makes_no_sense_is_refused() {
    assert!(matches!(fault(with_header("{}")), EntryFault::Header(_)));
    let built = |built: &str| {
        with_header(&format!(
            r#"{{"repository":"/a","time":"2026-11-23T21:45:01Z","content":{{"built":{built}}}}}"#
        ))
    };
    let recipient = |queue: &str| {
        format!(
            r#"{{"messages":[],"recipients":[{{"queue":"{queue}","endpoint":"x","messages":{{"only":[0]}}}}]}}"#
        )
    };
    assert!(matches!(
        fault(built(&recipient("../x"))),
        EntryFault::Header(_)
    ));
    assert!(matches!(
        fault(built(&recipient("x"))),
        EntryFault::NoMessage(0)
    ));
    // Fields that a later refpost may add are ignored.
    assert!(built(r#"{"messages":[],"recipients":[],"more":1}"#).is_ok());
}

#[test]
fn what_is_no_entry_is_refused() {
    for text in [
        "",
        "\n",
        "refpost-entry",
        "refpost-entry\n",
        "refpost-entry x\n",
        "#!/bin/sh\n",
    ] {
        let result = changed(|bytes| *bytes = text.into());
        assert!(matches!(fault(result), EntryFault::NotAnEntry), "{text:?}");
    }
    let result = changed(|bytes| *bytes = vec![b'x'; 1 << 20]);
    assert!(matches!(fault(result), EntryFault::NotAnEntry));
}

#[test]
fn a_planted_link_fifo_or_directory_is_refused() {
    let fixture = Fixture::new();
    let id = fixture.push("/srv/a.git", &["1"], &["ci"]);
    let path = fixture.path("new").join(id.as_str());
    let elsewhere = fixture.dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();

    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(matches!(
        fault(fixture.spool.open_new(&id)),
        EntryFault::NotRegular
    ));
    fs::remove_file(&path).unwrap();

    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(
        fault(fixture.spool.open_new(&id)),
        EntryFault::NotRegular
    ));
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    assert!(matches!(
        fault(fixture.spool.open_new(&id)),
        EntryFault::NotRegular
    ));
}
