//! What benches share: a site with a spool, receivers, processes that are watched,
//! and the table.

#![allow(dead_code, reason = "no bench uses all of it")]
#![allow(unreachable_pub, reason = "each bench has this room to itself")]
#![allow(clippy::unwrap_used, reason = "a bench that panics has failed")]

pub mod entries;
pub mod peers;
pub mod receiver;
pub mod site;

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// The binary that is measured.
pub const REFPOST: &str = env!("CARGO_BIN_EXE_refpost");

/// What a process took.
pub struct Cost {
    pub time: Duration,
    /// The peak of its anonymous memory, in KiB.
    pub memory: u64,
}

/// The cases that were named on the command line, or all:
/// `cargo bench --bench NAME -- CASE`.
pub fn is_wanted(name: &str) -> bool {
    let mut names = std::env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .peekable();
    names.peek().is_none() || names.any(|wanted| wanted == name)
}

/// A line of a table; `floor` is what the ratio is to.
pub fn row(what: &str, took: Duration, floor: Duration) {
    let ms = took.as_secs_f64() * 1000.0;
    let ratio = took.as_secs_f64() / floor.as_secs_f64();
    println!("{what:<48} {ms:>10.2} ms {ratio:>8.2}");
}

/// The head of such a table.
pub fn head(what: &str) {
    println!("{what:<48} {:>13} {:>8}", "median", "ratio");
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

pub fn time(act: impl FnOnce()) -> Duration {
    let started = Instant::now();
    act();
    started.elapsed()
}

/// Runs a command that says nothing to its end, and watches its memory (`RssAnon`,
/// proc(5), looked at every millisecond).
pub fn watch(command: &mut Command) -> Cost {
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watcher = thread::spawn(move || peak(&status));
    assert!(child.wait().unwrap().success(), "{command:?}");
    Cost {
        time: started.elapsed(),
        memory: watcher.join().unwrap(),
    }
}

fn peak(status: &str) -> u64 {
    let mut most = 0;
    while let Ok(text) = fs::read_to_string(status) {
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        // A zombie has none.
        let Some(line) = line else { break };
        let kib = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        most = most.max(kib);
        thread::sleep(Duration::from_millis(1));
    }
    most
}
