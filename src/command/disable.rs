//! `disable`: the hook unlinked; configuration and spool stay.

use super::enable::{GUARANTEED, ORDINARY};
use super::hooks_of::Hooks;
use super::surroundings::Surroundings;
use super::{Done, Error, place};
use crate::cli::DisableArgs;
use crate::report;

pub(super) fn run(args: &DisableArgs, around: &Surroundings) -> Result<Done, Error> {
    for repo in &args.repos {
        let hooks = Hooks::of(&place::repository(Some(repo), around)?, around);
        hooks.ensure_own(repo)?;
        for name in GUARANTEED {
            let hook = hooks.hook(name);
            let ours = hook.ours();
            if hook.disable()? {
                report::line(&format!("unlinked `{}`", ours.display()));
            } else if ORDINARY.contains(&name) {
                report::line(&format!("not linked `{}`", hook.path().display()));
            }
        }
    }
    Ok(Done::Well)
}
