//! `disable`: the hook unlinked; configuration and spool stay.

use super::enable::HOOKS;
use super::links::Hook;
use super::{Done, Error, place};
use crate::cli::DisableArgs;
use crate::report;

pub(super) fn run(args: &DisableArgs) -> Result<Done, Error> {
    for repo in &args.repos {
        let hooks_dir = place::repository(Some(repo))?.hooks_dir();
        for name in HOOKS {
            let hook = Hook::new(&hooks_dir, name);
            let verb = if hook.disable()? {
                "unlinked"
            } else {
                "not linked"
            };
            report::line(&format!("{verb} `{}`", hook.path().display()));
        }
    }
    Ok(Done::Well)
}
