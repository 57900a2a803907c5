//! Receivers that are down: who probes them, who is woken when they are back, who is told.

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::spooled::to;
use crate::support::{Answer, KEY, Receiver, Spooled};

/// Endpoints at one receiver that cannot be reached, tried again after an hour.
fn unreachable(endpoints: &[(&str, &str)]) -> (Spooled, Receiver) {
    let mut receiver = Receiver::start();
    receiver.stop();
    let site = Spooled::new();
    let mut text = format!("key = \"{KEY}\"\nmode = \"spool\"\nretry.schedule = [\"1h\"]\n");
    for (name, more) in endpoints {
        let url = receiver.url(&format!("/{name}"));
        write!(
            text,
            "[[endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\n{more}\n"
        )
        .unwrap();
    }
    site.settings(&text);
    (site, receiver)
}

/// Makes what flushes tell each other look as old as this.
fn age(site: &Spooled, by: Duration) {
    site.change_stats(|stats| {
        for failure in stats["failures"].as_object_mut().unwrap().values_mut() {
            for field in ["since", "last", "not_before"] {
                let time = humantime::parse_rfc3339(failure[field].as_str().unwrap()).unwrap();
                if time != SystemTime::UNIX_EPOCH {
                    let time = humantime::format_rfc3339_nanos(time - by).to_string();
                    failure[field] = Value::String(time);
                }
            }
        }
        let told = stats.get_mut("told").and_then(Value::as_object_mut);
        for told in told.into_iter().flat_map(|told| told.values_mut()) {
            if let Some(failing) = told["failing"].as_u64() {
                told["failing"] = (failing - by.as_secs()).into();
            }
        }
    });
}

const TWO_MINUTES: Duration = Duration::from_mins(2);

#[test]
fn a_host_that_cannot_be_reached_is_tried_by_few_of_its_queues() {
    let names: Vec<String> = (0..12).map(|n| format!("e{n}")).collect();
    let endpoints: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let (site, _) = unreachable(&endpoints);
    site.announce();
    site.flush();
    let first = site.attempts().len();
    assert!((1..=4).contains(&first), "{first} attempts");
    site.flush();
    assert_eq!(site.attempts().len(), first);
    // A push probes it, once for all.
    age(&site, TWO_MINUTES);
    site.announce();
    site.flush();
    assert_eq!(site.attempts().len(), first + 1);
}

/// Makes each queue due that would be within ten minutes.
fn fall_due(site: &Spooled) {
    let now = SystemTime::now();
    let text = |time| Value::String(humantime::format_rfc3339_nanos(time).to_string());
    site.change_stats(|stats| {
        for failure in stats["failures"].as_object_mut().unwrap().values_mut() {
            let next = humantime::parse_rfc3339(failure["next"].as_str().unwrap()).unwrap();
            if next < now + Duration::from_mins(10) {
                failure["next"] = text(now);
            }
        }
    });
}

#[test]
fn each_queue_of_an_unreachable_host_probed_it_in_its_turn() {
    let names: Vec<String> = (0..12).map(|n| format!("e{n}")).collect();
    let endpoints: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let (site, mut receiver) = unreachable(&endpoints);
    site.announce();
    site.flush();
    let first = site.attempts().len();
    for _ in 0..5 {
        age(&site, TWO_MINUTES);
        fall_due(&site);
        site.flush();
    }
    assert_eq!(site.attempts().len(), first);
    // Once it is back, a push to one of them wakes all.
    receiver.restart();
    age(&site, TWO_MINUTES);
    site.announce();
    site.flush();
    assert_eq!(receiver.take().len(), 24);
}

#[test]
fn a_receiver_that_is_back_wakes_the_other_queues_that_could_not_reach_it() {
    let (site, mut receiver) =
        unreachable(&[("all", ""), ("tags", "topics = [\"git.tag.creation\"]")]);
    site.git(&["tag", "v1"]);
    site.git(&["push", "-q", "origin", "v1"]);
    site.flush();
    site.flush();
    assert!(site.names("retry/tags").len() == 1 && site.names("retry/all").len() == 1);
    age(&site, TWO_MINUTES);
    receiver.restart();
    site.announce();
    site.flush();
    let arrived = receiver.take();
    assert_eq!(to("/all", &arrived).len(), 2);
    assert_eq!(to("/tags", &arrived).len(), 1);
}

