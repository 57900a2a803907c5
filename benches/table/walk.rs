//! What a big push costs, beside git finding out the same.
//!
//! Each figure is processor time, user and system, of whole processes: the median of
//! the rounds that fit into a few seconds, in which both take turns.
//!
//! refpost is `refpost hook post-receive` in mode `spool`: it finds out, and writes it
//! all down durably; "through git", in a repository that libgit2 cannot open, with the
//! processor time of the gits that it asks. git is the least that says the same: `log` for
//! the commits and their authors, `merge-base` where history forks, `diff-tree` for the
//! files.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::measure::{cost, median, watch};
use crate::site::{Site, ZEROS, commit, file};
use crate::table::{self, Row};

/// Rounds go on for so long, and there are no more than so many.
const LONG_ENOUGH: Duration = Duration::from_secs(3);
const MOST_ROUNDS: usize = 15;

pub(crate) fn measure() {
    table::part("big pushes, processor time");
    for commits in [10_000, 100_000, 1_000_000] {
        histories(commits);
    }
    for count in [100, 1_000, 10_000] {
        tags(count);
        branches(count);
    }
    for count in [1_000, 10_000, 100_000] {
        files(count);
    }
}

/// A push, and how git finds out the same.
struct Case<'a> {
    what: String,
    update: String,
    git: Vec<Vec<&'a str>>,
}

const LOG: [&str; 2] = ["log", "--format=%H %an"];
const FILES: [&str; 3] = ["diff-tree", "-r", "--name-status"];

fn words<'a>(start: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    [start, rest].concat()
}

/// One history of so many commits, as it is and with a commit-graph.
fn histories(commits: usize) {
    let site = Site::new();
    site.import(|to| {
        for n in 0..commits {
            commit(to, "main", n, None);
            if n < 50 {
                file(to, &format!("f{n}"), "x");
            }
        }
        let branches = [("topic", commits), ("middle", commits / 2), ("across", 10)];
        for (at, (branch, from)) in branches.into_iter().enumerate() {
            commit(to, branch, commits + at, Some(&format!(":{from}")));
            file(to, branch, "x");
        }
    });
    for how in [
        "",
        ", through git",
        ", commit-graph",
        ", commit-graph, through git",
    ] {
        if how == ", commit-graph" {
            site.git(&["commit-graph", "write", "--reachable"], "");
        }
        site.read_through_git(how.ends_with("through git"));
        let fork = |new| {
            vec![
                words(&LOG, &[new, "^main"]),
                words(&["merge-base"], &["main", new]),
                words(&FILES, &["main", new]),
            ]
        };
        let top = vec![
            words(&LOG, &["main", "^main~1"]),
            words(&["merge-base", "--is-ancestor"], &["main~1", "main"]),
            words(&FILES, &["main~1", "main"]),
        ];
        let first = vec![words(&LOG, &["main"])];
        let cases = [
            ("first push", site.created("main"), first),
            ("a commit on top", site.moved("main", "main~1"), top),
            (
                "new branch off the tip",
                site.created("topic"),
                fork("topic"),
            ),
            (
                "new branch off the middle",
                site.created("middle"),
                fork("middle"),
            ),
            (
                "forced across",
                site.moved("across", "main"),
                fork("across"),
            ),
        ];
        for (what, update, git) in cases {
            let case = Case {
                what: format!("{what}, {commits}{how}"),
                update,
                git,
            };
            compare(&site, &case);
        }
    }
}

fn tags(count: usize) {
    let site = Site::new();
    site.import(|to| {
        use std::io::Write;
        for n in 0..count {
            commit(to, "main", n, None);
        }
        for n in 0..count {
            let tagger = format!("tagger T{n} <t@x> {} +0000", 1_600_000_000 + n);
            write!(to, "tag v{n}\nfrom :{}\n{tagger}\ndata 2\nv\n", n + 1).unwrap();
        }
    });
    let format = "--format=%(refname) %(taggername) %(*authorname)";
    let case = Case {
        what: format!("new tags, {count}"),
        update: site.all("refs/tags", ZEROS),
        git: vec![vec!["for-each-ref", format, "refs/tags"]],
    };
    compare(&site, &case);
}

/// Branches off so many points of one history: all new in one push, and all moved on
/// by one commit in one push.
fn branches(count: usize) {
    let site = Site::new();
    site.import(|to| {
        for n in 0..count {
            commit(to, "main", n, None);
        }
        for n in 0..count {
            let branch = format!("b{n}");
            commit(to, &branch, count + 2 * n, Some(&format!(":{}", n + 1)));
            commit(to, &branch, count + 2 * n + 1, None);
        }
    });
    // git has no word for "each without main": this lists all of them once.
    let list = words(&LOG, &["--branches", "^main"]);
    for (what, old) in [
        ("new branches off old commits", ZEROS),
        ("branches moved by a commit", "%(parent)"),
    ] {
        let case = Case {
            what: format!("{what}, {count}"),
            update: site.all("refs/heads/b*", old),
            git: vec![list.clone()],
        };
        compare(&site, &case);
    }
}

fn files(count: usize) {
    let site = Site::new();
    site.import(|to| {
        for n in 0..2 {
            commit(to, "main", n, None);
            for at in 0..count {
                let path = format!("{}/{}/{at}", at % 10, at / 10 % 100);
                file(to, &path, &format!("{n} {at}"));
            }
        }
    });
    for how in ["", ", through git"] {
        site.read_through_git(!how.is_empty());
        let case = Case {
            what: format!("changed files, {count}{how}"),
            update: site.moved("main", "main~1"),
            git: vec![
                words(&LOG, &["main", "^main~1"]),
                words(&FILES, &["main~1", "main"]),
            ],
        };
        compare(&site, &case);
    }
}

fn compare(site: &Site, case: &Case<'_>) {
    let input = site.folder().join("update");
    fs::write(&input, &case.update).unwrap();
    let hook = || {
        site.forget();
        let mut command = site.hook("post-receive");
        command.stdin(File::open(&input).unwrap()).spawn().unwrap()
    };
    let (mut ours, mut gits) = (vec![], vec![]);
    let started = Instant::now();
    while ours.is_empty() || started.elapsed() < LONG_ENOUGH && ours.len() < MOST_ROUNDS {
        ours.push(cost(|| assert!(hook().wait().unwrap().success())));
        gits.push(cost(|| {
            for args in &case.git {
                let mut command = site.command("git");
                let command = command.args(args).stdout(Stdio::null());
                // `merge-base --is-ancestor` answers by its status.
                assert!(command.status().unwrap().code() < Some(2), "{args:?}");
            }
        }));
    }
    table::row(&Row {
        what: case.what.clone(),
        peer: "git",
        cost: median(ours),
        peer_cost: median(gits),
        most: Some(match &case.what {
            what if what.ends_with("through git") => 3.0,
            what if what.starts_with("forced") => 2.0,
            _ => 1.5,
        }),
        memory: Some(watch(&mut hook())),
    });
}
