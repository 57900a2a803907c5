//! Clocks, and what a process takes.

use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// How long something takes.
pub(crate) fn time(act: impl FnOnce()) -> Duration {
    let started = Instant::now();
    act();
    started.elapsed()
}

/// The processor time, user and system, of the processes that this starts and waits
/// for.
pub(crate) fn cost(act: impl FnOnce()) -> Duration {
    let before = children();
    act();
    children().checked_sub(before).unwrap()
}

fn children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let total = usage.user_time() + usage.system_time();
    let micros = total.tv_sec() * 1_000_000 + total.tv_usec();
    Duration::from_micros(micros.try_into().unwrap())
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The time within which so many of a hundred are.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent).div_ceil(100).max(1) - 1]
}

pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Waits for a process, and gives the most anonymous memory that it had (`RssAnon`,
/// proc(5), looked at every millisecond; mapped packs do not count), in KiB.
pub(crate) fn watch(child: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let watcher = thread::spawn(move || peak(&status));
    assert!(child.wait().unwrap().success());
    watcher.join().unwrap()
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
