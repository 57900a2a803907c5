//! Histories of any shape, with clocks that are wrong, walked as git walks them:
//! without a commit-graph, with a chain of them, and with one for some of the commits.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use refpost::event::{Author, RefUpdate};
use refpost::git::{Changes, RefLines, Repository, Wants};
use refpost::payload::sent::{self, Change, Event};

use crate::support::{Environment, libgit2_opens, only_git_opens};

const WANTS: Wants = Wants {
    files: 10,
    path_bytes: 1000,
};

/// A commit: how wrong its clock is, and which of the earlier ones are its parents.
type Commit = (u32, Vec<Index>);

#[derive(Clone, Debug)]
struct History {
    commits: Vec<Commit>,
    /// How far the clock goes wrong; 0 for never.
    skew: u32,
    pairs: Vec<(Index, Index)>,
}

fn histories() -> impl Strategy<Value = History> {
    let parents = prop::collection::vec(any::<Index>(), 0..=3);
    let commits = prop::collection::vec((any::<u32>(), parents), 2..40);
    let pairs = prop::collection::vec((any::<Index>(), any::<Index>()), 12);
    let skews = prop_oneof![Just(0), Just(3), Just(1000)];
    (commits, skews, pairs).prop_map(|(commits, skew, pairs)| History {
        commits,
        skew,
        pairs,
    })
}

impl History {
    fn parents(&self, at: usize) -> Vec<usize> {
        let (_, parents) = &self.commits[at];
        let mut all = Vec::new();
        for parent in parents.iter().filter(|_| at > 0) {
            // Mostly a commit of late.
            let parent = at - 1 - parent.index(at.min(6));
            if !all.contains(&parent) {
                all.push(parent);
            }
        }
        all
    }

    fn ancestors(&self, at: usize) -> BTreeSet<usize> {
        let (mut seen, mut stack) = (BTreeSet::new(), vec![at]);
        while let Some(at) = stack.pop() {
            if seen.insert(at) {
                stack.extend(self.parents(at));
            }
        }
        seen
    }

    /// For `git fast-import`: each by an author whose name is its number.
    fn stream(&self, range: std::ops::Range<usize>) -> String {
        let mut stream = String::new();
        for at in range {
            let (wrong, _) = self.commits[at];
            let at_time = u32::try_from(at).unwrap() / 2;
            let time = 1_700_000_000 + at_time + wrong.checked_rem(self.skew).unwrap_or_default();
            let who = format!("{at} <{at}@x> {time} +0000");
            let mark = at + 1;
            writeln!(stream, "reset refs/heads/c{at}").unwrap();
            write!(
                stream,
                "commit refs/heads/c{at}\nmark :{mark}\nauthor {who}\ncommitter {who}\ndata 0\n"
            )
            .unwrap();
            for (nth, parent) in self.parents(at).into_iter().enumerate() {
                let word = if nth == 0 { "from" } else { "merge" };
                writeln!(stream, "{word} :{}", parent + 1).unwrap();
            }
            stream.push('\n');
        }
        stream
    }
}

struct Repo<'a> {
    environment: &'a Environment,
    bare: PathBuf,
    ids: Vec<String>,
}

impl Repo<'_> {
    fn git(&self, args: &[&str]) -> Vec<String> {
        let ran = self.environment.run("git").dir(&self.bare).args(args).run();
        ran.stdout.lines().map(str::to_owned).collect()
    }

    fn import(&self, stream: &str) {
        let marks = ["--import-marks-if-exists=marks", "--export-marks=marks"];
        let args = [&["fast-import", "--quiet", "--force"], &marks[..]].concat();
        let import = self.environment.run("git").dir(&self.bare).args(args);
        import.stdin(stream).run().well();
    }

    fn number(&self, id: &str) -> usize {
        self.ids.iter().position(|known| known == id).unwrap()
    }

    fn rev_list(&self, new: &str, hidden: &str) -> Vec<usize> {
        let hidden = format!("^{hidden}");
        let listed = self.git(&["rev-list", new, &hidden]);
        listed.iter().map(|id| self.number(id)).collect()
    }
}

fn update(old: Option<&str>, new: &str, name: &str) -> RefUpdate {
    let zeros = "0".repeat(new.len());
    let line = format!("{} {new} {name}\n", old.unwrap_or(&zeros));
    RefLines::of_push(line.as_bytes())
        .batch()
        .unwrap()
        .remove(0)
}

/// The numbers of the commits of the last event, the newest first.
fn listed(events: &[Event]) -> Vec<usize> {
    let event = events.last().unwrap();
    let Change::Received(received) = &event.change else {
        return Vec::new();
    };
    if received.total_commits == 0 {
        return Vec::new();
    }
    let number = |author: &Author| match author {
        Author::Person { name, .. } => name.parse().unwrap(),
        Author::Pusher => unreachable!("a commit has an author"),
    };
    let all: Vec<usize> = event.authors.iter().rev().map(number).collect();
    assert_eq!(received.total_commits, all.len());
    all
}

