//! What waits for a repository is bounded: beyond `max_spool` pushes are recorded as ref updates
//! alone, and announced in their order once there is room.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::spooled::{
    announce_to, commits, eventually, files_below, late, objects, sibling,
};
use crate::support::{Accounts, Answer, Request, Served, Spooled};

/// How many bytes are in a folder.
fn size(folder: &Path) -> u64 {
    let files = files_below(folder).into_iter();
    let length = |file: String| fs::metadata(folder.join(file)).unwrap().len();
    files.map(length).sum()
}

/// The commits at which branches were made.
fn made_at(requests: &[Request]) -> Vec<String> {
    let rev = |one: &Request| one.message()["rev"].as_str().map(str::to_owned);
    requests.iter().filter_map(rev).collect()
}

/// Flushes until all are gone.
#[track_caller]
fn all_arrived(site: &Spooled) -> Vec<Request> {
    let mut arrived = Vec::new();
    for _ in 0..30 {
        site.flush();
        arrived.extend(site.receiver.take());
        if site.names("new").is_empty() {
            break;
        }
    }
    assert_eq!(site.files(), [""; 0]);
    arrived
}

#[test]
fn twenty_pushes_of_64_branches_at_one_commit_filled_the_disk() {
    let site = Spooled::with("mode = \"spool\"\nmax_spool = \"256KiB\"");
    let mut expected = Vec::new();
    let mut said = String::new();
    for push in 0..20 {
        let commit = site.commit("file");
        let refs = (0..64).map(|n| format!("HEAD:refs/heads/b{push}-{n}"));
        let refs: Vec<String> = std::iter::once("origin".to_owned()).chain(refs).collect();
        let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
        let pushed = site.try_push(&refs);
        assert_eq!(pushed.status, 0, "{}", pushed.said);
        said = pushed.remote().join("\n");
        expected.extend(std::iter::repeat_n(commit, 64));
    }
    let why = "of messages wait, and `max_spool` is 256.0 KiB";
    assert!(
        said.contains(&format!(
            "{why}: recorded, to be announced once that is mended (your push was accepted)"
        )),
        "{said}"
    );
    let waits = size(&site.spool().join("new"));
    assert!(waits < 1 << 20, "{waits}");

    let check = site.refpost(["check"]).arg(&site.bare).run();
    assert!(check.stdout.contains(why), "{}", check.stdout);
    assert!(
        check
            .stdout
            .contains("recorded pushes are not announced yet")
    );
    let status = site.refpost(["status"]).arg(&site.bare).run().well();
    assert!(status.stdout.contains(why), "{}", status.stdout);
    let json = site.refpost(["status", "--json"]).arg(&site.bare).run();
    let json = objects(&json.well().stdout);
    let full = json.iter().find(|one| one["state"] == "no_room").unwrap();
    assert_eq!(full["max_spool"], 256 << 10);
    assert!(full["waiting_bytes"].as_u64().unwrap() >= 256 << 10);

    let flush = site.flush();
    assert!(flush.stderr.contains(why), "{}", flush.stderr);
    assert!(
        flush.stderr.contains("held back by that"),
        "{}",
        flush.stderr
    );
    let mut arrived = site.receiver.take();
    arrived.extend(all_arrived(&site));
    assert_eq!(made_at(&arrived), expected);
    let status = site.refpost(["status"]).arg(&site.bare).run().well();
    assert!(!status.stdout.contains(why), "{}", status.stdout);
}

/// What was pushed later and had room would have kept the one before it from being built.
#[test]
fn what_waits_behind_a_recorded_push_does_not_keep_it_from_being_announced() {
    let site = Spooled::with("mode = \"spool\"\nmax_spool = \"1KiB\"");
    let (first, push) = site.announce();
    assert!(!push.said.contains("max_spool"), "{}", push.said);
    let (second, push) = site.announce();
    assert!(push.said.contains("max_spool"), "{}", push.said);
    // The first is on its way while room for the second is asked for.
    site.receiver.script(|_| late(Duration::from_secs(2), 200));
    site.flush();
    site.receiver.script(|_| late(Duration::ZERO, 200));
    assert_eq!(commits(&site.receiver.take()), [first]);
    let (third, push) = site.announce();
    assert!(!push.said.contains("max_spool"), "{}", push.said);
    assert_eq!(commits(&all_arrived(&site)), [second, third]);
}

