//! The text that Prometheus reads: the classic format, version 0.0.4.

use std::fmt::Write as _;

use super::labels::Labels;
use super::scrape::{Receiver, Scrape, SpoolRow};
use crate::spool::{CountedOutcome, DELAYS, DURATIONS, Histogram};

/// A metric whose samples are written one after another.
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    samples: String,
}

impl<'a> Family<'a> {
    fn new(name: &'a str, kind: &'a str, help: &'a str) -> Self {
        Self {
            name,
            kind,
            help,
            samples: String::new(),
        }
    }

    fn gauge(name: &'a str, help: &'a str) -> Self {
        Self::new(name, "gauge", help)
    }

    /// Adds a sample. Labels without a value are left out.
    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: &str) {
        let given = labels.iter().filter(|(_, value)| !value.is_empty());
        let given = given.map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let given = given.collect::<Vec<_>>().join(",");
        let given = if given.is_empty() {
            given
        } else {
            format!("{{{given}}}")
        };
        let _ = writeln!(self.samples, "{}{suffix}{given} {value}", self.name);
    }

    /// Adds a time, if there is one.
    fn time(&mut self, labels: &[(&str, &str)], time: Option<u64>) {
        if let Some(time) = time {
            self.sample("", labels, &time.to_string());
        }
    }

    /// Adds the buckets, the sum and the count of a histogram.
    fn histogram(&mut self, labels: &Labels, values: &Histogram, bounds: &[u64; 8]) {
        let mut count = 0_u64;
        for (at, number) in values.counts.iter().enumerate() {
            count = count.saturating_add(*number);
            let bound = bounds
                .get(at)
                .map_or("+Inf".to_owned(), |it| in_seconds(*it));
            let labels = [&names(labels)[..], &[("le", &*bound)]].concat();
            self.sample("_bucket", &labels, &count.to_string());
        }
        let labels = names(labels);
        self.sample("_sum", &labels, &in_seconds(values.sum));
        self.sample("_count", &labels, &count.to_string());
    }

    fn write(self, text: &mut String) {
        if !self.samples.is_empty() {
            for (word, told) in [("HELP", self.help), ("TYPE", self.kind)] {
                text.push_str(&["# ", word, " ", self.name, " ", told, "\n"].concat());
            }
            text.push_str(&self.samples);
        }
    }
}

/// Writes all metrics. The rows have the names that are to be given.
#[must_use]
pub fn text(scrape: &Scrape, version: &str) -> String {
    let mut text = String::new();
    let mut build = Family::gauge("refpost_build_info", "The version of refpost, as a label.");
    build.sample("", &[("version", version)], "1");
    build.write(&mut text);
    queues(&scrape.receivers, &mut text);
    spools(&scrape.spools, &mut text);
    counters(&scrape.receivers, &mut text);
    text
}

fn queues(rows: &[Receiver], text: &mut String) {
    let mut entries = Family::gauge(
        "refpost_queue_entries",
        "Entries that wait in order, messages that were refused and wait for themselves, and what was given up.",
    );
    let mut attempts = Family::gauge(
        "refpost_queue_failed_attempts",
        "Failed attempts of the first waiting message, the most of any queue.",
    );
    let mut oldest = Family::gauge(
        "refpost_queue_oldest_entry_timestamp_seconds",
        "Time of the push of the oldest waiting entry.",
    );
    let mut next = Family::gauge(
        "refpost_queue_next_attempt_timestamp_seconds",
        "Time of the next attempt, the earliest of any queue.",
    );
    let mut delivered = Family::gauge(
        "refpost_queue_last_delivery_timestamp_seconds",
        "Time of the last delivery.",
    );
    for row in rows {
        let labels = names(&row.labels);
        let states = [
            ("waiting", row.waiting),
            ("refused", row.refused),
            ("failed", row.failed),
        ];
        for (state, count) in states {
            let labels = [&labels[..], &[("state", state)]].concat();
            entries.sample("", &labels, &count.to_string());
        }
        attempts.sample("", &labels, &row.failed_attempts.to_string());
        oldest.time(&labels, row.oldest);
        next.time(&labels, row.next);
        delivered.time(&labels, row.delivered);
    }
    for family in [entries, attempts, oldest, next, delivered] {
        family.write(text);
    }
}

