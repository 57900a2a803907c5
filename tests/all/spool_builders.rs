//! Messages of pushes that were only recorded are made by a process of their own: what kills
//! it kills no flush, and in the end only its own entry is put aside.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::spooled::{announce_to, commits, eventually, processes, sibling, signal};
use crate::support::{Background, Runner, Spooled};

/// Reads an object and falls by it, or waits there, as a defect in a library would.
const TRAP: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void trap(const char *path) {
	const char *object = getenv("TRAP"), *how = getenv("TRAP_HOW");
	if (!object || !how || !strcmp(how, "none") || !strstr(path, object)) return;
	if (!strcmp(how, "abort")) abort();
	/* Memory that is not touched; without a bound there is more. */
	if (!strcmp(how, "eat")) for (int n = 0; n < 32; n++) if (!malloc(1L << 30)) abort();
	if (!strcmp(how, "eat")) return;
	if (!strcmp(how, "wait")) for (;;) sleep(1000);
	*(volatile int *)8 = 0;
}
__attribute__((constructor)) static void tell(int count, char **args) {
	const char *path = getenv("TRAP_STARTED");
	for (int n = 1; path && n < count; n++)
		if (!strcmp(args[n], "build")) {
			int file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
			if (write(file, "build\n", 6) != 6) abort();
		}
}
int openat(int folder, const char *path, int flags, ...) {
	va_list more;
	va_start(more, flags);
	int mode = va_arg(more, int);
	va_end(more);
	trap(path);
	int (*next)(int, const char *, int, ...) = dlsym(RTLD_NEXT, "openat");
	return next(folder, path, flags, mode);
}
"#;

struct Trap {
    site: Spooled,
    library: PathBuf,
    /// The file of the push that is owed, its commit, and that of another repository's.
    object: String,
    first: String,
    other: String,
}

/// `None`, and told, without a compiler.
fn trapped() -> Option<Trap> {
    let site = Spooled::new();
    let source = site.write("trap.c", TRAP);
    let library = site.path("trap.so");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source);
    if !compiler.status().is_ok_and(|status| status.success()) {
        crate::support::leave_out("there is no C compiler: that is not tested");
        return None;
    }
    let server = format!("spool = \"{}\"", site.path("spool").display());
    site.write("system.toml", server);
    let other = sibling(&site, "other.git");
    let good = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.settings("broken");
    let (first, _) = site.announce();
    site.settings(&good);
    let other = announce_to(&site, &other);
    Some(Trap {
        // It can be opened from its folder.
        object: first[2..].to_owned(),
        library,
        site,
        first,
        other,
    })
}

impl Trap {
    fn flush(&self, how: &str) -> Runner {
        let flush = self.site.refpost(["flush"]).arg(self.site.path("spool"));
        flush
            .env("LD_PRELOAD", &self.library)
            .env("TRAP", &self.object)
            .env("TRAP_HOW", how)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        crate::support::names(&self.site.path("spool").join(folder))
    }

    fn refpost(&self, args: &[&str]) -> String {
        let ran = self.site.refpost(args).arg(self.site.path("spool"));
        ran.run().well().stdout
    }
}

