//! Many repositories with receivers of their own, and few open files.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::spooled::{files_below, sibling};
use crate::support::{Background, REFPOST, Receiver, Spooled, may_take_minutes};

const REPOSITORIES: usize = 60;
const RECEIVERS: usize = 40;

/// Open files that a process may have at the same time.
const LIMIT: &str = "64";

/// A site with so many repositories, in each a message for two receivers of forty.
fn many(receivers: &[Receiver]) -> Spooled {
    let site = Spooled::new();
    for n in 0..REPOSITORIES {
        let bare = sibling(&site, &format!("all/{n}.git"));
        let url = |k: usize| receivers[(n + k) % RECEIVERS].url("/x");
        let (one, two) = (url(0), url(7));
        let config = format!("unsigned = true\nmode = \"spool\"\nurls = [\"{one}\", \"{two}\"]\n");
        fs::write(bare.join("refpost.toml"), config).unwrap();
        let emit = site.refpost(["emit", "--topic", "x.y"]).arg(&bare);
        emit.stdin("{}").run().well();
    }
    site
}

fn flush(site: &Spooled, args: &[&str]) -> crate::support::Runner {
    let limited = format!("ulimit -n {LIMIT}; exec \"$@\"");
    let run = site
        .run("sh")
        .args(["-c", &limited, "sh", REFPOST, "flush"]);
    run.args(args).arg(site.path("all"))
}

fn waiting(site: &Spooled) -> usize {
    let files = files_below(Path::new(&site.path("all")));
    let of_spools = |file: &&String| file.contains("/spool/retry/") || file.contains("/spool/new/");
    files.iter().filter(of_spools).count()
}

/// A watch opened each spool that it had not yet looked through, and kept each connection.
#[test]
fn many_repositories_had_more_open_files_than_there_may_be() {
    let receivers: Vec<Receiver> = (0..RECEIVERS).map(|_| Receiver::start()).collect();
    let site = many(&receivers);
    flush(&site, &[]).run().well();
    assert_eq!(waiting(&site), 0);
    let came: usize = receivers.iter().map(|one| one.take().len()).sum();
    assert_eq!(came, 2 * REPOSITORIES);

    let site = many(&receivers);
    let begun = Instant::now();
    let _watch = Background::start(flush(&site, &["--watch"]));
    while waiting(&site) > 0 {
        // What failed is looked at again after 20 seconds.
        assert!(
            begun.elapsed() < Duration::from_secs(18),
            "{}",
            waiting(&site)
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// Bare repositories without what `git init` adds to the needful, with the configuration of one
/// endpoint.
fn bare_ones(site: &Spooled, count: usize) -> Vec<PathBuf> {
    let url = site.receiver.url("/x");
    let config = format!("unsigned = true\nmode = \"spool\"\nurls = [\"{url}\"]\n");
    let make = |n: usize| {
        let bare = site.path(format!("all/{}/{n}.git", n / 100));
        for folder in ["objects", "refs"] {
            fs::create_dir_all(bare.join(folder)).unwrap();
        }
        fs::write(bare.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(bare.join("config"), "[core]\n\tbare = true\n").unwrap();
        fs::write(bare.join("refpost.toml"), &config).unwrap();
        bare
    };
    (0..count).map(make).collect()
}

/// Puts a message into the spool of each repository.
fn emit(site: &Spooled, repositories: &[PathBuf]) {
    for bare in repositories {
        let emit = site.refpost(["emit", "--topic", "x.y"]).arg(bare);
        emit.stdin("{}").run().well();
    }
}

fn open_files(process: u32) -> usize {
    let folder = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    folder.count()
}

/// With the ordinary limit of open files, 446 of 1,200 messages of 600 repositories arrived.
#[test]
fn ten_thousand_watched_repositories_had_more_open_files_than_there_may_be() {
    if !may_take_minutes() {
        return;
    }
    let site = Spooled::new();
    let repositories = bare_ones(&site, 10_000);
    emit(&site, &repositories);
    let limited = "ulimit -n 1024; exec \"$@\"";
    let run = site.run("sh").args(["-c", limited, "sh", REFPOST]);
    let watch = Background::start(run.args(["flush", "--watch"]).arg(site.path("all")));
    let mut most_open = 0;
    let mut wait_for = |count: usize| {
        let begun = Instant::now();
        let mut came = 0;
        while came < count {
            came += site.receiver.take().len();
            most_open = most_open.max(open_files(watch.0.id()));
            assert!(
                begun.elapsed() < Duration::from_mins(10),
                "{came} of {count}"
            );
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(came, count);
    };
    wait_for(repositories.len());
    // What comes while it watches.
    let chosen: Vec<PathBuf> = repositories.into_iter().step_by(10).collect();
    emit(&site, &chosen);
    wait_for(chosen.len());
    assert!(most_open < 512, "{most_open} open files");
    assert_eq!(waiting(&site), 0);
}