#[test]
fn what_was_delivered_does_not_count() {
    for mode in ["sync", "spool"] {
        let site = Spooled::with(&format!("mode = \"{mode}\"\nmax_spool = \"8KiB\""));
        let mut arrived = 0;
        for _ in 0..10 {
            let (_, push) = site.announce();
            assert!(!push.said.contains("max_spool"), "{mode}: {}", push.said);
            site.flush();
            arrived += push.messages.len() + site.receiver.take().len();
        }
        assert_eq!(arrived, 10, "{mode}");
        site.flush();
        assert_eq!(files_below(&site.spool().join("sizes")), [""; 0], "{mode}");
    }
}

#[test]
fn without_a_bound_all_messages_are_made() {
    let site = Spooled::with("mode = \"spool\"\nmax_spool = 0");
    for _ in 0..10 {
        let (_, push) = site.announce();
        assert!(!push.said.contains("max_spool"), "{}", push.said);
    }
    assert_eq!(site.flush_well().len(), 10);
}

/// The measure of one repository is not that of another in the same spool.
#[test]
fn one_repository_does_not_fill_the_room_of_another() {
    let site = Spooled::with("mode = \"spool\"\nmax_spool = \"1KiB\"");
    let server = format!("spool = \"{}\"", site.path("spool").display());
    site.write("system.toml", server);
    let other = sibling(&site, "other.git");
    site.announce();
    let (_, push) = site.announce();
    assert!(push.said.contains("max_spool"), "{}", push.said);
    let commit = announce_to(&site, &other);
    site.refpost(["flush"]).arg(site.path("spool")).run();
    assert!(commits(&site.receiver.take()).contains(&commit));
}

/// One account fills the service's disk no further than its gibibyte.
#[test]
fn an_account_may_let_a_gibibyte_wait_and_no_more() {
    let Some(served) = Served::new() else { return };
    served.configure("max_spool = \"4 GiB\"", "");
    served.receiver.script(|_| Answer::status(503));
    let service = served.start();
    let (first, _) = served.push(&served.alice, "alice/a");
    eventually("it waits", || {
        !files_below(&served.spool().join("retry")).is_empty()
    });
    served.stop(service);
    // As if the entry that waits had a gibibyte.
    let sizes = served.spool().join("sizes");
    for file in fs::read_dir(&sizes).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let id = text.split(' ').nth(1).unwrap();
        fs::write(&path, format!("{0} {id} {0}\n", 1_u64 << 30)).unwrap();
    }
    let service = served.start();
    let (second, said) = served.push(&served.alice, "alice/a");
    assert!(
        said[0].contains("1073741824 bytes that the account submitted wait"),
        "{said:?}"
    );
    let (bobs, said) = served.push(&served.bob, "bob/b");
    assert_eq!(said, ["refpost: 1 message sent to the service"]);
    // Once there is room, what waited is taken.
    served.receiver.script(|_| Answer::status(200));
    let retry = ["queue", "retry", "--all", "--server"];
    Accounts::run(&mut served.as_service(&retry)).well();
    eventually("there is room", || {
        files_below(&served.spool().join("retry")).is_empty()
    });
    let bare = served.bare("alice/a");
    let flush = ["flush", bare.to_str().unwrap()];
    served.accounts.refpost(served.alice.uid, &flush).well();
    let mut arrived = Vec::new();
    eventually("all arrive", || {
        arrived.extend(commits(&served.receiver.take()));
        [&first, &bobs, &second]
            .iter()
            .all(|one| arrived.contains(one))
    });
    served.stop(service);
}
