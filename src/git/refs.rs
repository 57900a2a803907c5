//! Where refs are, and where they were.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::repository::{from_git2, to_git2};
use super::{Error, Repository};
use crate::event::{Oid, RefName};

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
        let mut values = HashMap::new();
        for name in names {
            if values.contains_key(name) {
                continue;
            }
            let Some(text) = self.readable_name(name) else {
                return self.all_ref_values();
            };
            match self.inner.refname_to_id(text) {
                Ok(id) => drop(values.insert(name.clone(), from_git2(id))),
                Err(error) if error.code() == git2::ErrorCode::NotFound => {}
                Err(source) => {
                    let what = format!("`{}`", name.full());
                    return Err(Error::Read { what, source });
                }
            }
        }
        Ok(values)
    }

    /// Whether this object is here.
    #[must_use]
    pub fn has(&self, id: Oid) -> bool {
        let objects = self.inner.odb();
        objects.is_ok_and(|objects| objects.exists(to_git2(id)))
    }

    /// What a ref's log tells (git-reflog(1)), the newest first; nothing, if there
    /// is none or it cannot be read.
    #[must_use]
    pub fn reflog(&self, name: &RefName) -> Vec<LogLine> {
        let Some(log) = self
            .readable_name(name)
            .and_then(|name| self.inner.reflog(name).ok())
        else {
            return Vec::new();
        };
        log.iter()
            .map(|line| {
                let seconds = u64::try_from(line.committer().when().seconds()).unwrap_or(0);
                LogLine {
                    old: Oid::from_bytes(line.id_old().as_bytes()),
                    new: Oid::from_bytes(line.id_new().as_bytes()),
                    time: UNIX_EPOCH + Duration::from_secs(seconds),
                }
            })
            .collect()
    }

    /// The name as libgit2 takes it; `None` if only git itself can look it up.
    fn readable_name<'a>(&self, name: &'a RefName) -> Option<&'a str> {
        let text = std::str::from_utf8(name.as_bytes()).ok();
        text.filter(|_| !self.is_reftable())
    }

    /// Every ref, as git itself lists them (git-for-each-ref(1)).
    fn all_ref_values(&self) -> Result<HashMap<RefName, Oid>, Error> {
        let listing = self.ask_git(&["for-each-ref", "--format=%(objectname) %(refname)"])?;
        let lines = listing.split(|&byte| byte == b'\n');
        Ok(lines
            .filter_map(|line| {
                let space = line.iter().position(|&byte| byte == b' ')?;
                let id = Oid::from_bytes(&hex::decode(&line[..space]).ok()?)?;
                Some((RefName::new(&line[space + 1..]), id))
            })
            .collect())
    }

    /// What git answers about this repository.
    pub(super) fn ask_git(&self, args: &[&str]) -> Result<Vec<u8>, Error> {
        let git_dir = self.path();
        let failed = |why: String| Error::Git {
            command: args.first().copied().unwrap_or_default().to_owned(),
            why,
        };
        let output = Command::new("git")
            .arg("--git-dir")
            .arg(OsStr::from_bytes(git_dir.as_os_str().as_bytes()))
            .args(args)
            .current_dir(&git_dir)
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(failed(why.lines().next().unwrap_or_default().to_owned()))
        }
    }
}
