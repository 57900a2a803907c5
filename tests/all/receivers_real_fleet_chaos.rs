//! Git servers, Debian's `RabbitMQ` and a worker that are killed again and again, and confirms that
//! get lost: no push is lost, and each repository's come in order.
//!
//! `REFPOST_CHAOS_SECONDS` is for how long pushes come (60), `REFPOST_SEED` what happens. By hand:
//!
//! ```sh
//! REFPOST_TEST_RECEIVERS=1 REFPOST_CHAOS_SECONDS=600 cargo test --locked --test all -- \
//!     --nocapture receivers_real_fleet_chaos
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::support::handed::Handed;
use crate::support::spooled::{Chance, eventually};
use crate::support::{Background, Request, Wire, ZEROS};

const REPOSITORIES: usize = 8;

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| text.parse().unwrap())
}

/// What has been pushed to one repository.
struct Pushing<'a> {
    handed: &'a Handed,
    name: String,
    commits: Vec<String>,
}

impl<'a> Pushing<'a> {
    /// A repository with so many commits, each the child of the one before.
    fn new(handed: &'a Handed, name: String, count: usize) -> Self {
        let bare = handed.repository(&name);
        let mut script = String::new();
        for n in 0..count {
            let time = 1_800_000_000 + n;
            let who = format!("committer C <c@example.org> {time} +0000");
            script.push_str("commit refs/heads/chain\n");
            script.push_str(&who);
            script.push_str("\ndata 1\nx\n\n");
        }
        let environment = &handed.accounts.environment;
        let import = environment
            .run("git")
            .dir(&bare)
            .args(["fast-import", "--quiet"]);
        import.stdin(script).run().well();
        let list = environment.git(&bare, &["rev-list", "--reverse", "chain"]);
        Self {
            handed,
            name,
            commits: list.lines().map(str::to_owned).collect(),
        }
    }

    /// The hook of a push of the next commit to two branches, in one entry.
    fn push(&self, at: usize) {
        let (old, new) = match at {
            0 => (ZEROS, &self.commits[0]),
            _ => (self.commits[at - 1].as_str(), &self.commits[at]),
        };
        let lines = ["main", "other"].map(|branch| format!("{old} {new} refs/heads/{branch}\n"));
        let bare = self.handed.bare(&self.name);
        let environment = &self.handed.accounts.environment;
        let run = environment.run(bare.join("hooks/post-receive")).dir(&bare);
        let ran = run.env("GIT_DIR", ".").stdin(lines.concat()).run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.stderr.contains(" queued for `ci`"), "{}", ran.stderr);
    }
}

/// What has arrived.
#[derive(Default)]
struct Arrived {
    /// The first commits: of a new branch, it depends on others what is told.
    created: HashSet<String>,
    /// Each message's hash by its `msg_id`.
    bodies: HashMap<String, [u8; 32]>,
    /// Of each repository, the messages in the order in which each came first: commit and branch.
    first: BTreeMap<String, Vec<(String, String)>>,
    repeats: usize,
}

impl Arrived {
    fn add(&mut self, requests: &[Request]) {
        for request in requests {
            let message: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let hash = Sha256::digest(&request.body).into();
            let known = self.bodies.insert(text(&message["msg_id"]), hash);
            if let Some(known) = known {
                assert_eq!(known, hash, "a repeat with other bytes");
                self.repeats += 1;
                continue;
            }
            let msg = &message["msg"];
            let commit = text(&msg["end_commit"]);
            if message["topic"] == "git.receive" && !self.created.contains(&commit) {
                let project = text(&msg["project_fullname"]);
                let all = self.first.entry(project).or_default();
                all.push((commit, text(&msg["branch"])));
            }
        }
    }

    fn count(&self) -> usize {
        self.first.values().map(Vec::len).sum()
    }
}

