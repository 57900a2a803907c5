//! What a push pays for its hook, beside what it would pay otherwise.
//!
//! - *The process*: refpost as `post-receive` in mode `spool`, one commit, one endpoint,
//!   beside `git rev-parse HEAD` in the same repository; beside its floor, which is to
//!   start a process (`/bin/true`) and to write, fsync, link, fsync in the same folder;
//!   and beside `hook.py`, which is what people write otherwise.
//! - *The push*: what refpost adds to a whole `git push` of one commit, beside what
//!   the script adds, and what a hook adds that does nothing but such a record.
//! - *The count*: system calls (strace) and instructions (valgrind), where those are.

use std::env;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use crate::measure::{median, time};
use crate::receiver::Receiver;
use crate::site::{REFPOST, Site, commit, file, run};
use crate::table::{self, Row};

const PYTHON: &str = include_str!("hook.py");

/// How often each process is started.
const ROUNDS: usize = 51;
/// How often each repository is pushed to.
const PUSHES: usize = 51;

pub(crate) fn measure() {
    let hooks = Hooks::new();
    table::part("the hook, one commit");
    hooks.processes();
    hooks.pushes();
    hooks.counts();
}

/// A repository to push from, and bare ones to push to, by the hook that each has.
struct Hooks {
    site: Site,
    /// The source's commits, the oldest first.
    commits: Vec<String>,
    url: String,
}

const NAMES: [&str; 5] = ["none", "true", "record", "refpost", "python"];

impl Hooks {
    fn new() -> Self {
        let site = Site::new();
        site.import(|to| {
            for n in 0..=PUSHES {
                commit(to, "main", n, None);
                file(to, &format!("file-{}", n % 50), &n.to_string());
            }
        });
        let log = site.git(&["rev-list", "--reverse", "main"], "");
        let receiver = Receiver::start();
        let hooks = Self {
            commits: log.lines().map(str::to_owned).collect(),
            url: receiver.url(),
            site,
        };
        for name in NAMES {
            let args = ["init", "-q", "--bare", "-b", "main"];
            let folder = hooks.repository(name);
            hooks
                .site
                .git(&[&args[..], &[folder.to_str().unwrap()]].concat(), "");
            hooks.push(0, name);
        }
        symlink("/bin/true", hooks.script("true")).unwrap();
        symlink(env::current_exe().unwrap(), hooks.script("record")).unwrap();
        for folder in ["tmp", "failed"] {
            fs::create_dir(hooks.repository("record").join(folder)).unwrap();
        }
        symlink(REFPOST, hooks.script("refpost")).unwrap();
        fs::write(hooks.script("python"), PYTHON).unwrap();
        fs::set_permissions(hooks.script("python"), PermissionsExt::from_mode(0o755)).unwrap();
        hooks.site.configure(&[&hooks.url], "");
        let config = "refpost.toml";
        fs::copy(
            hooks.site.bare.join(config),
            hooks.repository("refpost").join(config),
        )
        .unwrap();
        hooks
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.site.folder().join(name)
    }

    fn script(&self, name: &str) -> PathBuf {
        self.repository(name).join("hooks/post-receive")
    }

    fn push(&self, commit: usize, to: &str) {
        let refspec = format!("{}:refs/heads/main", self.commits[commit]);
        let mut push = self.site.command("git");
        push.args(["push", "-q"]).arg(self.repository(to));
        run(push.arg(refspec).env("URL", &self.url), "");
    }

    /// A command that is run as git runs a hook of `repository`.
    fn hook(&self, repository: &str, program: impl AsRef<Path>) -> Command {
        let mut command = self.site.command(program);
        command.current_dir(self.repository(repository));
        command.env("GIT_DIR", ".").env("URL", &self.url);
        command
    }

    /// What git writes to a hook: the push of one commit.
    fn update(&self) -> String {
        format!("{} {} refs/heads/main\n", self.commits[0], self.commits[1])
    }

