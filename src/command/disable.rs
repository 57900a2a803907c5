//! `disable`: the hook unlinked; configuration and spool stay.

use super::enable::{GUARANTEED, ORDINARY};
use super::links::Hook;
use super::surroundings::Surroundings;
use super::{Done, Error, place};
use crate::cli::DisableArgs;
use crate::report;

pub(super) fn run(args: &DisableArgs, around: &Surroundings) -> Result<Done, Error> {
    for repo in &args.repos {
        let hooks_dir = place::repository(Some(repo), around)?.hooks_dir();
        for name in GUARANTEED {
            let hook = Hook::new(&hooks_dir, name);
            if hook.disable()? {
                report::line(&format!("unlinked `{}`", hook.path().display()));
            } else if ORDINARY.contains(&name) {
                report::line(&format!("not linked `{}`", hook.path().display()));
            }
        }
    }
    Ok(Done::Well)
}