/// A ref that was moved, by itself and in one push with others, as git tells it.
fn moved_as_git_says(repo: &Repo<'_>, history: &History, push: &Changes<'_>, tip: usize) {
    for (nth, (old, new)) in history.pairs.iter().enumerate() {
        // Some of them are from one commit, one after the other: they share a walk.
        let from = if nth % 8 < 5 {
            tip
        } else {
            old.index(repo.ids.len())
        };
        let to = new.index(repo.ids.len());
        if from == to {
            continue;
        }
        let (old, new) = (&repo.ids[from], &repo.ids[to]);
        let repository = Repository::open(&repo.bare).unwrap();
        let alone = repository.changes(WANTS);
        let update = update(Some(old), new, "refs/heads/x");
        let told = sent::events(alone.of(&update).unwrap());
        let expected = repo.rev_list(new, old);
        assert_eq!(listed(&told), expected, "{old} {new}");
        // Of two bases of one time, git itself takes another one with some
        // commit-graphs than without.
        let args = ["-c", "core.commitGraph=false", "merge-base", old, new];
        let base = repo.git(&args).pop();
        let truth = &history.ancestors(to) - &history.ancestors(from);
        let is_true = expected.len() == truth.len();
        let shared = sent::events(push.of(&update).unwrap());
        for told in [Some(&told), Some(&shared).filter(|_| is_true)]
            .into_iter()
            .flatten()
        {
            let Change::Received(received) = &told[0].change else {
                panic!("{told:?}")
            };
            assert_eq!(listed(told), expected, "{old} {new}");
            assert_eq!(received.forced, base.as_ref() != Some(old), "{old} {new}");
            let base = base.as_ref().filter(|_| !expected.is_empty());
            assert_eq!(received.old_commit, *base.unwrap_or(old));
        }
    }
}

/// Many branches created by one push: each is as git lists it, or nearer to the truth
/// where wrong clocks mislead git.
fn created_as_git_says(repo: &Repo<'_>, history: &History, push: &Changes<'_>, tip: usize) {
    let hidden = history.ancestors(tip);
    for (at, id) in repo.ids.iter().enumerate() {
        let told = push.of(&update(None, id, "refs/heads/x"));
        let told = sent::events(told.unwrap());
        let (told, git) = (listed(&told), repo.rev_list(id, &repo.ids[tip]));
        let truth = &history.ancestors(at) - &hidden;
        let is_between = told.iter().all(|commit| git.contains(commit))
            && truth.iter().all(|commit| told.contains(commit));
        assert!(
            told == git || history.skew > 0 && is_between,
            "{at}: {told:?}, git: {git:?}"
        );
    }
}

fn hold(history: &History, format: &str) {
    let environment = Environment::new();
    let bare = environment.path("graph.git");
    let root = environment.path("");
    let hash = format!("--object-format={format}");
    environment.git(&root, &["init", "-q", "--bare", &hash, "graph.git"]);
    let mut repo = Repo {
        environment: &environment,
        bare,
        ids: Vec::new(),
    };
    let all = history.commits.len();
    let tip = all * 2 / 3;
    std::fs::write(repo.bare.join("HEAD"), format!("ref: refs/heads/c{tip}\n")).unwrap();
    let write = ["commit-graph", "write", "--reachable", "--split=no-merge"];
    let (third, most) = (all / 3, all - all.div_ceil(4));
    // A commit-graph for all, a chain that lacks the newest, none.
    for stage in ["chain", "none", "one"] {
        match stage {
            "chain" => {
                for range in [0..third, third..most, most..all] {
                    let has_graph = range.end < all;
                    repo.import(&history.stream(range));
                    if has_graph {
                        repo.git(&write);
                    }
                }
                let names: Vec<_> = (0..all).map(|at| format!("c{at}")).collect();
                let mut args = vec!["rev-parse"];
                args.extend(names.iter().map(String::as_str));
                repo.ids = repo.git(&args);
                assert!(has(&repo.bare, "commit-graphs/commit-graph-chain"));
            }
            "none" => std::fs::remove_dir_all(repo.bare.join("objects/info")).unwrap(),
            _ => drop(repo.git(&write[..3])),
        }
        assert_eq!(has(&repo.bare, "commit-graph"), stage == "one");
        // Where some commits are in a file and some are not, both ways of reading meet it.
        let ways: &[_] = match stage {
            "chain" => &["libgit2", "git"],
            _ => &["libgit2"],
        };
        for &way in ways {
            if way == "git" {
                only_git_opens(&repo.bare);
            }
            let repository = Repository::open(&repo.bare).unwrap();
            let push = repository.changes(WANTS);
            created_as_git_says(&repo, history, &push, tip);
            moved_as_git_says(&repo, history, &push, tip);
        }
        if stage == "chain" {
            libgit2_opens(&repo.bare);
        }
    }
}

fn has(bare: &Path, name: &str) -> bool {
    bare.join("objects/info").join(name).exists()
}

fn run(format: &str) {
    let config = ProptestConfig {
        cases: 6,
        failure_persistence: None,
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let held = runner.run(&histories(), |history| {
        hold(&history, format);
        Ok(())
    });
    held.unwrap();
}

#[test]
fn of_sha1() {
    run("sha1");
}

#[test]
fn of_sha256() {
    run("sha256");
}
