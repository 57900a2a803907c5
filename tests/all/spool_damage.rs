//! Entries that are damaged or planted, and clocks that jump.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use crate::support::spooled::{commits, eventually, names};
use crate::support::{Answer, Spooled};

/// Damages the entries of five pushes in the spool's folder `place`, and flushes.
fn damaged(place: &str) {
    let site = Spooled::new();
    let pushed = site.announce_many(6);
    if place != "new" {
        // To the queues, and nowhere further.
        site.receiver.script(|_| Answer::status(503));
        site.flush_well();
        site.receiver.take();
        site.receiver.script(|_| Answer::status(200));
    }
    let folder = site.spool().join(place);
    let mut files = names(&folder);
    // In push order: in `retry/` the first has another due time.
    files.sort_by_key(|name| name[name.len() - 46..].to_owned());
    let path = |n: usize| folder.join(&files[n]);
    let bytes = fs::read(path(0)).unwrap();
    fs::write(path(0), &bytes[..bytes.len() - 1]).unwrap();
    fs::write(path(1), "").unwrap();
    fs::write(path(2), vec![0xff; 5000]).unwrap();
    let mut flipped = fs::read(path(3)).unwrap();
    let middle = flipped.len() - 20;
    flipped[middle] ^= 1;
    fs::write(path(3), flipped).unwrap();
    let newer = String::from_utf8(fs::read(path(4)).unwrap()).unwrap();
    fs::write(
        path(4),
        newer.replacen("refpost-entry 1 ", "refpost-entry 9 ", 1),
    )
    .unwrap();
    if place != "new" {
        // A person's `retry` of what is due later.
        site.retry_all();
    }
    let mut said = String::new();
    let mut arrived = Vec::new();
    eventually("the good one arrived", || {
        let ran = site.flush();
        assert_eq!(ran.status, 0);
        said.push_str(&ran.stderr);
        arrived.extend(site.receiver.take());
        !arrived.is_empty()
    });
    assert_eq!(commits(&arrived), pushed[5..]);
    assert_eq!(site.names("failed/unreadable").len(), 5);
    if place == "new" {
        for why in [
            "cut off or changed",
            "its first line is not that of an entry",
            "the body of its message 0 does not match its checksum",
            "its format version is 9",
        ] {
            assert!(said.contains(why), "{why}: {said}");
        }
        assert_eq!(
            said.matches("it lies in `failed/unreadable/` now").count(),
            5,
            "{said}"
        );
    }
    assert!(site.flush_well().is_empty(), "told once");
    let status = site.refpost(["status"]).arg(&site.bare).run().well();
    assert!(status.stdout.contains("5 unreadable"), "{}", status.stdout);
    // A newer refpost may know better.
    site.retry_all();
    assert_eq!(
        site.refpost(["queue", "drop", "--all", "--repo"])
            .arg(&site.bare)
            .run()
            .status,
        0
    );
}

#[test]
fn a_damaged_entry_is_set_aside_and_the_rest_goes_on() {
    damaged("new");
}

#[test]
fn a_damaged_entry_of_a_queue_is_set_aside_and_the_rest_goes_on() {
    damaged("retry/one");
}

#[test]
fn planted_links_and_strange_names_lead_nowhere() {
    let site = Spooled::new();
    let pushed = site.announce_many(2);
    let secret = site.write("secret", "s3cret");
    let new = site.spool().join("new");
    let [id, _] = &site.names("new")[..] else {
        panic!("two pushes")
    };
    let (before, after) = (id.replacen("20", "19", 1), id.replacen("20", "21", 1));
    symlink(&secret, new.join(&before)).unwrap();
    symlink(site.path("nowhere"), new.join(&after)).unwrap();
    let third = id.replacen("20", "22", 1);
    fs::create_dir(new.join(&third)).unwrap();
    fs::write(new.join("README"), "").unwrap();
    let ran = site.flush();
    assert_eq!(commits(&site.receiver.take()), pushed);
    assert!(
        ran.stderr.contains("it is no regular file"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read_to_string(&secret).unwrap(), "s3cret");
    assert!(new.join("README").exists());
}

#[test]
fn a_link_in_the_place_of_the_log_is_not_followed() {
    let site = Spooled::new();
    let victim = site.write("victim", "kept");
    site.announce();
    symlink(&victim, site.spool().join("log")).unwrap();
    let ran = site.flush();
    assert_eq!(site.receiver.take().len(), 1);
    assert!(ran.stderr.contains("log"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
}

#[test]
fn a_clock_that_was_ahead_holds_nothing_back() {
    let site = Spooled::new();
    let (first, _) = site.announce();
    // As if it had been 2099 when that was pushed.
    let new = site.spool().join("new");
    let id = &site.names("new")[0];
    fs::rename(new.join(id), new.join(id.replacen("20", "99", 1))).unwrap();
    let ahead = SystemTime::now() + Duration::from_hours(24 * 365 * 100);
    let root = fs::File::open(site.spool()).unwrap();
    root.set_modified(ahead).unwrap();
    let (second, _) = site.announce();
    let ids = site.names("new");
    assert!(ids[0].as_str() < ids[1].as_str());
    let requests = site.flush_well();
    // Ids of later pushes sort behind all that there were, whatever the clock says.
    let arrived = commits(&requests);
    assert!(arrived.contains(&first) && arrived.contains(&second));
    let (third, _) = site.announce();
    let (fourth, _) = site.announce();
    assert_eq!(commits(&site.flush_well()), [third, fourth]);
}

#[test]
fn a_clock_that_was_set_back_does_not_turn_the_order() {
    let site = Spooled::new();
    // The newest id is a day ahead of the clock.
    let (first, _) = site.announce();
    let tomorrow = SystemTime::now() + Duration::from_hours(24);
    fs::File::open(site.spool())
        .unwrap()
        .set_modified(tomorrow)
        .unwrap();
    let (second, _) = site.announce();
    let (third, _) = site.announce();
    assert_eq!(commits(&site.flush_well()), [first, second, third]);
}

#[test]
fn a_due_time_that_cannot_be_is_now() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(503));
    let (commit, _) = site.announce();
    site.flush_well();
    let retry = site.spool().join("retry/one");
    let name = &site.names("retry/one")[0];
    let (due, rest) = name.split_once('.').unwrap();
    site.receiver.script(|_| Answer::status(200));
    fs::rename(
        retry.join(name),
        retry.join(format!("{}.{rest}", due.replacen("20", "98", 1))),
    )
    .unwrap();
    // What flushes tell each other says when the schedule has the next attempt.
    fs::remove_file(site.spool().join("stats")).unwrap();
    assert_eq!(commits(&site.flush_well()), [commit]);
}
