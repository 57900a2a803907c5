//! `disable`: the hook unlinked; configuration and spool stay.

use std::path::Path;

use super::enable::{GUARANTEED, ORDINARY};
use super::fleet::{self, Fleet};
use super::links::Hook;
use super::surroundings::Surroundings;
use super::{Done, Error, place};
use crate::cli::DisableArgs;
use crate::config::RepositoryPattern;
use crate::report;

pub(super) fn run(args: &DisableArgs, around: &Surroundings) -> Result<Done, Error> {
    if let Some(root) = &args.all {
        return disable_all(root, &args.matches, around);
    }
    for repo in &args.repos {
        disable(repo, around, |hook, is_unlinked, is_ordinary| {
            if is_unlinked {
                report::line(&format!("unlinked `{}`", hook.path().display()));
            } else if is_ordinary {
                report::line(&format!("not linked `{}`", hook.path().display()));
            }
        })?;
    }
    Ok(Done::Well)
}

fn disable(
    repo: &Path,
    around: &Surroundings,
    mut tell: impl FnMut(&Hook, bool, bool),
) -> Result<(), Error> {
    let hooks_dir = around.hooks_dir(&place::repository(Some(repo), around)?);
    for name in GUARANTEED {
        let hook = Hook::new(&hooks_dir, name);
        let is_unlinked = hook.disable()?;
        tell(&hook, is_unlinked, ORDINARY.contains(&name));
    }
    Ok(())
}

fn disable_all(
    root: &Path,
    patterns: &[RepositoryPattern],
    around: &Surroundings,
) -> Result<Done, Error> {
    around.for_many()?;
    let tally = Fleet::find(root, patterns)?.each(|git_dir, _| {
        let mut is_any = false;
        disable(git_dir, around, |_, is_unlinked, _| is_any |= is_unlinked)?;
        Ok(is_any)
    });
    report::line(&fleet::summary("disabled", "not enabled", &tally));
    Ok(if tally.failed == 0 {
        Done::Well
    } else {
        Done::No
    })
}
