//! What a push pays for its hook, beside what it would pay otherwise, in one run.
//!
//! `cargo bench --bench hook` prints three tables. Whoever is compared takes a turn in
//! each round, and a figure is the median of the rounds: trust the ratios.
//!
//! - *The process*: refpost as `post-receive` in mode `spool`, one commit, one endpoint,
//!   beside `git rev-parse HEAD` in the same repository, `/bin/true`, what any durable
//!   record costs, and `hook.py`, which is what people write otherwise.
//! - *The push*: what each of them adds to a whole `git push` of one commit.
//! - *The count*: system calls (strace) and instructions (valgrind), where those are.

#![allow(clippy::unwrap_used, reason = "a bench that panics has failed")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const REFPOST: &str = env!("CARGO_BIN_EXE_refpost");
const PYTHON: &str = include_str!("hook.py");

/// How often each process is started.
const ROUNDS: usize = 51;
/// How often each repository is pushed to.
const PUSHES: usize = 51;

fn main() {
    let folder = tempfile::Builder::new()
        .prefix("refpost-bench-")
        .tempdir()
        .unwrap();
    let site = Site::new(folder.path());
    site.processes();
    site.pushes();
    site.counts();
}

/// A repository to push from, bare ones to push to, and a receiver.
struct Site {
    folder: PathBuf,
    /// The source's commits, the oldest first.
    commits: Vec<String>,
    url: String,
}

/// The repositories that are pushed to, by the hook that each has.
const HOOKS: [(&str, &str); 4] = [
    ("none", "no hook"),
    ("true", "/bin/true"),
    ("refpost", "refpost"),
    ("python", "the Python script"),
];

impl Site {
    fn new(folder: &Path) -> Self {
        let mut site = Self {
            folder: folder.to_owned(),
            commits: vec![],
            url: receiver(),
        };
        fs::write(folder.join("server.toml"), "").unwrap();
        site.git("init -q --bare -b main source", "");
        let commits: Vec<String> = (0..=PUSHES).map(commit).collect();
        site.git("-C source fast-import --quiet", &commits.concat());
        let log = site.git("-C source rev-list --reverse main", "");
        site.commits = log.lines().map(str::to_owned).collect();
        for (name, _) in HOOKS {
            site.git(&format!("init -q --bare -b main {name}"), "");
            site.push(0, name);
        }
        let hook = |name: &str| folder.join(name).join("hooks/post-receive");
        symlink("/bin/true", hook("true")).unwrap();
        symlink(REFPOST, hook("refpost")).unwrap();
        fs::write(hook("python"), PYTHON).unwrap();
        fs::set_permissions(hook("python"), PermissionsExt::from_mode(0o755)).unwrap();
        let config = format!(
            "mode = \"spool\"\nquiet = true\nunsigned = true\nurls = [\"{}\"]\n",
            site.url
        );
        fs::write(folder.join("refpost/refpost.toml"), config).unwrap();
        site
    }

