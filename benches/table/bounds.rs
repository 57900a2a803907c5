//! What sizes that nobody sends cost, beside a peer that does the least with the same
//! input: peak memory, and the time.
//!
//! The peer of lines is `wc -l`, that of objects the git command that shows the same of
//! them. It takes some minutes, and a gigabyte and a half of disk.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::watch;
use crate::site::{REFPOST, Site, ZEROS};
use crate::table::{self, Row};

const IDENT: &str = "Ada <ada@example.org> 1700000000 +0000";

/// Where nobody listens.
const URL: &str = "http://127.0.0.1:1/";

/// What a process is fed with.
type Feed<'a> = &'a dyn Fn(&mut dyn Write) -> std::io::Result<()>;

pub(crate) fn measure() {
    table::part("bounds");
    let bounds = Bounds::new();
    lines(&bounds);
    objects(&bounds);
    trees(&bounds);
    terabyte(&bounds);
}

/// A repository with one commit, and nobody who answers.
struct Bounds {
    site: Site,
    commit: String,
    tree: String,
}

impl Bounds {
    fn new() -> Self {
        let site = Site::new();
        let blob = site.git(&["hash-object", "-w", "--stdin"], "x");
        let tree = site.git(&["mktree"], &format!("100644 blob {blob}\tfile\n"));
        let commit = site.git(&["commit-tree", "-m", "x", &tree], "");
        site.git(&["update-ref", "refs/heads/main", &commit], "");
        site.configure(&[URL], "");
        Self { site, commit, tree }
    }

    /// A hook beside its peer.
    fn compare(&self, what: &str, hook: &str, feed: Feed<'_>, name: &'static str, peer: &[&str]) {
        let (cost, memory) = run(&mut self.site.hook(hook), feed);
        let mut command = self.site.command(peer[0]);
        let (peer_cost, _) = run(command.args(&peer[1..]), feed);
        self.site.forget();
        row(what, name, (cost, memory), peer_cost);
    }

    fn object(&self, kind: &str, bytes: &str) -> String {
        let args = ["hash-object", "--literally", "-w", "--stdin", "-t", kind];
        self.site.git(&args, bytes)
    }
}

fn row(what: &str, peer: &'static str, (cost, memory): (Duration, u64), peer_cost: Duration) {
    table::row(&Row {
        what: what.to_owned(),
        peer,
        cost,
        peer_cost,
        most: None,
        memory: Some(memory),
    });
}

/// Runs something to its end: how long it took, and its memory.
fn run(command: &mut Command, feed: Feed<'_>) -> (Duration, u64) {
    let started = Instant::now();
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut pipe = BufWriter::new(child.stdin.take().unwrap());
    let memory = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&mut child));
        // A process that reads no more closes its end, which is no fault.
        feed(&mut pipe).and_then(|()| pipe.flush()).ok();
        drop(pipe);
        watcher.join().unwrap()
    });
    (started.elapsed(), memory)
}

fn lines(bounds: &Bounds) {
    let commit = &bounds.commit;
    let tags = |count: usize| {
        move |out: &mut dyn Write| {
            (0..count).try_for_each(|n| writeln!(out, "{ZEROS} {commit} refs/tags/v{n:08}"))
        }
    };
    let compare = |case, hook, feed: Feed<'_>| {
        bounds.compare(case, hook, feed, "`wc -l`", &["wc", "-l"]);
    };
    compare("1 ref", "post-receive", &tags(1));
    compare("1,000,000 refs", "post-receive", &tags(1_000_000));
    compare("200,000 refs, pre-receive", "pre-receive", &tags(200_000));
    compare(
        "1,000,000 refs, pre-receive gives up",
        "pre-receive",
        &tags(1_000_000),
    );
    bounds.site.configure(&[URL], "refs = [\"refs/heads/*\"]\n");
    compare(
        "10,000,000 refs that nobody wants to know of",
        "post-receive",
        &tags(10_000_000),
    );
    bounds.site.configure(&[URL], "");
    compare("10,000,000 lines of garbage", "post-receive", &|out| {
        (0..10_000_000).try_for_each(|_| out.write_all(b"no ref update at all\n"))
    });
    compare("a line of 1 GiB", "post-receive", &|out| {
        let part = vec![b'x'; 1 << 20];
        (0..1024).try_for_each(|_| out.write_all(&part))
    });
}

fn objects(bounds: &Bounds) {
    let (commit, tree) = (&bounds.commit, &bounds.tree);
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
        bounds.compare(case, "post-receive", &feed, "`git log`", peer);
    };
    let show = ["git", "log", "-1", "--format=%an"];
    let name = "n".repeat(10 << 20);
    let id = bounds.object("commit", &head(&format!("{name} <a@x> 1 +0000")));
    update(
        "an author of 10 MiB",
        commit,
        &id,
        "refs/heads/main",
        &[&show[..], &[&id]].concat(),
    );
    let id = bounds.object("commit", &(head(IDENT) + &long));
    update(
        "a commit of 95 MB",
        commit,
        &id,
        "refs/heads/main",
        &[&show[..], &[&id]].concat(),
    );
    let tagged = |id: &str, kind: &str, text: &str| {
        let tag = format!("object {id}\ntype {kind}\ntag t\ntagger {IDENT}\n\n{text}");
        bounds.object("tag", &tag)
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
struct Trees(Child, BufReader<ChildStdout>);

impl Trees {
    fn new(site: &Site) -> Self {
        let mut command = site.command("git");
        command.args(["mktree", "--batch"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
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

fn trees(bounds: &Bounds) {
    let site = &bounds.site;
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
        let commit = site.git(&["commit-tree", "-m", "x", "-p", &bounds.commit, &tree], "");
        let line = format!("{} {commit} refs/heads/main\n", bounds.commit);
        let feed = |out: &mut dyn Write| out.write_all(line.as_bytes());
        // Of a bomb `git diff-tree` fills all memory before its first line; `ls-tree` does
        // not, and is stopped after as many lines as we count.
        let (name, peer) = if is_finite {
            let files = format!(
                "diff-tree -r --name-status {} {commit} >/dev/null",
                bounds.commit
            );
            ("`git diff-tree`", files)
        } else {
            let all = format!("ls-tree -r -t {commit} | head -n 1000000 >/dev/null");
            ("`git ls-tree`, cut off", all)
        };
        let peer = format!("git -c core.maxTreeDepth=20000 {peer}");
        bounds.compare(case, "post-receive", &feed, name, &["sh", "-c", &peer]);
    }
}

/// An entry that is as long as it claims, and has nothing in it.
fn terabyte(bounds: &Bounds) {
    let new = bounds.site.bare.join("refpost/spool/new");
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
    let flush = || {
        let mut command = bounds.site.command(REFPOST);
        run(command.args(["flush", "."]), &|_| Ok(()))
    };
    let own = flush();
    assert!(!entry.exists());
    row(
        "an entry of a terabyte",
        "a flush of nothing",
        own,
        flush().0,
    );
}
