//! A repository that is pushed to at random while git and its hooks are killed at every
//! step, and that remembers what moved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::spooled::Chance;
use crate::support::{Git, KEY, Message, REFPOST, Request, Site, names, read_entry};

/// Kills as the file `plan` says.
const WRAPPER: &str = include_str!("../data/killing-hook.sh");

/// What may happen, the same in every run.
pub(super) struct Random(Chance);

impl Random {
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.below(end as u64)).unwrap()
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

pub(super) type Refs = BTreeMap<String, String>;

/// A move as it shows in a message: the topic, the name, and the commit or the
/// object that it is about.
pub(super) type Shown = (String, String, String);

pub(super) struct Trial {
    pub(super) site: Site,
    pub(super) git: Git,
    pub(super) random: Random,
    pub(super) commits: usize,
    /// Every move that was seen.
    pub(super) moved: Vec<Shown>,
    /// The bodies that arrived.
    pub(super) arrived: Vec<Message>,
    pub(super) flushes_killed: usize,
    /// Whether flushes run beside hooks that have outlived their git. Both may tell
    /// of the same move then; otherwise each is told of once.
    pub(super) beside: bool,
    /// What was done, for whoever must find out why a trial failed.
    pub(super) history: Vec<String>,
}

impl Trial {
    pub(super) fn new(seed: u64, git: Git, format: &str, config: &[&str]) -> Self {
        let site = Site::new();
        fs::remove_dir_all(&site.bare).unwrap();
        let mut args = vec!["init", "-q", "--bare", "-b", "main", "test.git"];
        let ref_format = format!("--ref-format={format}");
        if format != "files" {
            args.push(&ref_format);
        }
        let init = site.run(&git.program).env("PATH", &git.path).args(args);
        init.run().well();
        let url = site.receiver.url("/");
        site.write(
            "test.git/refpost.toml",
            format!("mode = \"spool\"\nurls = [\"{url}\"]\nkey = \"{KEY}\"\n"),
        );
        let hooks = site.bare.join("hooks");
        for name in ["pre-receive", "post-receive", "reference-transaction"] {
            let text = WRAPPER.replace("REFPOST", REFPOST);
            site.script(hooks.join(name), &text);
        }
        let trial = Self {
            site,
            git,
            random: Random(Chance::new(seed)),
            commits: 0,
            moved: Vec::new(),
            arrived: Vec::new(),
            flushes_killed: 0,
            beside: false,
            history: Vec::new(),
        };
        for setting in [&["receive.autogc", "false"], config]
            .iter()
            .filter(|it| !it.is_empty())
        {
            trial.bare_git(&[&["config"], *setting].concat());
        }
        trial
    }

    pub(super) fn bare_git(&self, args: &[&str]) -> String {
        let ran = self.site.run(&self.git.program).env("PATH", &self.git.path);
        let ran = ran.dir(&self.site.bare).args(args).run();
        assert_eq!(ran.status, 0, "git {args:?}: {}", ran.stderr);
        ran.stdout
    }

    pub(super) fn refs(&self) -> Refs {
        let listing = self.bare_git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        let lines = listing.lines().filter_map(|line| line.split_once(' '));
        lines.map(|(name, id)| (name.into(), id.into())).collect()
    }

    /// A commit that no ref ever was at.
    pub(super) fn commit(&mut self, parent: Option<&str>) -> String {
        self.commits += 1;
        let tree = self
            .site
            .git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
        let text = format!("commit {}", self.commits);
        let parent = parent.map(|parent| ["-p", parent]);
        let parent = parent.as_ref().map_or(&[][..], |parent| &parent[..]);
        let id = self
            .site
            .git(&[&["commit-tree", "-m", &text], parent, &[&tree]].concat());
        if self.random.one_in(8) {
            let tag = ["tag", "-f", "-a", "-m", &text, "moving", &id];
            self.site.git(&tag);
            return self.site.git(&["rev-parse", "moving"]);
        }
        id
    }

    /// A push of one to four refs: creations, updates, some of them forced, and
    /// deletions.
    pub(super) fn push(&mut self, refs: &Refs) -> Vec<String> {
        let all = [
            "refs/heads/main",
            "refs/heads/a",
            "refs/heads/b",
            "refs/heads/c/d",
            "refs/tags/s",
            "refs/tags/t",
            "refs/tags/u",
        ];
        let mut args = vec!["push".into(), "-q".into(), "--force".into()];
        args.extend(self.random.one_in(2).then(|| "--atomic".into()));
        args.push("origin".into());
        let mut chosen = BTreeSet::new();
        for _ in 0..=self.random.below(4) {
            chosen.insert(self.random.of(&all));
        }
        for name in chosen {
            let old = refs.get(name).cloned();
            let new = match (old, self.random.below(5)) {
                (Some(_), 0) => String::new(),
                (Some(_), 1) | (None, _) => self.fresh(name, None),
                (Some(old), _) => self.fresh(name, Some(&old)),
            };
            args.push(format!("{new}:{name}"));
        }
        args
    }

