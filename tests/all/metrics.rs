//! `metrics`, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::spool_manage::mixed;
use crate::support::{Answer, Environment, Ran, Several, Spooled};

/// A text in Prometheus' classic format: the types of metrics, and values by name and labels.
struct Metrics {
    types: BTreeMap<String, String>,
    values: BTreeMap<(String, Vec<(String, String)>), f64>,
}

impl Metrics {
    /// Reads a text as strictly as the textfile collector.
    #[track_caller]
    fn parse(text: &str) -> Self {
        let (mut types, mut values) = (BTreeMap::new(), BTreeMap::new());
        let mut family = String::new();
        assert!(text.ends_with('\n'), "{text}");
        if std::env::var_os("REFPOST_TEST_PROMTOOL").is_some() {
            promtool(text);
        }
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                help.split_once(' ').unwrap().0.clone_into(&mut family);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, family);
                assert!(["gauge", "counter", "histogram"].contains(&kind), "{line}");
                let again = types.insert(name.to_owned(), kind.to_owned());
                assert_eq!(again, None, "{name} has one group of lines");
            } else {
                let (name, labels, value) = sample(line);
                let own = name.strip_prefix(&family).expect(line);
                let suffixes: &[&str] = match types[&family].as_str() {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(suffixes.contains(&own), "{line}");
                let again = values.insert((name, labels), value);
                assert_eq!(again, None, "{line}");
            }
        }
        Self { types, values }
    }

    /// Returns the value with this name and these labels, and no others.
    fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        labels.sort();
        self.values.get(&(name.to_owned(), labels)).copied()
    }

    /// Returns the sum of all values of a name.
    fn sum(&self, name: &str) -> f64 {
        let own = self.values.iter().filter(|((own, _), _)| own == name);
        own.map(|(_, value)| value).sum()
    }
}

fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let (mut labels, at) = (Vec::new(), line.find(['{', ' ']).expect(line));
    let (name, mut rest) = line.split_at(at);
    let is_name = |text: &str| text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
    assert!(is_name(name), "{line}");
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, quoted) = rest.split_once("=\"").expect(line);
            assert!(is_name(label), "{line}");
            let (mut value, mut chars) = (String::new(), quoted.char_indices());
            let end = loop {
                match chars.next().expect(line) {
                    (at, '"') => break at + 1,
                    (_, '\\') => value.push(match chars.next().expect(line).1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (_, other) => value.push(other),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &quoted[end..];
            match rest.split_at(1) {
                (",", more) => rest = more,
                ("}", more) => {
                    rest = more;
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    labels.sort();
    let value = rest.strip_prefix(' ').expect(line).parse().expect(line);
    (name.to_owned(), labels, value)
}

/// Has Prometheus' own program read a text (`.ci/run --long`).
fn promtool(text: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(promtool.wait().unwrap().success(), "{text}");
}

/// Makes a site's folder the whole server's.
pub(crate) fn served(site: &Spooled) {
    let root = format!("root = \"{}\"\n", site.path("").display());
    site.write("system.toml", root);
}

#[track_caller]
fn read(environment: &Environment, args: &[&str]) -> Metrics {
    let ran = environment.refpost(["metrics"]).args(args).run().well();
    Metrics::parse(&ran.stdout)
}

#[test]
fn every_metric_of_the_table_is_there_with_its_labels() {
    let site = mixed();
    served(&site);
    let before = read(&site, &[]);
    let receiver = site.receiver.url("");
    let own = ("receiver", &*receiver);
    assert_eq!(
        before.get("refpost_attempts_total", &[own, ("outcome", "delivered")]),
        Some(0.0)
    );
    assert_eq!(
        before.get("refpost_queue_last_delivery_timestamp_seconds", &[own]),
        None
    );
    site.announce();
    site.flush();
    let all = read(&site, &[]);
    let kinds = [
        ("refpost_build_info", "gauge"),
        ("refpost_queue_entries", "gauge"),
        ("refpost_queue_failed_attempts", "gauge"),
        ("refpost_queue_oldest_entry_timestamp_seconds", "gauge"),
        ("refpost_queue_next_attempt_timestamp_seconds", "gauge"),
        ("refpost_queue_last_delivery_timestamp_seconds", "gauge"),
        ("refpost_spool_entries", "gauge"),
        ("refpost_spool_scrape_success", "gauge"),
        ("refpost_spool_free_bytes", "gauge"),
        ("refpost_last_flush_timestamp_seconds", "gauge"),
        ("refpost_attempts_total", "counter"),
        ("refpost_messages_given_up_total", "counter"),
        ("refpost_attempt_duration_seconds", "histogram"),
        ("refpost_delivery_delay_seconds", "histogram"),
    ];
    let kinds = kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    assert_eq!(all.types, kinds.into());
    for (outcome, count) in [
        ("delivered", 1.0),
        ("refused", 1.0),
        ("unavailable", 1.0),
        ("unreachable", 0.0),
    ] {
        let labels = [own, ("outcome", outcome)];
        assert_eq!(
            all.get("refpost_attempts_total", &labels),
            Some(count),
            "{outcome}"
        );
    }
    for (state, count) in [("waiting", 1.0), ("refused", 1.0), ("failed", 0.0)] {
        assert_eq!(
            all.get("refpost_queue_entries", &[own, ("state", state)]),
            Some(count)
        );
    }
    assert_eq!(all.get("refpost_queue_failed_attempts", &[own]), Some(1.0));
    let buckets = all.values.keys();
    let buckets = buckets.filter(|(name, _)| name == "refpost_attempt_duration_seconds_bucket");
    assert_eq!(buckets.count(), 9, "eight and `+Inf`");
    assert_eq!(
        all.get("refpost_attempt_duration_seconds_count", &[own]),
        Some(3.0)
    );
    assert_eq!(
        all.get("refpost_delivery_delay_seconds_count", &[own]),
        Some(1.0)
    );
    assert_eq!(all.get("refpost_spool_scrape_success", &[]), Some(1.0));
    let next = all.get("refpost_queue_next_attempt_timestamp_seconds", &[own]);
    let oldest = all.get("refpost_queue_oldest_entry_timestamp_seconds", &[own]);
    assert!(next > oldest);
    // A new name in the place of another file, which its collector may read.
    let file = site.path("refpost.prom");
    fs::write(&file, "old").unwrap();
    let output = [
        "--per-endpoint",
        "--per-spool",
        "--output",
        file.to_str().unwrap(),
    ];
    site.refpost(["metrics"]).args(output).run().well();
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o644
    );
    let text = fs::read_to_string(&file).unwrap();
    let spool = site.spool();
    let two = [own, ("endpoint", "two"), ("spool", spool.to_str().unwrap())];
    let told_apart = Metrics::parse(&text);
    assert_eq!(
        told_apart.get("refpost_queue_failed_attempts", &two),
        Some(1.0)
    );
    assert!(!text.contains("/two") && !text.contains("/three"), "{text}");
}

#[test]
fn totals_fell_when_a_repository_was_removed() {
    let site = Spooled::with("mode = \"sync\"");
    served(&site);
    // The hook that waits for an answer counts it too.
    site.announce_many(2);
    let attempts = |count: f64| {
        assert!((read(&site, &[]).sum("refpost_attempts_total") - count).abs() < 0.1);
    };
    attempts(2.0);
    fs::remove_dir_all(&site.bare).unwrap();
    attempts(2.0);
    attempts(2.0);
}

#[test]
fn a_queue_that_nobody_flushes_is_seen() {
    let site = Spooled::new();
    served(&site);
    site.announce();
    let all = read(&site, &[]);
    assert_eq!(
        all.get("refpost_spool_entries", &[("state", "new")]),
        Some(1.0)
    );
    let oldest = all.get("refpost_spool_oldest_new_timestamp_seconds", &[]);
    assert!(oldest.is_some());
    assert_eq!(all.get("refpost_last_flush_timestamp_seconds", &[]), None);
    fs::write(site.bare.join("refpost.toml"), "urls = 7").unwrap();
    let ran = site.refpost(["metrics"]).run();
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let broken = Metrics::parse(&ran.stdout);
    assert_eq!(broken.get("refpost_spool_scrape_success", &[]), Some(0.0));
}

/// Writes counts into a spool, as its account can.
fn count(site: &Several, spool: &str, endpoint: &str, number: u64) {
    let path = site.path(spool).join("refpost/spool/counts");
    let mut all: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let counts = all.as_object_mut().unwrap();
    let mut own = counts.values().next().unwrap().clone();
    own["one"]["totals"]["counts"][0] = number.into();
    let one = own.as_object_mut().unwrap().remove("one").unwrap();
    own[endpoint] = one;
    *counts.values_mut().next().unwrap() = own;
    fs::write(path, all.to_string()).unwrap();
}

#[test]
fn root_adds_up_what_accounts_say_and_believes_none_of_them() {
    let Some(server) = Several::new() else { return };
    server.receiver.script(|_| Answer::status(200));
    server.repository(server.alice.uid, "alice/a.git", "");
    server.repository(server.bob.uid, "bob/b.git", "");
    server.repository(0, "r.git", "");
    server.root(&["flush"]).well();
    let arrived = u32::try_from(server.receiver.take().len()).unwrap();
    let parse = |ran: &Ran| Metrics::parse(&ran.stdout);
    let ran = server.root(&["metrics"]).well();
    let all = parse(&ran);
    let receiver = server.receiver.url("");
    let delivered = [("receiver", &*receiver), ("outcome", "delivered")];
    assert_eq!(
        all.get("refpost_attempts_total", &delivered),
        Some(arrived.into())
    );
    assert!((all.sum("refpost_spool_scrape_success") - 3.0).abs() < 0.1);
    let alice = [("account", &*server.alice.name)];
    assert_eq!(all.get("refpost_spool_scrape_success", &alice), Some(1.0));
    // Its name is text. A number that is no count costs the account its row, and no counter falls.
    count(&server, "bob/b.git", "a\"}\nrefpost_x 7\n", 5);
    count(&server, "alice/a.git", "one", u64::MAX);
    let ran = server.root(&["metrics", "--per-endpoint"]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let all = parse(&ran);
    assert_eq!(all.get("refpost_spool_scrape_success", &alice), Some(0.0));
    assert!(!ran.stdout.contains("\nrefpost_x"), "{}", ran.stdout);
    let hostile = ("endpoint", "a\"}\nrefpost_x 7\n");
    let hostile = [&delivered[..], &[hostile]].concat();
    assert_eq!(all.get("refpost_attempts_total", &hostile), Some(5.0));
    let all = parse(&server.root(&["metrics"]));
    assert!(all.get("refpost_attempts_total", &delivered) >= Some(3.0));
}

#[test]
fn a_paused_endpoint_looked_as_if_nobody_flushed() {
    let site = Spooled::new();
    site.write(
        "system.toml",
        format!("root = \"{}\"\n", site.path("").display()),
    );
    let next = |more: &str| {
        site.configure("mode = \"spool\"", more);
        site.flush().well();
        let all = Metrics::parse(&site.refpost(["metrics"]).run().well().stdout);
        let waiting = all.sum("refpost_queue_entries");
        let name = "refpost_queue_next_attempt_timestamp_seconds";
        let times = all.values.keys().filter(|(own, _)| own == name).count();
        (waiting > 0.0, times)
    };
    site.announce();
    assert_eq!(next("paused = true"), (true, 0));
    site.receiver.script(|_| Answer::status(503));
    assert_eq!(next("paused = false"), (true, 1));
}

#[test]
fn a_state_folder_that_cannot_be_written_told_no_way_out() {
    let site = Spooled::new();
    served(&site);
    // No account makes folders there.
    let ran = site
        .refpost(["metrics"])
        .env("XDG_STATE_HOME", "/sys")
        .run();
    assert_eq!(ran.status, 1);
    let told = "refpost: cannot lock `/sys/refpost`: ";
    let hint = "hint: name a folder that this account may write in `XDG_STATE_HOME`\n";
    assert!(
        ran.stderr.contains(told) && ran.stderr.contains(hint),
        "{}",
        ran.stderr
    );
}
