//! Power cuts: the disk of a spool is copied at once while pushes and flushes go on, and
//! each copy is mounted as after the power was gone. A push that git had acknowledged before
//! the copy was delivered before it, or comes from the copy.
//!
//! Root runs them with `REFPOST_TEST_POWER=1`, as `.ci/run --long` does. The disk is a file on
//! a file system that copies a file without reading it (`ioctl_ficlone(2)`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::disks::Mount;
use crate::support::spooled::{Chance, commits, eventually, processes, sibling};
use crate::support::{Answer, Background, KEY, Request, Runner, Spooled};

/// Set by `.ci/run --long`: loop devices and the programs of the file systems must be there.
const OBLIGATORY: &str = "REFPOST_TEST_POWER";

/// A kind of disk: what makes it of a file, and how it is mounted. By itself it writes as
/// rarely as it can, so that a flush of the disk that was left out is seen.
const DISKS: [(&[&str], &str); 3] = [
    (&["mkfs.ext4", "-q", "-F"], "loop,commit=300"),
    (&["mkfs.xfs", "-q"], "loop,nouuid"),
    (&["mkfs.btrfs", "-q"], "loop,commit=300"),
];

/// How often the power goes on each disk.
const CUTS: usize = 12;

/// What flushes a disk, and does not any more.
const NO_FLUSHES: &str = "
int fsync(int file) { return 0; }
int fdatasync(int file) { return 0; }
int syncfs(int file) { return 0; }
int sync_file_range(int file, long from, long length, unsigned flags) { return 0; }
void sync(void) {}
";

/// A message by where it goes (repository and endpoint) and the commit that it tells of.
type Delivery = (String, String);

/// What is known outside of the disk.
#[derive(Clone, Default)]
struct Known {
    owed: BTreeSet<Delivery>,
    delivered: BTreeSet<Delivery>,
}

/// A power cut: the disk as it was, and what was known at that moment.
struct Cut {
    disk: PathBuf,
    known: Known,
}

/// Pushes to three repositories with one spool, which is alone on the disk: what git
/// flushes does not flush the spool too.
struct Storm {
    site: Spooled,
    repositories: Vec<PathBuf>,
    commits: Vec<String>,
    known: Arc<Mutex<Known>>,
    /// A library that is loaded into all that runs.
    preload: Option<PathBuf>,
}

fn is_asked_for() -> bool {
    let is_set = std::env::var_os(OBLIGATORY).is_some();
    if !is_set {
        eprintln!("warning: {OBLIGATORY} is not set: power cuts are not tested");
    }
    is_set
}

#[track_caller]
fn must(program: &str, args: &[&str], path: &Path) {
    let ran = Command::new(program).args(args).arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{program} {args:?}: {said}");
}

fn make_disk(path: &Path, size: &str, program: &[&str]) {
    must("truncate", &["--size", size], path);
    must(program[0], &program[1..], path);
}

fn mount(at: &Path, options: &str, disk: &Path) -> Mount {
    let args = ["-o", options, disk.to_str().unwrap()];
    Mount::new(at.to_owned(), &args).expect("power cuts need root and loop devices")
}

/// The paths of a repository's endpoints at the receiver.
fn endpoints(repository: &Path) -> [String; 2] {
    let name = repository.file_name().unwrap().to_str().unwrap();
    ["one", "two"].map(|endpoint| format!("/{name}/{endpoint}"))
}

fn delivery(request: &Request) -> Delivery {
    let path = request.line.split(' ').nth(1).unwrap().to_owned();
    let [commit] = <[_; 1]>::try_from(commits(std::slice::from_ref(request))).unwrap();
    (path, commit)
}

impl Storm {
    fn new(are_flushes_left_out: bool) -> Self {
        let site = Spooled::new();
        site.settings("mode = \"spool\"\nurls = []\n");
        let repositories = ["a.git", "b.git", "c.git"].map(|name| sibling(&site, name));
        let storm = Self {
            commits: site.chain(3000),
            repositories: repositories.to_vec(),
            known: Arc::default(),
            preload: are_flushes_left_out.then(|| {
                let source = site.write("none.c", NO_FLUSHES);
                let library = site.path("none.so");
                let args = ["-shared", "-fPIC", "-o", library.to_str().unwrap()];
                must("cc", &args, &source);
                library
            }),
            site,
        };
        for (repository, mode) in storm.repositories.iter().zip(["spool", "sync", "spool"]) {
            storm.configure(repository, mode);
        }
        let enable = ["enable", "--guaranteed", "c.git"];
        storm.site.refpost(enable).run().well();
        storm
    }

    fn disk(&self) -> PathBuf {
        self.site.path("disk")
    }

    /// Endpoint `one` takes everything, `two` is often down and always picky.
    fn configure(&self, repository: &Path, mode: &str) {
        let spool = self.disk().join("spool");
        let [one, two] = endpoints(repository).map(|path| self.site.receiver.url(&path));
        let text = format!(
            "key = \"{KEY}\"\nmode = \"{mode}\"\nspool = \"{}\"\n\
             [retry]\nschedule = [\"1s\"]\n\
             [[endpoint]]\nname = \"one\"\nurl = \"{one}\"\n\
             [[endpoint]]\nname = \"two\"\nurl = \"{two}\"\n",
            spool.display()
        );
        self.site.write(repository.join("refpost.toml"), text);
    }

    fn loaded(&self, runner: Runner) -> Runner {
        match &self.preload {
            Some(library) => runner.env("LD_PRELOAD", library),
            None => runner,
        }
    }

