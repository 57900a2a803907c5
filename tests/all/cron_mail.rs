//! What a flush prints of receivers: for an admin, cron's mail is all there is to go by.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::spooled::{eventually, processes};
use crate::support::{Answer, Ran, Several, Spooled};

/// A site whose server's file names all of it.
fn served(mode: &str) -> Spooled {
    let site = Spooled::with(&format!("mode = \"{mode}\""));
    let root = format!("root = \"{}\"\n", site.path("").display());
    site.write("system.toml", root);
    site
}

/// The events that a flush printed, and nothing else did it print but hints.
#[track_caller]
pub(crate) fn events(ran: &Ran) -> Vec<String> {
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    let lines = ran.stderr.lines().filter(|line| !line.contains("hint: "));
    let is_event = |word: &&str| word.starts_with("endpoint.") || word.starts_with("message.");
    let event = |line: &str| line.split(' ').find(is_event).map(str::to_owned);
    let events = lines.map(|line| event(line).unwrap_or_else(|| panic!("{line}")));
    events.collect()
}

/// A flush as of cron: of the whole server.
fn cron(site: &Spooled) -> Vec<String> {
    events(&site.refpost(["flush", "--server"]).run())
}

/// What the next flush of cron prints that prints anything: what another flush has under way is no
/// news yet.
fn next(site: &Spooled) -> Vec<String> {
    let mut events = Vec::new();
    eventually("it is told", || {
        events = cron(site);
        !events.is_empty()
    });
    events
}

/// Pushes, until the flush that the hook starts has ended.
fn push(site: &Spooled) {
    site.announce();
    ended(site);
}

/// Waits until no flush works beside the test.
fn ended(site: &Spooled) {
    let spool = site.spool().display().to_string();
    let is_idle = || processes(&["--detached", &spool]).is_empty();
    eventually("no flush runs", is_idle);
}

/// Has the receiver take everything, and nobody read of it.
fn retry(site: &Spooled) {
    site.receiver.script(|_| Answer::status(200));
    site.retry_all();
    ended(site);
}

/// Makes the outage an hour old, and its last attempt two minutes.
fn age_outage(site: &Spooled) {
    let ago = |minutes| {
        let time = SystemTime::now() - Duration::from_mins(minutes);
        json!(humantime::format_rfc3339_nanos(time).to_string())
    };
    site.change_stats(|stats| {
        let failure = &mut stats["failures"]["one"];
        (failure["since"], failure["last"]) = (ago(70), ago(2));
    });
}

#[test]
fn a_receiver_that_refused_all_in_background_was_told_to_nobody() {
    let site = served("background");
    site.receiver.script(|_| Answer::status(403));
    push(&site);
    push(&site);
    assert_eq!(site.attempts().len(), 2);
    let ran = site.refpost(["flush", "--server"]).run();
    assert_eq!(events(&ran), ["endpoint.failing"]);
    let line = format!(
        "refpost: endpoint.failing {}: endpoints: one; entries that wait: 0; refused messages: 2; \
         last answer: 403 at ",
        site.receiver.url("")
    );
    assert!(ran.stderr.starts_with(&line), "{}", ran.stderr);
    assert_eq!(cron(&site), [""; 0]);
    push(&site);
    assert_eq!(cron(&site), [""; 0]);
    retry(&site);
    assert_eq!(next(&site), ["endpoint.recovered"]);
    assert_eq!(cron(&site), [""; 0]);
    // A second time is news again.
    site.receiver.script(|_| Answer::status(403));
    push(&site);
    assert_eq!(next(&site), ["endpoint.failing"]);
}

#[test]
fn a_flush_that_nobody_reads_took_the_news_of_an_outage_away() {
    let site = served("background");
    site.receiver.script(|_| Answer::status(503));
    push(&site);
    assert_eq!(cron(&site), [""; 0]);
    age_outage(&site);
    // The flush of this push tries it again.
    push(&site);
    assert_eq!(site.attempts().len(), 2);
    assert_eq!(next(&site), ["endpoint.failing"]);
    assert_eq!(cron(&site), [""; 0]);
    retry(&site);
    assert_eq!(next(&site), ["endpoint.recovered"]);
    assert_eq!(cron(&site), [""; 0]);
}

#[test]
fn a_hook_took_the_news_of_an_outage_away() {
    for status in [403, 410] {
        let site = served("sync");
        site.receiver.script(move |_| Answer::status(status));
        push(&site);
        if status == 410 {
            age_outage(&site);
        }
        assert_eq!(next(&site), ["endpoint.failing"], "{status}");
        retry(&site);
        push(&site);
        assert_eq!(next(&site), ["endpoint.recovered"], "{status}");
        assert_eq!(cron(&site), [""; 0]);
    }
}

#[test]
fn a_message_that_was_given_up_in_background_was_told_to_nobody() {
    let site = served("background");
    site.receiver.script(|_| Answer::status(413));
    push(&site);
    assert_eq!(site.names("failed/one").len(), 1);
    assert_eq!(next(&site), ["message.given_up"]);
    assert_eq!(cron(&site), [""; 0]);
    retry(&site);
    assert_eq!(cron(&site), [""; 0]);
}

#[test]
fn four_refused_pushes_were_four_mails() {
    let site = served("spool");
    site.receiver.script(|_| Answer::status(403));
    // A flush of this repository alone tells the same, once.
    let flush = || events(&site.flush());
    site.announce();
    assert_eq!(flush(), ["endpoint.failing"]);
    for _ in 0..3 {
        site.announce();
        assert_eq!(flush(), [""; 0]);
    }
    assert_eq!(site.attempts().len(), 4);
    assert_eq!(cron(&site), [""; 0]);
    retry(&site);
    assert_eq!(next(&site), ["endpoint.recovered"]);
    assert_eq!(cron(&site), [""; 0]);
}

#[test]
fn an_outage_is_told_again_each_day_by_a_clock_that_may_have_been_wrong() {
    let site = served("spool");
    site.receiver.script(|_| Answer::status(403));
    site.announce();
    assert_eq!(next(&site), ["endpoint.failing"]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap().as_secs();
    let receiver = site.receiver.url("");
    let told = |at: u64| {
        site.change_stats(|stats| stats["told"][&receiver]["failing"] = json!(at));
        cron(&site)
    };
    let day = 24 * 60 * 60;
    assert_eq!(told(now - day + 60), [""; 0]);
    assert_eq!(told(now - day), ["endpoint.still_failing"]);
    assert_eq!(cron(&site), [""; 0]);
    assert_eq!(told(now + 9 * day), ["endpoint.still_failing"]);
    assert_eq!(cron(&site), [""; 0]);
}

#[test]
fn as_root_each_account_prints_its_part() {
    let Some(server) = Several::new() else { return };
    server.receiver.script(|_| Answer::status(403));
    for (uid, name) in [
        (server.alice.uid, "alice/a.git"),
        (server.bob.uid, "bob/b.git"),
    ] {
        server.repository(uid, name, "");
    }
    let text = format!("root = \"{}\"\n", server.path("").display());
    server.accounts.public("system.toml", &text);
    let flush = || events(&server.root(&["flush", "--server"]));
    assert_eq!(flush(), ["endpoint.failing"; 2]);
    assert_eq!(flush(), [""; 0]);
}
