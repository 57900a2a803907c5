//! Pushes that find the disk of their spool full.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::support::disks::{Mount, fill, make_room};
use crate::support::spooled::{commits, eventually};
use crate::support::{Background, Push, Request, Spooled, ZEROS};

/// A site whose spool is on a small disk of its own, and has been used.
struct Full {
    site: Spooled,
    disk: Mount,
    ballast: PathBuf,
}

impl Full {
    /// `None`: such a disk cannot be had here.
    fn new(kind: &str) -> Option<Self> {
        let site = Spooled::new();
        let small = site.path("small");
        let disk = match kind {
            "tmpfs" => Mount::new(small, &["-t", "tmpfs", "-o", "size=1m", "none"])?,
            kind => Mount::disk(small, kind, 16)?,
        };
        let spool = disk.path().join("spool").display().to_string();
        site.configure(&format!("mode = \"spool\"\nspool = \"{spool}\""), "");
        site.announce();
        assert_eq!(site.flush_well().len(), 1);
        let ballast = fill(disk.path());
        Some(Self {
            site,
            disk,
            ballast,
        })
    }

    /// Pushes that are recorded in the room that is set aside.
    fn announce(&self, count: usize) -> Vec<String> {
        let announce = |_| {
            let (commit, push) = self.site.announce();
            assert_recorded(&push, "1 message");
            commit
        };
        (0..count).map(announce).collect()
    }

    fn make_room(&self) {
        make_room(&self.ballast);
    }

    fn said_by(&self, command: &str) -> String {
        let ran = self.site.refpost([command]).arg(&self.site.bare).run();
        assert_eq!(ran.stderr, "");
        ran.stdout
    }
}

/// More refs than there are slots for.
fn too_many() -> impl Iterator<Item = String> {
    (0..1000).map(|n| format!("refs/heads/{}{n}", "b".repeat(200)))
}

/// The pusher is told that nothing is lost.
#[track_caller]
fn assert_recorded(push: &Push, what: &str) {
    let said = push.remote();
    let [line] = said[..] else {
        panic!("{said:?}");
    };
    let start = format!("refpost: cannot enqueue {what}: cannot ");
    assert!(line.starts_with(&start), "{line}");
    let end = "no space left on device: recorded, to be announced once that is mended (your push \
               was accepted)";
    assert!(line.ends_with(end), "{line}");
}

#[test]
fn pushes_whose_claims_alone_had_room_were_invisible() {
    let Some(full) = Full::new("tmpfs") else {
        return;
    };
    // Room for a claim, and none for the messages.
    let length = fs::metadata(&full.ballast).unwrap().len();
    let ballast = fs::File::options().write(true).open(&full.ballast);
    ballast.unwrap().set_len(length - 4096).unwrap();
    let pushed = full.announce(1);
    let listed = full.said_by("status");
    assert!(listed.contains(": 1 in `new/`"), "{listed}");
    let list = full.site.queue(&["list"]).well().stdout;
    assert!(list.contains("new "), "{list}");
    // The flush fails, and says once what is wrong.
    let ran = full.site.flush();
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let count = |text: &str| ran.stderr.matches(text).count();
    assert_eq!(count("no space left on device"), 1, "{}", ran.stderr);
    assert_eq!(count("the process"), 0, "{}", ran.stderr);
    full.make_room();
    assert_eq!(commits(&full.site.flush_well()), pushed);
}

#[test]
fn pushes_on_a_full_disk_are_announced_in_order_once_there_is_room() {
    for kind in ["tmpfs", "ext4"] {
        let Some(full) = Full::new(kind) else {
            continue;
        };
        let mut pushed = full.announce(3);
        let status = full.said_by("status");
        assert!(
            status.contains(": 3 in `spare` for lack of room\n"),
            "{status}"
        );
        // It stays, and is told; nothing is made of it in between.
        let ran = full.site.flush();
        assert!(
            ran.stderr.contains("no space left on device"),
            "{kind}: {}",
            ran.stderr
        );
        assert!(full.site.receiver.take().is_empty());
        pushed.extend(full.announce(1));
        full.make_room();
        let (last, push) = full.site.announce();
        assert_eq!(push.remote(), ["refpost: 1 message queued for `one`"]);
        pushed.push(last);
        assert_eq!(commits(&full.site.flush_well()), pushed, "{kind}");
        assert!(!full.said_by("status").contains("spare"));
        // And once more: the room is there again.
        let ballast = fill(full.disk.path());
        let again = full.announce(2);
        make_room(&ballast);
        assert_eq!(commits(&full.site.flush_well()), again, "{kind}");
    }
}