#[test]
fn nothing_is_lost_whoever_is_killed() {
    let Some(handed) = Handed::new(1) else { return };
    let seconds = number("REFPOST_CHAOS_SECONDS", 60);
    let seed = number("REFPOST_SEED", u64::from(std::process::id()));
    let mut chance = Chance::new(seed);
    let wire = Wire::to(handed.broker.port);
    let (real, wired) = (handed.broker.port.to_string(), wire.port.to_string());
    let url = handed.broker.url("git1").replace(&real, &wired);
    handed.configure(&url, "mode = \"spool\"", "timeout = \"3s\"");
    let most = usize::try_from(seconds).unwrap() * 12;
    let pushing: Vec<Pushing<'_>> = (0..REPOSITORIES)
        .map(|n| Pushing::new(&handed, format!("r{n}"), most))
        .collect();
    let commits: BTreeMap<String, Vec<String>> = pushing
        .iter()
        .map(|one| (one.name.clone(), one.commits.clone()))
        .collect();

    let is_over = AtomicBool::new(false);
    let mut arrived = Arrived {
        created: pushing.iter().map(|one| one.commits[0].clone()).collect(),
        ..Arrived::default()
    };
    let mut kills = BTreeMap::<&str, usize>::new();
    let watch =
        |handed: &Handed| Background::start(handed.refpost(&["flush", "--watch", "--server"]));
    let pushed: BTreeMap<String, usize> = thread::scope(|scope| {
        let pushers: Vec<_> = pushing
            .iter()
            .map(|one| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut at = 0;
                    while !is_over.load(Ordering::SeqCst) && at < one.commits.len() {
                        one.push(at);
                        at += 1;
                        thread::sleep(Duration::from_millis(40));
                    }
                    (one.name.clone(), at)
                })
            })
            .collect();
        let (mut flush, mut worker) = (watch(&handed), handed.start("w"));
        let begun = Instant::now();
        let mut broker_dies = begun + Duration::from_secs(seconds / 3);
        while begun.elapsed() < Duration::from_secs(seconds) {
            thread::sleep(Duration::from_millis(300 + chance.below(1500)));
            let what = match chance.below(4) {
                _ if Instant::now() > broker_dies => "broker",
                0 | 1 => "flush",
                2 => "worker",
                _ => "confirms",
            };
            *kills.entry(what).or_default() += 1;
            match what {
                "flush" => {
                    drop(flush);
                    flush = watch(&handed);
                }
                "worker" => {
                    drop(worker);
                    worker = handed.start("w");
                }
                "confirms" => {
                    wire.mute();
                    thread::sleep(Duration::from_millis(200 + chance.below(4000)));
                    wire.cut();
                }
                _ => {
                    handed.broker.kill();
                    handed.broker.restart();
                    let next = Duration::from_secs(20 + chance.below(30));
                    broker_dies = Instant::now() + next;
                }
            }
            arrived.add(&handed.receiver.take());
        }
        is_over.store(true, Ordering::SeqCst);
        let pushed = pushers.into_iter().map(|one| one.join().unwrap()).collect();
        drop((flush, worker));
        pushed
    });
    finish(&handed, &pushed, &mut arrived);

    let entries: usize = pushed.values().sum();
    let (lost, disordered) = losses(&pushed, &commits, &mut arrived);
    eprintln!(
        "chaos: seed {seed}, {seconds} s, {entries} entries of {REPOSITORIES} repositories, {kills:?}: \
         {lost} messages lost, {} repeated, {disordered} repositories out of order",
        arrived.repeats
    );
    assert_eq!((lost, disordered), (0, 0), "seed {seed}");
    for name in pushed.keys() {
        assert_eq!(handed.waiting(name), 0);
    }
    assert!(unreadable(&handed.path("")).is_empty());
}

/// Returns how many messages did not arrive, and in how many repositories they came in another order.
fn losses(
    pushed: &BTreeMap<String, usize>,
    commits: &BTreeMap<String, Vec<String>>,
    arrived: &mut Arrived,
) -> (usize, usize) {
    let (mut lost, mut disordered) = (0, 0);
    for (name, count) in pushed {
        let first = arrived.first.remove(name).unwrap_or_default();
        let expected: Vec<(String, String)> = commits[name][1..*count]
            .iter()
            .flat_map(|commit| ["main", "other"].map(|branch| (commit.clone(), branch.to_owned())))
            .collect();
        let known: HashSet<_> = first.iter().collect();
        let missing = expected.iter().filter(|one| !known.contains(one));
        let missing = missing.count();
        lost += missing;
        disordered += usize::from(missing == 0 && first != expected);
    }
    (lost, disordered)
}

/// Lets all arrive that waits anywhere.
fn finish(handed: &Handed, pushed: &BTreeMap<String, usize>, arrived: &mut Arrived) {
    let expected: usize = pushed
        .values()
        .map(|count| 2 * count.saturating_sub(1))
        .sum();
    let end = Instant::now() + Duration::from_mins(2);
    while arrived.count() < expected && Instant::now() < end {
        handed.flush_all();
        handed.work("w", &["--once"]);
        arrived.add(&handed.receiver.take());
    }
    eventually("the queue is empty", || {
        handed.work("w", &["--once"]);
        arrived.add(&handed.receiver.take());
        handed.broker.messages("refpost.0") == 0
    });
}

/// What could not be read, in whatever spool.
fn unreadable(folder: &Path) -> Vec<String> {
    let files = crate::support::spooled::files_below(folder);
    let is_one = |file: &String| file.contains("/unreadable/");
    files.into_iter().filter(is_one).collect()
}
