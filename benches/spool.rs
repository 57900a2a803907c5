//! What a record in the spool costs, beside the least that it could cost.
//!
//! `cargo bench --bench spool` prints a table. Each figure is the median of several
//! rounds in which everybody takes a turn, so that a machine that is slow for a
//! while is slow for all. Trust the ratios, not the milliseconds.
//!
//! `refpost hook post-receive` in mode `spool`, a whole process in a real repository,
//! beside the floor of what is durable (write, fsync, link, fsync of the directory,
//! unlink: in the same folder) and of what is a process (`/bin/true`). What a flush
//! costs is in `benches/flush.rs`.

#![allow(clippy::unwrap_used, reason = "a bench that panics has failed")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use support::site::Site;
use support::{head, median, row, time};

/// How often each of them is done.
const ROUNDS: usize = 201;

fn main() {
    let folder = tempfile::Builder::new()
        .prefix("refpost-bench-")
        .tempdir()
        .unwrap();
    // Nobody is dialled.
    let site = Site::new(folder.path(), &["http://localhost/".to_owned()]);
    head("enqueue, one push of one commit");
    enqueue(&site);
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
    for n in 0..ROUNDS {
        hooks.push(time(|| site.hook()));
        floors.push(time(|| floor(&site.spool(), n, &bytes)));
        trues.push(time(|| {
            assert!(Command::new("/bin/true").status().unwrap().success());
        }));
    }
    assert_eq!(fs::read_dir(&new).unwrap().count(), ROUNDS + 1);
    let (hook, durable, process) = (median(hooks), median(floors), median(trues));
    let both = durable + process;
    row(
        "write, fsync, link, fsync: the durable floor",
        durable,
        both,
    );
    row("spawn of /bin/true: the floor of a process", process, both);
    row("both floors together", both, both);
    row("refpost hook post-receive", hook, both);
}
