//! What one push may cost whoever waits for it: a few objects, named many times over, are
//! no reason for it to take long, and a large first push is told whole.

use std::fmt::Write;

use refpost::event::{Author, RefUpdate};
use refpost::git::{RefLines, Repository, Wants};
use refpost::payload::sent::{self, Change, Event};

use crate::support::{Environment, Site, ZEROS, parse_bodies};

const WANTS: Wants = Wants {
    files: 10,
    path_bytes: 10_000,
};

/// A repository whose branch `main` is a line of so many commits, each with this tree; and
/// their ids, the oldest first.
fn line(commits: usize, head: &str) -> (Environment, Vec<String>) {
    let environment = Environment::new();
    let bare = environment.bare("test.git");
    std::fs::write(bare.join("HEAD"), format!("ref: refs/heads/{head}\n")).unwrap();
    let mut stream = String::new();
    for at in 0..commits {
        let time = 1_700_000_000 + at;
        write!(
            stream,
            "commit refs/heads/main\ncommitter C <c@x> {time} +0000\ndata 0\n"
        )
        .unwrap();
        if at == 0 {
            stream.push_str("M 644 inline file\ndata 1\nx\n");
        }
    }
    let import = environment.run("git").dir(&bare);
    let import = import.args(["fast-import", "--quiet"]);
    import.stdin(stream).run().well();
    let ids = environment.git(&bare, &["rev-list", "--reverse", "main"]);
    let ids = ids.lines().map(str::to_owned).collect();
    (environment, ids)
}

fn update(old: &str, new: &str, name: &str) -> RefUpdate {
    let line = format!("{old} {new} refs/heads/{name}\n");
    let mut lines = RefLines::of_push(line.as_bytes());
    lines.batch().unwrap().remove(0)
}

/// The last event of each of these updates, as of one push.
fn told(environment: &Environment, updates: &[RefUpdate]) -> Vec<Event> {
    let repository = Repository::open(&environment.path("test.git")).unwrap();
    let changes = repository.changes(WANTS);
    let last = |update| sent::events(changes.of(update).unwrap()).pop().unwrap();
    updates.iter().map(last).collect()
}

fn total(event: &Event) -> usize {
    match &event.change {
        Change::Received(received) => received.total_commits,
        other => panic!("{other:?}"),
    }
}

#[test]
fn branches_along_an_unrelated_history_made_the_pusher_wait() {
    let (environment, ids) = line(5_000, "unborn");
    let new = |at: usize| ids[ids.len() - 1 - at].as_str();
    let updates: Vec<_> = (0..300)
        .map(|at| update(ZEROS, new(at), &format!("b{at}")))
        .collect();
    let all = told(&environment, &updates);
    let whole = all.iter().take_while(|event| !event.incomplete).count();
    // Four times for nothing, and 200,000 visits more.
    assert!((40..50).contains(&whole), "{whole}");
    for (at, event) in all.iter().enumerate() {
        assert_eq!(event.incomplete, at >= whole, "{at}");
        match at {
            _ if at < whole => assert_eq!(total(event), ids.len() - at),
            _ if at > whole => assert_eq!(total(event), 0),
            _ => assert!((1..ids.len()).contains(&total(event))),
        }
        let Change::Received(received) = &event.change else {
            unreachable!("it was one");
        };
        assert_eq!(received.end_commit.to_string(), new(at));
        assert!(matches!(event.authors[..], [Author::Person { .. }]));
        assert_eq!(received.changed_files.more, at >= whole);
    }
    assert_eq!(told(&environment, &updates), all, "the same push again");
}

#[test]
fn a_large_first_push_is_told_whole() {
    let (environment, ids) = line(60_000, "main");
    let bare = environment.path("test.git");
    let mut updates = vec![update(ZEROS, ids.last().unwrap(), "main")];
    for at in 0..40 {
        // Each forks farther back than the one before.
        let parent = &ids[ids.len() - 1 - at * 1400];
        let tree = format!("{parent}^{{tree}}");
        let commit = ["commit-tree", "-m", "side", "-p", parent, &tree];
        let side = environment.git(&bare, &commit);
        updates.push(update(ZEROS, &side, &format!("side{at}")));
    }
    let all = told(&environment, &updates);
    assert!(all.iter().all(|event| !event.incomplete));
    assert_eq!(total(&all[0]), ids.len());
    assert!(all[1..].iter().all(|event| total(event) == 1));
}

#[test]
fn many_branches_that_move_alike_are_told_whole() {
    let (environment, ids) = line(50, "unborn");
    let one = |at| update(&ids[47], &ids[49], &format!("b{at}"));
    let updates: Vec<_> = (0..20_000).map(one).collect();
    let all = told(&environment, &updates);
    assert!(
        all.iter()
            .all(|event| !event.incomplete && total(event) == 2)
    );
}

#[test]
fn trees_that_were_compared_already_are_counted() {
    let (environment, _) = line(1, "unborn");
    let bare = environment.path("test.git");
    let mut stream = String::from("commit refs/heads/wide\ncommitter C <c@x> 1 +0000\ndata 0\n");
    for folder in 0..2000 {
        write!(stream, "M 644 inline {folder}/file\ndata 4\n{folder:04}\n").unwrap();
    }
    let import = environment.run("git").dir(&bare);
    let import = import.args(["fast-import", "--quiet"]);
    import.stdin(stream).run().well();
    let tree = environment.git(&bare, &["rev-parse", "wide^{tree}"]);
    let mut updates = Vec::new();
    for at in 0..110 {
        let commit = environment.git(&bare, &["commit-tree", "-m", &at.to_string(), &tree]);
        updates.push(update(ZEROS, &commit, &format!("b{at}")));
    }
    let all = told(&environment, &updates);
    let whole = all.iter().take_while(|event| !event.incomplete).count();
    assert!((99..=101).contains(&whole), "{whole}");
    assert!(all[whole..].iter().all(|event| event.incomplete));
    assert_eq!(told(&environment, &updates), all, "the same push again");
}

/// git reads it, and keeps the bits that are the last.
#[test]
fn a_mode_of_more_than_32_bits_silenced_its_repository() {
    let site = Site::told_twice();
    let old = site.commit("a");
    site.push(&["main"]);
    site.bare_git(&["config", "receive.fsckObjects", "false"]);
    let blob = site.git(&["rev-parse", "main:a"]);
    let raw: Vec<u8> = (0..20)
        .map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let tree = [&b"7777777777777100644 a\0"[..], &raw].concat();
    let write = ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"];
    let tree = site.git_run(&write).stdin(tree).run().well().stdout;
    let commit = ["commit-tree", "-m", "odd", "-p", &old, tree.trim()];
    let new = site.git(&commit);
    let push = site.push(&[&format!("{new}:refs/heads/main")]);
    assert_eq!(push.only()["end_commit"], new);
    assert!(push.only()["incomplete"].is_null());
    let line = format!("{old} {new} refs/heads/main\n");
    let preview = site.refpost(["preview", "test.git"]);
    assert_eq!(
        parse_bodies(&preview.stdin(line).run().well().bytes).len(),
        1
    );
}