    /// The receiver notes what it takes before it answers, and not while a cut is made.
    fn receive(&self) {
        let known = Arc::clone(&self.known);
        let begin = Instant::now();
        self.site.receiver.script(move |request| {
            let (path, commit) = delivery(request);
            if path.ends_with("/two") {
                match commit.as_bytes()[0] {
                    b'0' => return Answer::status(404),
                    b'1' => return Answer::status(413),
                    _ if begin.elapsed().as_secs() % 5 < 3 => return Answer::status(503),
                    _ => {}
                }
            }
            known.lock().unwrap().delivered.insert((path, commit));
            Answer::status(200)
        });
    }

    /// Pushes commit after commit until it is over.
    fn push(&self, repository: &Path, is_over: &AtomicBool) {
        for commit in &self.commits {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let push = self.site.git_run(&["push"]).arg(repository);
            let push = push.arg(format!("{commit}:refs/heads/main"));
            let ran = self.loaded(push).run();
            assert_eq!(ran.status, 0, "{}", ran.stderr);
            assert!(!ran.stderr.contains("cannot enqueue"), "{}", ran.stderr);
            let mut known = self.known.lock().unwrap();
            for endpoint in endpoints(repository) {
                known.owed.insert((endpoint, commit.clone()));
            }
        }
    }

    /// Copies the disk now and then, in the middle of everything.
    fn cut(&self, disk: &Path) -> Vec<Cut> {
        let mut chance = Chance::new(u64::from(std::process::id()));
        let cut = |number| {
            thread::sleep(Duration::from_millis(500 + chance.below(1000)));
            let copy = disk.with_extension(format!("{number}"));
            let known = self.known.lock().unwrap();
            let args = ["--reflink=always", disk.to_str().unwrap()];
            must("cp", &args, &copy);
            Cut {
                disk: copy,
                known: known.clone(),
            }
        };
        (1..=CUTS).map(cut).collect()
    }

    fn rage(&self, disk: &Path) -> Vec<Cut> {
        self.receive();
        let is_over = AtomicBool::new(false);
        let watch = self.site.refpost(["flush", "--watch"]);
        let _watch = Background::start(self.loaded(watch.args(&self.repositories)));
        thread::scope(|scope| {
            for repository in &self.repositories {
                scope.spawn(|| self.push(repository, &is_over));
            }
            let cuts = scope.spawn(|| self.cut(disk)).join();
            is_over.store(true, Ordering::Relaxed);
            cuts.unwrap()
        })
    }

    /// Waits for what a push or a command has left running.
    fn calm(&self) {
        let folder = self.site.path("");
        eventually("all flushes are over", || {
            processes(&["refpost", folder.to_str().unwrap()]).is_empty()
        });
    }

    /// What was acknowledged, and neither was delivered nor comes now.
    fn lost(&self, cut: &Cut) -> BTreeSet<Delivery> {
        let mut missing = &cut.known.owed - &cut.known.delivered;
        self.site.receiver.take();
        let spool = self.disk().join("spool");
        let queue = |args: &[&str]| {
            let run = self.site.refpost(["queue"]).args(args);
            let scope = (args != ["list"]).then_some("--repo");
            run.args(scope).arg(&spool).run()
        };
        let end = Instant::now() + Duration::from_mins(1);
        let mut is_over = false;
        while !is_over && !missing.is_empty() && Instant::now() < end {
            // What was given up lies in `failed/`, and is not lost.
            queue(&["retry", "--all"]);
            self.site.refpost(["flush"]).args(&self.repositories).run();
            is_over = queue(&["list"]).stdout.is_empty();
            for request in self.site.receiver.take() {
                missing.remove(&delivery(&request));
            }
        }
        self.calm();
        missing
    }
}

/// Lets the power go on this disk; how much was lost.
fn losses((program, options): (&[&str], &str), are_flushes_left_out: bool) -> usize {
    let storm = Storm::new(are_flushes_left_out);
    let copying = storm.site.path("copying.img");
    make_disk(&copying, "8G", &["mkfs.xfs", "-q", "-m", "reflink=1"]);
    let copying = mount(&storm.site.path("copying"), "loop", &copying);
    let disk = copying.path().join("disk");
    make_disk(&disk, "512M", program);
    let mounted = mount(&storm.disk(), options, &disk);
    let cuts = storm.rage(&disk);
    storm.calm();
    drop(mounted);
    storm.site.receiver.script(|_| Answer::status(200));
    let (mut waited, mut lost) = (0, 0);
    for cut in &cuts {
        let _mounted = mount(&storm.disk(), options, &cut.disk);
        let gone = storm.lost(cut);
        waited += (&cut.known.owed - &cut.known.delivered).len();
        lost += gone.len();
        if let Some(first) = gone.first() {
            let (count, disk) = (gone.len(), cut.disk.display());
            eprintln!("{disk}: {count} lost, {first:?} the first");
            break;
        }
    }
    let owed = cuts.last().unwrap().known.owed.len();
    let program = program[0];
    eprintln!("{program}: {CUTS} cuts, {owed} owed, {waited} waited at a cut, {lost} were lost");
    assert!(waited > 0, "{program}: nothing could be lost");
    lost
}

#[test]
fn what_was_acknowledged_outlasts_the_power() {
    if !is_asked_for() {
        return;
    }
    for disk in DISKS {
        assert_eq!(losses(disk, false), 0, "{disk:?}");
    }
}

/// A test that finds nothing then would find nothing ever.
#[test]
fn without_flushes_of_the_disk_the_power_takes_pushes() {
    if !is_asked_for() {
        return;
    }
    for disk in DISKS {
        assert_ne!(losses(disk, true), 0, "{disk:?}");
    }
}
