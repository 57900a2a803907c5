//! What a big push costs, beside git finding out the same, measured in one run.
//!
//! `cargo bench --bench walk` prints a table; `-- 100000` stops at that many commits.
//! Each figure is processor time, user and system, of whole processes: the median of
//! the rounds that fit into a few seconds, in which both take turns. Trust the ratios.
//!
//! refpost is `refpost hook post-receive` in mode `spool`: it finds out, and writes it
//! all down durably; "through git", in a repository that libgit2 cannot open, with the
//! processor time of the gits that it asks. git is the least that says the same: `log` for
//! the commits and their authors, `merge-base` where history forks, `diff-tree` for the
//! files.

#![allow(clippy::unwrap_used, reason = "a bench that panics has failed")]

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

const REFPOST: &str = env!("CARGO_BIN_EXE_refpost");

/// Rounds go on for so long, and there are no more than so many.
const LONG_ENOUGH: Duration = Duration::from_secs(4);
const MOST_ROUNDS: usize = 15;

const AUTHORS: usize = 1000;

fn main() {
    let numbers = std::env::args().filter_map(|arg| arg.parse().ok());
    let most: usize = numbers.max().unwrap_or(1_000_000);
    println!(
        "{:<52} {:>10} {:>10} {:>6} {:>9}",
        "", "git", "refpost", "ratio", "anonymous"
    );
    for commits in [10_000, 100_000, 1_000_000] {
        if commits <= most {
            histories(commits);
        }
    }
    for count in [100, 1_000, 10_000] {
        tags(count);
        branches(count);
    }
    for count in [1_000, 10_000, 100_000] {
        files(count);
    }
}

/// One history of so many commits, as it is and with a commit-graph.
fn histories(commits: usize) {
    let site = Site::new();
    site.import(|to| {
        for n in 0..commits {
            let file = (n < 50).then(|| format!("f{n}"));
            commit(to, "main", n, None, file.as_deref());
        }
        let (middle, start) = (format!(":{}", commits / 2), ":10".to_owned());
        commit(to, "topic", commits, Some(":0"), Some("topic"));
        commit(to, "middle", commits + 1, Some(&middle), Some("middle"));
        commit(to, "across", commits + 2, Some(&start), Some("across"));
    });
    for graph in [
        "",
        ", through git",
        ", commit-graph",
        ", commit-graph, through git",
    ] {
        if graph == ", commit-graph" {
            site.git(&["commit-graph", "write", "--reachable"]);
        }
        site.read_through_git(graph.ends_with("through git"));
        let of = |what: &str| format!("{what}, {commits}{graph}");
        let fork = |new: &str| {
            vec![
                words(&["log", "--format=%H %an", new, "^main"]),
                words(&["merge-base", "main", new]),
                words(&["diff-tree", "-r", "--name-status", "main", new]),
            ]
        };
        let log = vec![words(&["log", "--format=%H %an", "main"])];
        site.row(&of("first push"), &site.created("main"), &log);
        site.row(
            &of("a commit on top"),
            &site.moved("main", "main~1"),
            &[
                words(&["log", "--format=%H %an", "main", "^main~1"]),
                words(&["merge-base", "--is-ancestor", "main~1", "main"]),
                words(&["diff-tree", "-r", "--name-status", "main~1", "main"]),
            ],
        );
        site.row(
            &of("new branch off the tip"),
            &site.created("topic"),
            &fork("topic"),
        );
        site.row(
            &of("new branch off the middle"),
            &site.created("middle"),
            &fork("middle"),
        );
        site.row(
            &of("forced across"),
            &site.moved("across", "main"),
            &fork("across"),
        );
    }
}

