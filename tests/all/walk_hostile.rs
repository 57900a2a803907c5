//! git is the judge: repositories of objects that nobody made in earnest, drawn from a seed,
//! and pushes whose events are those that git's own commands give, or neither can tell.
//!
//! `walk_graphs` has histories of any shape; this has objects of any form. So many pushes are
//! made (`REFPOST_PUSHES`), from this seed on (`REFPOST_SEED`).

use std::collections::BTreeSet;

use refpost::event::{Author, ChangedFiles, RefKind, RefUpdate};
use refpost::git::{Repository, Wants};
use refpost::payload::sent::{self, Change, Event};

use crate::support::Hostile;

const WANTS: Wants = Wants {
    files: 100_000,
    path_bytes: 10_000_000,
};

/// So many pushes are made of each repository.
const OF_EACH: u64 = 8;

/// The judge.
struct Judge<'a>(&'a Hostile);

impl Judge<'_> {
    fn commit_of(&self, id: &str) -> Option<String> {
        let peeled = format!("{id}^{{commit}}");
        self.0.line(&["rev-parse", "-q", "--verify", &peeled])
    }

    /// What the last event of an update says, held to git. Whether there was something to hold
    /// to it.
    #[expect(clippy::too_many_lines, reason = "one fact after another")]
    fn judge(&self, update: &RefUpdate) -> Result<bool, String> {
        let repository = Repository::open(&self.0.bare).map_err(|error| error.to_string())?;
        let told = repository.changes(WANTS).of(update).map(sent::events);
        let new = update.new.unwrap().to_string();
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
        let old = update.old.map(|old| old.to_string());
        let kind = update.name.kind();
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
            None => self.0.line(&["rev-parse", "-q", "--verify", "HEAD"]),
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
        let Some(listed) = self.0.git(&[&["rev-list"], &range[..]].concat()) else {
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
        let Some(files) = self.diff(from.as_deref(), &new_commit) else {
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
        let base = self.0.run().args(args).run();
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
                let parents = self.0.line(&["rev-parse", &format!("{id}^@")]);
                stack.extend(parents.unwrap_or_default().lines().map(str::to_owned));
            }
        }
        seen.contains(commit)
    }

    fn head(&self) -> String {
        self.0.line(&["symbolic-ref", "HEAD"]).unwrap_or_default()
    }

    /// Names and addresses of those who wrote commits, from the oldest.
    fn authors(&self, range: &[&str]) -> Option<Vec<(String, String)>> {
        let log = ["log", "--encoding=UTF-8", "-z", "--format=%an%n%ae"];
        let log = self.0.git(&[&log, range].concat())?;
        let log = log.strip_suffix(b"\0").unwrap_or(&log);
        let one = |entry: &[u8]| {
            let entry = String::from_utf8_lossy(entry);
            let (name, email) = entry.split_once('\n').unwrap_or_default();
            (name.trim().to_owned(), email.trim().to_owned())
        };
        Some(log.split(|&byte| byte == 0).rev().map(one).collect())
    }

    fn diff(&self, from: Option<&str>, new: &str) -> Option<Vec<(Vec<u8>, String)>> {
        let tree = |id| self.0.line(&["log", "--no-walk", "--format=%T", id]);
        if from.is_some_and(|from| tree(from) == tree(new)) {
            // Be it there or not.
            return Some(Vec::new());
        }
        let empty = self.0.line(&["hash-object", "-t", "tree", "/dev/null"])?;
        let from = from.map_or(empty, |from| format!("{from}^{{tree}}"));
        let to = format!("{new}^{{tree}}");
        let args = [
            "diff-tree",
            "--root",
            "-r",
            "-z",
            "--name-status",
            &from,
            &to,
        ];
        let listed = self.0.git(&args)?;
        let mut fields = listed.split(|&byte| byte == 0);
        let mut files = Vec::new();
        while let (Some(letter), Some(path)) = (fields.next(), fields.next()) {
            let letter = String::from_utf8(letter.to_vec()).unwrap();
            files.push((path.to_vec(), letter));
        }
        files.sort();
        Some(files)
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, gits: &T) -> Result<(), String> {
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

#[test]
fn hostile_pushes_mean_what_they_mean_to_git() {
    let pushes = number("REFPOST_PUSHES").unwrap_or(256);
    let first = number("REFPOST_SEED").unwrap_or(1);
    let (mut told, mut wrong) = (0, Vec::new());
    for seed in first..first + pushes.div_ceil(OF_EACH) {
        let mut made = Hostile::new(seed);
        for _ in 0..OF_EACH {
            let update = made.update();
            match Judge(&made).judge(&update) {
                Ok(is_told) => told += u64::from(is_told),
                Err(why) => wrong.push(format!("{}: {update:?}\n{why}", made.story)),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert!(told * 4 > pushes, "only {told} of {pushes} were told");
}
