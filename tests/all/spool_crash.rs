//! `kill -9`, for real, at random instants.
//!
//! The promise: once a hook has ended by itself, and has said nothing else, its
//! message arrives. One that was killed may have recorded its push or not. What
//! arrives, arrives in order, and a repeat has the same bytes.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::spooled::{
    Chance, commits, eventually, files_below, late, objects, processes, to,
};
use crate::support::{Answer, Background, KEY, REFPOST, Receiver, Request, Spooled};

/// Runs refpost, kills it after `$KILL_AFTER` seconds if that is set, and writes
/// down how it ended.
const WRAPPER: &str = "#!/bin/sh
read -r old new ref
echo \"$old $new $ref\" >\"$NOTES/$new.stdin\"
'REFPOST' hook post-receive <\"$NOTES/$new.stdin\" 2>\"$NOTES/$new.stderr\" &
hook=$!
if [ -n \"$KILL_AFTER\" ]; then
    sleep \"$KILL_AFTER\"
    kill -9 $hook 2>/dev/null
fi
wait $hook
echo $? >\"$NOTES/$new.status\"
";

/// What became of the pushes' hooks.
struct Hooks<'a> {
    site: &'a Spooled,
    killed: usize,
    /// Commits whose hooks ended by themselves.
    announced: Vec<String>,
}

impl<'a> Hooks<'a> {
    fn new(site: &'a Spooled) -> Self {
        fs::create_dir(site.path("notes")).unwrap();
        fs::remove_file(site.bare.join("hooks/post-receive")).unwrap();
        let script = WRAPPER.replace("REFPOST", REFPOST);
        site.script("test.git/hooks/post-receive", &script);
        Self {
            site,
            killed: 0,
            announced: Vec::new(),
        }
    }

    /// Pushes a commit, and kills the hook after so many milliseconds.
    fn push(&mut self, commit: &str, kill_after: Option<u64>) {
        let refspec = format!("{commit}:refs/heads/main");
        let kill_after = kill_after.map(|after| format!("0.{after:03}"));
        let push = self.site.git_run(&["push", "-q", "origin", &refspec]);
        let ran = push
            .env("NOTES", self.site.path("notes"))
            .env("KILL_AFTER", kill_after.unwrap_or_default())
            .run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let note = |kind: &str| {
            let path = self.site.path("notes").join(format!("{commit}.{kind}"));
            fs::read_to_string(path).unwrap()
        };
        match note("status").trim() {
            "0" => {
                let said = note("stderr");
                assert!(!said.contains("cannot"), "{said}");
                self.announced.push(commit.to_owned());
            }
            "137" => self.killed += 1,
            status => panic!("{status}: {}", note("stderr")),
        }
    }
}

/// Where the numbers come from: `REFPOST_SEED` makes them come again.
fn chance(test: &str) -> Chance {
    let seed = std::env::var("REFPOST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        u64::from(now.unwrap().subsec_nanos())
    });
    eprintln!("{test}: REFPOST_SEED={seed}");
    Chance::new(seed)
}

/// Drops repeats, which must have the bytes of the first. Gives how many.
#[track_caller]
fn drop_repeats(requests: Vec<Request>) -> (Vec<Request>, usize) {
    let total = requests.len();
    let mut seen: HashMap<String, Vec<u8>> = HashMap::new();
    let mut first = Vec::new();
    for request in requests {
        let id = request.message().msg_id().to_owned();
        if let Some(body) = seen.get(&id) {
            assert_eq!(*body, request.body, "{id}");
        } else {
            seen.insert(id, request.body.clone());
            first.push(request);
        }
    }
    let repeats = total - first.len();
    (first, repeats)
}

/// Everything that a hook announced arrived, in the order of the pushes.
#[track_caller]
fn assert_complete(arrived: &[Request], chain: &[String], announced: &[String]) {
    let arrived = commits(arrived);
    let lost: Vec<_> = announced
        .iter()
        .filter(|commit| !arrived.contains(commit))
        .collect();
    assert_eq!(lost, [""; 0], "lost");
    let places = arrived
        .iter()
        .map(|commit| chain.iter().position(|one| one == commit).unwrap());
    let places: Vec<_> = places.collect();
    assert!(places.is_sorted(), "out of order: {places:?}");
}

#[test]
fn a_killed_hook_has_recorded_its_push_or_has_not() {
    let site = Spooled::new();
    let chain = site.chain(150);
    let mut chance = chance("hooks");
    let mut hooks = Hooks::new(&site);
    for commit in &chain {
        let kill_after = (chance.below(5) > 0).then(|| chance.below(12));
        hooks.push(commit, kill_after);
    }
    // A claim is as good: its messages are built by the flush.
    let recorded = site.names("new").len() + site.names("claim").len();
    // Whatever the dead left in `tmp/` is in nobody's way.
    let left = site.names("tmp").len();
    let (arrived, repeats) = drop_repeats(site.flush_well());
    assert_eq!((arrived.len(), repeats), (recorded, 0));
    assert_complete(&arrived, &chain, &hooks.announced);
    assert_eq!(site.names("failed/unreadable"), [""; 0]);
    let survived = recorded - hooks.announced.len();
    eprintln!(
        "hooks: {} of {} killed, {survived} of those had recorded their push, {left} left a file in `tmp/`",
        hooks.killed,
        chain.len(),
    );
}

