//! What a flush costs that has nothing to deliver, or much to hold: however much the
//! spool holds, and however many repositories there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::entries::Template;
use crate::measure::{median, time, watch};
use crate::receiver::Receiver;
use crate::site::{REFPOST, Site};
use crate::table::{self, Row};

const ROUNDS: usize = 3;

pub(crate) fn measure() {
    table::part("a flush of what is not due");
    dead();
    search();
    table::part("memory of a flush");
    memory();
}

/// A time within the longest delay, as names have it.
fn in_an_hour() -> String {
    let due = SystemTime::now() + Duration::from_hours(1);
    let due = humantime::format_rfc3339_seconds(due).to_string();
    due.replace(['-', ':'], "")
}

/// A site with so many names in each of so many queues, none of which is due. The files
/// are empty: whoever opens one sets it aside.
fn held(queues: usize, names: usize) -> Site {
    let site = Site::new();
    // What waits for an endpoint that is not configured is given up at once.
    let endpoint = |n| format!("[[endpoint]]\nname = \"q{n}\"\nurl = \"http://127.0.0.1:9/{n}\"\n");
    site.configure_alone(&(0..queues).map(endpoint).collect::<String>());
    let template = Template::new(&site);
    let due = in_an_hour();
    for queue in 0..queues {
        let queue = site.spool().join(format!("retry/q{queue}"));
        fs::create_dir_all(&queue).unwrap();
        for n in 0..names {
            fs::write(queue.join(template.waiting(n, &due)), "").unwrap();
        }
    }
    site
}

fn dead() {
    let site = held(1, 100_000);
    let queue = site.spool().join("retry/q0");
    let flush = |_| time(|| assert!(site.flush().status().unwrap().success()));
    let cost = median((0..ROUNDS).map(flush).collect());
    // None was opened.
    assert_eq!(fs::read_dir(&queue).unwrap().count(), 100_000);
    table::row(&Row {
        what: "100,000 entries wait for a dead endpoint".to_owned(),
        peer: "0.3 s",
        cost,
        peer_cost: Duration::from_millis(300),
        most: Some(1.0),
        ..Row::default()
    });
}

/// What the two take, by turns.
pub(crate) fn in_turn(ours: &mut Command, peer: &mut Command) -> (Duration, Duration) {
    let (mut costs, mut peer_costs) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        costs.push(time(|| assert!(ours.status().unwrap().success())));
        peer_costs.push(time(|| assert!(peer.status().unwrap().success())));
    }
    (median(costs), median(peer_costs))
}

/// Bare repositories, a hundred in a folder.
pub(crate) fn repositories(root: &Path, count: usize) -> Vec<PathBuf> {
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

/// A flush of all below a folder, which has nothing to say that matters here.
fn flush_below(site: &Site, root: &Path) -> Command {
    let mut flush = site.command(REFPOST);
    flush.arg("flush").arg(root).stderr(Stdio::null());
    flush
}

fn search() {
    let site = held(1, 1);
    let root = site.folder().join("root");
    let all = repositories(&root, 10_000);
    for count in [0, 50] {
        if count > 0 {
            with_work(&site, &all, count);
        }
        let mut find = Command::new("find");
        find.arg(&root).args(["-maxdepth", "3"]);
        find.stdout(Stdio::null());
        let (cost, peer_cost) = in_turn(&mut flush_below(&site, &root), &mut find);
        table::row(&Row {
            what: format!("10,000 repositories, {count} with work"),
            peer: "`find -maxdepth 3`",
            cost,
            peer_cost,
            ..Row::default()
        });
    }
}

fn memory() {
    let flush = |what: &str, site: &Site, command: &mut Command| {
        let started = Instant::now();
        let memory = watch(&mut command.spawn().unwrap());
        let cost = started.elapsed();
        let idle = Site::new();
        table::row(&Row {
            what: what.to_owned(),
            peer: "a flush of nothing",
            cost,
            peer_cost: time(|| assert!(idle.flush().status().unwrap().success())),
            most: None,
            memory: Some(memory),
        });
        site.forget();
    };
    for (what, queues, names) in [
        ("100,000 in a queue", 1, 100_000),
        ("100 in each of 1,000 queues", 1_000, 100),
    ] {
        let site = held(queues, names);
        flush(what, &site, &mut site.flush());
    }

    // Nobody listens: all are distributed, and the first is tried.
    let site = Site::new();
    let template = Template::new(&site);
    let body = template.body(0, 2048);
    for n in 0..100_000 {
        let path = site.spool().join("new").join(template.id(n));
        fs::write(path, template.entry(n, &body)).unwrap();
    }
    let mut command = site.flush();
    flush(
        "100,000 in new/, their endpoint is down",
        &site,
        command.stderr(Stdio::null()),
    );

    let receiver = Receiver::start();
    let urls = receiver.urls(8);
    let site = Site::new();
    site.configure(&urls.iter().map(String::as_str).collect::<Vec<_>>(), "");
    let template = Template::new(&site);
    let bodies: Vec<_> = (0..50).map(|n| template.body(n, 1 << 20)).collect();
    template.fill(&site.spool().join("new"), &bodies);
    flush("50 of 1 MiB, to 8 endpoints", &site, &mut site.flush());
    assert_eq!(receiver.count(), 8 * bodies.len());

    let site = held(1, 1);
    let root = site.folder().join("root");
    with_work(&site, &repositories(&root, 2_000), 2_000);
    flush(
        "2,000 repositories with work",
        &site,
        &mut flush_below(&site, &root),
    );
}
