//! What must hold of whatever bytes others send: one function for each reader.
//!
//! Two drivers call them: `cargo fuzz run TARGET` with a fuzzer that looks for new
//! paths through the code, and `cargo test` with proptest, a few hundred times each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use refpost::event::{Author, Oid, RefUpdate};
use refpost::spool::{Access, Id, Spool};
use refpost::{config, delivery, git, json};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// `old new ref` lines: every line is an update, moved nothing, or is told to be
/// malformed; and what is read says the same when it is written down and read again.
pub(crate) fn ref_lines(data: &[u8]) {
    let (updates, malformed) = all_of(git::RefLines::of_push(data));
    let lines = data.split_inclusive(|&byte| byte == b'\n').count();
    assert!(updates.len() + malformed <= lines);
    let mut written = Vec::new();
    for update in &updates {
        assert_ne!(update.old, update.new);
        let id = |id: Option<Oid>| {
            let other = update.old.or(update.new).expect("one of them is there");
            id.map_or_else(|| "0".repeat(other.to_string().len()), |id| id.to_string())
        };
        written.extend(format!("{} {} ", id(update.old), id(update.new)).bytes());
        written.extend(update.name.as_bytes());
        written.push(b'\n');
    }
    let (again, malformed) = all_of(git::RefLines::of_push(&written[..]));
    assert_eq!(malformed, 0);
    assert_eq!(again, updates);
    let (moves, _) = all_of(git::RefLines::of_transaction(data));
    assert!(moves.len() <= lines);
}

fn all_of(mut lines: git::RefLines<&[u8]>) -> (Vec<RefUpdate>, usize) {
    let mut all = Vec::new();
    loop {
        let batch = lines.batch().expect("a slice can be read");
        if batch.is_empty() {
            break;
        }
        all.extend(batch);
    }
    (all, lines.malformed_count())
}

/// A configuration, as a repository's file and as the server's: it is loaded and shown,
/// or there is one line that says why not, and that is on a line of the file.
pub(crate) fn config(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("refpost.toml");
    let server = folder.path().join("server.toml");
    for path in [&own, &server] {
        fs::write(path, data).expect("a file");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
    }
    let none = folder.path().join("none");
    loaded_or_told(
        data,
        config::load(&none, false, Some(folder.path()), "host"),
    );
    let infra = std::path::Path::new("/srv/git/infra/a.git");
    loaded_or_told(data, config::load(&server, true, Some(infra), "host"));
}

fn loaded_or_told(data: &[u8], loaded: Result<config::Loaded, config::Error>) {
    let lines = data.split(|&byte| byte == b'\n').count();
    match loaded {
        Ok(loaded) => {
            assert!(loaded.settings.instance.ends_with('/'));
            // Every part can be shown.
            assert!(!format!("{:?} {:?}", loaded.settings, loaded.shown()).is_empty());
            for endpoint in &loaded.settings.endpoints {
                assert!(!endpoint.name.is_empty() && !endpoint.name.contains('/'));
            }
        }
        Err(config::Error::Invalid { line, why, .. }) => {
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
            assert!(!why.is_empty() && !why.contains('\n'), "{why}");
        }
        Err(config::Error::NoRoot { line, .. }) => assert!((1..=lines).contains(&line)),
        Err(_) => {}
    }
}

/// An entry of the spool, as it lies there, and as it would with a header whose
/// checksum is right: it is read whole, or refused.
pub(crate) fn entry(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::new(folder.path().join("spool"), Access::Owner);
    let id = Id::new(SystemTime::UNIX_EPOCH, "host", 7);
    let new = folder.path().join("spool/new");
    fs::create_dir_all(&new).expect("folders");
    let digest = hex::encode(Sha256::digest(data));
    let with_checksum = format!("refpost-entry 1 {} {digest}\n", data.len());
    for bytes in [data, &[with_checksum.as_bytes(), data].concat()] {
        fs::write(new.join(id.as_str()), bytes).expect("a file");
        let Ok(entry) = spool.open_new(&id) else {
            continue;
        };
        if let refpost::spool::Content::Built(built) = &entry.header().content {
            for (number, frozen) in built.messages.iter().enumerate() {
                if let Ok(message) = entry.message(number) {
                    assert_eq!(message.body.len() as u64, frozen.length);
                }
            }
            for recipient in &built.recipients {
                for number in entry.header().messages_for(&recipient.queue) {
                    assert!(number < built.messages.len());
                }
            }
        }
    }
}

