//! The engine under a simulated clock, with simulated receivers and a script drawn from a
//! seed: pushes, kills, ends, changes of the configuration, jumps of the clock, commands, a full
//! disk.
//!
//! The spool is a real one, in memory where there is such a file system. All else is one
//! thread and one seed: a seed that fails fails again. `REFPOST_SEEDS` says how many are run,
//! `REFPOST_SEED` which one alone.

mod chance;
mod events;
mod fairness;
mod judge;
mod messages;
mod operator;
mod outage;
mod script;
mod simulated;
mod sync;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use script::Script;

/// Seeds of an ordinary run of the tests.
const SEEDS: u64 = 50;

fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async { Script::new(seed).run().await });
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_seed_keeps_the_promises() {
    let seeds = match number("REFPOST_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("REFPOST_SEEDS").unwrap_or(SEEDS),
    };
    let next = AtomicU64::new(*seeds.start());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return;
            }
            if std::panic::catch_unwind(|| run(seed)).is_err() {
                // The other threads begin no further seed.
                next.store(u64::MAX, Ordering::Relaxed);
                panic!("REFPOST_SEED={seed} fails");
            }
        }
    };
    std::thread::scope(|scope| {
        let others = std::thread::available_parallelism().map_or(0, |count| count.get() - 1);
        for _ in 0..others {
            scope.spawn(work);
        }
        work();
    });
}

/// Time for which a pusher waits.
const BUDGET: Duration = Duration::from_secs(3);

/// Longest time that a fault lasts, or that nothing happens.
const LONG: Duration = Duration::from_hours(6);
