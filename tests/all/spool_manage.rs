//! `queue` and `status`: seeing what waits, and taking it into one's hands.

use std::fs;

use serde_json::{Value, json};

use crate::support::spooled::{commits, eventually, objects};
use crate::support::{Answer, Spooled};

/// `one` takes everything, `two` is down and `three` refuses.
pub(crate) fn mixed() -> Spooled {
    let site = Spooled::new();
    let rest = [site.endpoint("two"), site.endpoint("three")].concat();
    site.configure("mode = \"spool\"", &rest);
    site.receiver.script(|request| {
        Answer::status(match request.line.split(' ').nth(1).unwrap() {
            "/two" => 503,
            "/three" => 400,
            _ => 200,
        })
    });
    site
}

fn ids(site: &Spooled, args: &[&str]) -> Vec<String> {
    let listed = site.queue(&[&["list", "--json"], args].concat()).well();
    let id = |line: &Value| line["id"].as_str().unwrap().to_owned();
    objects(&listed.stdout).iter().map(id).collect()
}

/// The word for each endpoint.
fn states(site: &Spooled) -> Vec<(String, String)> {
    let text = |field: &Value| field.as_str().unwrap().to_owned();
    let mut states: Vec<_> = site
        .objects(&["status", "--json"])
        .iter()
        .map(|line| (text(&line["endpoint"]), text(&line["state"])))
        .collect();
    states.sort();
    states
}

#[test]
fn list_and_show_tell_what_waits() {
    let site = mixed();
    site.announce();
    let new = site.queue(&["list"]).well();
    let id = site.names("new")[0].clone();
    let bare = site.bare.display();
    let row = new.stdout.lines().nth(1).unwrap();
    let row: Vec<&str> = row.split_whitespace().collect();
    let whole = site.bare.to_str().unwrap();
    let reference = "refs/heads/main";
    let expected = [
        "new",
        "0s",
        "-",
        whole,
        "git.receive",
        reference,
        "1",
        "-",
        "-",
        &id,
    ];
    assert_eq!(
        (row[0], &row[2..]),
        (expected[0], &expected[2..]),
        "{}",
        new.stdout
    );
    site.flush();
    let (commit, _) = site.announce();
    let listed = site.queue(&["list", "--json"]).well();
    let told: Vec<Value> = objects(&listed.stdout)
        .into_iter()
        .map(|line| {
            json!([
                line["endpoint"],
                line["state"],
                line["messages"],
                line["attempts"]
            ])
        })
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["three", "refused", 1, 1],
            ["two", "waiting", 1, 1],
            ["-", "new", 1, 0]
        ])
    );
    let text = site.queue(&["list"]).well().stdout;
    assert!(text.starts_with("STATE "), "{text}");
    let row = text
        .lines()
        .find(|line| line.starts_with("waiting "))
        .unwrap();
    assert!(
        row.contains("  two  ") && row.contains("  1         in "),
        "{text}"
    );

    let shown = site.queue(&["show", &id]).well().stdout;
    assert!(shown.contains(&format!("repository: {bare}\n")), "{shown}");
    assert!(
        shown.contains("pusher: alice\n") && shown.contains("git.receive"),
        "{shown}"
    );
    let whole = objects(&site.queue(&["show", "--json", &id]).well().stdout);
    let [whole] = &whole[..] else {
        panic!("{whole:?}");
    };
    assert_eq!(whole["id"], *id);
    assert_eq!(whole["places"].as_array().unwrap().len(), 2);
    let message = &whole["messages"][0];
    let body: Value = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&message["topic"], &message["msg_id"]),
        (&body["topic"], &body["msg_id"])
    );
    let new = site.queue(&["show", &site.names("new")[0]]).well().stdout;
    assert!(
        new.contains(&commit) || new.contains("git.receive"),
        "{new}"
    );
    let ran = site.queue(&["show", "20260101T000000.000000000Z-x-0123456789abcdef"]);
    ran.fails(
        1,
        "refpost: nothing of that kind waits or has failed\nhint: `refpost queue list` shows what does\n",
    );
}

