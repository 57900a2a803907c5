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
    /// The most anonymous memory that refpost had, in KiB.
    pub(crate) memory: Option<u64>,
    /// The line of the chart that this is a point of, and its size.
    pub(crate) point: Option<(String, usize)>,
}

/// A line of the chart: cost against size.
pub(crate) struct Series {
    /// What grows.
    pub(crate) name: String,
    /// Size, refpost's cost and git's, in seconds.
    pub(crate) points: Vec<(f64, f64, f64)>,
}

/// All that was measured in this run.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a line.
    pub(crate) fn row(&mut self, row: Row) {
        let ratio = seconds(row.cost) / seconds(row.peer_cost);
        let memory = row.memory.map_or(String::new(), |kib| {
            format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024)
        });
        println!(
            "{:<46} {:>11} {:>11} {ratio:>7.2} {memory:>9}  {}",
            row.what,
            text(row.cost),
            text(row.peer_cost),
            row.peer
        );
        self.rows.push(row);
    }

    /// The lines of the chart, in the order in which they were measured.
    pub(crate) fn series(&self) -> Vec<Series> {
        let mut all: Vec<Series> = vec![];
        for row in &self.rows {
            let Some((name, size)) = &row.point else {
                continue;
            };
            #[allow(clippy::cast_precision_loss, reason = "sizes are round numbers")]
            let point = (*size as f64, seconds(row.cost), seconds(row.peer_cost));
            match all.iter_mut().find(|series| series.name == *name) {
                Some(series) => series.points.push(point),
                None => all.push(Series {
                    name: name.clone(),
                    points: vec![point],
                }),
            }
        }
        all
    }
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
        "\n{name:<46} {:>11} {:>11} {:>7} {:>9}  beside",
        "refpost", "peer", "ratio", "memory"
    );
}

/// A line of something that has no peer.
pub(crate) fn fact(what: &str, figure: impl std::fmt::Display) {
    println!("{what:<46} {figure:>11}");
}
