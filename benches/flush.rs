//! What a flush costs, however much the spool holds, beside clients that post the same
//! bodies and keep no account of it.
//!
//! `cargo bench --bench flush [-- CASE…]` prints the tables. Each figure is the median
//! of several rounds in which everybody takes a turn, so that a machine that is slow
//! for a while is slow for all. Trust the ratios, not the milliseconds.
//!
//! - `serial`: 10,000 entries of 2 KiB for one endpoint, beside reqwest and wrk with
//!   one connection, a bare socket, and curl in a loop.
//! - `eight`: the same entries for eight endpoints, beside reqwest and wrk with eight.
//! - `dead`: 100,000 entries wait for an endpoint that is down, and none is due.
//! - `search`: 10,000 repositories, 50 of which have something waiting, beside `find`.
//! - `memory`: the peak of anonymous memory, by what the spool holds.
//! - `million`: the same for a million names; only if it is named, as it takes minutes.

#![allow(clippy::unwrap_used, reason = "a bench that panics has failed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use support::entries::Template;
use support::receiver::Receiver;
use support::site::Site;
use support::{Cost, REFPOST, head, is_wanted, median, peers, row, time, watch};

const ROUNDS: usize = 3;
const ENTRIES: usize = 10_000;
/// About what an entry of one commit takes on disk.
const SIZE: usize = 2048;
/// curl takes this many turns, and stands for all.
const CURLS: usize = 200;

fn main() {
    let folder = tempfile::Builder::new()
        .prefix("refpost-bench-")
        .tempdir()
        .unwrap();
    let folder = folder.path();
    if is_wanted("serial") {
        live(folder, 1);
    }
    if is_wanted("eight") {
        live(folder, 8);
    }
    if is_wanted("dead") {
        dead(folder);
    }
    if is_wanted("search") {
        search(folder);
    }
    if is_wanted("memory") {
        memory(folder);
    }
    if std::env::args().any(|arg| arg == "million") {
        println!("{:<48} {:>10} {:>13}", "flush", "memory", "time");
        waiting(folder, "million", 1, 1_000_000);
    }
}

/// All entries to so many endpoints that answer at once.
fn live(folder: &Path, endpoints: usize) {
    let folder = folder.join(format!("live{endpoints}"));
    fs::create_dir(&folder).unwrap();
    let receiver = Receiver::start();
    let urls = receiver.urls(endpoints);
    let site = Site::new(&folder, &urls);
    let template = Template::new(&site);
    let bodies: Vec<_> = (0..ENTRIES).map(|n| template.body(n, SIZE)).collect();
    let (mut refposts, mut clients, mut wrks, mut sockets) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        template.fill(&site.spool().join("new"), &bodies);
        receiver.count();
        refposts.push(time(|| assert!(site.flush().status().unwrap().success())));
        assert_eq!(receiver.count(), endpoints * ENTRIES);
        clients.push(time(|| peers::by_reqwest(&urls, &bodies)));
        assert_eq!(receiver.count(), endpoints * ENTRIES);
        wrks.extend(peers::by_wrk(&folder, &receiver, endpoints, &bodies[0]));
        if endpoints == 1 {
            sockets.push(time(|| peers::by_socket(&receiver, &bodies)));
        }
    }
    let curl = time(|| peers::by_curl(&urls[0], &bodies[..CURLS]));
    let all = u32::try_from(ENTRIES * endpoints).unwrap();
    let curl = curl / u32::try_from(CURLS).unwrap() * all;

    let client = median(clients);
    head(&format!(
        "{ENTRIES} entries of {SIZE} bytes, {endpoints} endpoints"
    ));
    if !wrks.is_empty() {
        row(
            "wrk, as many connections, one body",
            median(wrks) * all,
            client,
        );
    }
    if !sockets.is_empty() {
        row("a bare socket", median(sockets), client);
    }
    row("reqwest, as many connections, no spool", client, client);
    row("refpost flush", median(refposts), client);
    row(&format!("curl in a loop ({CURLS}, scaled)"), curl, client);
    println!();
}

/// A time within the longest delay, as names have it.
fn in_an_hour() -> String {
    let due = SystemTime::now() + Duration::from_secs(3600);
    let due = humantime::format_rfc3339_seconds(due).to_string();
    due.replace(['-', ':'], "")
}

/// A site with so many names in each of so many queues, none of which is due. The files
/// are empty: whoever opens one sets it aside.
fn held(folder: &Path, queues: usize, names: usize) -> Site {
    fs::create_dir(folder).unwrap();
    let site = Site::new(folder, &["http://localhost:9/".to_owned()]);
    let template = Template::new(&site);
    let due = in_an_hour();
    for queue in 0..queues {
        let queue = site.spool().join(format!("retry/q{queue}"));
        fs::create_dir(&queue).unwrap();
        for n in 0..names {
            fs::write(queue.join(template.waiting(n, &due)), "").unwrap();
        }
    }
    site
}