fn tags(count: usize) {
    let site = Site::new();
    site.import(|to| {
        for n in 0..count {
            commit(to, "main", n, None, None);
        }
        for n in 0..count {
            let tagger = format!("tagger T{n} <t@x> {} +0000", 1_600_000_000 + n);
            write!(to, "tag v{n}\nfrom :{}\n{tagger}\ndata 2\nv\n", n + 1).unwrap();
        }
    });
    let update = site.all_created("refs/tags");
    let format = "--format=%(refname) %(taggername) %(*authorname)";
    let git = [words(&["for-each-ref", format, "refs/tags"])];
    site.row(&format!("new tags, {count}"), &update, &git);
}

/// Branches off so many points of one history, all new in one push.
fn branches(count: usize) {
    let site = Site::new();
    site.import(|to| {
        for n in 0..count {
            commit(to, "main", n, None, None);
        }
        for n in 0..count {
            let from = format!(":{}", n + 1);
            commit(to, &format!("b{n}"), count + n, Some(&from), None);
        }
    });
    let update = site.all_created("refs/heads/b*");
    // git has no word for "each without main": this lists all of them once.
    let git = [words(&["log", "--format=%H %an", "--branches", "^main"])];
    site.row(
        &format!("new branches off old commits, {count}"),
        &update,
        &git,
    );
}