#[test]
fn an_entry_that_kills_is_put_aside_and_holds_nobody() {
    for (how, signal) in [
        ("fall", "SIGSEGV"),
        ("abort", "SIGABRT"),
        // It allocated without end.
        ("eat", "SIGABRT"),
    ] {
        let Some(trap) = trapped() else { return };
        let id = trap.names("new")[0].clone();
        let ran = trap.flush(how).run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let said = format!(
            "refpost: cannot build the messages of entry `{id}`, tried twice: it ended by \
             {signal}: it lies in `failed/unreadable/` now\n\
             hint: to try again: refpost queue retry {id}\n"
        );
        assert_eq!(ran.stderr, said);
        assert_eq!(commits(&trap.site.receiver.take()), [&*trap.other]);
        assert_eq!(trap.names("new"), [""; 0]);
        assert_eq!(trap.names("failed/unreadable"), [&*id]);

        let shown = trap.refpost(&["status"]);
        let line = format!("entry `{id}` given up: it ended by {signal}\n");
        assert!(shown.contains(&line), "{shown}");
        let listed = trap.refpost(&["queue", "list"]);
        assert!(listed.contains("\nfailed "), "{listed}");
        let line = format!("  1 ref update, not built  -         it ended by {signal}  {id}\n");
        assert!(listed.ends_with(&line), "{listed}");

        // Later pushes of the same repository are not held.
        let (later, _) = trap.site.announce();
        trap.flush("none").run().well();
        assert_eq!(commits(&trap.site.receiver.take()), [later]);

        trap.refpost(&["queue", "retry", &id, "--repo"]);
        let arrived = trap.site.receiver.wait_for(1);
        assert_eq!(commits(&arrived), [&*trap.first]);
        eventually("it is gone", || trap.names("failed/unreadable").is_empty());
    }
}

