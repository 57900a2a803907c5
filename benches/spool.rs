//! What the spool costs, beside the least that it could cost, measured in one run.
//!
//! `cargo bench --bench spool` prints a table. Each figure is the median of several
//! rounds in which everybody takes a turn, so that a machine that is slow for a
//! while is slow for all. Trust the ratios, not the milliseconds.
//!
//! - *Enqueue*: `refpost hook post-receive` in mode `spool`, a whole process in a
//!   real repository, beside the floor of what is durable (write, fsync, link, fsync
//!   of the directory, unlink: in the same folder) and of what is a process
//!   (`/bin/true`).
//! - *Flush*: 10,000 entries of 2 KiB, beside a client that posts the same bodies
//!   over one connection to the same receiver and keeps no account of it; with
//!   reqwest, which is what refpost sends with, and with a bare socket.

#![allow(clippy::unwrap_used, reason = "a bench that panics has failed")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const REFPOST: &str = env!("CARGO_BIN_EXE_refpost");

/// How often each of the quick things is done.
const QUICK_ROUNDS: usize = 201;
/// How often 10,000 entries are flushed.
const FLUSH_ROUNDS: usize = 3;
const ENTRIES: usize = 10_000;
/// About what an entry of one commit takes on disk.
const SIZE: usize = 2048;

fn main() {
    let folder = tempfile::Builder::new()
        .prefix("refpost-bench-")
        .tempdir()
        .unwrap();
    let site = Site::new(folder.path());
    println!(
        "{:<44} {:>12} {:>8}",
        "enqueue, one push of one commit", "median", "ratio"
    );
    enqueue(&site);
    println!();
    let what = format!("flush, {ENTRIES} entries of {SIZE} bytes");
    println!("{what:<44} {:>12} {:>8}", "median", "ratio");
    flush(&site);
}

