//! `mode`: what a push leaves behind, what it waits for, what it says.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::spooled::{commits, eventually, files_below, names, odd_receiver, processes};
use crate::support::{Answer, KEY, REFPOST, Spooled};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// The modes of a spool's folders and of its one entry.
#[track_caller]
fn assert_modes(spool: &Path, folders: u32, files: u32) {
    for name in ["", "new", "tmp", "retry", "failed"] {
        assert_eq!(mode(&spool.join(name)), folders, "{name}");
    }
    assert_eq!(mode(spool.parent().unwrap()), folders);
    let new = names(&spool.join("new"));
    assert_eq!(new.len(), 1);
    assert_eq!(mode(&spool.join("new").join(&new[0])), files);
}

#[test]
fn a_push_of_many_refs_leaves_one_private_file() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", &site.endpoint("two"));
    site.commit("file");
    site.git(&["tag", "v1"]);
    let push = site.push(&["main", "main:refs/heads/other", "v1"]);
    assert_eq!(
        push.remote(),
        ["refpost: 3 messages queued for `one`, `two`"]
    );
    let spool = site.spool();
    assert_eq!(
        names(&spool),
        ["claim", "failed", "new", "retry", "sizes", "tmp"]
    );
    assert_eq!(site.files().len(), 1);
    assert_modes(&spool, 0o700, 0o600);
    assert!(push.requests.is_empty());
    // What waits for several is one file still.
    site.receiver.script(|_| Answer::status(503));
    site.flush().well();
    let files = site.files();
    assert_eq!(files.len(), 2, "{files:?}");
    let inodes = files
        .iter()
        .map(|file| fs::metadata(spool.join(file)).unwrap().ino());
    let inodes: Vec<u64> = inodes.collect();
    assert_eq!(inodes[0], inodes[1]);
}

#[test]
fn the_spool_of_a_shared_repository_is_shared() {
    let site = Spooled::new();
    let shared = site.path("shared.git");
    let text = shared.to_str().unwrap();
    site.git(&["init", "-q", "--bare", "--shared=group", text]);
    fs::copy(site.bare.join("refpost.toml"), shared.join("refpost.toml")).unwrap();
    symlink(REFPOST, shared.join("hooks/post-receive")).unwrap();
    let push = format!("umask 077; exec git push -q {text} main");
    let ran = site.run("sh").args(["-c", &push]).dir(&site.work).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_modes(&shared.join("refpost/spool"), 0o2770, 0o660);
    site.receiver.script(|_| Answer::status(503));
    site.refpost(["flush", text]).run().well();
    assert_eq!(mode(&shared.join("refpost/spool/log")), 0o660);
    assert_eq!(mode(&shared.join("refpost/spool/retry/one")), 0o2770);
}

#[test]
fn by_default_a_message_arrives_without_cron() {
    let site = Spooled::with("");
    let (commit, push) = site.announce();
    assert_eq!(push.remote(), ["refpost: 1 message queued for `one`"]);
    // The flush can be faster than the end of the push.
    let mut requests = push.requests;
    if requests.is_empty() {
        requests = site.receiver.wait_for(1);
    }
    assert_eq!(commits(&requests), [commit]);
    eventually("the spool is empty", || site.files().is_empty());
}

#[test]
fn the_next_push_takes_along_what_failed() {
    let site = Spooled::with("[retry]\nschedule = [\"1s\"]");
    site.receiver.script(|_| Answer::status(503));
    let (first, _) = site.announce();
    eventually("it failed", || {
        site.names("retry/one")
            .iter()
            .any(|name| name.contains(".1.0."))
    });
    site.receiver.take();
    site.receiver.script(|_| Answer::status(200));
    let mut pushed = vec![first];
    // Until it is due again, later pushes wait behind it.
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        let (commit, push) = site.announce();
        pushed.push(commit);
        arrived.extend(push.requests);
        thread::sleep(Duration::from_millis(200));
        arrived.extend(site.receiver.take());
        !arrived.is_empty()
    });
    eventually("the spool is empty", || {
        site.flush();
        site.files().is_empty()
    });
    arrived.extend(site.receiver.take());
    assert_eq!(commits(&arrived), pushed);
}

/// The variables that hooks ignore, as the sources list them.
fn ignored_in_hooks() -> Vec<String> {
    let source = include_str!("../../src/context/environment.rs");
    let (_, list) = source.split_once("const IGNORED_IN_HOOKS").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let names: Vec<_> = list
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    assert!(names.contains(&"SSL_CERT_FILE".to_owned()) && names.len() > 10);
    names
}