    /// A command that knows nothing of this machine's configuration.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().current_dir(&self.folder);
        // As a service has it: no wrappers of a person's own before git and python3.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("HOME", &self.folder);
        command.env("REFPOST_CONFIG", self.folder.join("server.toml"));
        command.env("URL", &self.url);
        command
    }

    fn git(&self, args: &str, input: &str) -> String {
        let mut command = self.command("git");
        command.args(args.split(' '));
        run(&mut command, input)
    }

    fn push(&self, commit: usize, to: &str) {
        let refspec = format!("{}:refs/heads/main", self.commits[commit]);
        self.git(&format!("-C source push -q ../{to} {refspec}"), "");
    }

    /// A command that is run as git runs a hook of `repository`.
    fn hook(&self, repository: &str, program: impl AsRef<Path>) -> Command {
        let mut command = self.command(program);
        command.current_dir(self.folder.join(repository));
        command.env("GIT_DIR", ".");
        command
    }

    fn refpost(&self) -> PathBuf {
        self.folder.join("refpost/hooks/post-receive")
    }

    /// What git writes to a hook: the first push of one commit.
    fn update(&self) -> String {
        format!("{} {} refs/heads/main\n", self.commits[0], self.commits[1])
    }

    fn processes(&self) {
        for (name, _) in HOOKS {
            self.push(1, name);
        }
        let update = self.update();
        let mut parse = self.hook("refpost", "git");
        parse.args(["rev-parse", "HEAD"]);
        let mut python = self.hook("python", self.folder.join("python/hooks/post-receive"));
        let mut commands = [
            ("/bin/true", self.hook("refpost", "/bin/true"), ""),
            ("git rev-parse HEAD", parse, ""),
            (
                "refpost as post-receive",
                self.hook("refpost", self.refpost()),
                &update,
            ),
        ];
        let folder = self.folder.join("refpost/refpost/spool");
        run(&mut commands[2].1, &update);
        let mut taken = [const { vec![] }; 5];
        for round in 0..ROUNDS {
            for (at, (_, command, input)) in commands.iter_mut().enumerate() {
                taken[at].push(time(|| drop(run(command, input))));
            }
            taken[3].push(time(|| record(&folder, round)));
            taken[4].push(time(|| drop(run(&mut python, &update))));
        }
        let medians = taken.map(median);
        let names = commands.iter().map(|(name, ..)| *name);
        let names = names.chain(["write, fsync, link, fsync", "the Python script"]);
        head("the process", "median", "ratio");
        for (name, took) in names.zip(medians) {
            let ratio = took.as_secs_f64() / medians[1].as_secs_f64();
            println!("{name:<28} {:>9.2} ms {ratio:>10.2}", ms(took));
        }
    }

    fn pushes(&self) {
        let mut taken = HOOKS.map(|_| vec![]);
        for commit in 2..=PUSHES {
            for (taken, (name, _)) in taken.iter_mut().zip(HOOKS) {
                taken.push(time(|| self.push(commit, name)));
            }
        }
        let medians = taken.map(median);
        head("the push of one commit", "median", "added");
        for ((_, what), took) in HOOKS.iter().zip(medians) {
            let added = ms(took) - ms(medians[0]);
            println!("{what:<28} {:>9.2} ms {added:>7.2} ms", ms(took));
        }
    }

    fn counts(&self) {
        head("the count, of one process", "", "");
        let traced = self.folder.join("traced");
        let mut strace = self.hook("refpost", "strace");
        strace.arg("-f").arg("-o").arg(&traced).arg(self.refpost());
        if is_there("strace") {
            run(&mut strace, &self.update());
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
            println!("{:<28} {:>12}", "system calls", calls.len());
            println!(
                "{:<28} {:>12}",
                "  flushes",
                count(&["fsync(", "fdatasync("])
            );
            // glibc asks nscd for an account, over a Unix socket.
            let not_wanted = ["clone", "fork", "vfork", "epoll", "socket(AF_INET"];
            println!("{:<28} {:>12}", "  threads, dials", count(&not_wanted));
        }
        let mut valgrind = self.hook("refpost", "valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        valgrind.arg(self.refpost()).stderr(Stdio::piped());
        if is_there("valgrind") {
            let mut child = valgrind.stdin(Stdio::piped()).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            input.write_all(self.update().as_bytes()).unwrap();
            drop(input);
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let (_, count) = said.split_once("Collected : ").unwrap();
            let count = count.lines().next().unwrap();
            println!("{:<28} {count:>12}", "instructions");
        }
        let bytes = fs::metadata(REFPOST).unwrap().len();
        println!("{:<28} {bytes:>12}", "bytes of the binary");
    }
}

fn head(what: &str, figure: &str, last: &str) {
    println!("\n{what:<28} {figure:>12} {last:>10}");
}

fn commit(n: usize) -> String {
    let time = 1_700_000_000 + n;
    let (name, line) = (format!("file-{}", n % 50), format!("{n:06}"));
    format!(
        "commit refs/heads/main\ncommitter Ada <ada@example.org> {time} +0000\n\
         data 6\nchange\nM 100644 inline {name}\ndata 6\n{line}\n\n"
    )
}

/// What any durable record costs, in the same file system.
fn record(spool: &Path, n: usize) {
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

/// Runs a command that has nothing to complain of; gives what it prints.
fn run(command: &mut Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who reads no input has ended already.
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn time(act: impl FnOnce()) -> Duration {
    let started = Instant::now();
    act();
    started.elapsed()
}

/// Answers 200 to everything; the Python script dials it.
fn receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&stream.unwrap());
        }
    });
    url
}

fn answer(stream: &TcpStream) {
    let mut from = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    from.read_exact(&mut vec![0; length]).unwrap();
    let mut to = stream;
    to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
}
