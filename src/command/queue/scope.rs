//! What a command line of `queue` is about: which spools, and which of their entries.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::command::completions::candidates;
use crate::command::parse_duration;
use crate::context::Context;
use crate::context::named::Named;
use crate::context::targets::{self, Searched};
use crate::error::Error;
use crate::spool::Id;

/// Shortest length of an abbreviated id, as in git.
const SHORTEST: usize = 4;

/// The beginning of an id, or a whole one.
#[derive(Clone, Debug)]
pub(crate) struct IdPrefix(pub(super) String);

impl FromStr for IdPrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_of_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        // An id begins with its year.
        if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(is_of_id) {
            return Err("no entry has such an id (a repository is named with --repo REPO)");
        }
        if text.len() < SHORTEST {
            return Err("it is too short: 4 characters of an id are needed");
        }
        Ok(Self(text.to_owned()))
    }
}

/// The spools in which entries are looked for.
#[derive(Debug, Default, Args)]
pub(crate) struct ScopeArgs {
    /// Only entries of this repository, spool, or folder to search; can be repeated [default: the
    /// repository of the current folder, else the server]
    #[arg(long = "repo", value_name = "REPO", add = ArgValueCompleter::new(candidates::repositories))]
    pub(crate) repos: Vec<PathBuf>,
    /// The whole server: its `spool`, and everything below its `root`
    #[arg(long, conflicts_with = "repos")]
    pub(crate) server: bool,
}

impl ScopeArgs {
    pub(super) fn named(&self) -> Named<'_> {
        Named::new(&self.repos, self.server)
    }
}

/// Conditions of which each narrows the choice.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FilterArgs {
    /// Only entries for this endpoint
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(candidates::endpoints))]
    pub(crate) endpoint: Option<String>,
    /// Only entries older than DURATION, such as `2d`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) older_than: Option<humantime::Duration>,
}

/// The request of a command line.
pub(super) struct Asked<'a> {
    pub(super) ids: &'a [IdPrefix],
    pub(super) filter: FilterArgs,
    pub(super) named: Named<'a>,
}

/// The selected entries of the spools that were found.
pub(super) struct Choice {
    /// Their ids. `None`: entries of every id.
    pub(super) ids: Option<BTreeSet<Id>>,
    pub(super) filter: FilterArgs,
    /// Repositories that were named and are gone: only what waits for them is meant.
    pub(super) gone: Vec<PathBuf>,
    /// True if entries of all repositories are meant, in all spools.
    pub(super) is_server: bool,
}

impl Choice {
    /// Returns whether entries of this id are selected.
    pub(super) fn has(&self, id: &Id) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(id))
    }
}

impl Asked<'_> {
    /// Finds the spools.
    ///
    /// A repository that is gone can have entries in a spool of the server's.
    pub(super) fn search(&self, ctx: &Context) -> Result<(Searched, Choice), Error> {
        let gone = self.gone(ctx);
        let named = if gone.is_empty() {
            self.named
        } else {
            Named::Server
        };
        let searched = targets::search(named, ctx)?;
        let is_one_whole = matches!(self.ids, [one] if Id::parse(&one.0).is_some());
        let is_shared = searched.is_of_others(ctx) && searched.by_owner.0.len() > 1;
        // What none of them has is told once, and no beginning of an id means one of each.
        let ids = if is_shared && !self.ids.is_empty() && !is_one_whole {
            Some(self.ids_of_accounts(&searched.by_owner, ctx)?)
        } else {
            None
        };
        let choice = Choice {
            ids,
            filter: self.filter.clone(),
            gone,
            is_server: searched.is_server,
        };
        Ok((searched, choice))
    }

    /// Returns the paths that are named, if none of them is there. What waits for them is in the
    /// server's spools, if it has any.
    fn gone(&self, ctx: &Context) -> Vec<PathBuf> {
        let Named::Paths(paths) = self.named else {
            return Vec::new();
        };
        let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
        let has_spools = || {
            ctx.server()
                .is_ok_and(|server| server.spools().next().is_some())
        };
        if ctx.is_given || !paths.iter().any(is_there) && has_spools() {
            let gone = paths.iter().filter(|path| !is_there(path));
            return gone.map(|path| absolute(path)).collect();
        }
        Vec::new()
    }

    /// Returns the command line that asks for the same of another account's entries.
    pub(super) fn line(&self, verb: &str, choice: &Choice) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["queue".into(), verb.into()];
        match &choice.ids {
            Some(ids) => line.extend(ids.iter().map(|id| OsString::from(id.as_str()))),
            None => line.extend(self.ids.iter().map(|id| OsString::from(&id.0))),
        }
        if let Some(endpoint) = &self.filter.endpoint {
            line.extend(["--endpoint".into(), endpoint.into()]);
        }
        if let Some(age) = &self.filter.older_than {
            line.extend(["--older-than".into(), age.to_string().into()]);
        }
        for gone in &choice.gone {
            line.extend((verb != "list").then(|| "--repo".into()));
            line.push(gone.into());
        }
        if choice.gone.is_empty() && choice.is_server {
            line.push("--server".into());
        } else if choice.gone.is_empty() && verb == "drop" {
            // A placeholder: `drop` must be told where.
            line.extend(["--repo".into(), "/".into()]);
        }
        line
    }
}

/// Returns the path as entries name it, its links resolved. If the path is gone, those of the
/// folder above it are, if that exists.
pub(super) fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(there) = path.canonicalize() {
        return there;
    }
    let above = path.parent().and_then(|above| above.canonicalize().ok());
    let named = above.zip(path.file_name());
    named.map(|(above, name)| above.join(name)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_beginning_of_an_id_is_told_at_once() {
        let whole = "20261123T224804.571260618Z-git1-2c38aee6bf6736ce";
        for (text, is_one) in [
            (whole, true),
            ("2026", true),
            ("20261123T22", true),
            ("202", false),
            ("test.git", false),
            ("/srv/git/a.git", false),
            ("2026/a.git", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<IdPrefix>().is_ok(), is_one, "{text}");
        }
    }
}