#[test]
fn one_death_holds_its_own_repository_until_the_next() {
    let Some(trap) = trapped() else { return };
    let id = trap.names("new")[0].clone();
    // The first of two: a flush that was stopped in between counts on.
    let stats = trap.site.path("spool/stats");
    let counted = format!(r#"{{"deaths":{{"{id}":{{"count":1,"why":"it ended by SIGBUS"}}}}}}"#);
    fs::write(&stats, counted).unwrap();
    let ran = trap.flush("fall").run();
    assert!(
        ran.stderr.contains("tried twice: it ended by SIGSEGV"),
        "{}",
        ran.stderr
    );
    assert_eq!(trap.names("failed/unreadable"), [id]);
}

#[test]
fn who_is_killed_by_somebody_counts_against_no_entry() {
    let Some(trap) = trapped() else { return };
    let id = trap.names("new")[0].clone();
    for (at, name) in ["KILL", "TERM", "KILL"].into_iter().enumerate() {
        let flush = Background::start(trap.flush("wait"));
        let spool = trap.site.path("spool");
        let spool = spool.to_str().unwrap();
        let builder = || processes(&["build\0", spool, &id]).first().copied();
        eventually("the messages are being built", || builder().is_some());
        // Meanwhile others are served.
        if at == 0 {
            let arrived = trap.site.receiver.wait_for(1);
            assert_eq!(commits(&arrived), [&*trap.other]);
        }
        signal(name, builder().unwrap());
        let mut flush = flush;
        assert!(flush.0.wait().unwrap().success());
        assert_eq!(trap.names("new"), [&*id]);
    }
    // A flush that ends leaves nobody behind.
    let flush = Background::start(trap.flush("wait"));
    let builders = || processes(&["build\0", &id]);
    eventually("the messages are being built", || !builders().is_empty());
    // One that has hardly begun, too.
    drop(flush);
    eventually("they are no more", || builders().is_empty());
    trap.flush("none").run().well();
    assert_eq!(commits(&trap.site.receiver.take()), [&*trap.first]);
    let stats = fs::read_to_string(trap.site.path("spool/stats")).unwrap();
    assert!(!stats.contains("deaths"), "{stats}");
}

/// What was sent to a whole process group was told as if it had happened to the messages alone.
#[test]
fn a_flush_that_is_ended_says_nothing_of_what_ends_with_it() {
    let Some(trap) = trapped() else { return };
    let id = trap.names("new")[0].clone();
    let mut flush = Background::in_a_group(trap.flush("wait"));
    let builders = || processes(&["build\0", &id]);
    eventually("the messages are being built", || !builders().is_empty());
    let group = format!("-{}", flush.0.id());
    let mut kill = Command::new("kill");
    assert!(
        kill.args(["-TERM", "--", &group])
            .status()
            .unwrap()
            .success()
    );
    assert!(flush.0.wait().unwrap().success());
    eventually("they are no more", || builders().is_empty());
    let said = std::io::read_to_string(flush.0.stderr.take().unwrap());
    assert_eq!(said.unwrap(), "");
    assert_eq!(trap.names("new"), [&*id]);
}

#[test]
fn who_does_nothing_is_ended_within_roots_budget_and_that_counts() {
    let Some(trap) = trapped() else { return };
    let id = trap.names("new")[0].clone();
    let stats = trap.site.path("spool/stats");
    let counted = format!(r#"{{"deaths":{{"{id}":{{"count":1,"why":"it ended by SIGBUS"}}}}}}"#);
    fs::write(&stats, counted).unwrap();
    let ran = trap.flush("wait").run();
    assert_eq!(ran.status, 0);
    assert!(
        ran.stderr.contains("it has done nothing for 40s: it lies"),
        "{}",
        ran.stderr
    );
    assert_eq!(trap.names("failed/unreadable"), [id]);
}

/// Root gives each of many accounts less time than that.
#[test]
fn flushes_that_are_shorter_than_that_count_together() {
    let Some(trap) = trapped() else { return };
    let id = trap.names("new")[0].clone();
    let stats = trap.site.path("spool/stats");
    let counted =
        format!(r#"{{"deaths":{{"{id}":{{"count":1,"idle":30,"why":"it ended by SIGBUS"}}}}}}"#);
    fs::write(&stats, counted).unwrap();
    trap.flush("wait").args(["--budget", "13s"]).run();
    assert_eq!(trap.names("new"), [&*id]);
    let ran = trap.flush("none").run();
    assert!(
        ran.stderr.contains("it has done nothing for 40s: it lies"),
        "{}",
        ran.stderr
    );
    assert_eq!(trap.names("failed/unreadable"), [id]);
}

/// One process makes the messages of all that its repository owes.
#[test]
fn a_thousand_pushes_that_were_only_recorded_are_built_soon() {
    let site = Spooled::new();
    let good = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.settings("broken");
    let (commit, _) = site.announce();
    let new = site.spool().join("new");
    let first = site.names("new")[0].clone();
    let (time, random) = first.rsplit_once('-').unwrap();
    let random = u64::from_str_radix(random, 16).unwrap() & !0xffff;
    for n in 0..1000 {
        fs::copy(
            new.join(&first),
            new.join(format!("{time}-{:016x}", random + n)),
        )
        .unwrap();
    }
    site.settings(&good);
    let begun = std::time::Instant::now();
    let requests = site.flush_well();
    let took = begun.elapsed();
    assert!(requests.len() >= 1000, "{}", requests.len());
    assert!(commits(&requests).iter().all(|one| *one == commit));
    assert!(took.as_secs() < 60, "{took:?}");
}

#[test]
fn a_sync_push_behind_one_that_was_only_recorded_waited_for_the_next_push() {
    let site = Spooled::with("mode = \"sync\"\npush_budget = \"1ms\"");
    let good = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.settings("broken");
    let (first, _) = site.announce();
    site.settings(&good);
    let (second, push) = site.announce();
    let mut arrived = push.requests;
    arrived.extend(site.receiver.wait_for(2 - arrived.len()));
    assert_eq!(commits(&arrived), [first, second]);
}

/// Each entry took a process, which listed and read all the others anew.
#[test]
fn entries_that_miss_objects_are_found_by_one_process() {
    let Some(trap) = trapped() else { return };
    let site = &trap.site;
    trap.flush("none").run().well();
    let started = site.path("started");
    for n in 0..100 {
        let id = format!("{n:040x}").replace('0', "a");
        let line = format!("{id} {} refs/heads/b{n}\n", "b".repeat(40));
        let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
        hook.stdin(line).run();
    }
    assert_eq!(trap.names("new").len(), 100);
    let flush = trap.flush("none").env("TRAP_STARTED", &started).run();
    assert!(
        flush
            .stderr
            .contains("100 recorded pushes are held back by that"),
        "{}",
        flush.stderr
    );
    let started = fs::read_to_string(&started).unwrap();
    assert_eq!(started, "build\n");
}
