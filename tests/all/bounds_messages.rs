//! Objects that nobody makes in earnest: each is announced, within bounds, and what
//! was left out is said.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::support::{Message, Site, ZEROS, libgit2_opens, names, only_git_opens, parse_bodies};

const IDENT: &str = "Ada <ada@example.org> 1700000000 +0000";

/// A site with one commit, which is pushed.
fn started() -> Site {
    let site = Site::told_twice();
    site.commit("a");
    site.push(&["main"]);
    site
}

/// Writes an object in the clone, however odd.
fn object(site: &Site, kind: &str, bytes: impl AsRef<[u8]>) -> String {
    let args = ["hash-object", "--literally", "-w", "--stdin", "-t", kind];
    let ran = site.git_run(&args).stdin(bytes).run().well();
    ran.stdout.trim().to_owned()
}

/// A commit on top of `main`, with the same tree.
fn commit_on_main(site: &Site, author: &str, message: &str) -> String {
    let tree = site.git(&["rev-parse", "main^{tree}"]);
    let parent = site.git(&["rev-parse", "main"]);
    object(
        site,
        "commit",
        format!("tree {tree}\nparent {parent}\nauthor {author}\ncommitter {IDENT}\n\n{message}"),
    )
}

/// Pushes a commit to `main`, and gives the one message of it.
#[track_caller]
fn pushed(site: &Site, commit: &str) -> Message {
    let push = site.push(&[&format!("{commit}:refs/heads/main")]);
    push.only().clone()
}

fn import(site: &Site, stream: &str) {
    let import = site.git_run(&["fast-import", "--quiet", "--force"]);
    import.stdin(stream).run().well();
}

