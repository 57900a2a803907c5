//! What breaks, breaks for itself: the push is accepted, a person is told in one
//! line, and everything else goes on.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::spooled::{
    commits, eventually, files_below, names, odd_receiver, read_over, say, to,
};
use crate::support::{Answer, Push, REFPOST, Spooled, set_mode};

/// A mount that ends with the test. Only root can make one; where nobody can, that
/// is said, and `None`.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf, args: &[&str]) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        let ran = mount.args(args).arg(&at).output().unwrap();
        if !ran.status.success() {
            let why = String::from_utf8_lossy(&ran.stderr);
            eprintln!("warning: cannot mount, so a part of a test is left out: {why}");
            return None;
        }
        Some(Self(at))
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", options]).arg(&self.0);
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// Takes all the room that there is; gives the file that does.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("ballast");
    let mut file = fs::File::create(&path).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    path
}

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
    let spool = mount.0.join("spool");
    site.configure(
        &format!("mode = \"spool\"\nspool = \"{}\"", spool.display()),
        "",
    );
    let (first, _) = site.announce();
    let ballast = fill(&mount.0);
    let (_, push) = site.announce();
    assert_accepted(&push, "no space left on device");
    assert_eq!(
        files_below(&spool).len(),
        1,
        "the first push, and nothing of the second"
    );
    // What waits is delivered, though there is no room for a line in the log.
    let ran = site.flush();
    assert_eq!(ran.status, 0);
    assert_eq!(commits(&site.receiver.take()), [first]);
    fs::remove_file(ballast).unwrap();
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
    let spool = mount.0.join("spool");
    let rest = site.endpoint("two");
    site.configure(
        &format!("mode = \"spool\"\nspool = \"{}\"", spool.display()),
        &rest,
    );
    let pushed = site.announce_many(2);
    let ballast = mount.0.join("ballast");
    fs::create_dir(&ballast).unwrap();
    let mut count = 0;
    while fs::write(ballast.join(count.to_string()), "").is_ok() {
        count += 1;
    }
    // One name is left: enough for one of the two queues, not for both.
    fs::remove_file(ballast.join("0")).unwrap();
    for _ in 0..3 {
        let ran = site.flush();
        assert_eq!(ran.status, 0);
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

/// What the log says of the first attempt against this receiver, which has
/// `timeout` for it, and whether the message still waits.
fn tried(url: &str, timeout: &str) -> (serde_json::Value, bool) {
    let site = Spooled::new();
    let odd = format!("[[endpoint]]\nname = \"odd\"\nurl = \"{url}\"\ntimeout = \"{timeout}\"");
    site.configure("mode = \"spool\"", &odd);
    let (commit, _) = site.announce();
    assert_eq!(
        commits(&site.flush_well()),
        [commit],
        "the other endpoint goes on"
    );
    let attempts = site.attempts();
    let attempt = attempts
        .iter()
        .find(|one| one["endpoint"] == "odd")
        .unwrap();
    let text = attempt.to_string();
    assert!(!text.contains("/odd"), "{text}");
    (
        attempt["status"].clone(),
        !site.names("retry/odd").is_empty(),
    )
}

#[test]
fn who_never_answers_is_down() {
    let url = odd_receiver(|stream| {
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(90));
            drop(stream);
        });
    });
    assert_eq!(tried(&url, "1s"), ("timeout".into(), true));
}

#[test]
fn who_closes_in_the_middle_of_the_head_is_down() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Le");
    });
    assert_eq!(tried(&url, "60s"), ("connection".into(), true));
}

#[test]
fn who_closes_at_once_is_down() {
    assert_eq!(
        tried(&odd_receiver(drop), "60s"),
        ("connection".into(), true)
    );
}

#[test]
fn who_talks_nonsense_is_down() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        say(&mut stream, "220 mail.example.org ESMTP\r\n");
    });
    assert_eq!(tried(&url, "60s"), ("connection".into(), true));
}

#[test]
fn who_closes_in_the_middle_of_the_body_has_said_enough() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        say(
            &mut stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        );
    });
    assert_eq!(tried(&url, "60s"), (200.into(), false));
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
        say(&mut stream, head);
        let chunk = "x".repeat(64 * 1024);
        while say(&mut stream, &chunk) {}
    });
    assert_eq!(tried(&url, "60s"), (200.into(), false));
}

#[test]
fn headers_without_end_are_cut_off() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        say(&mut stream, "HTTP/1.1 200 OK\r\n");
        while say(&mut stream, "X-More: and more\r\n") {}
    });
    assert_eq!(tried(&url, "60s"), ("connection".into(), true));
}