#[test]
fn a_background_flush_holds_nothing_of_the_push() {
    let site = Spooled::with("");
    site.configure("", "timeout = \"60s\"");
    site.receiver.script(|_| Answer::Nothing);
    let commit = site.commit("file");
    let mut push = site.git_run(&["push", "-q", "origin", "main"]);
    let ignored = ignored_in_hooks();
    for name in &ignored {
        push = push.env(name, "/nowhere");
    }
    let (sender, done) = mpsc::channel();
    thread::spawn(move || sender.send(push.run()));
    // The receiver never answers. Who waited for the flush, or for the end of a
    // pipe that the flush has, would wait for an hour.
    let ran = done.recv_timeout(Duration::from_mins(1)).unwrap();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let requests = site.receiver.wait_for(1);
    assert_eq!(commits(&requests), [commit]);

    let spool = site.spool();
    let found = processes(&["--detached", spool.to_str().unwrap()]);
    let [flush] = found[..] else {
        panic!("{found:?}");
    };
    let process = Path::new("/proc").join(flush.to_string());
    for name in names(&process.join("fd")) {
        let leads_to = fs::read_link(process.join("fd").join(&name)).unwrap();
        let leads_to = leads_to.to_string_lossy();
        match name.as_str() {
            "0" | "1" | "2" => assert_eq!(leads_to, "/dev/null"),
            _ => assert!(!leads_to.starts_with("pipe:"), "{name} is {leads_to}"),
        }
    }
    let stat = fs::read_to_string(process.join("stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let session = fields.split(' ').nth(3).unwrap();
    assert_eq!(session, flush.to_string(), "it leads a session of its own");
    assert_eq!(fs::read_link(process.join("cwd")).unwrap(), Path::new("/"));
    let environment = fs::read(process.join("environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    let names = environment.split('\0').filter_map(|it| it.split_once('='));
    let kept: Vec<_> = names
        .filter(|(name, _)| ignored.iter().any(|one| one == name))
        .collect();
    assert!(kept.is_empty(), "{kept:?}");
    // Where git's configuration is tells which repositories are trusted; everything
    // else of git's is about the push.
    let about_the_push: Vec<_> = environment
        .split('\0')
        .filter(|variable| variable.starts_with("GIT_"))
        .filter(|variable| !variable.starts_with("GIT_CONFIG_"))
        .collect();
    assert_eq!(about_the_push, [""; 0]);
}

#[test]
fn sync_has_sent_when_the_push_is_over() {
    let site = Spooled::with("mode = \"sync\"");
    let (commit, push) = site.announce();
    assert_eq!(push.remote(), ["refpost: 1 message sent to `one`"]);
    assert_eq!(commits(&push.requests), [commit]);
    eventually("the spool is empty", || site.files().is_empty());
}

#[test]
fn sync_says_what_it_left() {
    let site = Spooled::with("mode = \"sync\"");
    let refused = odd_receiver(drop);
    site.configure(
        "mode = \"sync\"",
        &format!("[[endpoint]]\nname = \"two\"\nurl = \"{refused}\""),
    );
    let (_, push) = site.announce();
    assert_eq!(push.messages.len(), 1);
    let said = push.remote().join("\n");
    assert!(
        said.starts_with("refpost: 1 message sent to `one`, queued for `two` (it is down: "),
        "{said}"
    );
    assert_eq!(site.names("retry/two").len(), 1);
}

#[test]
fn sync_does_not_call_sent_what_was_refused() {
    let site = Spooled::with("mode = \"sync\"");
    site.receiver.script(|_| Answer::status(404));
    let (_, push) = site.announce();
    let said = push.remote().join("\n");
    assert!(said.contains("refused it with 404"), "{said}");
    assert!(!said.contains("1 message sent"), "{said}");
    assert_eq!(site.names("retry/one").len(), 1);
}

#[test]
fn the_budget_bounds_what_a_push_waits() {
    let site = Spooled::with("");
    let sync = "mode = \"sync\"\npush_budget = \"1s\"";
    site.configure(sync, "timeout = \"60s\"");
    site.receiver.script(|_| Answer::Nothing);
    let (commit, push) = site.announce();
    // The receiver has the request and has not answered it.
    assert_eq!(commits(&push.requests[..1]), [commit]);
    assert_eq!(
        push.remote(),
        ["refpost: 1 message queued for `one` (no time left)"]
    );
    let waiting = site.names("retry/one");
    assert_eq!(waiting.len(), 1);
    // To be cut off by our own budget is not to fail.
    assert!(waiting[0].contains(".0.0."), "{waiting:?}");
    // It was begun, so it is logged and counted.
    let attempts = site.attempts();
    let statuses: Vec<_> = attempts.iter().map(|one| one["status"].clone()).collect();
    assert_eq!(statuses, ["budget"]);
    let counts = fs::read_to_string(site.spool().join("counts")).unwrap();
    assert!(counts.contains("\"budget\""), "{counts}");
}

#[test]
fn quiet_is_quiet_while_all_is_well() {
    for mode in ["sync", "background", "spool"] {
        let site = Spooled::with(&format!("mode = \"{mode}\"\nquiet = true"));
        let (_, push) = site.announce();
        assert_eq!(push.remote(), [""; 0], "{mode}");
    }
    let site = Spooled::with("mode = \"sync\"\nquiet = true");
    site.receiver.script(|_| Answer::status(503));
    let (_, push) = site.announce();
    assert_eq!(
        push.remote(),
        ["refpost: 1 message queued for `one` (it is down: it answered 503)"]
    );
}

#[test]
fn no_secret_is_spooled_logged_or_printed() {
    let secrets = [KEY, "uzer", "pazzword", "hidden-path", "t0ken", "b3arer"];
    let site = Spooled::new();
    site.write("bearer", "Bearer b3arer\n");
    let header = site.path("bearer").display().to_string();
    let endpoint = |name: &str, address: &str| {
        format!(
            "[[endpoint]]\nname = \"{name}\"\n\
             url = \"http://uzer:pazzword@{address}/hidden-path/{name}?key=t0ken\"\n\
             headers = {{ X-Token = {{ file = \"{header}\" }} }}\n"
        )
    };
    let good = site.receiver.address().to_string();
    let closed = odd_receiver(drop);
    let closed = closed["http://".len()..]
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    let endpoints = [
        ("good", good.as_str()),
        ("refusing", good.as_str()),
        ("moved", good.as_str()),
        ("closed", closed.as_str()),
        ("nowhere", "nowhere.invalid"),
    ];
    let endpoints = endpoints.map(|(name, address)| endpoint(name, address));
    let location = site.receiver.url("/hidden-path/t0ken");
    site.receiver.script(move |request| {
        if request.line.contains("refusing") {
            Answer::Reply(400, vec![], b"no t0ken for uzer:pazzword".to_vec())
        } else if request.line.contains("moved") {
            Answer::Reply(301, vec![("Location", location.clone())], vec![])
        } else {
            Answer::status(200)
        }
    });
    let mut seen = String::new();
    let mut sent = Vec::new();
    for mode in ["spool", "sync", "background"] {
        let config = format!("mode = \"{mode}\"\nkey = \"{KEY}\"\n{}", endpoints.concat());
        site.settings(&config);
        let (_, push) = site.announce();
        seen.push_str(&push.said);
        sent.extend(push.requests);
    }
    eventually("all were tried", || {
        site.flush();
        let attempts = site.attempts();
        let tried = |name: &str| attempts.iter().any(|one| one["endpoint"] == name);
        ["good", "refusing", "moved", "closed", "nowhere"]
            .iter()
            .all(|name| tried(name))
    });
    let bare = site.bare.to_str().unwrap();
    for command in [
        &["flush"][..],
        &["flush", "--json", "--strict"],
        &["status"],
        &["status", "--json"],
        &["log"],
        &["log", "--json"],
        &["check", "--show"],
        &["queue", "list"],
        &["queue", "list", "--json"],
        &["queue", "retry", "--all", "--repo"],
    ] {
        let ran = site.refpost(command).arg(bare).run();
        seen.push_str(&ran.stdout);
        seen.push_str(&ran.stderr);
    }
    for file in files_below(&site.spool()) {
        let bytes = fs::read(site.spool().join(&file)).unwrap_or_default();
        seen.push_str(&file);
        seen.push_str(&String::from_utf8_lossy(&bytes));
        let id = file.rsplit('.').next().unwrap();
        if let Some(at) = file.find("20").filter(|_| !id.is_empty()) {
            let shown = site
                .refpost(["queue", "show", &file[at..], "--repo", bare])
                .run();
            seen.push_str(&shown.stdout);
            seen.push_str(&shown.stderr);
        }
    }
    assert!(seen.contains("refusing"));
    for secret in secrets {
        let at = seen.find(secret);
        let around = at.map(|at| &seen[at.saturating_sub(200)..at + secret.len()]);
        assert_eq!(around, None, "{secret}");
    }
    sent.extend(site.receiver.take());
    assert!(sent.iter().any(|request| {
        request.line.contains("/hidden-path/good?key=t0ken")
            && request.header("X-Token") == Some("Bearer b3arer")
    }));
}
