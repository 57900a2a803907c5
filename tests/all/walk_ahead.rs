//! Histories long enough that git lists them ahead of the walk, where git reads them:
//! told as they are by the walk that libgit2 reads for.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use refpost::event::{Event, RefUpdate};
use refpost::git::{Limits, RefLines, Repository};

use crate::support::{Environment, ZEROS, libgit2_opens, only_git_opens, parse_bodies};

const LIMITS: Limits = Limits {
    files: 100,
    path_bytes: 10_000,
};

const COMMITS: u32 = 1500;

/// Numbers by no rule that a history could be made for; the same ones each time.
struct Dice(u32);

impl Dice {
    fn throw(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % below
    }
}

/// A history of many branches and merges, some of them of what is very old, some by clocks
/// that are wrong; `c0`, `c1`, … are its commits.
fn history(seed: u32) -> String {
    let mut dice = Dice(seed);
    let mut stream = String::new();
    for at in 0..COMMITS {
        let wrong = if dice.throw(20) == 0 {
            dice.throw(50_000)
        } else {
            0
        };
        let time = 1_700_000_000 + 10 * at - wrong;
        let who = dice.throw(70);
        let mark = at + 1;
        write!(
            stream,
            "reset refs/heads/c{at}\ncommit refs/heads/c{at}\nmark :{mark}\n\
             author N{who} <{who}@x> {time} +0000\ncommitter C <c@x> {time} +0000\ndata 0\n"
        )
        .unwrap();
        let mut parents = Vec::new();
        let wanted = match dice.throw(10) {
            _ if at == 0 => 0,
            0 if at % 300 == 7 => 0,
            0..=6 => 1,
            _ => 2,
        };
        for _ in 0..wanted {
            let back = if dice.throw(60) == 0 { at } else { at.min(12) };
            let parent = mark - 1 - dice.throw(back);
            if !parents.contains(&parent) {
                let word = if parents.is_empty() { "from" } else { "merge" };
                writeln!(stream, "{word} :{parent}").unwrap();
                parents.push(parent);
            }
        }
        writeln!(stream, "M 644 inline f{}\ndata 2\n{}\n", at % 40, at % 10).unwrap();
    }
    stream
}

struct Repo {
    environment: Environment,
    bare: PathBuf,
    ids: Vec<String>,
}

impl Repo {
    fn new(seed: u32) -> Self {
        let environment = Environment::new();
        let bare = environment.bare("test.git");
        let import = environment.run("git").dir(&bare);
        let import = import.args(["fast-import", "--quiet", "--export-marks=marks"]);
        import.stdin(history(seed)).run().well();
        let marks = fs::read_to_string(bare.join("marks")).unwrap();
        let mark = |line: &str| {
            let (mark, id) = line[1..].split_once(' ').unwrap();
            (mark.parse::<u32>().unwrap(), id.to_owned())
        };
        let mut marks: Vec<_> = marks.lines().map(mark).collect();
        marks.sort();
        let ids = marks.into_iter().map(|(_, id)| id).collect();
        let repo = Self {
            environment,
            bare,
            ids,
        };
        repo.git(&["symbolic-ref", "HEAD", "refs/heads/c900"]);
        repo
    }

    fn git(&self, args: &[&str]) {
        self.environment.git(&self.bare, args);
    }

    fn update(&self, old: Option<u32>, new: u32) -> RefUpdate {
        let id = |at: u32| self.ids[at as usize].as_str();
        let line = format!("{} {} refs/heads/x\n", old.map_or(ZEROS, id), id(new));
        let mut lines = RefLines::of_push(line.as_bytes());
        lines.batch().unwrap().remove(0)
    }

    /// What one push of all these tells, and each of them by itself.
    fn told(&self, updates: &[RefUpdate]) -> Vec<Vec<Event>> {
        let open = || Repository::open(&self.bare).unwrap();
        let (whole, mut told) = (open(), Vec::new());
        let push = whole.events(LIMITS);
        for (nth, update) in updates.iter().enumerate() {
            told.push(push.of(update).unwrap());
            if nth % 3 == 0 {
                let alone = open();
                told.push(alone.events(LIMITS).of(update).unwrap());
            }
        }
        told
    }

    #[track_caller]
    fn assert_same(&self, what: &str, updates: &[RefUpdate]) {
        let libgit2 = self.told(updates);
        only_git_opens(&self.bare);
        let git = self.told(updates);
        libgit2_opens(&self.bare);
        for (at, (libgit2, git)) in libgit2.iter().zip(&git).enumerate() {
            assert_eq!(format!("{git:?}"), format!("{libgit2:?}"), "{what}, {at}");
        }
    }
}