#[test]
fn a_slow_100_continue_is_waited_for() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        for _ in 0..3 {
            say(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
            thread::sleep(Duration::from_millis(300));
        }
        say(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n");
    });
    assert_eq!(tried(&url, "60s"), (204.into(), false));
}

#[test]
fn a_100_continue_without_end_is_down() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        while say(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n") {
            thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(tried(&url, "1s"), ("timeout".into(), true));
}

#[test]
fn a_name_that_leads_nowhere_is_down() {
    let url = "http://nowhere.invalid/odd";
    assert_eq!(tried(url, "60s"), ("dns".into(), true));
}

#[test]
fn a_port_where_nobody_listens_is_down() {
    // Bound and not listening: nobody else gets it.
    let bound = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = bound.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/odd");
    assert_eq!(tried(&url, "60s"), ("connect".into(), true));
}

#[test]
fn an_address_that_is_never_dialled_counts_against_nobody() {
    let site = Spooled::new();
    let odd = "[[endpoint]]\nname = \"odd\"\nurl = \"http://169.254.169.254/latest\"";
    site.configure("mode = \"spool\"", odd);
    let (commit, _) = site.announce();
    let ran = site.flush();
    assert_eq!(ran.status, 0);
    assert!(
        ran.stderr
            .contains("address 169.254.169.254 of `169.254.169.254` is not allowed")
    );
    assert_eq!(commits(&site.receiver.take()), [commit]);
    assert!(site.names("retry/odd")[0].contains(".0.0."));
}

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
        newer.replacen("refpost-entry 1 ", "refpost-entry 2 ", 1),
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
            "its format version is 2",
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
        site.refpost(["queue", "drop", "--all", "--in"])
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
    assert!(
        ran.stderr.contains("`README` in `new/` is no entry"),
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
    assert_eq!(commits(&site.flush_well()), [commit]);
}

/// The account without rights that every system has.
const NOBODY: u32 = 65534;

fn give_away(path: &Path) {
    for file in [String::new()].into_iter().chain(files_below(path)) {
        let file = path.join(file);
        let chown = Command::new("chown")
            .args(["-hR", "65534:65534"])
            .arg(&file)
            .status();
        assert!(chown.unwrap().success());
    }
}

/// The owners of everything below a folder.
fn owners(path: &Path) -> Vec<u32> {
    let mut owners = vec![fs::symlink_metadata(path).unwrap().uid()];
    if path.is_dir() {
        for name in names(path) {
            owners.extend(self::owners(&path.join(name)));
        }
    }
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// A site whose repository is another account's, which can run the binary. Root
/// alone can make that; where somebody else runs the tests, that is said.
fn of_nobody() -> Option<(Spooled, PathBuf)> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("warning: only root hands a flush over, so that is not tested");
        return None;
    }
    let site = Spooled::new();
    set_mode(&site.path(""), 0o755);
    set_mode(&site.path("system.toml"), 0o644);
    let binary = site.path("refpost");
    fs::copy(REFPOST, &binary).unwrap();
    set_mode(&binary, 0o755);
    site.write("gitconfig", "[safe]\ndirectory = *\n");
    give_away(&site.bare);
    Some((site, binary))
}

#[test]
fn root_hands_a_flush_over_to_the_owner_of_the_spool() {
    let Some((site, binary)) = of_nobody() else {
        return;
    };
    let (first, _) = site.announce();
    give_away(&site.bare);
    let (second, _) = site.announce();
    give_away(&site.bare);
    site.receiver.script(|_| Answer::status(503));
    let flush = || site.run(&binary).arg("flush").arg(&site.bare).run();
    flush().well();
    assert_eq!(owners(&site.spool()), [NOBODY]);
    site.receiver.take();
    site.receiver.script(|_| Answer::status(200));
    let queue = ["queue", "retry", "--all", "--in"];
    let ran = site.run(&binary).args(queue).arg(&site.bare).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        flush().well();
        arrived.extend(site.receiver.take());
        arrived.len() == 2
    });
    assert_eq!(commits(&arrived), [first, second]);
    eventually("the spool is empty", || site.files().is_empty());
    assert_eq!(owners(&site.spool()), [NOBODY]);
}

#[test]
fn root_hands_over_what_is_to_be_adopted_too() {
    let Some((site, binary)) = of_nobody() else {
        return;
    };
    let (commit, _) = site.announce();
    give_away(&site.bare);
    let moved = site.path("moved");
    fs::create_dir(&moved).unwrap();
    give_away(&moved);
    site.configure(
        &format!("mode = \"spool\"\nspool = \"{}\"", moved.display()),
        "",
    );
    give_away(&site.bare);
    let ran = site.run(&binary).arg("flush").arg(&site.bare).run();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert_eq!(commits(&site.receiver.take()), [commit]);
    assert_eq!(owners(&moved), [NOBODY]);
}