#[test]
fn nothing_is_retried_or_dropped_without_a_choice() {
    let site = mixed();
    site.announce();
    for command in ["retry", "drop"] {
        let ran = site.queue(&[command]);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("--older-than"), "{}", ran.stderr);
        let ran = site.queue(&[command, "/srv/git/tools.git"]);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("--repo REPO"), "{}", ran.stderr);
        let ran = site.queue(&[command, "--endpoint", "nobody"]);
        assert_eq!(ran.status, 1);
        assert!(
            ran.stderr.contains("nothing of that kind waits"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(site.files().len(), 1);
}

#[test]
fn dropping_takes_what_is_chosen_and_no_more() {
    let site = mixed();
    let pushed = site.announce_many(3);
    site.flush();
    assert_eq!(ids(&site, &[]).len(), 6);
    let first = ids(&site, &[])[0].clone();

    let ran = site.queue(&["drop", &first, "--endpoint", "two"]).well();
    assert_eq!(ran.stdout, "1 entry dropped\n");
    assert_eq!(ids(&site, &["--endpoint", "two"]).len(), 2);
    assert_eq!(ids(&site, &["--endpoint", "three"]).len(), 3);

    let ran = site.queue(&["drop", &first]).well();
    assert_eq!(ran.stdout, "1 entry dropped\n");
    let ran = site.queue(&["drop", "--older-than", "1h"]);
    assert_eq!(ran.status, 1, "nothing is that old");
    let ran = site.queue(&["drop", "--endpoint", "three"]).well();
    assert_eq!(ran.stdout, "2 entries dropped\n");
    site.bare("other.git");
    let other = ["queue", "drop", "--older-than", "0s", "--repo", "other.git"];
    let ran = site.refpost(other).run();
    assert_eq!(ran.status, 1, "nothing of that repository");
    assert_eq!(ids(&site, &[]).len(), 2);

    // What is left is delivered, what was dropped is not.
    eventually("it is quiet", || site.flush().stderr.is_empty());
    site.receiver.take();
    site.receiver.script(|_| Answer::status(200));
    let ran = site.queue(&["retry", "--all"]).well();
    assert_eq!(ran.stdout, "2 entries to be tried again now\n");
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        assert_eq!(site.flush().status, 0);
        arrived.extend(site.receiver.take());
        site.files().is_empty()
    });
    arrived.extend(site.receiver.take());
    assert_eq!(commits(&arrived), pushed[1..]);
    let ran = site.queue(&["drop", "--all"]).well();
    assert_eq!(ran.stdout, "0 entries dropped\n");
}

#[test]
fn dropping_takes_what_is_new_too() {
    let site = Spooled::new();
    site.announce_many(2);
    let ran = site.queue(&["drop", "--all"]).well();
    assert_eq!(ran.stdout, "2 entries dropped\n");
    assert!(site.flush_well().is_empty());
    eventually("the spool is empty", || site.files().is_empty());
}

#[test]
fn retrying_needs_nobody_to_flush() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(503));
    let pushed = site.announce_many(2);
    site.flush_well();
    site.receiver.script(|_| Answer::status(200));
    let ran = site.queue(&["retry", "--older-than", "0s"]).well();
    assert_eq!(ran.stdout, "2 entries to be tried again now\n");
    assert_eq!(commits(&site.receiver.wait_for(2)), pushed);
    eventually("the spool is empty", || site.files().is_empty());
}

#[test]
fn what_has_failed_is_retried_in_its_place() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(413));
    let (first, _) = site.announce();
    site.flush();
    assert_eq!(site.names("failed/one").len(), 1);
    site.receiver.take();
    site.receiver.script(|_| Answer::status(200));
    let (second, _) = site.announce();
    let listed = site.queue(&["list"]).well().stdout;
    assert!(
        listed.contains("\nfailed  ") && listed.contains("  one  "),
        "{listed}"
    );
    // Older than what is new: it goes first.
    site.queue(&["retry", "--endpoint", "one"]).well();
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        site.flush().well();
        arrived.extend(site.receiver.take());
        arrived.len() == 2
    });
    assert_eq!(commits(&arrived), [first, second]);
    eventually("the spool is empty", || site.files().is_empty());
}

#[test]
fn the_folder_one_is_in_says_which_repository() {
    let site = Spooled::new();
    site.announce();
    let here = |args: &[&str]| site.refpost(args).dir(&site.bare).run().well().stdout;
    assert!(here(&["queue", "list"]).contains("\nnew "));
    assert!(here(&["status"]).contains(": 1 in `new/`, 0 unreadable"));
    let dropped = here(&["queue", "drop", "--all", "--repo", "."]);
    assert_eq!(dropped, "1 entry dropped\n");
    assert_eq!(here(&["log"]), "");
}

