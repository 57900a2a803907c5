//! Where refs are, and where they were.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::event::{Oid, RefName};
use crate::git::command::Git;
use crate::git::error::{Cause, Error, ReadContext};
use crate::git::objects::id::HashKind;
use crate::git::objects::irregular;
use crate::git::repository::Repository;
use crate::plain_file;

/// Most bytes of names that are asked for one by one; with more, all refs are listed.
const MOST_NAMED: usize = 16 << 10;

/// Longest chain of symbolic refs, as in git.
const MOST_STEPS: usize = 5;

/// A line of a reflog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The old value of the ref.
    pub old: Option<Oid>,
    /// The new value of the ref.
    pub new: Option<Oid>,
    /// Time of the move.
    pub time: SystemTime,
}

impl Repository {
    /// Returns the values of these refs, following symbolic ones. Leaves out refs that do not
    /// exist.
    pub fn ref_values<'a>(
        &self,
        names: impl IntoIterator<Item = &'a RefName>,
    ) -> Result<HashMap<RefName, Oid>, Error> {
        let names = names
            .into_iter()
            .map(|name| self.full_name(name.as_bytes()));
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let readable = self.store().refs_by_libgit2().and_then(|refs| {
            let texts = names.iter().map(readable);
            Some((refs, texts.collect::<Option<Vec<_>>>()?))
        });
        let Some((refs, texts)) = readable else {
            return self.ref_values_by_git(&names);
        };
        let mut values = HashMap::new();
        for (full, text) in names.iter().zip(texts) {
            let name = self.name_within(full.as_bytes());
            if values.contains_key(&name) {
                continue;
            }
            let at = self.ref_by_libgit2(refs, text);
            if let Some(id) = at.reading(|| format!("`{}`", name.full()))? {
                values.insert(name, id);
            }
        }
        Ok(values)
    }

    /// Returns the value of a ref, if it exists. Its file, and that of each symbolic ref on the
    /// way, is checked before libgit2 opens it.
    pub(super) fn ref_by_libgit2(
        &self,
        refs: &git2::Repository,
        name: &str,
    ) -> Result<Option<Oid>, Cause> {
        let mut name = name.to_owned();
        for _ in 0..MOST_STEPS {
            self.ensure_ref_is_plain(name.as_bytes())?;
            let found = match refs.find_reference(&name) {
                Ok(found) => found,
                Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if let Some(id) = found.target() {
                return Ok(Oid::from_bytes(id.as_bytes()));
            }
            let next = found.symbolic_target_bytes().unwrap_or_default();
            name = std::str::from_utf8(next)?.to_owned();
        }
        Err("too many symbolic refs lead on from it".into())
    }

    /// Fails for a ref whose file is no file.
    pub(super) fn ensure_ref_is_plain(&self, name: &[u8]) -> Result<(), Cause> {
        let folders = [self.store().common_dir(), self.store().git().git_dir()];
        irregular::ensure_none(folders.map(|folder| folder.join(OsStr::from_bytes(name))))
    }

    /// Whether this object is here.
    #[must_use]
    pub fn has(&self, id: Oid) -> bool {
        let id = self.hash().id(id);
        id.is_some_and(|id| self.store().kind(id).is_ok())
    }

    /// Returns the object that a revision names (gitrevisions(7)). Returns `None` for zeros, which
    /// stand for no object.
    pub fn revision(&self, name: &str) -> Result<Option<Oid>, Error> {
        if !name.is_empty() && name.bytes().all(|byte| byte == b'0') {
            return Ok(None);
        }
        let none = || Error::NoObject {
            name: name.to_owned(),
            path: self.path(),
        };
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", name];
        let digits = self.ask_git(&args).map_err(|error| match error {
            // Then git is silent.
            Error::Git { why, .. } if why.is_empty() => none(),
            error => error,
        })?;
        let id = self.hash().id_of_digits(digits.trim_ascii_end());
        id.map(|id| Some(id.into())).ok_or_else(none)
    }

    /// Returns the lines of a ref's log (git-reflog(1)), the newest first. Returns none if there is
    /// no log or it cannot be read.
    #[must_use]
    pub fn reflog(&self, name: &RefName) -> Vec<LogLine> {
        let name = &self.full_name(name.as_bytes());
        let logs = self.store().common_dir().join("logs");
        let file = logs.join(OsStr::from_bytes(name.as_bytes()));
        if irregular::ensure_none([file.clone()]).is_err() {
            return Vec::new();
        }
        if let Some(refs) = self.store().refs_by_libgit2() {
            return readable(name).map_or_else(Vec::new, |name| by_libgit2(refs, name));
        }
        if !self.store().refs_are_files() {
            return Vec::new();
        }
        // gitrepository-layout(5), `logs`. git has checked the name.
        let log = plain_file::read(&file, u64::MAX);
        let log = log.unwrap_or_default();
        log.split(|&byte| byte == b'\n')
            .rev()
            .filter_map(|line| log_line(line, self.hash()))
            .collect()
    }

    /// Returns the values of these refs as git itself lists them (git-for-each-ref(1)).
    fn ref_values_by_git(&self, names: &[RefName]) -> Result<HashMap<RefName, Oid>, Error> {
        for name in names {
            let plain = self.ensure_ref_is_plain(name.as_bytes());
            plain.reading(|| format!("`{}`", name.full()))?;
        }
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
        Ok(lines.filter_map(|line| self.listed_ref(line)).collect())
    }

    /// Returns all refs by the names that git keeps them by, with their values. A symbolic ref has
    /// none of its own.
    pub fn all_refs(&self) -> Result<Vec<(RefName, Option<Oid>)>, Error> {
        let format = "--format=%(objectname) %(refname) %(symref)";
        let listing = self.ask_git(&["for-each-ref", format])?;
        let lines = listing.split(|&byte| byte == b'\n');
        let refs = lines.filter_map(|line| {
            let mut words = line.split(|&byte| byte == b' ');
            let (id, name, symbolic) = (words.next()?, words.next()?, words.next()?);
            let id = self.hash().id_of_digits(id)?.into();
            Some((RefName::new(name), symbolic.is_empty().then_some(id)))
        });
        Ok(refs.collect())
    }

    /// The first branches by name, and where they are, as git lists them.
    pub(super) fn branches(&self, most: usize) -> Result<Vec<(RefName, Oid)>, Error> {
        let heads = self.full_name(b"refs/heads/");
        let count = format!("--count={most}");
        let args = [
            OsStr::new("for-each-ref"),
            OsStr::new("--format=%(objectname) %(refname)"),
            OsStr::new(&count),
            OsStr::new("--"),
            OsStr::from_bytes(heads.as_bytes()),
        ];
        let listing = self.store().git().ask(&args)?;
        let lines = listing.split(|&byte| byte == b'\n');
        Ok(lines.filter_map(|line| self.listed_ref(line)).collect())
    }

    /// A line of such a listing.
    fn listed_ref(&self, line: &[u8]) -> Option<(RefName, Oid)> {
        let space = line.iter().position(|&byte| byte == b' ')?;
        let id = self.hash().id_of_digits(&line[..space])?.into();
        Some((self.name_within(&line[space + 1..]), id))
    }

    /// Returns the answer of git about this repository.
    pub(super) fn ask_git(&self, args: &[&str]) -> Result<Vec<u8>, Error> {
        self.store().git().ask(args)
    }
}

impl Git {
    /// Returns the target of a symbolic ref; `None` for another ref.
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
