//! What each answer does to a queue, and what becomes of what nobody wants.

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::spooled::{commits, eventually, objects, refuse, to};
use crate::support::{Answer, Background, KEY, Receiver, Spooled};

fn seconds(field: &Value) -> u64 {
    let time = humantime::parse_rfc3339(field.as_str().unwrap()).unwrap();
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_secs()
}

#[test]
fn gone_for_good_holds_the_queue() {
    let site = Spooled::new();
    let pushed = site.announce_many(2);
    site.receiver.script(|_| Answer::status(410));
    assert_eq!(commits(&site.flush_well()), pushed[..1]);
    assert_eq!(site.names("retry/one").len(), 2);
    assert!(site.flush_well().is_empty());
}

#[test]
fn what_is_too_large_is_given_up_at_once() {
    let site = Spooled::new();
    let pushed = site.announce_many(3);
    refuse(&site.receiver, 413, &[&pushed[1]]);
    let ran = site.flush();
    assert_eq!(ran.status, 0);
    assert!(ran.stderr.contains("message.given_up"), "{}", ran.stderr);
    assert_eq!(commits(&site.receiver.take()), pushed);
    assert_eq!(site.names("retry/one"), [""; 0]);
    assert_eq!(site.names("failed/one").len(), 1);
    assert!(site.flush_well().is_empty());
}

