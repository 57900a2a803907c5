//! What refpost costs, beside what a user would take instead and the least that it
//! could cost, all from one run.
//!
//! `cargo bench` prints one table; `cargo bench -- hook walk` only those parts of it.
//! Everybody who is compared takes a turn in each round, and a figure is the median of
//! the rounds, so that a machine that is slow for a while is slow for all: trust the
//! ratios.

#![allow(clippy::unwrap_used, reason = "a bench that panics has failed")]

mod bounds;
mod entries;
mod fleet;
mod flush;
mod formats;
mod hook;
mod latency;
mod measure;
mod overview;
mod peers;
mod receiver;
mod site;
mod spool;
mod table;
mod walk;

/// A part of the table, and what measures it.
type Part = (&'static str, fn());

/// In their order.
const PARTS: [Part; 9] = [
    ("hook", hook::measure),
    ("walk", walk::measure),
    ("formats", formats::measure),
    ("flush", flush::measure),
    ("fleet", fleet::measure),
    ("latency", latency::measure),
    ("spool", spool::measure),
    ("overview", overview::measure),
    ("bounds", bounds::measure),
];

fn main() {
    let mut wanted = vec![];
    let mut args = std::env::args();
    if hook::is_record(args.next().as_deref()) {
        return hook::record_here();
    }
    for arg in args {
        match arg.as_str() {
            // cargo's own.
            "--bench" => {}
            _ if PARTS.iter().any(|(name, _)| *name == arg) => wanted.push(arg),
            _ => panic!("there is no part `{arg}`"),
        }
    }
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            measure();
        }
    }
}