fn spools(rows: &[SpoolRow], text: &mut String) {
    let mut entries = Family::gauge(
        "refpost_spool_entries",
        "Entries in no queue yet, entries that cannot be read, pushes under way, and pushes that could not be recorded.",
    );
    let mut oldest = Family::gauge(
        "refpost_spool_oldest_new_timestamp_seconds",
        "Time of the oldest entry that is in no queue yet.",
    );
    let mut read = Family::gauge(
        "refpost_spool_scrape_success",
        "1 if everything could be read, else 0.",
    );
    let mut free = Family::gauge(
        "refpost_spool_free_bytes",
        "Free bytes on the disk of a spool, the fewest of any.",
    );
    let mut flushed = Family::gauge(
        "refpost_last_flush_timestamp_seconds",
        "Time of the last flush of the spool that was flushed longest ago, within ten minutes.",
    );
    for row in rows {
        let labels = [("account", &*row.account), ("spool", &*row.spool)];
        read.sample("", &labels, if row.is_read { "1" } else { "0" });
    }
    // The rest is not told apart by account.
    let together = rows.iter().cloned().map(|row| SpoolRow {
        account: String::new(),
        ..row
    });
    let together = Scrape {
        receivers: Vec::new(),
        spools: together.collect(),
    };
    let detail = super::Detail {
        per_endpoint: true,
        per_spool: true,
    };
    for row in together.reduced(detail).spools {
        let labels = [("spool", &*row.spool)];
        let states = [
            ("new", row.new),
            ("unreadable", row.unreadable),
            ("intent", row.intent),
            ("unrecorded", row.unrecorded),
        ];
        for (state, count) in states {
            let labels = [&labels[..], &[("state", state)]].concat();
            entries.sample("", &labels, &count.to_string());
        }
        oldest.time(&labels, row.oldest_new);
        free.time(&labels, row.free);
        flushed.time(&labels, row.flushed);
    }
    for family in [entries, oldest, read, free, flushed] {
        family.write(text);
    }
}

fn counters(rows: &[Receiver], text: &mut String) {
    let counter = |name, help| Family::new(name, "counter", help);
    let mut attempts = counter(
        "refpost_attempts_total",
        "Attempts to deliver a message, by result.",
    );
    let mut given_up = counter(
        "refpost_messages_given_up_total",
        "Messages that were given up after an attempt.",
    );
    let mut durations = Family::new(
        "refpost_attempt_duration_seconds",
        "histogram",
        "Durations of attempts.",
    );
    let mut delays = Family::new(
        "refpost_delivery_delay_seconds",
        "histogram",
        "Times from push to delivery.",
    );
    for row in rows {
        let (labels, totals) = (names(&row.labels), &row.totals);
        let outcomes =
            CountedOutcome::ALL.map(|outcome| (outcome.word(), totals.counts.of(outcome)));
        for (outcome, count) in outcomes.into_iter().chain([("remade", totals.remade)]) {
            let labels = [&labels[..], &[("outcome", outcome)]].concat();
            attempts.sample("", &labels, &count.to_string());
        }
        given_up.sample("", &labels, &totals.counts.given_up().to_string());
        durations.histogram(&row.labels, &totals.durations, &DURATIONS);
        delays.histogram(&row.labels, &totals.delays, &DELAYS);
    }
    for family in [attempts, given_up, durations, delays] {
        family.write(text);
    }
}

fn names(labels: &Labels) -> [(&str, &str); 3] {
    [
        ("receiver", &labels.receiver),
        ("endpoint", &labels.endpoint),
        ("spool", &labels.spool),
    ]
}

/// Writes milliseconds as seconds, without zeros at the end.
fn in_seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Escapes the three characters that a label's value cannot have.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{Counts, Totals};

    #[test]
    fn counts_are_there_as_0_and_times_are_not_there() {
        let scrape = Scrape {
            receivers: vec![Receiver {
                labels: Labels::new("https://ci:443", "", ""),
                ..Receiver::default()
            }],
            spools: vec![SpoolRow::default()],
        };
        let text = text(&scrape, "0.1.0");
        for line in [
            "refpost_build_info{version=\"0.1.0\"} 1",
            "refpost_queue_entries{receiver=\"https://ci:443\",state=\"failed\"} 0",
            "refpost_queue_failed_attempts{receiver=\"https://ci:443\"} 0",
            "refpost_attempts_total{receiver=\"https://ci:443\",outcome=\"unreachable\"} 0",
            "refpost_spool_entries{state=\"unrecorded\"} 0",
            "refpost_spool_scrape_success 0",
            "refpost_delivery_delay_seconds_bucket{receiver=\"https://ci:443\",le=\"+Inf\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        assert!(!text.contains("timestamp_seconds"), "{text}");
    }

    #[test]
    fn values_of_labels_are_escaped_and_seconds_are_exact() {
        let mut totals = Totals {
            counts: Counts([3, 0, 0, 0, 0]),
            ..Totals::default()
        };
        totals.durations.counts = [1, 0, 2, 0, 0, 0, 0, 0, 4];
        totals.durations.sum = 12_340;
        let scrape = Scrape {
            receivers: vec![Receiver {
                labels: Labels::new("other", "a\"b\\c\nd", "/x"),
                totals,
                ..Receiver::default()
            }],
            spools: Vec::new(),
        };
        let text = text(&scrape, "0.1.0");
        let labels = r#"receiver="other",endpoint="a\"b\\c\nd",spool="/x""#;
        let name = "refpost_attempt_duration_seconds";
        for (rest, value) in [
            (format!("_bucket{{{labels},le=\"0.01\"}}"), "1"),
            (format!("_bucket{{{labels},le=\"0.1\"}}"), "3"),
            (format!("_bucket{{{labels},le=\"30\"}}"), "3"),
            (format!("_bucket{{{labels},le=\"+Inf\"}}"), "7"),
            (format!("_sum{{{labels}}}"), "12.34"),
            (format!("_count{{{labels}}}"), "7"),
        ] {
            let line = format!("{name}{rest} {value}");
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
    }
}