    fn processes(&self) {
        for name in NAMES {
            self.push(1, name);
        }
        let update = self.update();
        let mut parse = self.hook("refpost", "git");
        parse.args(["rev-parse", "HEAD"]);
        let mut commands = [
            self.hook("refpost", self.script("refpost")),
            parse,
            self.hook("refpost", "/bin/true"),
            self.hook("python", self.script("python")),
        ];
        run(&mut commands[0], &update);
        let folder = self.repository("refpost").join("refpost/spool");
        let mut taken = [const { vec![] }; 4];
        let mut records = vec![];
        for round in 0..ROUNDS {
            for (command, taken) in commands.iter_mut().zip(&mut taken) {
                taken.push(time(|| drop(run(command, &update))));
            }
            records.push(time(|| record(&folder, round)));
        }
        let [cost, git, start, python] = taken.map(median);
        let durable = median(records);
        let row = |peer, peer_cost, most| {
            table::row(&Row {
                what: "the process".to_owned(),
                peer,
                cost,
                peer_cost,
                most,
                ..Row::default()
            });
        };
        row("`git rev-parse HEAD`", git, Some(1.7));
        row("`/bin/true`, and a durable record", start + durable, None);
        row("`/bin/true` alone", start, None);
        row("a Python script", python, None);
    }

    fn pushes(&self) {
        let mut taken = NAMES.map(|_| vec![]);
        for commit in 2..=PUSHES {
            for (taken, name) in taken.iter_mut().zip(NAMES) {
                taken.push(time(|| self.push(commit, name)));
            }
        }
        let [none, start, durable, cost, python] = taken.map(median);
        let added = |to: Duration| to.saturating_sub(none);
        let row = |what: &str, peer, cost, peer_cost, most| {
            table::row(&Row {
                what: what.to_owned(),
                peer,
                cost,
                peer_cost,
                most,
                ..Row::default()
            });
        };
        row("`git push`", "no hook", cost, none, None);
        let cost = added(cost);
        for (peer, peer_cost, most) in [
            ("what `/bin/true` adds", start, None),
            ("what a durable record adds", durable, Some(1.5)),
            ("what a Python script adds", python, None),
        ] {
            row("what that adds", peer, cost, added(peer_cost), most);
        }
    }

    fn counts(&self) {
        let traced = self.site.folder().join("traced");
        let mut strace = self.hook("refpost", "strace");
        strace.arg("-f").arg("-o").arg(&traced);
        if is_there("strace") {
            run(strace.arg(self.script("refpost")), &self.update());
            let text = fs::read_to_string(&traced).unwrap();
            // `PID call(…) = …`; an exit or a signal is no call.
            let calls: Vec<&str> = text
                .lines()
                .filter_map(|line| Some(line.split_once(' ')?.1.trim_start()))
                .filter(|call| !call.starts_with(['+', '-', '<']))
                .collect();
            let count = |names: &[&str]| {
                let is_one = |call: &&&str| names.iter().any(|name| call.starts_with(name));
                calls.iter().filter(is_one).count()
            };
            table::fact("system calls", calls.len());
            table::fact("flushes of the disk", count(&["fsync(", "fdatasync("]));
            let not_wanted = ["clone", "fork", "vfork", "epoll", "socket(AF_INET"];
            table::fact("threads, dials", count(&not_wanted));
        }
        let mut valgrind = self.hook("refpost", "valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        valgrind.arg(self.script("refpost")).stderr(Stdio::piped());
        if is_there("valgrind") {
            let mut child = valgrind.stdin(Stdio::piped()).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            input.write_all(self.update().as_bytes()).unwrap();
            drop(input);
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let (_, count) = said.split_once("Collected : ").unwrap();
            table::fact("instructions", count.lines().next().unwrap());
        }
        table::fact("bytes of the binary", fs::metadata(REFPOST).unwrap().len());
    }
}

/// Whether this binary is called as a hook: one that only records.
pub(crate) fn is_record(called: Option<&str>) -> bool {
    called.is_some_and(|called| called.ends_with("hooks/post-receive"))
}

/// A durable record in the repository that this runs in.
pub(crate) fn record_here() {
    record(Path::new("."), process::id());
}

/// What any durable record costs, in the same file system.
fn record(spool: &Path, n: impl Display) {
    let (tmp, new) = (
        spool.join(format!("tmp/{n}")),
        spool.join(format!("failed/{n}")),
    );
    let mut file = File::create(&tmp).unwrap();
    file.write_all(&[b'x'; 2048]).unwrap();
    file.sync_all().unwrap();
    fs::hard_link(&tmp, &new).unwrap();
    let folder = File::open(spool.join("failed")).unwrap();
    folder.sync_all().unwrap();
    fs::remove_file(&tmp).unwrap();
}

fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}