#[test]
fn a_receiver_can_ask_for_time() {
    for (asked, at_least, at_most) in [("120", 120, 125), ("999999", 3600, 3605)] {
        let site = Spooled::new();
        site.configure("mode = \"spool\"", "[retry]\nschedule = [\"1s\"]");
        site.receiver
            .script(move |_| Answer::Reply(503, vec![("Retry-After", asked.to_owned())], vec![]));
        site.announce();
        site.flush_well();
        let status = &site.objects(&["status", "--json"])[0];
        let tried = seconds(&site.attempts()[0]["time"]);
        let wait = seconds(&status["next_try"]) - tried;
        assert!((at_least..=at_most).contains(&wait), "{asked}: {wait}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start();
    for status in [301, 302, 303, 307, 308] {
        let site = Spooled::new();
        let location = elsewhere.url("/elsewhere");
        site.receiver
            .script(move |_| Answer::Reply(status, vec![("Location", location.clone())], vec![]));
        site.announce();
        let ran = site.flush();
        assert!(
            ran.stderr.contains(&format!("last answer: {status} at ")),
            "{}",
            ran.stderr
        );
        assert_eq!(site.receiver.take().len(), 1);
        assert_eq!(site.names("retry/one").len(), 1);
        // Where to was not told.
        let to = format!("it redirects to `{}`", elsewhere.url("/elsewhere"));
        assert_eq!(site.attempts()[0]["note"], *to);
        let ping = site.refpost(["ping", "test.git"]).run();
        let told = format!("`one` refused it with {status}: {to} in ");
        assert!(ping.stdout.starts_with(&told), "{}", ping.stdout);
        let hint =
            "hint: redirects are not followed: configure that URL, if it is the receiver's\n";
        assert_eq!(ping.stderr, hint);
        let ping = site.refpost(["ping", "test.git", "--json"]).run();
        let json = &objects(&ping.stdout)[0];
        assert_eq!(json["answer"], format!("refused it with {status}: {to}"));
    }
    assert!(elsewhere.take().is_empty());
}

#[test]
fn a_redirect_shows_no_secret_and_reaches_no_terminal_raw() {
    let site = Spooled::new();
    for (location, shown) in [
        ("https://ci.example.org/one", "https://ci.example.org…"),
        ("/one/", "…/"),
        ("/\u{9b}31m\u{e9}", "/\\u{9b}31m\u{e9}"),
        (&*"x".repeat(500), &*"x".repeat(200)),
    ] {
        let location = location.to_owned();
        site.receiver
            .script(move |_| Answer::Reply(302, vec![("Location", location.clone())], vec![]));
        let ping = site.refpost(["ping", "test.git"]).run();
        let told = format!("it redirects to `{shown}` in ");
        assert!(ping.stdout.contains(&told), "{}", ping.stdout);
    }
    for (status, headers) in [
        (302, vec![]),
        (302, vec![("Location", String::new())]),
        (404, vec![("Location", "/x".to_owned())]),
    ] {
        site.receiver
            .script(move |_| Answer::Reply(status, headers.clone(), vec![]));
        let ping = site.refpost(["ping", "test.git"]).run();
        let told = format!("refused it with {status} in ");
        assert!(ping.stdout.contains(&told), "{}", ping.stdout);
    }
}

#[test]
fn what_is_too_old_is_given_up_and_kept() {
    let site = Spooled::new();
    let retry = "[retry]\nschedule = [\"1s\"]\ngive_up_after = \"1s\"";
    site.configure("mode = \"spool\"", &[&site.endpoint("two"), retry].concat());
    site.receiver.script(|request| {
        let is_down = request.line.starts_with("POST /two ");
        Answer::status(if is_down { 503 } else { 200 })
    });
    let (first, _) = site.announce();
    // The first failure gives nothing up.
    site.flush_well();
    assert_eq!(site.names("retry/two").len(), 1);
    // Nor does one before the clock is to be believed.
    thread::sleep(Duration::from_secs(3));
    site.flush_well();
    assert_eq!(site.names("retry/two").len(), 1);
    site.settle_clock();
    let mut said = String::new();
    eventually("it was given up", || {
        let ran = site.flush();
        assert_eq!(ran.status, 0);
        said.push_str(&ran.stderr);
        site.names("failed/two").len() == 1
    });
    assert!(said.contains("message.given_up"), "{said}");
    assert_eq!(site.names("retry/two"), [""; 0]);
    site.receiver.take();

    site.receiver.script(|_| Answer::status(200));
    let (second, _) = site.announce();
    assert_eq!(commits(&to("/two", &site.flush_well())), [second]);
    // It is kept until somebody retries it.
    site.retry_all();
    let mut arrived = Vec::new();
    eventually("it arrived", || {
        site.flush().well();
        arrived.extend(site.receiver.take());
        !arrived.is_empty()
    });
    assert_eq!(commits(&arrived), [first]);
    eventually("the spool is empty", || site.files().is_empty());
}

/// Two pushes that wait for `one` and `two`, not due for an hour.
fn two_waiting() -> Spooled {
    let site = Spooled::new();
    let rest = [&site.endpoint("two"), "[retry]\nschedule = [\"1h\"]"].concat();
    site.configure("mode = \"spool\"", &rest);
    site.receiver.script(|_| Answer::status(503));
    site.announce_many(2);
    site.flush();
    site.receiver.take();
    site.receiver.script(|_| Answer::status(200));
    site
}

#[test]
fn what_waits_for_an_endpoint_that_is_configured_no_more_is_kept_in_failed() {
    for is_other_left in [true, false] {
        let site = two_waiting();
        let left = format!("key = \"{KEY}\"\n{}", site.endpoint("two"));
        site.settings(if is_other_left { &left } else { "urls = []" });
        let ran = site.flush();
        assert!(
            ran.stderr
                .contains("is no longer configured: what waited is in `failed/`"),
            "{}",
            ran.stderr
        );
        assert_eq!(site.names("failed/one").len(), 2);
        assert_eq!(site.names("retry/one").len(), 0);
        assert_eq!(
            site.names("retry/two").len(),
            if is_other_left { 2 } else { 0 }
        );
        assert!(site.receiver.take().is_empty());
        let attempts = site.attempts();
        let kept = attempts
            .iter()
            .filter(|one| one["note"] == "not configured" && one["endpoint"] == "one");
        assert_eq!(kept.count(), 2, "{attempts:?}");
    }
}

#[test]
fn a_configuration_that_is_empty_for_a_moment_drops_nothing() {
    for config in ["", "\n", "# urls = [\"https://ci.example.org/\"]\n"] {
        let site = two_waiting();
        let good = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
        let before = site.files();
        site.settings(config);
        let ran = site.flush();
        assert!(ran.stderr.contains("it is empty"), "{}", ran.stderr);
        assert_eq!(site.files(), before);
        // What is pushed meanwhile is recorded.
        let (third, _) = site.announce();
        assert_eq!(site.names("new").len(), 1);
        site.settings(&good);
        site.retry_all();
        let mut arrived = Vec::new();
        eventually("all arrived", || {
            site.flush();
            arrived.extend(site.receiver.take());
            site.files().is_empty()
        });
        assert_eq!(arrived.len(), 6);
        assert_eq!(commits(&arrived).last(), Some(&third));
    }
}

#[test]
fn a_configuration_that_is_gone_drops_nothing() {
    let site = two_waiting();
    let before = site.files();
    let config = site.bare.join("refpost.toml");
    let aside = site.path("aside.toml");
    fs::rename(&config, &aside).unwrap();
    site.queue(&["retry", "--all"]);
    let ran = site.flush();
    assert!(
        ran.stderr.contains("no endpoint is configured"),
        "{}",
        ran.stderr
    );
    assert_eq!(site.files().len(), before.len());
    fs::rename(&aside, &config).unwrap();
    eventually("all arrived", || {
        site.flush();
        site.files().is_empty()
    });
    assert_eq!(site.receiver.take().len(), 4);
}

#[test]
fn another_url_in_urls_never_gets_what_waited_for_the_first() {
    let site = Spooled::new();
    let urls = |path: &str| {
        let url = site.receiver.url(path);
        site.settings(&format!(
            "mode = \"spool\"\nkey = \"{KEY}\"\nurls = [\"{url}\"]"
        ));
    };
    urls("/old");
    site.announce();
    urls("/new");
    let (second, _) = site.announce();
    assert!(site.flush().stderr.contains("is no longer configured"));
    let requests = site.receiver.take();
    assert_eq!(commits(&requests), [second]);
    assert!(requests[0].line.starts_with("POST /new "));
    let attempts = site.attempts();
    assert!(attempts.iter().any(|one| one["note"] == "not configured"));
}

#[test]
fn a_refused_message_behind_a_down_head_does_not_spin_a_flush() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", "[retry]\nschedule = [\"1s\", \"1h\"]");
    let pushed = site.announce_many(2);
    let first = pushed[0].clone();
    site.receiver.script(move |request| {
        let is_first = commits(std::slice::from_ref(request)) == [first.as_str()];
        Answer::status(if is_first { 404 } else { 503 })
    });
    site.flush();
    eventually("the head failed twice", || {
        site.flush();
        site.attempts().len() >= 3
    });
    // The refused message is due by now, and the head is not for an hour.
    thread::sleep(Duration::from_millis(1500));
    let mut flush = Background::start(site.refpost(["flush"]).arg(&site.bare));
    eventually("the flush ends", || flush.0.try_wait().unwrap().is_some());
    let before = site.attempts().len();
    site.flush_well();
    assert_eq!(site.attempts().len(), before);
}
