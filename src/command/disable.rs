//! `disable`: unlinks the hooks. Configuration and spool stay.

use std::path::{Path, PathBuf};

use clap::Args;

use super::RepositoriesArgs;
use crate::as_account::apart::{self, Job};
use crate::context::found::ByOwner;
use crate::context::repositories::{Repositories, Whose};
use crate::context::{Context, locate};
use crate::error::{Error, Exit};
use crate::hooks::{GUARANTEED, Hooks, ORDINARY};
use crate::report;

/// Arguments of `disable`.
#[derive(Debug, Args)]
pub(crate) struct DisableArgs {
    /// The repositories.
    #[command(flatten)]
    pub(crate) repositories: RepositoriesArgs,
}

pub(crate) fn run(args: &DisableArgs, ctx: &Context) -> Result<Exit, Error> {
    let args = &args.repositories;
    if let Some(root) = args.root(ctx)? {
        return disable_all(root, args, ctx);
    }
    let repositories = match Repositories::named(&args.paths(), ctx)? {
        Whose::Ours(repositories) => repositories,
        Whose::Several(found) => return apart(found, args, ctx),
    };
    repositories.each_named(("disabled", "not enabled"), |repo| {
        let mut is_any = false;
        disable(repo, ctx, |shown, is_unlinked, is_ordinary| {
            is_any |= is_unlinked;
            if is_unlinked {
                report::line(&format!("unlinked `{}`", shown.display()));
            } else if is_ordinary {
                report::line(&format!("not linked `{}`", shown.display()));
            }
        })?;
        Ok(is_any)
    })
}

/// Has each account disable its own repositories.
fn apart(found: ByOwner, args: &RepositoriesArgs, ctx: &Context) -> Result<Exit, Error> {
    apart::run(found, &Job::for_a_person(args.line_of("disable")), ctx)
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

fn disable_all(root: PathBuf, args: &RepositoriesArgs, ctx: &Context) -> Result<Exit, Error> {
    ctx.for_many()?;
    let repositories = match Repositories::find(&[root], &args.matches, ctx)? {
        Whose::Ours(repositories) => repositories,
        Whose::Several(found) => return apart(found, args, ctx),
    };
    let tally = repositories.each(|git_dir, _| {
        let mut is_any = false;
        disable(git_dir, ctx, |_, is_unlinked, _| is_any |= is_unlinked)?;
        Ok(is_any)
    });
    Ok(tally.tell("disabled", "not enabled"))
}