#[test]
fn a_push_probes_an_endpoint_that_is_down_and_leaves_its_schedule() {
    let site = Spooled::with("mode = \"spool\"\nretry.schedule = [\"1h\"]");
    site.receiver.script(|_| Answer::status(503));
    site.announce();
    site.flush();
    let before = site.names("retry/one");
    // Within a minute it is not bothered.
    site.announce();
    site.flush();
    assert_eq!(site.attempts().len(), 1);
    age(&site, TWO_MINUTES);
    site.announce();
    site.flush();
    assert_eq!(site.attempts().len(), 2);
    let after = site.names("retry/one");
    assert_eq!(after.iter().filter(|name| before.contains(name)).count(), 1);
    assert_eq!(after.len(), 3);
    // Another flush, without a push, waits for the schedule.
    age(&site, TWO_MINUTES);
    site.flush();
    assert_eq!(site.attempts().len(), 2);
    site.receiver.script(|_| Answer::status(200));
    site.announce();
    site.flush();
    assert_eq!(site.attempts().len(), 2 + 4);
}

#[test]
fn no_push_probes_before_retry_after() {
    let site = Spooled::with("mode = \"spool\"\nretry.schedule = [\"1h\"]");
    site.receiver.script(|_| {
        let wait = vec![("Retry-After", "600".to_owned())];
        Answer::Reply(503, wait, vec![])
    });
    site.announce();
    site.flush();
    age(&site, TWO_MINUTES);
    site.announce();
    site.flush();
    assert_eq!(site.attempts().len(), 1);
    age(&site, TWO_MINUTES * 5);
    site.announce();
    site.flush();
    assert_eq!(site.attempts().len(), 2);
}

#[test]
fn an_outage_is_told_once_for_all_queues_again_each_day_and_when_it_ends() {
    let (site, mut receiver) = unreachable(&[("one", ""), ("two", "")]);
    let text = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.settings(&text.replace("1h", "1s"));
    site.announce();
    let flush = || {
        // Due times are whole seconds, a fifth later by chance.
        thread::sleep(Duration::from_millis(2300));
        age(&site, TWO_MINUTES);
        site.flush().stderr
    };
    site.flush();
    let told = |said: &str, event: &str| said.matches(event).count();
    assert_eq!(flush(), "");
    age(&site, Duration::from_mins(15));
    let said = flush();
    assert_eq!(told(&said, "endpoint.failing http://"), 1, "{said}");
    assert!(
        said.contains(": endpoints: one, two; down since: "),
        "{said}"
    );
    for _ in 0..4 {
        assert_eq!(flush(), "");
    }
    age(&site, Duration::from_hours(24));
    assert_eq!(told(&flush(), "endpoint.still_failing"), 1);
    assert_eq!(flush(), "");
    receiver.restart();
    let said = flush();
    assert_eq!(told(&said, "endpoint.recovered"), 1, "{said}");
    assert_eq!(receiver.take().len(), 2);
}

#[test]
fn status_says_since_when_a_receiver_is_down() {
    let (site, mut receiver) = unreachable(&[("one", "")]);
    site.announce();
    site.flush();
    let status = |args: &[&str]| site.refpost(args).arg(&site.bare).run().well().stdout;
    let text = status(&["status"]);
    assert!(text.contains("\ndown   one       http://"), "{text}");
    assert!(text.contains("  20"), "{text}");
    let since = || site.objects(&["status", "--json"])[0]["down_since"].clone();
    assert!(since().is_string());
    receiver.restart();
    age(&site, TWO_MINUTES);
    site.announce();
    site.flush();
    assert_eq!(since(), Value::Null);
}

#[test]
fn a_path_that_hangs_holds_no_other_of_its_host_for_long() {
    let site = Spooled::new();
    let bad = site.endpoint("bad") + "timeout = \"1s\"\n";
    let top = "mode = \"spool\"\nretry.schedule = [\"1h\"]";
    site.configure(top, &bad);
    site.receiver.script(|request| {
        if request.line.starts_with("POST /bad ") {
            Answer::Nothing
        } else {
            Answer::status(200)
        }
    });
    site.announce();
    site.flush();
    // What came within the minute is delivered after it, without another push.
    site.announce();
    site.flush();
    age(&site, TWO_MINUTES);
    let now = humantime::format_rfc3339_nanos(SystemTime::now()).to_string();
    site.change_stats(|stats| stats["failures"]["one"]["next"] = Value::String(now));
    site.flush();
    let delivered = || {
        let attempts = site.attempts();
        attempts.iter().filter(|one| one["status"] == 200).count()
    };
    assert_eq!(delivered(), 2);
    age(&site, TWO_MINUTES);
    site.announce();
    site.flush();
    assert_eq!(delivered(), 3);
}

#[test]
fn a_retry_does_not_wait_for_a_probe() {
    let (site, mut receiver) = unreachable(&[("one", ""), ("two", "")]);
    site.announce();
    site.flush();
    receiver.restart();
    // It sets off a flush of its own, which may have the queues.
    site.retry_all();
    site.flush();
    receiver.wait_for(2);
}