fn files(count: usize) {
    let site = Site::new();
    site.import(|to| {
        for n in 0..2 {
            commit(to, "main", n, None, None);
            for file in 0..count {
                let path = format!("{}/{}/{file}", file % 10, file / 10 % 100);
                let text = format!("{n} {file}");
                write!(to, "M 644 inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
            }
        }
    });
    let git = [
        words(&["log", "--format=%H %an", "main", "^main~1"]),
        words(&["diff-tree", "-r", "--name-status", "main~1", "main"]),
    ];
    for way in ["", ", through git"] {
        site.read_through_git(!way.is_empty());
        site.row(
            &format!("changed files, {count}{way}"),
            &site.moved("main", "main~1"),
            &git,
        );
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Writes a commit for `git fast-import`; `:0` is the tip of main.
fn commit(to: &mut impl Write, branch: &str, n: usize, from: Option<&str>, file: Option<&str>) {
    let (who, time) = (n % AUTHORS, 1_600_000_000 + n);
    write!(
        to,
        "commit refs/heads/{branch}\nmark :{}\nauthor Author {who} <a{who}@example.org> {time} +0000\n\
         committer C <c@example.org> {time} +0000\ndata 8\nmessage\n",
        n + 1
    )
    .unwrap();
    match from {
        Some(":0") => writeln!(to, "from :{n}").unwrap(),
        Some(from) => writeln!(to, "from {from}").unwrap(),
        None => {}
    }
    if let Some(file) = file {
        write!(to, "M 644 inline {file}\ndata 2\nx\n").unwrap();
    }
}

/// A bare repository that spools for nobody.
struct Site {
    folder: tempfile::TempDir,
    bare: PathBuf,
}

impl Site {
    fn new() -> Self {
        let prefix = "refpost-bench-";
        let folder = tempfile::Builder::new().prefix(prefix).tempdir().unwrap();
        let bare = folder.path().join("bench.git");
        fs::create_dir(&bare).unwrap();
        fs::write(folder.path().join("none"), "").unwrap();
        let site = Self { folder, bare };
        site.git(&["init", "-q", "--bare", "-b", "main"]);
        let config = "mode = \"spool\"\nquiet = true\nunsigned = true\n\
                      urls = [\"http://127.0.0.1:9/hook\"]\n";
        fs::write(site.bare.join("refpost.toml"), config).unwrap();
        site
    }

    fn command(&self, program: &str) -> Command {
        let none = self.folder.path().join("none");
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.bare);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_GLOBAL", &none);
        command.env("REFPOST_CONFIG", &none);
        command
    }

    fn git(&self, args: &[&str]) -> String {
        let output = self.command("git").args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn import(&self, write: impl FnOnce(&mut BufWriter<std::process::ChildStdin>)) {
        let mut command = self.command("git");
        command
            .args(["fast-import", "--quiet"])
            .stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut to = BufWriter::new(child.stdin.take().unwrap());
        write(&mut to);
        to.flush().unwrap();
        drop(to);
        assert!(child.wait().unwrap().success());
    }

    /// The line of a ref that was created, by its name or its branch's.
    fn created(&self, name: &str) -> String {
        self.line(&"0".repeat(40), name)
    }

    /// The lines of all refs of this kind, created by one push.
    fn all_created(&self, pattern: &str) -> String {
        let zeros = "0".repeat(40);
        let format = format!("--format={zeros} %(objectname) %(refname)");
        self.git(&["for-each-ref", &format, pattern]) + "\n"
    }

    fn moved(&self, name: &str, old: &str) -> String {
        self.line(&self.id(old), name)
    }

    fn line(&self, old: &str, name: &str) -> String {
        let full = match name.strip_prefix("refs/") {
            Some(_) => name.to_owned(),
            None => format!("refs/heads/{name}"),
        };
        format!("{old} {} {full}\n", self.id(&full))
    }

    fn id(&self, rev: &str) -> String {
        self.git(&["rev-parse", rev])
    }

    /// git takes this extension, which changes nothing, and libgit2 refuses it.
    fn read_through_git(&self, through_git: bool) {
        let only_git = "[core]\nrepositoryformatversion = 1\n[extensions]\nnoop-v1 = true\n";
        let config = self.bare.join("config");
        let mut text = fs::read_to_string(&config).unwrap().replace(only_git, "");
        if through_git {
            text.push_str(only_git);
        }
        fs::write(&config, text).unwrap();
    }

    fn forget(&self) {
        fs::remove_dir_all(self.bare.join("refpost")).ok();
    }

    fn hook(&self, update: &Path) -> Child {
        let mut command = self.command(REFPOST);
        let input = fs::File::open(update).unwrap();
        command.args(["hook", "post-receive"]).stdin(input);
        command.spawn().unwrap()
    }

    /// A line of the table.
    fn row(&self, what: &str, update: &str, git: &[Vec<String>]) {
        let input = self.folder.path().join("update");
        fs::write(&input, update).unwrap();
        let (mut ours, mut theirs) = (vec![], vec![]);
        let started = Instant::now();
        while ours.is_empty() || started.elapsed() < LONG_ENOUGH && ours.len() < MOST_ROUNDS {
            self.forget();
            ours.push(cost(|| {
                assert!(self.hook(&input).wait().unwrap().success());
            }));
            theirs.push(cost(|| {
                for args in git {
                    let mut command = self.command("git");
                    let command = command.args(args).stdout(Stdio::null());
                    // `merge-base --is-ancestor` answers by its status.
                    assert!(command.status().unwrap().code() < Some(2), "{args:?}");
                }
            }));
        }
        self.forget();
        let mut child = self.hook(&input);
        let memory = anonymous_memory(&mut child);
        let (ours, theirs) = (median(ours), median(theirs));
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let mib = memory / 1024.0;
        println!(
            "{what:<52} {:>7.1} ms {:>7.1} ms {ratio:>6.2} {mib:>5.1} MiB",
            ms(theirs),
            ms(ours)
        );
    }
}

/// The processor time of the processes that this starts and waits for.
fn cost(act: impl FnOnce()) -> Duration {
    let before = children();
    act();
    children().checked_sub(before).unwrap()
}

fn children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let total = usage.user_time() + usage.system_time();
    Duration::from_micros(
        (total.tv_sec() * 1_000_000 + total.tv_usec())
            .try_into()
            .unwrap(),
    )
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The most anonymous memory that the process had when it was looked at, in KiB.
fn anonymous_memory(child: &mut Child) -> f64 {
    let status = format!("/proc/{}/status", child.id());
    let mut most: u32 = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        most = most.max(kib.and_then(|kib| kib.parse().ok()).unwrap_or_default());
    }
    most.into()
}