/// Makes trees, each of a text of `git mktree`, in the bare repository.
struct Trees {
    mktree: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Trees {
    fn new(site: &Site) -> Self {
        let mut mktree = Command::new("git")
            .current_dir(&site.bare)
            .args(["mktree", "--batch", "--missing"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(mktree.stdout.take().unwrap());
        Self { mktree, answers }
    }

    fn make(&mut self, entries: &str) -> String {
        let input = self.mktree.stdin.as_mut().unwrap();
        // An empty line ends a tree, an empty one too.
        let end = if entries.is_empty() { "\n" } else { "\n\n" };
        write!(input, "{entries}{end}").unwrap();
        let mut id = String::new();
        self.answers.read_line(&mut id).unwrap();
        id.trim().to_owned()
    }

    fn end(mut self) {
        drop(self.mktree.stdin.take());
        assert!(self.mktree.wait().unwrap().success());
    }
}

/// What is said of a new branch, not from the default one, with this tree.
#[track_caller]
fn previewed(site: &Site, tree: &str) -> Message {
    let commit = site.bare_git(&["commit-tree", "-m", "x", tree]);
    let input = format!("{ZEROS} {commit} refs/heads/odd\n");
    let preview = || {
        let preview = site.refpost(["preview", "test.git"]);
        let ran = preview.stdin(&input).run().well();
        parse_bodies(&ran.bytes).remove(1)
    };
    let message = preview();
    only_git_opens(&site.bare);
    assert_eq!(preview().whole["msg"], message.whole["msg"]);
    libgit2_opens(&site.bare);
    message
}

#[test]
fn of_100000_changed_files_the_first_are_listed_and_all_counted() {
    let site = started();
    let mut stream = format!("commit refs/heads/main\ncommitter {IDENT}\ndata 1\nx\n");
    stream.push_str("from refs/heads/main^0\n");
    for number in 0..100_000 {
        let (folder, file) = (number / 1000, number % 1000);
        writeln!(stream, "M 644 inline d{folder:03}/f{file:03}\ndata 1\nx").unwrap();
    }
    import(&site, &stream);
    let message = pushed(&site, "main");
    assert_eq!(message["changed_files_truncated"], true);
    assert_eq!(message["total_changed_files"], 100_000);
    let changed = message.changed();
    assert_eq!(changed.len(), 3000);
    assert_eq!(changed[2999].0, "d002/f999");
}

#[test]
fn a_message_that_is_too_long_is_sent_without_its_files() {
    let site = started();
    let mut stream = format!("commit refs/heads/main\ncommitter {IDENT}\ndata 1\nx\n");
    stream.push_str("from refs/heads/main^0\n");
    for number in 0..2500 {
        let long = "x".repeat(450);
        writeln!(stream, "M 644 inline {number:04}-{long}\ndata 1\nx").unwrap();
    }
    import(&site, &stream);
    let old = site.bare_git(&["rev-parse", "main"]);
    let message = pushed(&site, "main");
    assert_eq!(message["changed_files"], serde_json::json!({}));
    assert_eq!(message["changed_files_truncated"], true);
    assert_eq!(message["total_changed_files"], 2500);
    assert_eq!(message.authors(), ["Ada"]);
    assert!(message.whole["msg"].get("authors_truncated").is_none());

    site.config("max_body = \"2MiB\"\n");
    let again = |reference: &str| {
        let new = site.bare_git(&["rev-parse", "main"]);
        let preview = site.refpost(["preview", "test.git"]);
        let ran = preview
            .stdin(format!("{old} {new} {reference}\n"))
            .run()
            .well();
        parse_bodies(&ran.bytes).remove(0)
    };
    let message = again("refs/heads/main");
    assert_eq!(message.changed().len(), 2500);
    assert!(
        message.whole["msg"]
            .get("changed_files_truncated")
            .is_none()
    );
    // The smallest there can be.
    site.config("max_body = \"16KiB\"\nmax_changed_files = 40\n");
    assert_eq!(again("refs/heads/main").changed().len(), 0);
    site.config("max_body = \"16KiB\"\nmax_changed_files = 20\n");
    let message = again("refs/heads/main");
    assert_eq!(message.changed().len(), 20);
    assert_eq!(message["total_changed_files"], 2500);
}

#[test]
fn a_message_of_thousands_of_long_names_lists_a_few_authors() {
    let site = started();
    let mut stream = String::new();
    let long = "é".repeat(150);
    for number in 0..2000 {
        write!(
            stream,
            "commit refs/heads/main\nauthor {number:04} {long} <{number}@x> 1700000000 +0000\n\
             committer {IDENT}\ndata 1\nx\n"
        )
        .unwrap();
        if number == 0 {
            stream.push_str("from refs/heads/main^0\n");
        }
        writeln!(stream, "M 644 inline f\ndata 4\n{number:04}").unwrap();
    }
    import(&site, &stream);
    let message = pushed(&site, "main");
    assert_eq!(message["authors_truncated"], true);
    assert_eq!(message["total_authors"], 2000);
    let authors = message.authors();
    assert_eq!(authors.len(), 10);
    for (number, author) in authors.iter().enumerate() {
        assert_eq!(*author, format!("{number:04} {}…", "é".repeat(59)));
    }
    assert_eq!(message["total_commits"], 2000);
    assert_eq!(message["changed_files"], serde_json::json!({}));
    assert_eq!(message["total_changed_files"], 1);
}

#[test]
fn a_name_of_ten_megabytes_is_cut() {
    let site = started();
    let name = "n".repeat(10 << 20);
    let commit = commit_on_main(&site, &format!("{name} <a@x> 1700000000 +0000"), "x");
    let message = pushed(&site, &commit);
    let cut = format!("{}…", "n".repeat(1023));
    assert_eq!(message.authors(), [&*cut]);
    assert!(message.whole["msg"].get("authors_truncated").is_none());
    // So is a tagger's; an address has no place in a message.
    let tag = format!("object {commit}\ntype commit\ntag t\ntagger {name} <{name}> 1 +0000\n\nx");
    let tag = object(&site, "tag", tag);
    let push = site.push(&[&format!("{tag}:refs/tags/t")]);
    assert_eq!(push.only()["rev"], tag);
    assert_eq!(push.only().authors(), [&*cut]);
}

#[test]
fn a_message_of_20_megabytes_is_not_looked_at() {
    let site = started();
    let text = "author M <m> 1 +0000\n".repeat(1_000_000);
    let commit = commit_on_main(&site, IDENT, &text);
    let message = pushed(&site, &commit);
    assert_eq!(message["end_commit"], commit);
    assert_eq!(message.authors(), ["Ada"]);
    let tag = format!("object {commit}\ntype commit\ntag t\ntagger T <t> 1 +0000\n\n{text}");
    let tag = object(&site, "tag", tag);
    let push = site.push(&[&format!("{tag}:refs/tags/t")]);
    assert_eq!(push.only()["rev"], tag);
    assert_eq!(push.only().authors(), ["Ada"]);
}

#[test]
fn a_chain_of_a_thousand_tags_leads_to_its_commit() {
    let site = started();
    let script = format!(
        "id=$(git rev-parse main) type=commit
         for n in $(seq 1000); do
         id=$(printf 'object %s\\ntype %s\\ntag t%s\\ntagger {IDENT}\\n\\nx' $id $type $n |
         git hash-object --literally -w --stdin -t tag) type=tag
         done; echo $id"
    );
    let ran = site.run("sh").dir(&site.work).args(["-c", &script]).run();
    let tag = ran.well().stdout.trim().to_owned();
    let push = site.push(&[&format!("{tag}:refs/tags/deep")]);
    assert_eq!(push.about(), [("git.tag.creation", "deep")]);
    assert_eq!(push.only()["rev"], tag);
    assert_eq!(push.only().authors(), ["Ada"]);
}

#[test]
fn a_tree_of_ten_thousand_levels_is_walked_to_its_end() {
    let site = started();
    let blob = site.bare_git(&["rev-parse", "main:a"]);
    let mut trees = Trees::new(&site);
    let mut tree = trees.make(&format!("100644 blob {blob}\tfile"));
    for _ in 0..10_000 {
        tree = trees.make(&format!("040000 tree {tree}\td"));
    }
    let short = tree.clone();
    // Of 200 bytes each the path alone is longer than a body may be.
    let name = "d".repeat(200);
    tree = trees.make(&format!("100644 blob {blob}\tfile"));
    for _ in 0..10_000 {
        tree = trees.make(&format!("040000 tree {tree}\t{name}"));
    }
    trees.end();
    let message = previewed(&site, &short);
    let path = format!("{}file", "d/".repeat(10_000));
    assert_eq!(message.changed(), [(path, "A".to_owned())]);
    let message = previewed(&site, &tree);
    assert_eq!(message.changed(), []);
    assert_eq!(message["changed_files_truncated"], true);
    assert_eq!(message["total_changed_files"], 1);
}

#[test]
fn a_git_bomb_is_counted_up_to_a_million() {
    let site = started();
    let blob = site.bare_git(&["rev-parse", "main:a"]);
    let mut trees = Trees::new(&site);
    let ten = |entry: &str| -> String {
        let entries: Vec<_> = (0..10).map(|number| format!("{entry}{number}")).collect();
        entries.join("\n")
    };
    let mut files = trees.make(&ten(&format!("100644 blob {blob}\tf")));
    let mut folders = trees.make("");
    for _ in 0..9 {
        files = trees.make(&ten(&format!("040000 tree {files}\td")));
        folders = trees.make(&ten(&format!("040000 tree {folders}\td")));
    }
    trees.end();
    let message = previewed(&site, &files);
    assert_eq!(message["changed_files_truncated"], true);
    assert_eq!(message["total_changed_files"], 1_000_000);
    assert_eq!(message.changed().len(), 3000);
    // No file in 10^9 folders.
    let message = previewed(&site, &folders);
    assert_eq!(message["changed_files_truncated"], true);
    assert_eq!(message["total_changed_files"], 0);
    assert_eq!(message.changed(), []);
}

#[test]
fn an_entry_that_claims_a_terabyte_steps_aside_and_others_pass() {
    let site = Site::new();
    site.commit("a");
    site.push(&["main"]);
    site.spooled();
    site.commit("b");
    site.push(&["main"]);
    let new = site.spool().join("new");
    let good = names(&new).remove(0);
    let bad = format!("2020{}", &good[4..]);
    let first = format!(
        "refpost-entry 1 {} {}\n",
        (1_u64 << 40) - 128,
        "0".repeat(64)
    );
    fs::write(new.join(&bad), first).unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(new.join(&bad))
        .unwrap();
    file.set_len(1 << 40).unwrap();
    let ran = site.refpost(["flush", "test.git"]).run();
    assert_eq!(ran.status, 0);
    assert!(
        ran.stderr.contains(
            "its header is said to have 1099511627648 bytes, and none has more than 33554432: \
             it lies in `failed/unreadable/` now"
        ),
        "{}",
        ran.stderr
    );
    assert_eq!(site.receiver.take().len(), 1);
    assert_eq!(names(&site.spool().join("failed/unreadable")), [bad]);
    assert_eq!(names(&new), [""; 0]);
}
