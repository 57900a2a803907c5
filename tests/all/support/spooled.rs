//! A site whose spool is looked into.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::{Answer, KEY, Push, REFPOST, Ran, Receiver, Request, Site};

/// What does not happen in this time never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// A site with one commit in it from the start, so that each push to `main` is one
/// message, and with the receiver as endpoint `one`.
pub(crate) struct Spooled {
    site: Site,
}

impl Deref for Spooled {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Spooled {
    /// Messages wait for a flush.
    pub(crate) fn new() -> Self {
        Self::with("mode = \"spool\"")
    }

    /// `top` is what the configuration says besides the endpoint.
    pub(crate) fn with(top: &str) -> Self {
        let spooled = Self { site: Site::new() };
        fs::remove_file(spooled.bare.join("refpost.toml")).unwrap();
        spooled.commit("first");
        spooled.push(&["main"]);
        spooled.configure(top, "");
        spooled
    }

    /// Writes the repository's configuration. `rest` comes after endpoint `one`.
    pub(crate) fn configure(&self, top: &str, rest: &str) {
        let url = self.receiver.url("/one");
        let one = format!("[[endpoint]]\nname = \"one\"\nurl = \"{url}\"");
        self.settings(&format!("key = \"{KEY}\"\n{top}\n{one}\n{rest}\n"));
    }

    /// Writes the repository's configuration, which whoever reads it at the same
    /// time finds whole: half of one asks for less.
    pub(crate) fn settings(&self, text: &str) {
        let whole = self.write("refpost.toml", text);
        fs::rename(whole, self.bare.join("refpost.toml")).unwrap();
    }

    /// Another endpoint at the same receiver, which tells them apart by their paths.
    pub(crate) fn endpoint(&self, name: &str) -> String {
        let url = self.receiver.url(&format!("/{name}"));
        format!("\n[[endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\n")
    }

    /// Where the spool is by default.
    pub(crate) fn spool(&self) -> PathBuf {
        self.bare.join("refpost/spool")
    }

    /// Commits, and pushes that. Gives the commit, and what came of the push.
    #[track_caller]
    pub(crate) fn announce(&self) -> (String, Push) {
        let commit = self.commit("file");
        let push = self.try_push(&["origin", "main"]);
        assert_eq!(push.status, 0, "{}", push.said);
        (commit, push)
    }

    /// As many pushes of a commit each; gives the commits.
    #[track_caller]
    pub(crate) fn announce_many(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.announce().0).collect()
    }

    /// Makes commits in the clone, each the child of the one before, to be pushed
    /// one by one.
    pub(crate) fn chain(&self, count: usize) -> Vec<String> {
        let mut script = String::new();
        for n in 0..count {
            let from = if n == 0 { "from refs/heads/main\n" } else { "" };
            let time = 1_800_000_000 + n;
            write!(
                script,
                "commit refs/heads/chain\ncommitter C <c@example.org> {time} +0000\n\
                 data 1\nx\n{from}M 100644 inline chain\ndata <<END\n{n}\nEND\n\n",
            )
            .unwrap();
        }
        let args = ["fast-import", "--quiet"];
        self.git_run(&args).stdin(script).run().well();
        let range = ["rev-list", "--reverse", "main..chain"];
        self.git(&range).lines().map(str::to_owned).collect()
    }

    /// Flushes the repository.
    pub(crate) fn flush(&self) -> Ran {
        self.refpost(["flush"]).arg(&self.bare).run()
    }

    /// Flushes the repository; that has nothing to say. Gives what arrived.
    #[track_caller]
    pub(crate) fn flush_well(&self) -> Vec<Request> {
        let ran = self.flush().well();
        assert_eq!(ran.stdout, "");
        self.receiver.take()
    }

    /// A `refpost queue` command about the repository.
    pub(crate) fn queue(&self, args: &[&str]) -> Ran {
        let run = self.refpost(["queue"]).args(args);
        let scope = (args[0] != "list").then_some("--repo");
        run.args(scope).arg(&self.bare).run()
    }

    /// `queue retry --all`, without the flush that comes of it getting in the way.
    #[track_caller]
    pub(crate) fn retry_all(&self) {
        let ran = self.queue(&["retry", "--all"]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
    }

    /// The names in one of the spool's folders.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        names(&self.spool().join(folder))
    }