/// A line of the table; `floor` is what the ratio is to.
fn row(what: &str, took: Duration, floor: Duration) {
    let ms = took.as_secs_f64() * 1000.0;
    let ratio = took.as_secs_f64() / floor.as_secs_f64();
    println!("{what:<44} {ms:>9.2} ms {ratio:>8.2}");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn time(act: impl FnOnce()) -> Duration {
    let started = Instant::now();
    act();
    started.elapsed()
}

/// A bare repository with two commits, and a receiver that answers 200 to all.
struct Site {
    folder: PathBuf,
    bare: PathBuf,
    /// What git writes to the hook.
    update: String,
    receiver: Receiver,
}

impl Site {
    fn new(folder: &Path) -> Self {
        let bare = folder.join("bench.git");
        let mut site = Self {
            folder: folder.to_owned(),
            bare,
            update: String::new(),
            receiver: Receiver::start(),
        };
        fs::write(folder.join("none"), "").unwrap();
        let bare = site.bare.to_str().unwrap().to_owned();
        site.run("git", &["init", "-q", "--bare", "-b", "main", &bare], "");
        let commit = |n: u8| {
            format!(
                "commit refs/heads/main\ncommitter Ada <ada@example.org> 17000000{n}0 +0000\n\
                 data 6\nchange\nM 100644 inline file\ndata 2\n{n}\n\n"
            )
        };
        let commits = [commit(0), commit(1)].concat();
        site.run("git", &["-C", &bare, "fast-import", "--quiet"], &commits);
        let log = site.run("git", &["-C", &bare, "rev-list", "main"], "");
        let [new, old] = log.lines().collect::<Vec<_>>()[..] else {
            panic!("two commits")
        };
        site.update = format!("{old} {new} refs/heads/main\n");
        let url = site.receiver.url();
        let config =
            format!("mode = \"spool\"\nquiet = true\nunsigned = true\nurls = [\"{url}\"]\n");
        fs::write(site.bare.join("refpost.toml"), config).unwrap();
        site
    }

    /// Runs a command to its end, with nothing of this machine's configuration.
    fn run(&self, program: &str, args: &[&str], input: &str) -> String {
        let mut child = self.command(program, args).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{program} {args:?}: {said}"
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_GLOBAL", self.folder.join("none"));
        command.env("REFPOST_CONFIG", self.folder.join("none"));
        command.args(args).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Enqueues an entry, as git has it done.
    fn hook(&self) {
        let mut command = self.command(REFPOST, &["hook", "post-receive"]);
        let mut child = command.current_dir(&self.bare).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(self.update.as_bytes()).unwrap();
        drop(input);
        assert!(child.wait().unwrap().success());
    }

    fn spool(&self) -> PathBuf {
        self.bare.join("refpost/spool")
    }

    fn flush(&self) {
        let said = self.run(REFPOST, &["flush", self.bare.to_str().unwrap()], "");
        assert_eq!(said, "");
    }
}

/// What any durable enqueue does, in the same file system.
fn floor(spool: &Path, n: usize, bytes: &[u8]) {
    let (tmp, new) = (
        spool.join(format!("tmp/{n}")),
        spool.join(format!("floor/{n}")),
    );
    let mut file = File::create(&tmp).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
    fs::hard_link(&tmp, &new).unwrap();
    File::open(spool.join("floor")).unwrap().sync_all().unwrap();
    fs::remove_file(&tmp).unwrap();
}

fn enqueue(site: &Site) {
    site.hook();
    let new = site.spool().join("new");
    let entry = fs::read_dir(&new).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(entry).unwrap();
    fs::create_dir(site.spool().join("floor")).unwrap();
    let (mut hooks, mut floors, mut trues) = (vec![], vec![], vec![]);
    for n in 0..QUICK_ROUNDS {
        hooks.push(time(|| site.hook()));
        floors.push(time(|| floor(&site.spool(), n, &bytes)));
        trues.push(time(|| {
            assert!(Command::new("/bin/true").status().unwrap().success());
        }));
    }
    fs::remove_dir_all(site.spool().join("floor")).unwrap();
    assert_eq!(fs::read_dir(&new).unwrap().count(), QUICK_ROUNDS + 1);
    let (hook, durable, process) = (median(hooks), median(floors), median(trues));
    row(
        "write, fsync, link, fsync: the durable floor",
        durable,
        durable + process,
    );
    row(
        "spawn of /bin/true: the floor of a process",
        process,
        durable + process,
    );
    row("both floors together", durable + process, durable + process);
    row("refpost hook post-receive", hook, durable + process);
    site.flush();
}

fn flush(site: &Site) {
    let template = Template::new(site);
    let bodies: Vec<Vec<u8>> = (0..ENTRIES).map(|n| template.body(n)).collect();
    let (mut refposts, mut sockets, mut clients) = (vec![], vec![], vec![]);
    for _ in 0..FLUSH_ROUNDS {
        template.fill(&site.spool().join("new"), &bodies);
        site.receiver.forget();
        refposts.push(time(|| site.flush()));
        assert_eq!(site.receiver.count(), ENTRIES);
        sockets.push(time(|| post_by_socket(&site.receiver, &bodies)));
        clients.push(time(|| post_by_reqwest(&site.receiver, &bodies)));
        assert_eq!(site.receiver.count(), 3 * ENTRIES);
    }
    let (client, socket) = (median(clients), median(sockets));
    row("a bare socket, one connection", socket, client);
    row("reqwest, one connection, no spool", client, client);
    row("refpost flush", median(refposts), client);
}

/// An entry that refpost wrote, to make many like it.
struct Template {
    id: String,
    header: serde_json::Value,
    body: Vec<u8>,
}

impl Template {
    fn new(site: &Site) -> Self {
        site.hook();
        let new = site.spool().join("new");
        let path = fs::read_dir(&new).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let start = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let line = String::from_utf8(bytes[..start].to_vec()).unwrap();
        let length: usize = line.split(' ').nth(2).unwrap().parse().unwrap();
        Self {
            id: path.file_name().unwrap().to_str().unwrap().to_owned(),
            header: serde_json::from_slice(&bytes[start..start + length]).unwrap(),
            body: bytes[start + length..].to_vec(),
        }
    }

    /// The body of an entry of the size that is wanted, unlike any other.
    fn body(&self, n: usize) -> Vec<u8> {
        let mut body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["msg"]["filler"] = "".into();
        body["msg_id"] = format!("2026-{n:08}-0000-4000-8000-000000000000").into();
        let length = serde_json::to_vec(&body).unwrap().len();
        body["msg"]["filler"] = "x".repeat(SIZE.saturating_sub(length)).into();
        serde_json::to_vec(&body).unwrap()
    }

    /// Writes an entry for each body, without flushing any: that was measured.
    fn fill(&self, new: &Path, bodies: &[Vec<u8>]) {
        use sha2::{Digest, Sha256};
        let random = self.id.len() - 16;
        for (n, body) in bodies.iter().enumerate() {
            let mut header = self.header.clone();
            let message = &mut header["content"]["built"]["messages"][0];
            message["length"] = body.len().into();
            message["sha256"] = hex::encode(Sha256::digest(body)).into();
            message["msg_id"] = format!("2026-{n:08}-0000-4000-8000-000000000000").into();
            let header = serde_json::to_vec(&header).unwrap();
            let sha256 = hex::encode(Sha256::digest(&header));
            let line = format!("refpost-entry 1 {} {sha256}\n", header.len());
            let id = format!("{}{n:016x}", &self.id[..random]);
            fs::write(new.join(id), [line.as_bytes(), &header, body].concat()).unwrap();
        }
    }
}

fn post_by_reqwest(receiver: &Receiver, bodies: &[Vec<u8>]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
        let client = builder.no_proxy().build().unwrap();
        for body in bodies {
            let answer = client.post(receiver.url()).body(body.clone()).send().await;
            assert!(answer.unwrap().status().is_success());
        }
    });
}

fn post_by_socket(receiver: &Receiver, bodies: &[Vec<u8>]) {
    let mut stream = TcpStream::connect(&receiver.address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for body in bodies {
        let head = format!(
            "POST /hook HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            receiver.address,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        read_head(&mut answers).unwrap();
    }
}

/// Reads a head; gives the length of its body. `None` at the end.
fn read_head(from: &mut impl BufRead) -> Option<usize> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if from.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            return Some(length);
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
}

/// Answers 200 to everything, and counts.
struct Receiver {
    address: String,
    requests: Arc<AtomicUsize>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let counter = Arc::clone(&counter);
                thread::spawn(move || answer(&stream.unwrap(), &counter));
            }
        });
        Self { address, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn forget(&self) {
        self.requests.store(0, Ordering::SeqCst);
    }
}

fn answer(stream: &TcpStream, counter: &AtomicUsize) {
    stream.set_nodelay(true).unwrap();
    let mut from = BufReader::new(stream);
    let mut body = Vec::new();
    while let Some(length) = read_head(&mut from) {
        body.resize(length, 0);
        from.read_exact(&mut body).unwrap();
        counter.fetch_add(1, Ordering::SeqCst);
        let mut to = stream;
        to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    }
}
