//! Many repositories at once: all below a folder, or those that patterns choose.

use std::path::{Path, PathBuf};

use super::Context;
use super::found::{self, ByOwner};
use crate::config::{Names, RepositoryPattern, RepositoryPatterns};
use crate::error::{Error, Exit, IoContext};
use crate::report::{self, Progress};
use crate::spool::{self, Found, SpoolError};

/// The repositories that a command is about, by their paths.
pub(crate) struct Repositories(Vec<PathBuf>);

/// The repositories that a command is about, by the account that works on them.
pub(crate) enum Whose {
    /// This account works on all of them. As root, they are root's.
    Ours(Repositories),
    /// Each account works on its own.
    Several(ByOwner),
}

/// Numbers of repositories by outcome.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) changed: usize,
    pub(crate) unchanged: usize,
    pub(crate) failed: usize,
}

impl Tally {
    /// Prints a line about all repositories, and returns the outcome: `enabled 9,874 repositories, 120
    /// were enabled already, 6 failed`.
    pub(crate) fn tell(&self, done: &str, already: &str) -> Exit {
        let mut parts = vec![format!("{done} {}", counted(self.changed))];
        if self.unchanged > 0 {
            let were = if self.unchanged == 1 { "was" } else { "were" };
            parts.push(format!(
                "{} {were} {already}",
                report::number(self.unchanged)
            ));
        }
        if self.failed > 0 {
            parts.push(format!("{} failed", report::number(self.failed)));
        }
        report::line(&parts.join(", "));
        if self.failed == 0 {
            Exit::Well
        } else {
            Exit::No
        }
    }
}

impl ByOwner {
    fn whose(mut self, ctx: &Context) -> Whose {
        let is_root = ctx.own_uid() == 0;
        if is_root && self.0.keys().any(|&owner| owner != 0) {
            return Whose::Several(self);
        }
        let found = if is_root {
            self.take_roots(ctx)
        } else {
            self.0.into_values().flatten().collect()
        };
        Whose::Ours(Repositories::of(&found))
    }
}

impl Repositories {
    /// Finds the repositories below these folders that the patterns choose.
    ///
    /// Fails if there are none: then a folder or a pattern is mistaken.
    pub(crate) fn find(
        roots: &[PathBuf],
        patterns: &[RepositoryPattern],
        ctx: &Context,
    ) -> Result<Whose, Error> {
        if ctx.is_given {
            return Ok(Whose::Ours(Self::of(&found::given(ctx)?)));
        }
        let (mut by_owner, mut total, mut chosen) = (ByOwner::default(), 0, 0);
        let patterns = RepositoryPatterns::new(patterns);
        for root in roots {
            let root = root.canonicalize().doing("find", root)?;
            let before = total;
            let mut take = |git_dir: PathBuf, owner| {
                total += 1;
                if patterns.choose(&Names::new(&git_dir, Some(&root))) {
                    chosen += 1;
                    let all: &mut Vec<_> = by_owner.0.entry(owner).or_default();
                    all.push(Found::Repository(git_dir));
                }
            };
            spool::repositories(&root, &mut take, &mut |error| {
                report::warning(&format!(
                    "{}: what is in it is passed over",
                    report::chain(&error)
                ));
            })
            .map_err(|error| Error::Spool(error.into()))?;
            if total == before {
                return Err(none_below(&root));
            }
        }
        if chosen == 0 {
            return Err(Error::Failed {
                what: format!(
                    "cannot find a repository that `--match` chooses among {}",
                    counted(total)
                ),
                hint: Some("a GLOB is a path below that folder, without `.git`".to_owned()),
            });
        }
        Ok(by_owner.whose(ctx))
    }

    /// Returns the repositories that were named.
    pub(crate) fn named(repos: &[PathBuf], ctx: &Context) -> Result<Whose, Error> {
        if ctx.is_given {
            return Ok(Whose::Ours(Self::of(&found::given(ctx)?)));
        }
        let what_is = |repo: &PathBuf| {
            let git_dir = repo.join(".git");
            let at = if git_dir.is_dir() { &git_dir } else { repo };
            let at = at.canonicalize().unwrap_or_else(|_| at.clone());
            spool::what_is(&at)
        };
        let known: Vec<_> = repos.iter().map(what_is).collect();
        let others =
            |known: &Result<(Found, u32), _>| matches!(known, Ok((_, owner)) if *owner != 0);
        if ctx.own_uid() != 0 || !known.iter().any(others) {
            return Ok(Whose::Ours(Self(repos.to_vec())));
        }
        let mut by_owner = ByOwner::default();
        for known in known {
            match known {
                Ok((found, owner)) => by_owner.0.entry(owner).or_default().push(found),
                Err(error) => ctx.tell_failure(SpoolError::from(error)),
            }
        }
        Ok(Whose::Several(by_owner))
    }

    fn of(found: &[Found]) -> Self {
        let mut all: Vec<_> = found.iter().map(|one| one.path().to_owned()).collect();
        all.sort();
        Self(all)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Calls `work` for each repository that was named. If there are several, one that fails does
    /// not keep it from the others, and a line about all of them is printed.
    pub(crate) fn each_named(
        &self,
        (done, already): (&str, &str),
        mut work: impl FnMut(&Path) -> Result<bool, Error>,
    ) -> Result<Exit, Error> {
        if let [one] = &self.0[..] {
            return work(one).map(|_| Exit::Well);
        }
        let tally = self.each(|repo, progress| {
            let mut done = Ok(false);
            progress.aside(|| done = work(repo));
            done
        });
        Ok(tally.tell(done, already))
    }

    /// Calls `work` for each repository. One that fails does not keep it from the others.
    pub(crate) fn each(
        &self,
        mut work: impl FnMut(&Path, &Progress) -> Result<bool, Error>,
    ) -> Tally {
        let progress = Progress::new(|| self.0.len());
        let mut tally = Tally::default();
        for (at, git_dir) in self.0.iter().enumerate() {
            match work(git_dir, &progress) {
                Ok(true) => tally.changed += 1,
                Ok(false) => tally.unchanged += 1,
                Err(error) => {
                    tally.failed += 1;
                    progress.aside(|| tell(git_dir, &error));
                }
            }
            progress.set(at + 1);
        }
        progress.finish();
        tally
    }
}

fn tell(git_dir: &Path, error: &Error) {
    report::say(&format!(
        "in `{}`: {}",
        git_dir.display(),
        report::chain(error)
    ));
    if let Some(hint) = error.hint() {
        report::hint(&hint);
    }
}

/// Returns the error of a folder in which no repository is.
pub(super) fn none_below(folder: &Path) -> Error {
    let folder = folder.display();
    Error::failed(format!("cannot find any repository below `{folder}`"))
}

/// Returns `root` of the server's file, below which all repositories are.
pub(crate) fn root(ctx: &Context) -> Result<PathBuf, Error> {
    let root = ctx.for_many()?.root();
    root.map(Path::to_owned).ok_or_else(|| Error::Failed {
        what: "cannot tell which repositories are meant".to_owned(),
        hint: Some("name them, or set `root` in the server's config".to_owned()),
    })
}

/// Returns `1 repository`, `9,874 repositories`.
pub(crate) fn counted(count: usize) -> String {
    match count {
        1 => "1 repository".to_owned(),
        _ => format!("{} repositories", report::number(count)),
    }
}
