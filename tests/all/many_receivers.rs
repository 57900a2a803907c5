//! Many repositories with receivers of their own, and few open files.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::spooled::{files_below, sibling};
use crate::support::{Background, REFPOST, Receiver, Spooled};

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
        std::fs::write(bare.join("refpost.toml"), config).unwrap();
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
        std::thread::sleep(Duration::from_millis(50));
    }
}