#[test]
fn git_reading_ahead_tells_what_libgit2_tells() {
    for seed in [1] {
        let repo = Repo::new(seed);
        let mut dice = Dice(seed + 100);
        let mut updates = vec![repo.update(None, COMMITS - 1)];
        for _ in 0..8 {
            let (one, other) = (dice.throw(COMMITS), dice.throw(COMMITS));
            updates.push(repo.update(Some(one), other));
            updates.push(repo.update(None, one));
            updates.push(repo.update(Some(0), COMMITS - 1 - one / 20));
        }
        repo.assert_same("as it is", &updates);
        let write = ["commit-graph", "write", "--stdin-commits"];
        let run = repo.environment.run("git").dir(&repo.bare).args(write);
        run.stdin(&repo.ids[1000]).run();
        assert!(repo.bare.join("objects/info/commit-graph").exists());
        repo.assert_same("with a commit-graph for most", &updates);
    }
}

/// git lists commits one after another, each with a zero byte at its end; and a message may
/// have one in it, with what looks like the next commit behind it.
#[test]
fn a_commit_cannot_tell_of_another_one() {
    let repo = Repo::new(3);
    let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    repo.git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let mut tip = repo.ids[100].clone();
    for at in 0..120 {
        let time = 1_800_000_000 + at;
        let forged = format!("{tip}\ntree {tree}\nauthor Mallory <m@x> {time} +0000\n\n");
        let commit = format!(
            "tree {tree}\nparent {tip}\nauthor A <a@x> {time} +0000\n\
             committer A <a@x> {time} +0000\n\nx\0{forged}\0"
        );
        let hash = [
            "hash-object",
            "-t",
            "commit",
            "-w",
            "--stdin",
            "--literally",
        ];
        let run = repo.environment.run("git").dir(&repo.bare).args(hash);
        tip = run.stdin(commit).run().well().stdout.trim().to_owned();
    }
    let line = format!("{} {tip} refs/heads/x\n", repo.ids[100]);
    let update = RefLines::of_push(line.as_bytes())
        .batch()
        .unwrap()
        .remove(0);
    repo.assert_same("forged", &[update]);
}

/// Before git 2.36 `cat-file` had no `--batch-command`: what an object is and what is in it
/// was asked of two.
#[test]
fn an_older_git_tells_the_same() {
    let repo = Repo::new(2);
    let older = repo.environment.script(
        "older/git",
        "#!/bin/sh\nfor arg; do\n[ \"$arg\" != --batch-command ] || exit 129\ndone\n\
         PATH=${PATH#*:} exec git \"$@\"\n",
    );
    let folder = older.parent().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let gits = [folder.to_owned()]
        .into_iter()
        .chain(std::env::split_paths(&path));
    let gits = std::env::join_paths(gits).unwrap();
    repo.git(&["tag", "-a", "-m", "x", "commit", "c1000"]);
    repo.git(&["tag", "-a", "-m", "x", "blob", "c1000:f1"]);
    repo.git(&["tag", "-a", "-m", "x", "tag", "blob"]);
    let write = ["commit-graph", "write", "--stdin-commits"];
    let run = repo.environment.run("git").dir(&repo.bare).args(write);
    run.stdin(&repo.ids[1000]).run().well();
    let mut lines = String::new();
    for (name, old, new) in [
        ("heads/c1499", ZEROS, repo.ids[1499].as_str()),
        ("heads/c1200", &repo.ids[800], &repo.ids[1200]),
        ("heads/c30", &repo.ids[1400], &repo.ids[30]),
    ] {
        writeln!(lines, "{old} {new} refs/{name}").unwrap();
    }
    for name in ["commit", "blob", "tag"] {
        let id = repo
            .environment
            .git(&repo.bare, &["rev-parse", &format!("refs/tags/{name}")]);
        writeln!(lines, "{ZEROS} {} refs/tags/{name}", id.trim()).unwrap();
    }
    let told = |path: &std::ffi::OsStr| {
        let preview = repo.environment.refpost(["preview", "--repo", "test.git"]);
        let ran = preview.env("PATH", path).stdin(&lines).run().well();
        let messages = parse_bodies(&ran.bytes);
        let told = messages
            .iter()
            .map(|message| message.whole["msg"].to_string());
        told.collect::<Vec<_>>()
    };
    let libgit2 = told(&path);
    assert_eq!(libgit2.len(), 7);
    only_git_opens(&repo.bare);
    assert_eq!(told(&path), libgit2);
    assert_eq!(told(&gits), libgit2);
}
