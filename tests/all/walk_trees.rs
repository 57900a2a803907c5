//! Wide and deep trees, where git reads
//! them: told as they are by the comparison that libgit2 reads for.

use std::fmt::Write;
use std::fs;

use refpost::event::RefUpdate;
use refpost::git::{RefLines, Repository, Wants};
use refpost::payload::sent::{self, Change, Event};

use crate::support::{Environment, ZEROS, only_git_opens};

const WANTS: Wants = Wants {
    files: 100_000,
    path_bytes: 10_000_000,
};

/// Folders with more in them than is kept of what comes too early.
const BIG: usize = 20;
const FILES: usize = 2000;

/// Two commits: what changes is in folders beside others and below others, and not all of
/// them are on both sides.
fn history() -> String {
    let mut stream = "blob\nmark :1\ndata 1\nx\nblob\nmark :2\ndata 1\ny\n".to_owned();
    let file = |stream: &mut String, blob: usize, path: &str| {
        writeln!(stream, "M 644 :{blob} {path}").unwrap();
    };
    for commit in [1, 2] {
        writeln!(
            stream,
            "commit refs/heads/c{commit}\nmark :{}\ncommitter A <a@x> {commit} +0000\ndata 0",
            10 + commit
        )
        .unwrap();
        if commit == 2 {
            writeln!(stream, "from :11").unwrap();
        }
        for wide in 0..150 {
            file(&mut stream, commit, &format!("wide/{wide}/{}/x", wide % 3));
            file(&mut stream, 1, &format!("wide/{wide}/same/x"));
            if wide % 5 == commit {
                file(&mut stream, commit, &format!("wide/{wide}/one/side/x"));
            }
        }
        for before in ["a", "biggest", "deep", "z"] {
            let mut path = before.to_owned();
            for level in 0..40 {
                file(&mut stream, commit, &format!("{path}/x"));
                file(&mut stream, commit, &format!("{path}/other/{level}"));
                path.push_str("/next");
            }
        }
        for big in 0..BIG {
            let files = if commit == 1 { FILES } else { 1 };
            for at in 0..files {
                let path = format!("big{big:02}/a-name-that-makes-the-folder-large-{at:05}");
                file(&mut stream, commit, &path);
            }
            file(&mut stream, commit, &format!("big{big:02}/below/x"));
        }
        stream.push('\n');
    }
    stream
}

/// A bare repository that was filled from this stream.
fn imported(stream: String) -> Environment {
    let environment = Environment::new();
    let bare = environment.bare("test.git");
    let import = environment.run("git").dir(&bare);
    let import = import.args(["fast-import", "--quiet"]);
    import.stdin(stream).run().well();
    environment
}

fn update(old: &str, new: &str) -> RefUpdate {
    let line = format!("{old} {new} refs/heads/x\n");
    let mut lines = RefLines::of_push(line.as_bytes());
    lines.batch().unwrap().remove(0)
}

fn told(environment: &Environment, updates: &[RefUpdate]) -> Vec<Vec<Event>> {
    let repository = Repository::open(&environment.path("test.git")).unwrap();
    let push = repository.changes(WANTS);
    updates
        .iter()
        .map(|it| sent::events(push.of(it).unwrap()))
        .collect()
}

fn files(events: &[Event]) -> usize {
    match &events.last().unwrap().change {
        Change::Received(received) => received.changed_files.listed.len(),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn git_finds_what_libgit2_finds() {
    let environment = imported(history());
    let bare = environment.path("test.git");
    let id = |name: &str| environment.git(&bare, &["rev-parse", name]);
    let (old, new) = (id("c1"), id("c2"));
    let updates = [update(&old, &new), update(&new, &old), update(ZEROS, &new)];
    let libgit2 = told(&environment, &updates);
    let differ = environment.git(&bare, &["diff-tree", "-r", "--name-only", "c1", "c2"]);
    assert_eq!(files(&libgit2[0]), differ.lines().count());
    assert!(files(&libgit2[2]) > BIG * FILES);
    only_git_opens(&bare);
    let git = told(&environment, &updates);
    for (git, libgit2) in git.iter().zip(&libgit2) {
        assert_eq!(format!("{git:?}"), format!("{libgit2:?}"));
    }
}

/// git ends at what is damaged, be it read or only asked for ahead.
#[test]
fn a_damaged_folder_is_named_and_spoils_nothing_else() {
    let mut stream = String::new();
    for commit in 1..=3 {
        let committer = format!("committer A <a@x> {commit} +0000");
        let branch = format!("refs/heads/c{commit}");
        write!(
            stream,
            "commit {branch}\nmark :{commit}\n{committer}\ndata 0\n"
        )
        .unwrap();
        if commit > 1 {
            writeln!(stream, "from :{}", commit - 1).unwrap();
        }
        for file in ["a/below/k", "b/l", "c/m", "d/n"] {
            let is_last = commit == 3 && file != "d/n";
            let text = if is_last { 2 } else { commit };
            writeln!(stream, "M 644 inline {file}\ndata 1\n{text}").unwrap();
        }
    }
    let environment = imported(stream);
    let bare = environment.path("test.git");
    let id = |name: &str| environment.git(&bare, &["rev-parse", name]);
    let tree = id("c2:b");
    let (folder, file) = tree.split_at(2);
    let damaged = bare.join("objects").join(folder).join(file);
    let bytes = fs::read(&damaged).unwrap();
    fs::remove_file(&damaged).unwrap();
    fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let ids = [id("c1"), id("c2"), id("c3")];
    only_git_opens(&bare);
    let repository = Repository::open(&bare).unwrap();
    let push = repository.changes(WANTS);
    let refused = push.of(&update(&ids[0], &ids[1])).unwrap_err();
    assert_eq!(refused.to_string(), format!("cannot read tree `{tree}`"));
    let next = sent::events(push.of(&update(&ids[1], &ids[2])).unwrap());
    assert_eq!(files(&next), 1);
}
