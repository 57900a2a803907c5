//! git is the judge: repositories of objects that nobody made in earnest, drawn from a seed,
//! and pushes whose events are those that git's own commands give, or neither can tell.
//!
//! `walk_graphs` has histories of any shape; this has objects of any form. So many pushes are
//! made (`REFPOST_PUSHES`), from this seed on (`REFPOST_SEED`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use refpost::event::{Author, ChangedFiles, RefKind, RefUpdate};
use refpost::git::{Repository, WantedDetails, Wants};
use refpost::payload::sent::{self, Change, Event};

use crate::support::{FLAWS, Hostile, KINDS};
use crate::walk_hostile_commits::Commits;

const WANTS: Wants = Wants {
    files: 100_000,
    path_bytes: 10_000_000,
};

const DETAILS: WantedDetails = WantedDetails {
    commits: 1000,
    bytes: 10_000_000,
    same_as: false,
};

/// So many pushes are made of each repository.
const OF_EACH: u64 = 8;

/// So many pushes are of every kind.
const ORDINARY: u64 = 256;

/// The judge.
struct Judge<'a> {
    made: &'a Hostile,
    commits: &'a mut Commits,
    /// The objects that the push was about.
    seen: BTreeSet<String>,
}

impl Judge<'_> {
    fn commit_of(&self, id: &str) -> Option<String> {
        let peeled = format!("{id}^{{commit}}");
        self.made.line(&["rev-parse", "-q", "--verify", &peeled])
    }

    /// What the last event of an update says, held to git. Whether there was something to hold
    /// to it.
    #[expect(clippy::too_many_lines, reason = "one fact after another")]
    fn judge(&mut self, update: &RefUpdate) -> Result<bool, String> {
        let repository = Repository::open(&self.made.bare).map_err(|error| error.to_string())?;
        let changes = repository.changes(WANTS).with_details(Some(DETAILS));
        let told = changes.of(update);
        let details = told.as_ref().ok().and_then(|told| told.details.clone());
        let told = told.map(sent::events);
        let new = update.new.unwrap().to_string();
        let ids = [update.old, update.new].into_iter().flatten();
        self.seen.extend(ids.map(|id| id.to_string()));
        let is_thin = told
            .as_ref()
            .map_or(true, |events| events.iter().any(|event| event.incomplete));
        let is_received = |event: &Event| matches!(event.change, Change::Received(_));
        let has_commits = told.iter().flatten().any(is_received);
        let none = || {
            if is_thin || !has_commits {
                return Ok(false);
            }
            Err(format!("git finds no commit, and we do: {told:?}"))
        };
        let Some(new_commit) = self.commit_of(&new) else {
            return none();
        };
        self.seen.insert(new_commit.clone());
        let old = update.old.map(|old| old.to_string());
        let kind = update.name.kind();
        if let Some(details) = &details {
            self.commits.hold(self.made, details, &new_commit)?;
        }
        if old.is_none() && kind == RefKind::Tag {
            let Some(author) = self.authors(&["--no-walk", &new_commit]) else {
                return Ok(false);
            };
            let told = told.map_err(|error| error.to_string())?;
            hold_authors(&told[0], &author)?;
            return Ok(true);
        }
        let against = match &old {
            Some(old) => match self.commit_of(old) {
                Some(old) => Some(old),
                None => return none(),
            },
            None if update.name.as_bytes() == self.head().as_bytes() => None,
            None => self.made.line(&["rev-parse", "-q", "--verify", "HEAD"]),
        };
        let hidden = against.as_ref().map(|id| format!("^{id}"));
        let mut range = vec![new_commit.as_str()];
        range.extend(hidden.as_deref());
        let fails = |what: &str| {
            if is_thin {
                Ok(false)
            } else {
                Err(format!("git cannot tell of {what}, and we do: {told:?}"))
            }
        };
        let Some(listed) = self.made.git(&[&["rev-list"], &range[..]].concat()) else {
            // git reads the parents of what turns out to be hidden; whatever they are, they are
            // hidden, too.
            let is_hidden = || against.is_some_and(|it| self.is_ancestor(&new_commit, &it));
            if !has_commits && is_hidden() {
                return Ok(false);
            }
            return fails("commits");
        };
        let listed = String::from_utf8(listed).unwrap();
        let listed: Vec<_> = listed.lines().collect();
        self.seen.extend(listed.iter().map(|&id| id.to_owned()));
        if let Some(details) = details.filter(|_| !is_thin) {
            self.commits.hold_list(self.made, &details, &listed)?;
        }
        let base = against.as_ref().map(|id| self.merge_base(id, &new_commit));
        let Ok(base) = base.unwrap_or(Ok(None)) else {
            return Ok(false);
        };
        let from = match (&old, &against) {
            (Some(_), Some(against)) if listed.is_empty() => Some(against.clone()),
            (Some(_), Some(against)) => Some(base.clone().unwrap_or_else(|| against.clone())),
            _ => base.clone(),
        };
        if old.is_none() && listed.is_empty() {
            return match told {
                Ok(_) if !has_commits => Ok(true),
                told => Err(format!("git has no commits: {told:?}")),
            };
        }
        let Some(files) = self.made.files(from.as_deref(), &new_commit) else {
            return fails("files");
        };
        let authors = if listed.is_empty() {
            self.authors(&["--no-walk", &new_commit])
        } else {
            self.authors(&range)
        };
        let Some(authors) = authors else {
            return fails("authors");
        };
        let told = told.map_err(|error| error.to_string())?;
        let last = told.last().ok_or("nothing is told")?;
        let Change::Received(received) = &last.change else {
            return Err(format!("no commits are told: {told:?}"));
        };
        let ends = match (listed.last(), listed.first()) {
            (Some(oldest), Some(newest)) => [*oldest, *newest],
            _ => [new_commit.as_str(); 2],
        };
        let zeros = "0".repeat(new.len());
        let old_commit = match (&old, &from) {
            (Some(old), from) if *from == against => old,
            (Some(_), Some(base)) => base,
            _ => &zeros,
        };
        same("total", &received.total_commits, &listed.len())?;
        same(
            "start",
            &received.start_commit.to_string(),
            &ends[0].to_owned(),
        )?;
        same("end", &received.end_commit.to_string(), &ends[1].to_owned())?;
        let forced = old.is_some() && base != against;
        same("forced", &received.forced, &forced)?;
        same("old", &received.old_commit, old_commit)?;
        hold_files(&received.changed_files, &files)?;
        hold_authors(last, &authors)?;
        Ok(true)
    }

    /// The best common ancestor, if there is one, or the status of a git that cannot tell.
    fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, i32> {
        let args = ["-c", "core.commitGraph=false", "merge-base", one, other];
        let base = self.made.run().args(args).run();
        match base.status {
            0 | 1 => Ok(base.stdout.lines().next().map(str::to_owned)),
            failed => Err(failed),
        }
    }

    /// Whether a commit can be reached by way of commits that are there.
    fn is_ancestor(&self, commit: &str, of: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut stack = vec![of.to_owned()];
        while let Some(id) = stack.pop() {
            if seen.insert(id.clone()) {
                let parents = self.made.line(&["rev-parse", &format!("{id}^@")]);
                stack.extend(parents.unwrap_or_default().lines().map(str::to_owned));
            }
        }
        seen.contains(commit)
    }

    fn head(&self) -> String {
        self.made
            .line(&["symbolic-ref", "HEAD"])
            .unwrap_or_default()
    }

    /// Names and addresses of those who wrote commits, from the oldest.
    fn authors(&self, range: &[&str]) -> Option<Vec<(String, String)>> {
        let log = ["log", "--encoding=UTF-8", "-z", "--format=%an%n%ae"];
        let log = self.made.git(&[&log, range].concat())?;
        let log = log.strip_suffix(b"\0").unwrap_or(&log);
        let one = |entry: &[u8]| {
            let entry = String::from_utf8_lossy(entry);
            let (name, email) = entry.split_once('\n').unwrap_or_default();
            (name.to_owned(), email.to_owned())
        };
        Some(log.split(|&byte| byte == 0).rev().map(one).collect())
    }
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    ours: &T,
    gits: &T,
) -> Result<(), String> {
    if ours == gits {
        return Ok(());
    }
    Err(format!("{what}: {ours:?}, git: {gits:?}"))
}