#[test]
fn a_flush_that_is_killed_loses_no_push_of_a_full_disk() {
    let Some(full) = Full::new("ext4") else {
        return;
    };
    let mut ballast = full.ballast.clone();
    for kill_after in (0..30).step_by(3) {
        let mut pushed = full.announce(3);
        make_room(&ballast);
        pushed.push(full.site.announce().0);
        let mut flush = Background::start(full.site.refpost(["flush"]).arg(&full.site.bare));
        thread::sleep(Duration::from_millis(kill_after));
        flush.0.kill().unwrap();
        flush.0.wait().unwrap();
        let mut arrived = commits(&full.site.receiver.take());
        let before = arrived.len();
        full.site.flush().well();
        arrived.extend(commits(&full.site.receiver.take()));
        // What was on its way when it was killed comes again.
        let mut first = vec![];
        for commit in &arrived {
            if !first.contains(commit) {
                first.push(commit.clone());
            }
        }
        assert_eq!(
            first, pushed,
            "{before} before, after {kill_after} ms: {arrived:?}"
        );
        assert!(arrived.len() <= pushed.len() + 2, "{arrived:?}");
        ballast = fill(full.disk.path());
    }
}

#[test]
fn a_push_of_many_refs_is_recorded_on_a_full_disk_too() {
    let Some(full) = Full::new("ext4") else {
        return;
    };
    let site = &full.site;
    let branches: Vec<String> = (0..100).map(|n| format!("b{n:02}")).collect();
    let refs = branches.iter().map(|branch| format!("main:{branch}"));
    let refs: Vec<String> = refs.collect();
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    let push = site.try_push(&[&["origin"], &refs[..]].concat());
    assert_recorded(&push, "100 messages");
    let last = full.announce(1);
    full.make_room();
    let requests = site.flush_well();
    let (rest, first) = (&requests[100..], &requests[..100]);
    assert_eq!(commits(rest), last);
    let messages = first.iter().map(Request::message);
    let announced: Vec<String> = messages.map(|it| it.about().1.to_owned()).collect();
    assert_eq!(announced, branches);
}

#[test]
fn what_is_in_spare_for_a_renamed_repository_stayed_without_a_word() {
    let Some(full) = Full::new("tmpfs") else {
        return;
    };
    full.announce(2);
    let (old, new) = (&full.site.bare, full.site.path("renamed.git"));
    fs::rename(old, &new).unwrap();
    let moved = full.site.refpost(["queue", "move", "--renamed"]);
    let moved = moved.arg(old).arg(&new).run();
    assert_eq!(moved.status, 1);
    let said = format!(
        "refpost: cannot move 2 entries of `{}` in `spare`: there is no room for them\n",
        old.display()
    );
    assert!(moved.stderr.contains(&said), "{}", moved.stderr);
}

#[test]
fn what_is_in_spare_is_listed_shown_and_dropped() {
    let Some(full) = Full::new("ext4") else {
        return;
    };
    let pushed = full.announce(3);
    let listed = full.site.queue(&["list"]).well().stdout;
    let lines: Vec<&str> = listed.lines().skip(1).collect();
    assert_eq!(lines.len(), 3, "{listed}");
    for line in &lines {
        assert!(line.starts_with("spare "), "{line}");
        assert!(line.contains("  1 ref update, not built  "), "{line}");
    }
    let id = lines[1].split(' ').next_back().unwrap();
    let shown = full.site.queue(&["show", id]).well().stdout;
    assert!(shown.contains(&pushed[1]), "{shown}");
    let dropped = full.site.queue(&["drop", id]).well().stdout;
    assert_eq!(dropped, "1 entry dropped\n");
    assert!(full.said_by("status").contains(": 2 in `spare`"));
    full.make_room();
    let arrived = full.site.flush_well();
    assert_eq!(commits(&arrived), [pushed[0].clone(), pushed[2].clone()]);
    // All of it at once: the room is free again.
    let ballast = fill(full.disk.path());
    full.announce(2);
    let dropped = full.site.queue(&["drop", "--all"]).well().stdout;
    assert_eq!(dropped, "2 entries dropped\n");
    assert!(!full.said_by("status").contains("spare"));
    make_room(&ballast);
    assert!(full.site.flush_well().is_empty());
}

