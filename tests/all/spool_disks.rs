//! Disks that are full or cannot be written.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::support::disks::{Mount, fill, make_room};
use crate::support::spooled::{commits, eventually, files_below, names, to};
use crate::support::{Answer, Push, REFPOST, Spooled};

/// One line, and it says that the push was accepted.
#[track_caller]
fn assert_accepted(push: &Push, why: &str) {
    assert_eq!(push.status, 0, "{}", push.said);
    let said = push.remote();
    let [line] = said[..] else {
        panic!("{said:?}");
    };
    assert!(
        line.starts_with("refpost: cannot enqueue 1 message: cannot "),
        "{line}"
    );
    assert!(
        line.ends_with(&format!("{why} (your push was accepted)")),
        "{line}"
    );
}

#[test]
fn no_space_left_is_told_and_leaves_nothing_behind() {
    let site = Spooled::new();
    let Some(mount) = Mount::new(
        site.path("small"),
        &["-t", "tmpfs", "-o", "size=64k", "none"],
    ) else {
        return;
    };
    let spool = mount.path().join("spool");
    site.configure(
        &format!("mode = \"spool\"\nspool = \"{}\"", spool.display()),
        "",
    );
    let (first, _) = site.announce();
    let ballast = fill(mount.path());
    let (_, push) = site.announce();
    assert_accepted(&push, "no space left on device");
    let mut files = files_below(&spool);
    files.retain(|file| !file.starts_with("sizes/"));
    assert_eq!(files.len(), 1, "the first push, and nothing of the second");
    // What waits is delivered, though there is no room for a line in the log.
    let ran = site.flush();
    assert_eq!(ran.status, 0);
    assert_eq!(commits(&site.receiver.take()), [first]);
    make_room(&ballast);
    let (third, push) = site.announce();
    assert_eq!(push.remote(), ["refpost: 1 message queued for `one`"]);
    assert_eq!(commits(&site.flush_well()), [third]);
}

#[test]
fn no_names_left_keeps_an_entry_where_it_is() {
    let site = Spooled::new();
    let options = ["-t", "tmpfs", "-o", "nr_inodes=40", "none"];
    let Some(mount) = Mount::new(site.path("small"), &options) else {
        return;
    };
    let spool = mount.path().join("spool");
    let rest = site.endpoint("two");
    site.configure(
        &format!("mode = \"spool\"\nspool = \"{}\"", spool.display()),
        &rest,
    );
    let pushed = site.announce_many(2);
    let ballast = mount.path().join("ballast");
    fs::create_dir(&ballast).unwrap();
    let mut count = 0;
    while fs::write(ballast.join(count.to_string()), "").is_ok() {
        count += 1;
    }
    // One name is left: enough for one of the two queues, not for both.
    fs::remove_file(ballast.join("0")).unwrap();
    for _ in 0..3 {
        let ran = site.flush();
        assert_eq!(ran.status, 1);
        assert!(
            ran.stderr.contains("no space left on device"),
            "{}",
            ran.stderr
        );
        assert_eq!(names(&spool.join("new")).len(), 2);
    }
    fs::remove_dir_all(&ballast).unwrap();
    let mut arrived = site.receiver.take();
    arrived.extend(site.flush_well());
    for path in ["/one", "/two"] {
        assert_eq!(commits(&to(path, &arrived)), pushed, "{path}");
    }
}