fn hold_files(ours: &ChangedFiles, gits: &Vec<(Vec<u8>, String)>) -> Result<(), String> {
    let ours = ours.listed.iter();
    let mut ours: Vec<_> = ours
        .map(|(path, status)| (path.clone(), status.letter().to_owned()))
        .collect();
    ours.sort();
    same("files", &ours, gits)
}

/// Where git can make no sense of an author it names nobody; we read what is there.
fn hold_authors(event: &Event, gits: &[(String, String)]) -> Result<(), String> {
    let ours: BTreeSet<_> = event
        .authors
        .iter()
        .map(|author| match author {
            Author::Person { name, email } => (name.clone(), email.clone()),
            Author::Pusher => ("pusher".to_owned(), String::new()),
        })
        .collect();
    let nobody = (String::new(), String::new());
    for author in gits {
        if *author != nobody && !ours.contains(author) {
            return Err(format!("authors: {ours:?}, git: {gits:?}"));
        }
    }
    let named: BTreeSet<_> = gits.iter().cloned().collect();
    if !named.contains(&nobody) && named != ours {
        return Err(format!("authors: {ours:?}, git: {gits:?}"));
    }
    Ok(())
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The results of pushes.
#[derive(Default)]
struct Judged {
    told: u64,
    wrong: Vec<String>,
    /// Number of pushes of each kind.
    kinds: BTreeMap<&'static str, u64>,
}

impl Judged {
    /// Judges pushes to a repository that is drawn from a seed.
    fn add_pushes_of(&mut self, seed: u64) {
        let mut made = Hostile::new(seed);
        let mut commits = Commits::default();
        for _ in 0..OF_EACH {
            let update = made.update();
            let mut judge = Judge {
                made: &made,
                commits: &mut commits,
                seen: BTreeSet::new(),
            };
            let is_told = match judge.judge(&update) {
                Ok(is_told) => is_told,
                Err(why) => {
                    self.wrong
                        .push(format!("{}: {update:?}\n{why}", made.story));
                    continue;
                }
            };
            self.told += u64::from(is_told);
            // Of a flaw for which git reads nothing, it is judged that we read nothing either.
            let flaws: BTreeSet<_> = judge.seen.iter().flat_map(|id| made.flaws(id)).collect();
            let kinds = made.kinds.iter().copied().filter(|_| is_told);
            for kind in kinds.chain(flaws) {
                *self.kinds.entry(kind).or_default() += 1;
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.told += other.told;
        self.wrong.extend(other.wrong);
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
    }
}

#[test]
fn hostile_pushes_mean_what_they_mean_to_git() {
    let pushes = number("REFPOST_PUSHES").unwrap_or(256);
    let first = number("REFPOST_SEED").unwrap_or(1);
    let seeds = first..first + pushes.div_ceil(OF_EACH);
    let next = AtomicU64::new(first);
    let work = || {
        let mut judged = Judged::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return judged;
            }
            judged.add_pushes_of(seed);
        }
    };
    let mut judged = Judged::default();
    std::thread::scope(|scope| {
        let many = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers: Vec<_> = (0..many).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            judged.add(worker.join().unwrap());
        }
    });
    let Judged { told, wrong, kinds } = judged;
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert!(told * 4 > pushes, "only {told} of {pushes} were told");
    let known: Vec<_> = FLAWS.concat().into_iter().chain(KINDS).collect();
    let unknown: Vec<_> = kinds.keys().filter(|kind| !known.contains(kind)).collect();
    assert!(unknown.is_empty(), "not in the list of kinds: {unknown:?}");
    let missing: Vec<_> = known
        .iter()
        .filter(|kind| !kinds.contains_key(*kind))
        .collect();
    let is_ordinary = pushes >= ORDINARY;
    assert!(
        !is_ordinary || missing.is_empty(),
        "never judged: {missing:?} of {kinds:#?}"
    );
}
