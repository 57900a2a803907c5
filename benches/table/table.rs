//! The table: a line for each thing that is measured, printed as soon as it is.

use std::time::Duration;

use crate::measure::seconds;

/// What was measured.
#[derive(Default)]
pub(crate) struct Row {
    /// What it is.
    pub(crate) what: String,
    /// Whom it is beside.
    pub(crate) peer: &'static str,
    /// What refpost takes.
    pub(crate) cost: Duration,
    /// What the peer takes.
    pub(crate) peer_cost: Duration,
    /// The largest ratio that is aimed at.
    pub(crate) most: Option<f64>,
    /// The most anonymous memory that refpost had, in KiB.
    pub(crate) memory: Option<u64>,
}

/// Prints a line.
pub(crate) fn row(row: &Row) {
    // Of two that take no time at all, neither takes longer.
    let ratio = match (row.cost, row.peer_cost) {
        (Duration::ZERO, Duration::ZERO) => 1.0,
        (cost, peer_cost) => seconds(cost) / seconds(peer_cost),
    };
    let memory = row.memory.map_or(String::new(), |kib| {
        format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024)
    });
    let most = row.most.map_or(String::new(), |most| {
        let sign = if ratio > most { '>' } else { ' ' };
        format!("{sign} {most:.1}")
    });
    println!(
        "{:<46} {:>11} {:>11} {ratio:>7.2} {most:>5} {memory:>9}  {}",
        row.what,
        text(row.cost),
        text(row.peer_cost),
        row.peer
    );
}

fn text(time: Duration) -> String {
    let seconds = seconds(time);
    if seconds < 10.0 {
        format!("{:.2} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

/// Begins a part of the table.
pub(crate) fn part(name: &str) {
    println!(
        "\n{name:<46} {:>11} {:>11} {:>7} {:>5} {:>9}  beside",
        "refpost", "peer", "ratio", "most", "memory"
    );
}

/// A line of something that has no peer.
pub(crate) fn fact(what: &str, figure: impl std::fmt::Display) {
    println!("{what:<46} {figure:>11}");
}