#[test]
fn what_does_not_fit_on_a_full_disk_is_told_counted_and_shown() {
    let Some(full) = Full::new("ext4") else {
        return;
    };
    let site = &full.site;
    let old = site.bare_git(&["rev-parse", "main"]);
    let lost = |lost: &str, is_so: bool| {
        for command in ["check", "status"] {
            let said = full.said_by(command);
            assert_eq!(said.contains(lost), is_so, "{said}");
        }
    };
    let text = "pushes not recorded for lack of room: ";
    lost(text, false);
    let lines: Vec<String> = too_many()
        .map(|name| format!("{ZEROS} {old} {name}\n"))
        .collect();
    let lines = lines.concat();
    let hook = || {
        let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
        let ran = hook.env("GIT_DIR", ".").stdin(lines.as_str()).run();
        assert!(
            ran.stderr
                .ends_with("no space left on device (your push was accepted)\n"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("cannot enqueue 1000 messages: "));
    };
    hook();
    lost(&format!("{text}1, the last one at 20"), true);
    hook();
    // That there was no room stays known when there is some again.
    full.make_room();
    assert!(site.flush_well().is_empty());
    lost(&format!("{text}2, the last one at 20"), true);
    let ran = site.refpost(["status", "--json"]).arg(&site.bare).run();
    assert!(ran.stdout.contains(r#""lost": 2,"#), "{}", ran.stdout);
}

#[test]
fn what_has_an_intent_is_not_counted_as_lost() {
    let Some(full) = Full::new("ext4") else {
        return;
    };
    let site = &full.site;
    full.make_room();
    site.refpost(["enable", "--guaranteed"])
        .arg(&site.bare)
        .run()
        .well();
    // The intent is there before the disk is full.
    site.hook(
        "pre-receive",
        &format!(
            "REFPOST hook pre-receive\nfor n in 1 2 3; do head -c 10M /dev/zero >>'{}'; sync; \
             done 2>/dev/null\nexit 0",
            full.ballast.display()
        ),
    );
    let refs: Vec<String> = too_many().map(|name| format!("main:{name}")).collect();
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    let push = site.try_push(&[&["origin"], &refs[..]].concat());
    assert_eq!(push.status, 0, "{}", push.said);
    assert!(
        push.said.contains("cannot enqueue 1000 messages"),
        "{}",
        push.said
    );
    assert!(!full.said_by("status").contains("not recorded"));
    full.make_room();
    site.flush().well();
    assert_eq!(site.receiver.take().len(), 1000);
}

#[test]
fn a_disk_that_is_nearly_full_is_warned_of_by_check() {
    let Some(full) = Full::new("ext4") else {
        return;
    };
    let said = full.said_by("check");
    let disk = format!("warning: the disk of `{}", full.disk.path().display());
    assert!(
        said.contains(&disk) && said.contains("is nearly full: 0 B left"),
        "{said}"
    );
    full.make_room();
    // ext4 gives blocks back when it commits its journal.
    eventually("there is room again", || {
        !full.said_by("check").contains("nearly full")
    });
}

#[test]
fn a_file_system_that_cannot_set_room_aside_is_told_by_check() {
    let site = Spooled::new();
    let Some(disk) = Mount::new(site.path("small"), &["-t", "ramfs", "none"]) else {
        return;
    };
    let spool = disk.path().join("spool").display().to_string();
    site.configure(&format!("mode = \"spool\"\nspool = \"{spool}\""), "");
    site.announce();
    // Nobody is told at each flush.
    assert_eq!(site.flush_well().len(), 1);
    let ran = site.refpost(["check"]).arg(&site.bare).run();
    let warning = format!("warning: cannot set room aside in `{spool}/spare`: ");
    assert!(ran.stdout.contains(&warning), "{}", ran.stdout);
    let (commit, _) = site.announce();
    assert_eq!(commits(&site.flush_well()), [commit]);
}