#[test]
fn what_cannot_be_crossed_off_for_want_of_names_is_not_sent_at_each_flush() {
    let site = Spooled::new();
    let options = ["-t", "tmpfs", "-o", "nr_inodes=40", "none"];
    let Some(mount) = Mount::new(site.path("small"), &options) else {
        return;
    };
    let spool = mount.path().join("spool");
    site.configure(
        &format!("mode = \"spool\"\nspool = \"{}\"", spool.display()),
        "",
    );
    // Two messages: that a branch is there, and what is on it.
    let commit = site.commit("file");
    let push = site.try_push(&["origin", "main:other"]);
    assert_eq!(push.remote(), ["refpost: 2 messages queued for `one`"]);
    site.receiver.script(|_| Answer::status(503));
    assert_eq!(site.flush_well().len(), 1);
    // As if it were due.
    fs::remove_file(spool.join("stats")).unwrap();
    let queue = spool.join("retry/one");
    let item = names(&queue).remove(0);
    let due = item.split_once('.').unwrap().1;
    fs::rename(
        queue.join(&item),
        queue.join(format!("20260101T000000Z.{due}")),
    )
    .unwrap();
    let ballast = mount.path().join("ballast");
    fs::create_dir(&ballast).unwrap();
    let mut count = 0;
    while fs::write(ballast.join(count.to_string()), "").is_ok() {
        count += 1;
    }
    // Refused, a message gets a name of its own.
    site.receiver.script(|_| Answer::status(404));
    for _ in 0..3 {
        let ran = site.flush();
        let why = "no space left on device";
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
    assert!(site.receiver.take().is_empty());
    fs::remove_dir_all(&ballast).unwrap();
    site.receiver.script(|_| Answer::status(200));
    let mut arrived = Vec::new();
    eventually("both arrived", || {
        site.flush();
        arrived.extend(site.receiver.take());
        arrived.len() == 2
    });
    assert_eq!(commits(&arrived[1..]), [commit]);
}

#[test]
fn a_limit_on_the_size_of_files_is_told() {
    let site = Spooled::new();
    let (first, _) = site.announce();
    let commit = site.commit("file");
    let old = site.bare_git(&["rev-parse", "main"]);
    site.git(&["push", "-q", "origin", "HEAD:refs/unannounced/x"]);
    site.flush_well();
    // As a login class or a container's limits have it (getrlimit(2), RLIMIT_FSIZE).
    let script = format!("trap '' XFSZ; ulimit -f 0; exec '{REFPOST}' hook post-receive");
    let hook = site.run("sh").args(["-c", &script]).dir(&site.bare);
    let ran = hook
        .stdin(format!("{old} {commit} refs/heads/main\n"))
        .run();
    assert_eq!(ran.status, 0);
    assert!(
        ran.stderr
            .contains("file too large (your push was accepted)"),
        "{}",
        ran.stderr
    );
    assert!(site.files().is_empty(), "{:?} {first}", site.files());
}

#[test]
fn a_read_only_spool_is_told() {
    let site = Spooled::new();
    let (first, _) = site.announce();
    let spool = site.spool();
    let Some(mount) = Mount::new(spool.clone(), &["--bind", spool.to_str().unwrap()]) else {
        return;
    };
    mount.remount("remount,ro,bind");
    let (_, push) = site.announce();
    assert_accepted(&push, "read-only file system");
    let ran = site.flush();
    assert!(
        ran.stderr.contains("read-only file system"),
        "{}",
        ran.stderr
    );
    assert!(site.receiver.take().is_empty());
    mount.remount("remount,rw,bind");
    assert_eq!(commits(&site.flush_well()), [first]);
}

#[test]
fn what_waits_in_a_read_only_spool_is_not_sent_at_each_run() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", "[retry]\nschedule = [\"1s\"]");
    site.receiver.script(|_| Answer::status(503));
    let (commit, _) = site.announce();
    site.flush_well();
    let spool = site.spool();
    let Some(mount) = Mount::new(spool.clone(), &["--bind", spool.to_str().unwrap()]) else {
        return;
    };
    mount.remount("remount,ro,bind");
    site.receiver.script(|_| Answer::status(200));
    // It is due by the end of that.
    let mut said = String::new();
    let mut arrived = Vec::new();
    for _ in 0..6 {
        said.push_str(&site.flush().stderr);
        arrived.extend(site.receiver.take());
        thread::sleep(Duration::from_millis(500));
    }
    assert!(said.contains("read-only file system"), "{said}");
    assert!(arrived.len() <= 1, "{} times", arrived.len());
    mount.remount("remount,rw,bind");
    eventually("it arrived", || {
        arrived.extend(site.flush_well());
        site.files().is_empty()
    });
    assert_eq!(commits(&arrived[..1]), [commit]);
}

#[test]
fn a_file_in_the_spools_place_is_told() {
    let site = Spooled::new();
    fs::create_dir(site.bare.join("refpost")).unwrap();
    fs::write(site.spool(), "").unwrap();
    let (_, push) = site.announce();
    assert_accepted(&push, "not a directory");
    let ran = site.flush();
    assert!(ran.stderr.contains("not a directory"), "{}", ran.stderr);
    // Nor can a push that cannot be announced be recorded; that is one line too.
    site.settings("broken");
    let (_, push) = site.announce();
    assert_accepted(&push, "not a directory");
}
