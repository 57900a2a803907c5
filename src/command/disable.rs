//! `disable`: unlinks the hooks. Configuration and spool stay.

use std::ffi::OsString;
use std::path::Path;

use super::MatchArgs;
use crate::as_account::apart::{self, Job};
use crate::config::RepositoryPattern;
use crate::context::found::ByOwner;
use crate::context::repositories::{self, Repositories, Whose};
use crate::context::{Context, locate};
use crate::error::{Error, Exit};
use crate::hooks::{GUARANTEED, Hooks, ORDINARY};
use crate::report;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `disable`.
#[derive(Debug, Args)]
pub(crate) struct DisableArgs {
    /// The repositories
    #[arg(value_name = "REPO", required_unless_present = "all")]
    pub(crate) repos: Vec<PathBuf>,
    /// All repositories below ROOT; symbolic links are not followed
    #[arg(long, value_name = "ROOT", conflicts_with = "repos")]
    pub(crate) all: Option<PathBuf>,
    /// The selection.
    #[command(flatten)]
    pub(crate) selection: MatchArgs,
}

pub(crate) fn run(args: &DisableArgs, ctx: &Context) -> Result<Exit, Error> {
    if let Some(root) = &args.all {
        return disable_all(root, &args.selection.matches, ctx);
    }
    let repositories = match Repositories::named(&args.repos, ctx)? {
        Whose::Ours(repositories) => repositories,
        Whose::Several(found) => return apart(found, None, ctx),
    };
    for repo in repositories.paths() {
        disable(repo, ctx, |shown, is_unlinked, is_ordinary| {
            if is_unlinked {
                report::line(&format!("unlinked `{}`", shown.display()));
            } else if is_ordinary {
                report::line(&format!("not linked `{}`", shown.display()));
            }
        })?;
    }
    Ok(Exit::Well)
}

/// Has each account disable its own repositories.
fn apart(found: ByOwner, all: Option<&Path>, ctx: &Context) -> Result<Exit, Error> {
    let mut line: Vec<OsString> = vec!["disable".into()];
    match all {
        Some(root) => line.extend(["--all".into(), root.into()]),
        // A placeholder: the repositories that were found are handed over on standard input.
        None => line.push("/".into()),
    }
    let ended = apart::run(found, &Job::for_a_person(line), ctx)?;
    Ok(ended)
}

fn disable(
    repo: &Path,
    ctx: &Context,
    mut tell: impl FnMut(&Path, bool, bool),
) -> Result<(), Error> {
    let hooks = Hooks::of(&locate::repository(Some(repo), ctx)?, ctx);
    hooks.ensure_own(repo)?;
    for name in GUARANTEED {
        let hook = hooks.hook(name);
        let shown = hook.ours();
        let is_unlinked = hook.disable()?;
        tell(&shown, is_unlinked, ORDINARY.contains(&name));
    }
    Ok(())
}

fn disable_all(root: &Path, patterns: &[RepositoryPattern], ctx: &Context) -> Result<Exit, Error> {
    ctx.for_many()?;
    let repositories = match Repositories::find(root, patterns, ctx)? {
        Whose::Ours(repositories) => repositories,
        Whose::Several(found) => return apart(found, Some(root), ctx),
    };
    let tally = repositories.each(|git_dir, _| {
        let mut is_any = false;
        disable(git_dir, ctx, |_, is_unlinked, _| is_any |= is_unlinked)?;
        Ok(is_any)
    });
    report::line(&repositories::summary("disabled", "not enabled", &tally));
    Ok(if tally.failed == 0 {
        Exit::Well
    } else {
        Exit::No
    })
}