/// JSON as Python writes it: pure ASCII, the same value when it is read again, and
/// the same bytes when that is written again.
pub(crate) fn json(data: &[u8]) {
    exact(data);
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        // Then a text of it.
        let text = Value::from(String::from_utf8_lossy(data));
        return same_again(&text);
    };
    same_again(&value);
}

fn same_again(value: &Value) {
    let bytes = json::to_bytes(value);
    assert!(bytes.iter().all(|byte| (b' '..=b'~').contains(byte)));
    let again: Value = serde_json::from_slice(&bytes).expect("it is JSON");
    assert_eq!(again, *value);
    assert_eq!(json::to_bytes(&again), bytes);
}

/// JSON of others: what is read is written, and that is read and written the same.
fn exact(data: &[u8]) {
    let Ok(value) = json::read(data) else {
        return;
    };
    let bytes = json::to_bytes(&value);
    assert!(bytes.iter().all(|byte| (b' '..=b'~').contains(byte)));
    let again = json::read(&bytes).expect("it is JSON");
    assert_eq!(json::to_bytes(&again), bytes);
    assert!(serde_json::from_slice::<Value>(data).is_ok());
}

/// `Retry-After`: nothing, or no more than an hour.
pub(crate) fn retry_after(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    if let Some(wait) = delivery::retry_after(&text, now) {
        assert!(wait <= Duration::from_hours(1));
    }
}

/// A commit: tree and parents are its first lines, there is no other parent behind them, and
/// nothing behind a zero byte counts.
pub(crate) fn commit(data: &[u8]) {
    for sha256 in [false, true] {
        let Some((tree, parents, time, author)) = git::commit_header(data, sha256) else {
            continue;
        };
        let mut lines = format!("tree {tree}\n").into_bytes();
        for parent in &parents {
            lines.extend(format!("parent {parent}\n").bytes());
        }
        assert!(data.to_ascii_lowercase().starts_with(&lines));
        let rest = &data[lines.len()..];
        let length = "parent ".len() + tree.to_string().len();
        assert!(!rest.starts_with(b"parent ") || rest.len() <= length);
        person(&author);
        said(data, sha256, &author);
        let end = data.iter().position(|&byte| byte == 0);
        let text = &data[..end.unwrap_or(data.len())];
        let again = git::commit_header(text, sha256).expect("no id has a zero byte");
        assert_eq!((again.0, again.1), (tree, parents));
        assert_eq!(again.3, author);
        assert!(time == 0 || rest.starts_with(b"author"));
    }
}

/// The same author, dates that git can show, and a message that is no longer than it may be.
fn said(data: &[u8], sha256: bool, author: &Author) {
    let most = data.len() / 2;
    let said = git::commit_text(data, sha256, most).expect("it is a commit");
    let (by, committer, message) = said;
    let (name, email) = (by.name.clone(), by.email.clone());
    assert_eq!(Author::Person { name, email }, *author);
    for signature in [by, committer] {
        assert!(i64::try_from(signature.seconds).is_ok());
        let (name, email) = (signature.name, signature.email);
        person(&Author::Person { name, email });
    }
    // U+FFFD is three bytes, and stands for one.
    assert!(message.len() <= 3 * most);
}

/// An annotated tag: its target is its first line.
pub(crate) fn tag(data: &[u8]) {
    for sha256 in [false, true] {
        if let Some((target, tagger)) = git::tag_header(data, sha256) {
            let line = format!("object {target}\n");
            assert!(data.to_ascii_lowercase().starts_with(line.as_bytes()));
            tagger.iter().for_each(person);
        }
    }
}

fn person(author: &Author) {
    let Author::Person { name, email } = author else {
        panic!("an object names a person");
    };
    for text in [name, email] {
        assert!(text.chars().count() <= 1025 && !text.contains('\n'));
    }
}
