//! Where refs are, and where they were.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::command::Git;
use super::id::HashKind;
use super::{Error, ReadContext, Repository};
use crate::event::{Oid, RefName};
use crate::plain_file;

/// Where the names of refs have more bytes than this together, all refs are listed.
const MOST_NAMED: usize = 16 << 10;

/// A line of a reflog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Where the ref was.
    pub old: Option<Oid>,
    /// Where it went.
    pub new: Option<Oid>,
    /// When.
    pub time: SystemTime,
}

impl Repository {
    /// Where these refs are now; those that are not there are missing. Symbolic
    /// refs are followed.
    pub fn ref_values<'a>(
        &self,
        names: impl IntoIterator<Item = &'a RefName>,
    ) -> Result<HashMap<RefName, Oid>, Error> {
        let names: Vec<_> = names.into_iter().collect();
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let readable = self.store().refs_by_libgit2().and_then(|refs| {
            let texts = names.iter().map(|name| readable(name));
            Some((refs, texts.collect::<Option<Vec<_>>>()?))
        });
        let Some((refs, texts)) = readable else {
            return self.ref_values_by_git(&names);
        };
        let mut values = HashMap::new();
        for (&name, text) in names.iter().zip(texts) {
            if values.contains_key(name) {
                continue;
            }
            match refs.refname_to_id(text) {
                Ok(id) => {
                    if let Some(id) = Oid::from_bytes(id.as_bytes()) {
                        values.insert(name.clone(), id);
                    }
                }
                Err(error) if error.code() == git2::ErrorCode::NotFound => {}
                refused => drop(refused.reading(|| format!("`{}`", name.full()))?),
            }
        }
        Ok(values)
    }

    /// Whether this object is here.
    #[must_use]
    pub fn has(&self, id: Oid) -> bool {
        let id = self.hash().id(id);
        id.is_some_and(|id| self.store().kind(id).is_ok())
    }

    /// What a ref's log tells (git-reflog(1)), the newest first; nothing, if there
    /// is none or it cannot be read.
    #[must_use]
    pub fn reflog(&self, name: &RefName) -> Vec<LogLine> {
        if let Some(refs) = self.store().refs_by_libgit2() {
            return readable(name).map_or_else(Vec::new, |name| by_libgit2(refs, name));
        }
        if !self.store().refs_are_files() {
            return Vec::new();
        }
        // gitrepository-layout(5), `logs`. git has checked the name.
        let logs = self.store().common_dir().join("logs");
        let log = plain_file::read(&logs.join(OsStr::from_bytes(name.as_bytes())), u64::MAX);
        let log = log.unwrap_or_default();
        log.split(|&byte| byte == b'\n')
            .rev()
            .filter_map(|line| log_line(line, self.hash()))
            .collect()
    }

    /// Where these refs are, as git itself lists them (git-for-each-ref(1)).
    fn ref_values_by_git(&self, names: &[&RefName]) -> Result<HashMap<RefName, Oid>, Error> {
        let mut args = vec![
            OsStr::new("for-each-ref"),
            OsStr::new("--format=%(objectname) %(refname)"),
        ];
        if names
            .iter()
            .map(|name| name.as_bytes().len())
            .sum::<usize>()
            <= MOST_NAMED
        {
            // A name is a pattern, too: of itself and of what is below it.
            args.push(OsStr::new("--"));
            args.extend(names.iter().map(|name| OsStr::from_bytes(name.as_bytes())));
        }
        let listing = self.store().git().ask(&args)?;
        let lines = listing.split(|&byte| byte == b'\n');
        Ok(lines
            .filter_map(|line| {
                let space = line.iter().position(|&byte| byte == b' ')?;
                let id = self.hash().id_of_digits(&line[..space])?.into();
                Some((RefName::new(&line[space + 1..]), id))
            })
            .collect())
    }

    /// What git answers about this repository.
    pub(super) fn ask_git(&self, args: &[&str]) -> Result<Vec<u8>, Error> {
        self.store().git().ask(args)
    }
}

impl Git {
    /// The ref that a symbolic one names; `None` if it is none.
    pub(super) fn symbolic_ref(&self, name: &[u8]) -> Option<Vec<u8>> {
        let mut args = ["symbolic-ref", "--quiet"].map(OsStr::new).to_vec();
        args.push(OsStr::from_bytes(name));
        Some(self.ask(&args).ok()?.trim_ascii_end().to_owned())
    }

    /// The digits of the object that a ref is at.
    pub(super) fn ref_value(&self, name: &[u8]) -> Option<Vec<u8>> {
        let mut args = ["rev-parse", "--verify", "--quiet"]
            .map(OsStr::new)
            .to_vec();
        args.push(OsStr::from_bytes(name));
        Some(self.ask(&args).ok()?.trim_ascii_end().to_owned())
    }
}

/// The name as libgit2 takes it; `None` if only git itself can look it up.
fn readable(name: &RefName) -> Option<&str> {
    std::str::from_utf8(name.as_bytes()).ok()
}

fn by_libgit2(refs: &git2::Repository, name: &str) -> Vec<LogLine> {
    let Ok(log) = refs.reflog(name) else {
        return Vec::new();
    };
    log.iter()
        .map(|line| LogLine {
            old: Oid::from_bytes(line.id_old().as_bytes()),
            new: Oid::from_bytes(line.id_new().as_bytes()),
            time: at(line.committer().when().seconds()),
        })
        .collect()
}

/// `OLD NEW NAME <EMAIL> SECONDS ZONE`, a tab and a message.
fn log_line(line: &[u8], hash: HashKind) -> Option<LogLine> {
    let (before, _) = line.split_at(memchr::memchr(b'\t', line).unwrap_or(line.len()));
    let mut words = before.split(|&byte| byte == b' ');
    let (old, new) = (words.next()?, words.next()?);
    let seconds = words.rev().nth(1)?;
    let seconds = std::str::from_utf8(seconds).ok()?.parse().ok()?;
    Some(LogLine {
        old: hash.id_of_digits(old).map(Into::into),
        new: hash.id_of_digits(new).map(Into::into),
        time: at(seconds),
    })
}

fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