    /// Every file of the spool but `log`, `stats`, `counts`, `spare` and those of `sizes` and
    /// `announced`, by its path.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = files_below(&self.spool());
        files.retain(|file| !["log", "stats", "counts", "spare"].contains(&file.as_str()));
        files.retain(|file| !file.starts_with("sizes/") && !file.starts_with("announced/"));
        files
    }

    /// Changes what flushes tell each other, of which there must be something.
    pub(crate) fn change_stats(&self, change: impl FnOnce(&mut Value)) {
        let path = self.spool().join("stats");
        let mut stats = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut stats);
        fs::write(&path, stats.to_string()).unwrap();
    }

    /// Lets flushes have seen the clock for two hours, so that what is old expires.
    pub(crate) fn settle_clock(&self) {
        let since = SystemTime::now() - Duration::from_hours(2);
        let since = humantime::format_rfc3339_nanos(since).to_string();
        self.change_stats(|stats| stats["clock"]["since"] = Value::String(since));
    }

    /// The lines of the spool's log.
    pub(crate) fn attempts(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.spool().join("log")).unwrap_or_default();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The lines of a command that prints a JSON object a line.
    #[track_caller]
    pub(crate) fn objects(&self, args: &[&str]) -> Vec<Value> {
        let ran = self.refpost(args).arg(&self.bare).run().well();
        objects(&ran.stdout)
    }
}

/// A JSON object a line.
#[track_caller]
pub(crate) fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// The commits that messages tell of, in the order in which they came.
#[track_caller]
pub(crate) fn commits(requests: &[Request]) -> Vec<String> {
    let commit = |request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let field = &body["msg"]["end_commit"];
        field
            .as_str()
            .unwrap_or_else(|| panic!("{body}"))
            .to_owned()
    };
    requests.iter().map(commit).collect()
}

/// Those for this path at the receiver.
pub(crate) fn to(path: &str, requests: &[Request]) -> Vec<Request> {
    let start = format!("POST {path} ");
    let mut mine = requests.to_vec();
    mine.retain(|request| request.line.starts_with(&start));
    mine
}

/// The names in a folder, sorted; none if it is not there.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The files below a folder by their paths, sorted.
pub(crate) fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() && !path.is_symlink() {
            let below = files_below(&path).into_iter();
            files.extend(below.map(|file| format!("{name}/{file}")));
        } else {
            files.push(name);
        }
    }
    files
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(name: &str, process: u32) {
    let mut command = std::process::Command::new("kill");
    command.arg(format!("-{name}")).arg(process.to_string());
    assert!(command.status().unwrap().success());
}

/// The processes whose arguments have all of these texts in them.
pub(crate) fn processes(texts: &[&str]) -> Vec<u32> {
    let mut found = Vec::new();
    for name in names(Path::new("/proc")) {
        let Ok(process) = name.parse() else { continue };
        let line = fs::read(format!("/proc/{name}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        if texts.iter().all(|text| line.contains(text)) {
            found.push(process);
        }
    }
    found
}

/// Numbers that look random and come again with the same seed (xorshift64*).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

/// Takes connections, one after another, and does with each what no receiver
/// does. Ends with the test's process.
pub(crate) fn odd_receiver(converse: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            converse(stream.unwrap());
        }
    });
    format!("http://{address}/odd")
}

/// Reads a request and forgets it: its head, and as much body as the head says.
pub(crate) fn read_over(stream: &mut TcpStream) {
    use std::io::Read;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).unwrap_or("0");
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() >= length {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(read @ 1..) => bytes.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
}

/// Says something; whoever is gone need not hear it. Whether somebody is there.
pub(crate) fn say(stream: &mut TcpStream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).is_ok()
}

/// An answer with this status, after a while.
pub(crate) fn late(delay: Duration, status: u16) -> Answer {
    thread::sleep(delay);
    Answer::status(status)
}

/// Refuses messages about these commits with this status.
pub(crate) fn refuse(receiver: &Receiver, status: u16, commits_: &[&String]) {
    let refused: Vec<String> = commits_.iter().map(|&commit| commit.clone()).collect();
    receiver.script(move |request| {
        let commit = &commits(std::slice::from_ref(request))[0];
        Answer::status(if refused.contains(commit) {
            status
        } else {
            200
        })
    });
}

/// Another repository with the configuration and the first commit of the site's.
pub(crate) fn sibling(site: &Spooled, name: &str) -> PathBuf {
    let bare = site.bare(name);
    let text = bare.to_str().unwrap();
    site.git(&["push", "-q", text, "main"]);
    if site.bare.join("refpost.toml").exists() {
        fs::copy(site.bare.join("refpost.toml"), bare.join("refpost.toml")).unwrap();
    }
    symlink(REFPOST, bare.join("hooks/post-receive")).unwrap();
    bare
}

/// Commits, and pushes that to this repository.
pub(crate) fn announce_to(site: &Spooled, bare: &Path) -> String {
    let commit = site.commit("file");
    let push = site.git_run(&["push", "-q"]).arg(bare).arg("main").run();
    assert_eq!(push.status, 0, "{}", push.stderr);
    commit
}