/// Ends what runs beside a test, though the test fails.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts flush after flush, and kills most of them.
fn kill_flushes(site: &Spooled, seed: u64, is_over: &AtomicBool) -> usize {
    let mut chance = Chance::new(seed);
    let mut killed = 0;
    while !is_over.load(Ordering::Relaxed) {
        let mut flush = Background::start(site.refpost(["flush"]).arg(&site.bare));
        if chance.below(4) > 0 {
            thread::sleep(Duration::from_millis(chance.below(60)));
            // One that has ended already cannot be killed.
            killed += usize::from(flush.0.try_wait().unwrap().is_none());
            flush.0.kill().ok();
        }
        flush.0.wait().unwrap();
    }
    killed
}

/// Kills flushes that hooks have set off, which are nobody's children.
fn kill_detached(site: &Spooled, seed: u64, is_over: &AtomicBool) -> usize {
    let mut chance = Chance::new(seed);
    let mut killed = 0;
    let spool = site.spool();
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(chance.below(30)));
        for process in processes(&["--detached", spool.to_str().unwrap()]) {
            let process = process.to_string();
            let kill = site.run("kill").args(["-9", &process]).run();
            killed += usize::from(kill.status == 0);
        }
    }
    killed
}

#[test]
fn nothing_is_lost_whatever_is_killed() {
    let site = Spooled::new();
    // One that can die while others look at the site.
    let mut receiver = Receiver::start();
    let endpoints = ["one", "two"].map(|name| {
        let url = receiver.url(&format!("/{name}"));
        format!("[[endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\n")
    });
    site.settings(&format!(
        "mode = \"background\"\nkey = \"{KEY}\"\n{}[retry]\nschedule = [\"1s\"]\n",
        endpoints.concat(),
    ));
    let chain = site.chain(300);
    let mut chance = chance("crash");
    let seeds = [
        chance.below(u64::from(u32::MAX)),
        chance.below(u64::from(u32::MAX)),
    ];
    site.receiver
        .script(|_| late(Duration::from_millis(3), 200));
    let is_over = AtomicBool::new(false);
    let (flushes, detached) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (hooks_killed, announced, deaths) = thread::scope(|scope| {
        let site = &site;
        let (is_over, flushes, detached) = (&is_over, &flushes, &detached);
        scope.spawn(move || {
            flushes.store(kill_flushes(site, seeds[0], is_over), Ordering::Relaxed);
        });
        scope.spawn(move || {
            detached.store(kill_detached(site, seeds[1], is_over), Ordering::Relaxed);
        });
        let _end = EndOf(is_over);
        let mut hooks = Hooks::new(site);
        let mut deaths = 0;
        for commit in &chain {
            let kill_after = (chance.below(3) > 0).then(|| chance.below(12));
            hooks.push(commit, kill_after);
            match chance.below(20) {
                0 => {
                    receiver.stop();
                    deaths += 1;
                }
                1..=4 => receiver.restart(),
                _ => {}
            }
        }
        (hooks.killed, hooks.announced, deaths)
    });
    receiver.restart();
    receiver.script(|_| Answer::status(200));
    eventually("the spool is empty", || {
        site.refpost(["queue", "retry", "--all", "--repo"])
            .arg(&site.bare)
            .run();
        let ran = site.flush();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        ["new", "retry/one", "retry/two"]
            .iter()
            .all(|folder| site.names(folder).is_empty())
    });
    assert_eq!(files_below(&site.spool().join("failed")), [""; 0]);
    let requests = receiver.take();
    let mut all_repeats = 0;
    for path in ["/one", "/two"] {
        let mine = to(path, &requests);
        let (arrived, repeats) = drop_repeats(mine);
        assert_complete(&arrived, &chain, &announced);
        all_repeats += repeats;
    }
    eprintln!(
        "crash: {hooks_killed} of {} hooks killed, {} flushes and {} detached ones, the receiver {deaths} times; \
         {} requests, {all_repeats} of them repeats",
        chain.len(),
        flushes.into_inner(),
        detached.into_inner(),
        requests.len(),
    );
    let waiting = site.queue(&["list", "--json"]).well();
    assert!(objects(&waiting.stdout).is_empty());
}

/// As after a power cut in the middle of a distribution: the second push has its name in the
/// queue, the first has lost its own, and both are in `new/`.
#[test]
fn what_a_power_cut_left_of_a_distribution_is_delivered_in_order() {
    let site = Spooled::new();
    let pushed = site.announce_many(2);
    let second = &site.names("new")[1];
    let new = site.spool().join("new");
    let queue = site.spool().join("retry/one");
    fs::create_dir(&queue).unwrap();
    let time = format!("{}Z", &second[..15]);
    fs::hard_link(new.join(second), queue.join(format!("{time}.0.0.{second}"))).unwrap();
    // The flush comes to the queue first.
    let held = fs::File::open(&new).unwrap();
    held.lock().unwrap();
    let mut flush = Background::start(site.refpost(["flush"]).arg(&site.bare));
    thread::sleep(Duration::from_millis(700));
    assert!(site.receiver.take().is_empty(), "the second came first");
    drop(held);
    assert!(flush.0.wait().unwrap().success());
    assert_eq!(commits(&site.receiver.take()), pushed);
    assert!(site.files().is_empty(), "{:?}", site.files());
}
