//! Histories of many merges, where git reads them: told as they are by the walk that
//! libgit2 reads for.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use refpost::event::RefUpdate;
use refpost::git::{RefLines, Repository, Wants};
use refpost::payload::sent::{self, Event};

use crate::support::{Environment, ZEROS, libgit2_opens, only_git_opens};

const WANTS: Wants = Wants {
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
        let push = whole.changes(WANTS);
        for (nth, update) in updates.iter().enumerate() {
            told.push(sent::events(push.of(update).unwrap()));
            if nth % 3 == 0 {
                let alone = open();
                told.push(sent::events(alone.changes(WANTS).of(update).unwrap()));
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
fn git_tells_what_libgit2_tells() {
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