#[test]
fn status_has_a_word_for_each_endpoint() {
    let site = mixed();
    let state = |endpoint: &str, state: &str| (endpoint.to_owned(), state.to_owned());
    let all = |word: &str| ["one", "three", "two"].map(|name| state(name, word));
    assert_eq!(states(&site), all("healthy"));
    site.announce_many(2);
    site.flush();
    assert_eq!(
        states(&site),
        [
            state("one", "healthy"),
            state("three", "refusing"),
            state("two", "failing")
        ]
    );
    let lines = site.objects(&["status", "--json"]);
    let of = |name: &str| lines.iter().find(|line| line["endpoint"] == name).unwrap();
    let counts = |name: &str| {
        let line = of(name);
        json!([
            line["waiting"],
            line["refused"],
            line["failed"],
            line["attempts"]
        ])
    };
    assert_eq!(counts("one"), json!([0, 0, 0, 0]));
    assert_eq!(counts("two"), json!([2, 0, 0, 1]));
    assert_eq!(counts("three"), json!([0, 2, 0, 0]));
    assert_eq!(of("two")["failing_since"], of("two")["oldest"]);
    assert_eq!(of("one")["next_try"], Value::Null);
    assert_ne!(of("three")["next_try"], Value::Null);
    let text = site.refpost(["status"]).arg(&site.bare).run().well().stdout;
    // Those that fail come first, healthy ones are counted alone.
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][..3], ["STATE", "ENDPOINT", "RECEIVER"]);
    let receiver = site.receiver.url("");
    let receiver = receiver.trim_end_matches('/');
    assert_eq!(
        lines[1][..7],
        ["failing", "two", receiver, "1/1", "2", "-", "-"],
        "{text}"
    );
    assert!(
        text.contains("(1 time)  503 ") && text.contains("  in "),
        "{text}"
    );
    assert_eq!(
        lines[2][..7],
        ["refusing", "three", receiver, "1/1", "-", "2", "-"],
        "{text}"
    );
    assert!(lines[3..].len() == 1, "{text}");
    let summary = "\n2 of 3 endpoints fail, 4 entries wait, the oldest ";
    assert!(text.contains(summary), "{text}");
    let all = site.refpost(["status", "--healthy", "--color", "always"]);
    let all = all.arg(&site.bare).run().well().stdout;
    assert!(
        all.contains("\n\u{1b}[32mhealthy\u{1b}[0m   one "),
        "{all:?}"
    );
    assert!(
        all.contains("\u{1b}[1m\u{1b}[31mfailing\u{1b}[0m   two "),
        "{all:?}"
    );

    // Behind a lock or a budget, it waits and has not failed.
    let site = Spooled::new();
    site.announce();
    site.refpost(["flush", "--budget", "0s"])
        .arg(&site.bare)
        .run();
    assert_eq!(states(&site), [state("one", "waiting")]);
}

#[test]
fn an_entry_on_its_way_to_its_queue_is_listed_and_counted_once() {
    let site = Spooled::new();
    let (commit, _) = site.announce();
    let spool = site.spool();
    let id = site.names("new").remove(0);
    let queue = spool.join("retry/one");
    fs::create_dir(&queue).unwrap();
    let due = "20260101T000000Z";
    fs::hard_link(
        spool.join("new").join(&id),
        queue.join(format!("{due}.0.0.{id}")),
    )
    .unwrap();
    assert_eq!(site.queue(&["list"]).well().stdout.lines().count(), 2);
    // What the flush that comes of it takes is there no more.
    let retried = site.queue(&["retry", &id, "--all"]).well().stdout;
    assert_eq!(retried, "1 entry to be tried again now\n");
    let mut arrived = Vec::new();
    eventually("it arrived", || {
        site.flush();
        arrived.extend(site.receiver.take());
        site.files().is_empty()
    });
    assert_eq!(commits(&arrived), [commit]);
}

#[test]
fn two_refused_messages_of_one_push_are_told_apart() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(404));
    site.commit("file");
    site.push(&["main:a", "main:b"]);
    site.flush();
    let listed = site.queue(&["list"]).well().stdout;
    assert_eq!(listed.lines().count(), 5, "{listed}");
    let about = |topic: &str, reference: &str| {
        let about = format!("  git.{topic} refs/heads/{reference}  ");
        listed.lines().filter(|line| line.contains(&about)).count()
    };
    for reference in ["a", "b"] {
        assert_eq!(about("branch.creation", reference), 1, "{listed}");
        assert_eq!(about("receive", reference), 1, "{listed}");
    }
}