fn dead(folder: &Path) {
    let site = held(&folder.join("dead"), 1, 100_000);
    let (mut flushes, mut lists) = (vec![], vec![]);
    let queue = site.spool().join("retry/q0");
    for _ in 0..ROUNDS {
        flushes.push(time(|| assert!(site.flush().status().unwrap().success())));
        lists.push(time(|| {
            let mut ls = Command::new("ls");
            ls.arg("-U").arg(&queue).stdout(Stdio::null());
            assert!(ls.status().unwrap().success());
        }));
    }
    // None was opened.
    assert_eq!(fs::read_dir(&queue).unwrap().count(), 100_000);
    head("100,000 entries wait, none is due");
    let list = median(lists);
    row("ls -U of them", list, list);
    row("refpost flush", median(flushes), list);
    println!();
}

/// Bare repositories, a hundred in a folder.
fn repositories(root: &Path, count: usize) -> Vec<PathBuf> {
    let repository = |n: usize| {
        let bare = root.join(format!("{:03}/{n}.git", n / 100));
        for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
            fs::create_dir_all(bare.join(folder)).unwrap();
        }
        for folder in ["hooks", "info", "branches"] {
            fs::create_dir(bare.join(folder)).unwrap();
        }
        fs::write(bare.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
        fs::write(bare.join("config"), config).unwrap();
        fs::write(bare.join("description"), "").unwrap();
        bare
    };
    (0..count).map(repository).collect()
}

/// Gives the spool of a site to so many repositories, spread evenly.
fn with_work(site: &Site, repositories: &[PathBuf], count: usize) {
    for bare in repositories.iter().step_by(repositories.len() / count) {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(site.bare.join("refpost")).arg(bare);
        assert!(copy.status().unwrap().success());
        fs::copy(site.bare.join("refpost.toml"), bare.join("refpost.toml")).unwrap();
    }
}

fn search(folder: &Path) {
    let site = held(&folder.join("search"), 1, 1);
    let root = folder.join("root");
    let all = repositories(&root, 10_000);
    let flush = || site.command(REFPOST, &["flush", root.to_str().unwrap()]);
    let (mut nothing, mut flushes, mut finds) = (vec![], vec![], vec![]);
    let find = || {
        let mut find = Command::new("find");
        find.arg(&root)
            .args(["-maxdepth", "3"])
            .stdout(Stdio::null());
        assert!(find.status().unwrap().success());
    };
    for _ in 0..ROUNDS {
        finds.push(time(find));
        nothing.push(time(|| assert!(flush().status().unwrap().success())));
    }
    with_work(&site, &all, 50);
    for _ in 0..ROUNDS {
        flushes.push(time(|| {
            let mut flush = flush();
            flush.stderr(Stdio::null());
            assert!(flush.status().unwrap().success());
        }));
    }
    head("10,000 repositories below a folder");
    let find = median(finds);
    row("find -maxdepth 3", find, find);
    row("refpost flush, none with work", median(nothing), find);
    row(
        "refpost flush, 50 with work that is not due",
        median(flushes),
        find,
    );
    println!();
}

fn memory_row(what: &str, cost: &Cost) {
    let (whole, tenth) = (cost.memory / 1024, cost.memory % 1024 * 10 / 1024);
    let seconds = cost.time.as_secs_f64();
    println!("{what:<48} {whole:>4}.{tenth} MiB {seconds:>11.3} s");
}

fn waiting(folder: &Path, name: &str, queues: usize, names: usize) {
    let site = held(&folder.join(name), queues, names);
    let cost = watch(&mut site.flush());
    memory_row(&format!("{queues} queues of {names}, none is due"), &cost);
    fs::remove_dir_all(site.folder).unwrap();
}

fn memory(folder: &Path) {
    println!("{:<48} {:>10} {:>13}", "flush", "memory", "time");
    waiting(folder, "one", 1, 100_000);
    waiting(folder, "many", 1_000, 100);

    // Nobody listens: all are distributed, and the first is tried.
    let down = folder.join("down");
    fs::create_dir(&down).unwrap();
    let site = Site::new(&down, &["http://127.0.0.1:9/".to_owned()]);
    let template = Template::new(&site);
    let body = template.body(0, SIZE);
    for n in 0..100_000 {
        let path = site.spool().join("new").join(template.id(n));
        fs::write(path, template.entry(n, &body)).unwrap();
    }
    let cost = watch(site.flush().stderr(Stdio::null()));
    memory_row("100,000 in new/, their endpoint is down", &cost);
    fs::remove_dir_all(down).unwrap();

    let large = folder.join("large");
    fs::create_dir(&large).unwrap();
    let receiver = Receiver::start();
    let site = Site::new(&large, &receiver.urls(8));
    let template = Template::new(&site);
    let bodies: Vec<_> = (0..50).map(|n| template.body(n, 1 << 20)).collect();
    template.fill(&site.spool().join("new"), &bodies);
    let cost = watch(&mut site.flush());
    assert_eq!(receiver.count(), 8 * bodies.len());
    memory_row("50 of 1 MiB, to 8 endpoints", &cost);

    let site = held(&folder.join("spread"), 1, 1);
    let root = folder.join("spread/root");
    with_work(&site, &repositories(&root, 2_000), 2_000);
    let mut flush = site.command(REFPOST, &["flush", root.to_str().unwrap()]);
    let cost = watch(flush.stderr(Stdio::null()));
    memory_row("2,000 repositories with work", &cost);
    println!();
}