#[test]
fn an_unreadable_stats_stops_no_delivery() {
    let site = Spooled::new();
    site.announce();
    fs::create_dir(site.spool().join("stats")).unwrap();
    assert_eq!(site.flush_well().len(), 1);
    fs::remove_dir(site.spool().join("stats")).unwrap();
    fs::write(site.spool().join("stats"), "{\"failures\": 7").unwrap();
    site.announce();
    assert_eq!(site.flush_well().len(), 1);
}

#[test]
fn a_pusher_was_not_told_that_an_endpoint_fails() {
    let (site, _receiver) = unreachable(&[("one", "")]);
    site.announce();
    site.flush();
    let (_, push) = site.announce();
    let said = push.remote().join("\n");
    let begin = "refpost: 1 message queued for `one` (failing for ";
    assert!(
        said.starts_with(begin) && said.ends_with("s, 1 waiting)"),
        "{said}"
    );
}

#[test]
fn a_push_read_the_whole_queue_of_an_endpoint_that_fails() {
    let (site, _receiver) = unreachable(&[("one", "")]);
    site.announce();
    site.flush();
    let queue = site.spool().join("retry/one");
    let first = site.names("retry/one").remove(0);
    for n in 0..1200 {
        let older = format!("20200101T000000Z.0.0.20200101T000000.000000000Z-git1-{n:016x}");
        fs::hard_link(queue.join(&first), queue.join(older)).unwrap();
    }
    let text = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    for mode in ["spool", "sync"] {
        site.settings(&text.replace("\"spool\"", &format!("{mode:?}")));
        let (_, push) = site.announce();
        let said = push.remote().join("\n");
        let begin = "refpost: 1 message queued for `one` (failing for ";
        let is_right = said.starts_with(begin) && said.ends_with("s, over 1,000 waiting)");
        assert!(is_right, "{mode}: {said}");
    }
}

#[test]
fn an_endpoint_could_not_be_paused() {
    let site = Spooled::new();
    for mode in ["spool", "sync"] {
        site.configure(&format!("mode = \"{mode}\""), "paused = true");
        let (commit, push) = site.announce();
        assert_eq!(
            push.remote(),
            ["refpost: 1 message queued for `one` (paused)"]
        );
        let again = site.flush_well();
        assert!(
            again.is_empty() && site.receiver.take().is_empty(),
            "{commit}"
        );
    }
    let status = site
        .refpost(["status", "test.git", "--exit-code"])
        .run()
        .well();
    let row = status.stdout.lines().nth(1).unwrap();
    assert!(
        row.starts_with("paused") && row.trim_end().ends_with('-'),
        "{row}"
    );
    let objects = site.objects(&["status", "--json"]);
    assert_eq!(objects[0]["next_try"], Value::Null);
    let check = site.refpost(["check", "test.git"]).run().stdout;
    let note = "note: endpoint `one` is paused: its messages wait\n";
    assert!(check.contains(note), "{check}");
    site.configure("mode = \"spool\"", "paused = false");
    assert_eq!(site.flush_well().len(), 2);
}

/// Repositories without a file of their own are not looked for.
#[test]
fn an_endpoint_of_the_servers_file_was_unknown_in_a_shared_spool() {
    let site = Spooled::new();
    fs::remove_file(site.bare.join("refpost.toml")).unwrap();
    let configure = |more: &str| {
        let text = format!(
            "root = \"{}\"\nspool = \"{}\"\nmode = \"spool\"\nunsigned = true\n{}{more}",
            site.bare.parent().unwrap().display(),
            site.path("shared").display(),
            site.endpoint("one"),
        );
        site.write("system.toml", text);
    };
    let status = |wanted: &[&str]| {
        let text = site.refpost(["status", "--server"]).run().well().stdout;
        let mut words = text.lines().nth(1).unwrap().split_whitespace();
        assert!(wanted.iter().all(|it| words.next() == Some(it)), "{text}");
    };
    configure("paused = true\n");
    site.announce();
    site.refpost(["flush", "--server"]).run().well();
    let receiver = site.receiver.url("");
    status(&["paused", "one", &receiver]);
    configure("");
    site.receiver.script(|_| Answer::status(503));
    site.refpost(["flush", "--server"]).run().well();
    status(&["failing", "one", &receiver]);
    for args in [["queue", "list"], ["log", "--server"]] {
        let typo = site.refpost(args).args(["--endpoint", "typo"]).run();
        assert_eq!(typo.status, 1, "{args:?}");
    }
}