    /// What a ref is to be at: a branch at a commit, a tag at anything.
    pub(super) fn fresh(&mut self, name: &str, parent: Option<&str>) -> String {
        let parent = parent.map(|id| self.site.git(&["rev-parse", &format!("{id}^{{commit}}")]));
        let id = self.commit(parent.as_deref());
        if name.starts_with("refs/heads/") {
            return self.site.git(&["rev-parse", &format!("{id}^{{commit}}")]);
        }
        id
    }

    /// Where the next push is hit.
    pub(super) fn plan(&mut self, refs: usize) {
        let (hook, state) = match self.random.below(5) {
            0 => ("pre-receive", "-"),
            1 => ("post-receive", "-"),
            2 | 3 => ("reference-transaction", "prepared"),
            _ => ("reference-transaction", "committed"),
        };
        let turn = match hook {
            "reference-transaction" => 1 + self.random.below(refs),
            _ => 1,
        };
        let victim = self.random.of(&["git", "git", "both", "refpost"]);
        let moment = match victim {
            "refpost" | "both" => self.random.of(&["before", "during"]),
            _ => self.random.of(&["before", "during", "after", "later"]),
        };
        let delay = self.random.below(40);
        let plan = format!("{hook} {state} {turn} {victim} {moment} 0.{delay:03}\n");
        self.site.write("plan", plan);
        fs::remove_file(self.site.path("turns")).ok();
    }

    /// Pushes, and takes down which refs have moved.
    pub(super) fn run(&mut self, args: &[String], before: &Refs) -> Refs {
        let push = self
            .site
            .run(&self.git.program)
            .dir(&self.site.work)
            .args(args)
            .without("GIT_COMMITTER_DATE");
        push.env("PATH", &self.git.path).run();
        if self.beside && self.random.one_in(4) {
            // Somebody flushes while what was orphaned may still be at it.
            self.flush();
        }
        self.wait_for_orphans();
        remove_locks(&self.site.bare);
        let after = self.refs();
        self.remember(args);
        let touched: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for name in touched {
            let (old, new) = (before.get(name), after.get(name));
            if old != new {
                self.moved.push(self.shown(name, old, new));
            }
        }
        after
    }

    pub(super) fn remember(&mut self, args: &[String]) {
        let plan = fs::read_to_string(self.site.path("plan")).unwrap();
        let place = self.site.spool().join("intent");
        let intents = names(&place).into_iter();
        let left: Vec<_> = intents
            .map(|id| format!("{id}: {}", read_entry(&place.join(&id)).join(", ")))
            .collect();
        self.history.push(format!(
            "{} under {plan}{}",
            args.join(" "),
            left.join("\n")
        ));
    }

    pub(super) fn shown(&self, name: &str, old: Option<&String>, new: Option<&String>) -> Shown {
        let (kind, short) = match name.strip_prefix("refs/heads/") {
            Some(short) => ("branch", short),
            None => ("tag", name.strip_prefix("refs/tags/").unwrap()),
        };
        let (topic, value) = match (old, new) {
            (None, Some(new)) => (format!("git.{kind}.creation"), new.clone()),
            (Some(old), None) => (format!("git.{kind}.deletion"), old.clone()),
            (_, new) => {
                let commit = format!("{}^{{commit}}", new.unwrap());
                let commit = self.bare_git(&["rev-parse", &commit]);
                ("git.receive".to_owned(), commit.trim().to_owned())
            }
        };
        (topic, short.to_owned(), value)
    }

    /// Until no process of this world runs: a hook outlives the git that is killed.
    pub(super) fn wait_for_orphans(&self) {
        let mark = format!("HOME={}", self.site.path("home").display());
        let is_ours = |pid: &str| {
            let environment = fs::read(Path::new("/proc").join(pid).join("environ"));
            let environment = environment.unwrap_or_default();
            let mut variables = environment.split(|&byte| byte == 0);
            variables.any(|variable| variable == mark.as_bytes())
        };
        let is_number = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        let running = || {
            let entries = fs::read_dir("/proc").unwrap().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names.filter(is_number).any(|pid| is_ours(&pid))
        };
        while running() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Delivers; one in four flushes is killed.
    pub(super) fn flush(&mut self) {
        if self.random.one_in(4) {
            let delay = self.random.below(60);
            let line = format!(
                "'{REFPOST}' flush test.git 2>/dev/null & sleep 0.{delay:03}; kill -9 $!; wait"
            );
            self.site.run("sh").args(["-c", &line]).run();
            self.flushes_killed += 1;
        } else {
            let ran = self.site.refpost(["flush", "test.git"]).run();
            // One that was killed may have left its orphans' locks.
            assert_eq!(ran.status, 0, "{}", ran.stderr);
        }
        let requests = self.site.receiver.take();
        self.arrived.extend(requests.iter().map(Request::message));
    }
}

/// An admin does this after a crash: git leaves its locks, and refuses to push over
/// them.
fn remove_locks(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if path.is_dir() && name != "objects" && name != "refpost" {
            remove_locks(&path);
        } else if path.extension().is_some_and(|end| end == "lock") || name == "packed-refs.new" {
            fs::remove_file(path).unwrap();
        }
    }
}
