//! What sizes that nobody sends cost, beside a peer that does the least with the same
//! input in the same run.
//!
//! `cargo bench --bench bounds` prints a table: the peak of anonymous memory
//! (`RssAnon`, proc(5), looked at every millisecond; mapped packs do not count) and
//! the time, as a ratio to the peer's. The peer of lines is `wc -l`, that of objects
//! the git command that shows the same of them. It takes some minutes, and a
//! gigabyte and a half of disk.

#![allow(clippy::unwrap_used, reason = "a bench that panics has failed")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const REFPOST: &str = env!("CARGO_BIN_EXE_refpost");
const ZEROS: &str = "0000000000000000000000000000000000000000";
const IDENT: &str = "Ada <ada@example.org> 1700000000 +0000";

type Case = (&'static str, fn(&Site));

const CASES: [Case; 4] = [
    ("lines", lines),
    ("objects", objects),
    ("trees", trees),
    ("entries", terabyte),
];

/// What a process is fed with.
type Feed<'a> = &'a dyn Fn(&mut dyn Write) -> std::io::Result<()>;

/// What a process took.
struct Cost {
    time: Duration,
    /// In KiB.
    memory: u64,
}

fn main() {
    let folder = tempfile::Builder::new()
        .prefix("refpost-bench-")
        .tempdir()
        .unwrap();
    let site = Site::new(folder.path());
    println!(
        "{:<44} {:>9} {:>9} {:>10} {:>7}",
        "case", "memory", "time", "peer", "ratio"
    );
    // `cargo bench --bench bounds -- trees`
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| {
        let mut names = wanted
            .iter()
            .filter(|name| !name.starts_with('-'))
            .peekable();
        names.peek().is_none() || names.any(|wanted| wanted == name)
    };
    for (name, measure) in CASES {
        if is_wanted(name) {
            measure(&site);
        }
    }
}

fn row(case: &str, own: &Cost, peer: &Cost) {
    let (seconds, other) = (own.time.as_secs_f64(), peer.time.as_secs_f64());
    let (whole, tenth) = (own.memory / 1024, own.memory % 1024 * 10 / 1024);
    println!(
        "{case:<44} {whole:>3}.{tenth} MiB {seconds:>7.3} s {other:>8.3} s {:>7.1}",
        seconds / other
    );
}

/// A bare repository with one commit, and nobody who answers.
struct Site {
    folder: PathBuf,
    bare: PathBuf,
    commit: String,
    tree: String,
}

impl Site {
    fn new(folder: &Path) -> Self {
        let mut site = Self {
            folder: folder.to_owned(),
            bare: folder.join("bench.git"),
            commit: String::new(),
            tree: String::new(),
        };
        fs::write(folder.join("none"), "").unwrap();
        fs::create_dir(&site.bare).unwrap();
        site.git(&["init", "-q", "--bare", "-b", "main", "."], "");
        let blob = site.git(&["hash-object", "-w", "--stdin"], "x");
        site.tree = site.git(&["mktree"], &format!("100644 blob {blob}\tfile\n"));
        site.commit = site.git(&["commit-tree", "-m", "x", &site.tree], "");
        site.git(&["update-ref", "refs/heads/main", &site.commit], "");
        site.configure("");
        site
    }

    fn configure(&self, more: &str) {
        let endpoint = "[[endpoint]]\nname = \"ci\"\nurl = \"http://127.0.0.1:1/\"\n";
        let text = format!("mode = \"spool\"\nquiet = true\nunsigned = true\n{endpoint}{more}");
        fs::write(self.bare.join("refpost.toml"), text).unwrap();
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_GLOBAL", self.folder.join("none"));
        command.env("REFPOST_CONFIG", self.folder.join("none"));
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada");
            command.env(format!("GIT_{who}_EMAIL"), "ada@example.org");
        }
        command.current_dir(&self.bare).env("GIT_DIR", ".");
        command.args(args).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    /// What git prints.
    fn git(&self, args: &[&str], input: &str) -> String {
        let mut child = self.command("git", args).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(input.as_bytes()).unwrap();
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs something to its end, and watches it.
    fn watch(&self, program: &str, args: &[&str], feed: Feed<'_>) -> Cost {
        let started = Instant::now();
        let mut child = self.command(program, args);
        let mut child = child.stdout(Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let watcher = thread::spawn(move || peak(&status));
        let mut pipe = BufWriter::new(child.stdin.take().unwrap());
        // A process that reads no more closes its end, which is no fault.
        feed(&mut pipe).and_then(|()| pipe.flush()).ok();
        drop(pipe);
        assert!(child.wait().unwrap().success(), "{program} {args:?}");
        Cost {
            time: started.elapsed(),
            memory: watcher.join().unwrap(),
        }
    }

    /// A hook beside its peer.
    fn compare(&self, case: &str, hook: &str, feed: Feed<'_>, peer: &[&str]) {
        let own = self.watch(REFPOST, &["hook", hook], feed);
        let peer = self.watch(peer[0], &peer[1..], feed);
        row(case, &own, &peer);
        fs::remove_dir_all(self.bare.join("refpost")).ok();
    }

    fn object(&self, kind: &str, bytes: &str) -> String {
        let args = ["hash-object", "--literally", "-w", "--stdin", "-t", kind];
        self.git(&args, bytes)
    }
}

/// The most anonymous memory that a process had, in KiB, until it is gone.
fn peak(status: &str) -> u64 {
    let mut most = 0;
    while let Ok(text) = fs::read_to_string(status) {
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        // A zombie has none.
        let Some(line) = line else { break };
        let kib = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        most = most.max(kib);
        thread::sleep(Duration::from_millis(1));
    }
    most
}

fn lines(site: &Site) {
    let commit = &site.commit;
    let tags = |count: usize| {
        move |out: &mut dyn Write| {
            (0..count).try_for_each(|n| writeln!(out, "{ZEROS} {commit} refs/tags/v{n:08}"))
        }
    };
    let compare = |case, hook, feed: Feed<'_>| site.compare(case, hook, feed, &["wc", "-l"]);
    compare("1 ref", "post-receive", &tags(1));
    compare("1,000,000 refs", "post-receive", &tags(1_000_000));
    compare("200,000 refs, pre-receive", "pre-receive", &tags(200_000));
    compare(
        "1,000,000 refs, pre-receive gives up",
        "pre-receive",
        &tags(1_000_000),
    );
    site.configure("refs = [\"refs/heads/*\"]\n");
    compare(
        "10,000,000 refs that nobody wants to know of",
        "post-receive",
        &tags(10_000_000),
    );
    site.configure("");
    compare("10,000,000 lines of garbage", "post-receive", &|out| {
        (0..10_000_000).try_for_each(|_| out.write_all(b"no ref update at all\n"))
    });
    compare("a line of 1 GiB", "post-receive", &|out| {
        let part = vec![b'x'; 1 << 20];
        (0..1024).try_for_each(|_| out.write_all(&part))
    });
}

fn objects(site: &Site) {
    let (commit, tree) = (&site.commit, &site.tree);
    let head = |author: &str| {
        format!("tree {tree}\nparent {commit}\nauthor {author}\ncommitter {IDENT}\n\n")
    };
    let mut long = String::new();
    for number in 0..5_000_000 {
        writeln!(long, "line {number:013}").unwrap();
    }
    let update = |case, old: &str, new: &str, name: &str, peer: &[&str]| {
        let line = format!("{old} {new} {name}\n");
        let feed = |out: &mut dyn Write| out.write_all(line.as_bytes());
        site.compare(case, "post-receive", &feed, peer);
    };
    let show = ["git", "log", "-1", "--format=%an"];
    let name = "n".repeat(10 << 20);
    let id = site.object("commit", &head(&format!("{name} <a@x> 1 +0000")));
    update(
        "an author of 10 MiB",
        commit,
        &id,
        "refs/heads/main",
        &[&show[..], &[&id]].concat(),
    );
    let id = site.object("commit", &(head(IDENT) + &long));
    update(
        "a commit of 95 MB",
        commit,
        &id,
        "refs/heads/main",
        &[&show[..], &[&id]].concat(),
    );
    let tagged = |id: &str, kind: &str, text: &str| {
        let tag = format!("object {id}\ntype {kind}\ntag t\ntagger {IDENT}\n\n{text}");
        site.object("tag", &tag)
    };
    let id = tagged(commit, "commit", &long);
    update(
        "a tag of 95 MB",
        ZEROS,
        &id,
        "refs/tags/t",
        &[&show[..], &[&id]].concat(),
    );
    let mut id = tagged(commit, "commit", "x");
    for number in 1..1000 {
        id = tagged(&id, "tag", &number.to_string());
    }
    update(
        "a tag chain 1,000 deep",
        ZEROS,
        &id,
        "refs/tags/t",
        &[&show[..], &[&id]].concat(),
    );
}

/// Makes trees, each of a text of `git mktree`.
struct Trees(Child, BufReader<std::process::ChildStdout>);

impl Trees {
    fn new(site: &Site) -> Self {
        let mut child = site.command("git", &["mktree", "--batch"]).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self(child, answers)
    }

    fn make(&mut self, entries: &str) -> String {
        // An empty line ends a tree, an empty one too.
        let end = if entries.is_empty() { "\n" } else { "\n\n" };
        write!(self.0.stdin.as_mut().unwrap(), "{entries}{end}").unwrap();
        let mut id = String::new();
        self.1.read_line(&mut id).unwrap();
        id.trim().to_owned()
    }
}

fn trees(site: &Site) {
    let file = site.git(&["rev-parse", "main:file"], "");
    let mut trees = Trees::new(site);
    let many = |count: usize, kind: &str, id: &str| {
        let mut entries = String::new();
        for number in 0..count {
            writeln!(entries, "{kind} {id}\tentry-{number:06}").unwrap();
        }
        entries.trim_end().to_owned()
    };
    let deep = |trees: &mut Trees, name: &str| {
        let mut tree = trees.make(&format!("100644 blob {file}\tfile"));
        for _ in 0..10_000 {
            tree = trees.make(&format!("040000 tree {tree}\t{name}"));
        }
        tree
    };
    let bomb = |trees: &mut Trees, leaf: &str| {
        let mut tree = trees.make(leaf);
        for _ in 0..9 {
            tree = trees.make(&many(10, "040000 tree", &tree));
        }
        tree
    };
    let flat = trees.make(&many(100_000, "100644 blob", &file));
    let cases = [
        ("100,000 changed files", flat, true),
        ("a tree 10,000 levels deep", deep(&mut trees, "d"), true),
        (
            "the same, names of 200 bytes",
            deep(&mut trees, &"d".repeat(200)),
            true,
        ),
        (
            "a bomb of 10^10 files",
            bomb(&mut trees, &many(10, "100644 blob", &file)),
            false,
        ),
        ("a bomb of 10^9 folders", bomb(&mut trees, ""), false),
    ];
    for (case, tree, is_finite) in cases {
        let commit = site.git(&["commit-tree", "-m", "x", "-p", &site.commit, &tree], "");
        let line = format!("{} {commit} refs/heads/main\n", site.commit);
        let feed = |out: &mut dyn Write| out.write_all(line.as_bytes());
        // Of a bomb `git diff-tree` fills all memory before its first line; `ls-tree` does
        // not, and is stopped after as many lines as we count.
        let peer = if is_finite {
            format!(
                "diff-tree -r --name-status {} {commit} >/dev/null",
                site.commit
            )
        } else {
            format!("ls-tree -r -t {commit} | head -n 1000000 >/dev/null")
        };
        let peer = format!("git -c core.maxTreeDepth=20000 {peer}");
        site.compare(case, "post-receive", &feed, &["sh", "-c", &peer]);
    }
}

/// An entry that is as long as it claims, and has nothing in it.
fn terabyte(site: &Site) {
    let new = site.bare.join("refpost/spool/new");
    fs::create_dir_all(&new).unwrap();
    let entry = new.join("20261123T214501.123456789Z-host-3f2a9c1b00ab12cd");
    let line = format!(
        "refpost-entry 1 {} {}\n",
        (1_u64 << 40) - 128,
        "0".repeat(64)
    );
    fs::write(&entry, line).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&entry).unwrap();
    file.set_len(1 << 40).unwrap();
    let own = site.watch(REFPOST, &["flush", "."], &|_| Ok(()));
    assert!(!entry.exists());
    let peer = site.watch(REFPOST, &["flush", "."], &|_| Ok(()));
    row("an entry of a terabyte (peer: no entry)", &own, &peer);
}
