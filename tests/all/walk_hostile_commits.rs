//! What is told of commits one by one, held to `git log` and `git diff-tree`.

use std::collections::HashMap;

use refpost::event::{Commit, Details, FileStatus, Signature};

use crate::support::Hostile;
use crate::walk_hostile::same;

/// Whom git names, and `SECONDS ZONE`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Person {
    name: Vec<u8>,
    email: Vec<u8>,
    /// `None`: git prints nothing of it, and takes it for the epoch wherever it needs one.
    date: Option<String>,
}

/// A commit as git tells of it.
#[derive(Clone)]
struct Told {
    tree: String,
    parent: Option<String>,
    author: Person,
    committer: Person,
    message: Vec<u8>,
    /// `None`: it cannot compare.
    files: Option<Vec<(Vec<u8>, String)>>,
}

/// The commits of a repository that git was asked for. `None`: it cannot read one.
#[derive(Default)]
pub(crate) struct Commits(HashMap<String, Option<Told>>);

impl Commits {
    /// Holds each commit that is told of to git; `new` is the one that the ref leads to.
    pub(crate) fn hold(
        &mut self,
        made: &Hostile,
        details: &Details,
        new: &str,
    ) -> Result<(), String> {
        // Once the files of a commit are not known, none are told of those behind it.
        let mut has_files = true;
        self.hold_one(made, details.head.as_ref(), new, &mut has_files)?;
        for commit in &details.commits {
            let id = commit.id.to_string();
            if id == new {
                same("the newest commit", &Some(commit), &details.head.as_ref())?;
            } else {
                self.hold_one(made, Some(commit), &id, &mut has_files)?;
            }
        }
        Ok(())
    }

    /// Holds it to git which commits are told of: `listed` are those that the ref gained, the
    /// newest first.
    pub(crate) fn hold_list(
        &mut self,
        made: &Hostile,
        details: &Details,
        listed: &[&str],
    ) -> Result<(), String> {
        let ids = details.commits.iter().map(|commit| commit.id.to_string());
        // The commit-graph has commits that are not there.
        let there = listed.iter().filter(|id| self.of(made, id).is_some());
        let there = there.map(|&id| id.to_owned());
        same("commits", &ids.collect::<Vec<_>>(), &there.collect())?;
        let oldest = listed.last().and_then(|id| self.of(made, id));
        let before = oldest.and_then(|oldest| oldest.parent);
        let ours = details.before_oldest.map(|id| id.to_string());
        same("before the oldest", &ours, &before)
    }

    fn hold_one(
        &mut self,
        made: &Hostile,
        ours: Option<&Commit>,
        id: &str,
        has_files: &mut bool,
    ) -> Result<(), String> {
        let Some(told) = self.of(made, id) else {
            return same("a commit that git does not read", &ours, &None);
        };
        let ours = ours.ok_or_else(|| format!("{id} is not told of"))?;
        let what = |what: &str| format!("{what} of {id}");
        same(&what("id"), &ours.id.to_string().as_str(), &id)?;
        same(&what("tree"), &ours.tree.to_string(), &told.tree)?;
        if !exceptions::ends_early(made, id) {
            hold_person(&what("author"), &ours.author, &told.author)?;
            hold_person(&what("committer"), &ours.committer, &told.committer)?;
        }
        let message = String::from_utf8_lossy(&told.message).into_owned();
        if exceptions::has_message(made, id) {
            same(&what("message"), &ours.message, &message)?;
        }
        *has_files &= told.files.is_some();
        let files = told.files.filter(|_| *has_files);
        let ours = ours.files.as_ref().map(|files| {
            let letter = |status: &FileStatus| status.letter().to_owned();
            let files = files.iter();
            let files = files.map(|(path, status)| (path.clone(), letter(status)));
            let mut files: Vec<_> = files.collect();
            files.sort();
            files
        });
        same(&what("files"), &ours, &files)
    }

    fn of(&mut self, made: &Hostile, id: &str) -> Option<Told> {
        let of = || asked(made, id);
        self.0.entry(id.to_owned()).or_insert_with(of).clone()
    }
}

/// Where something else is told than by git, and why.
mod exceptions {
    use super::{Hostile, Person};

    /// Of a line without `<` and `>` git reads nothing. A message names whom there is to name,
    /// without a date.
    pub(super) fn is_nobody(person: &Person) -> bool {
        person.name.is_empty() && person.email.is_empty() && person.date.is_none()
    }

    /// Behind a zero byte in a line of the header, which fsck refuses, git reads further lines. Here
    /// the header ends there.
    pub(super) fn ends_early(made: &Hostile, id: &str) -> bool {
        let commit = made.git(&["cat-file", "commit", id]).unwrap_or_default();
        let end = commit.windows(2).position(|two| two == b"\n\n");
        commit[..end.unwrap_or(commit.len())].contains(&0)
    }

    /// Without an empty line behind the header, git reads on behind the end of the commit.
    pub(super) fn has_message(made: &Hostile, id: &str) -> bool {
        let commit = made.git(&["cat-file", "commit", id]).unwrap_or_default();
        let end = commit.iter().position(|&byte| byte == 0);
        let text = &commit[..end.unwrap_or(commit.len())];
        text.windows(2).any(|two| two == b"\n\n")
    }
}

fn hold_person(what: &str, ours: &Signature, gits: &Person) -> Result<(), String> {
    let (sign, offset) = (if ours.offset < 0 { '-' } else { '+' }, ours.offset.abs());
    let date = format!("{} {sign}{offset}", ours.seconds);
    let told = gits.date.as_deref().unwrap_or("0 +0000");
    let (seconds, zone) = told.split_once(' ').unwrap();
    let hours: i32 = zone[1..].parse().unwrap();
    let minutes = hours / 100 * 60 + hours % 100;
    let sign = if minutes == 0 { "+" } else { &zone[..1] };
    same(what, &date, &format!("{seconds} {sign}{minutes}"))?;
    if exceptions::is_nobody(gits) {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    same(what, &ours.name, &text(&gits.name))?;
    same(what, &ours.email, &text(&gits.email))
}

fn asked(made: &Hostile, id: &str) -> Option<Told> {
    let format = "--format=%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B";
    let log = [
        "log",
        "--no-walk",
        "--encoding=UTF-8",
        "--date=raw",
        format,
        id,
    ];
    let log = made.git(&log)?;
    // One line end is of the command.
    let log = log.strip_suffix(b"\n").unwrap_or(&log);
    let parts: Vec<_> = log.splitn(9, |&byte| byte == 0).collect();
    let text = |at: usize| String::from_utf8(parts[at].to_vec()).unwrap();
    let person = |at: usize| Person {
        name: parts[at].to_vec(),
        email: parts[at + 1].to_vec(),
        date: Some(text(at + 2)).filter(|date| !date.is_empty()),
    };
    let parent = text(1).split(' ').next().map(str::to_owned);
    let parent = parent.filter(|parent| !parent.is_empty());
    Some(Told {
        tree: text(0),
        files: made.files(parent.as_deref(), id),
        parent,
        author: person(2),
        committer: person(5),
        message: parts[8].to_vec(),
    })
}
