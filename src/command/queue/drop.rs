//! `queue drop`: removes entries, never to be delivered.

use clap::{ArgGroup, Args};

use super::act::{QueueChooseArgs, act_on_selected, show_selected};
use crate::context::Context;
use crate::error::{Error, Exit};

/// Arguments of `queue drop`.
///
/// Without ids it is said where: what is dropped does not come back.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("scope").args(["repos", "server"])))]
#[command(mut_arg("all", |all| all.requires("scope")))]
#[command(mut_arg("endpoint", |one| one.requires("scope")))]
#[command(mut_arg("older_than", |age| age.requires("scope")))]
pub(crate) struct QueueDropArgs {
    /// The selection.
    #[command(flatten)]
    pub(crate) chosen: QueueChooseArgs,
    /// Print the entries, and drop none
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

pub(super) fn run(args: &QueueDropArgs, ctx: &Context) -> Result<Exit, Error> {
    if args.dry_run {
        return show_selected(&args.chosen, ctx, ("drop", "would be dropped"));
    }
    act_on_selected(
        &args.chosen,
        ctx,
        ("drop", "dropped"),
        |_| true,
        |spool, selected| {
            let mut count = spool.drop_new(&selected.new)? + spool.drop_spare(&selected.spare)?;
            for (queue, items) in &selected.waiting {
                count += spool.drop_waiting(queue, items)?;
            }
            for failed in &selected.failed {
                count += usize::from(spool.drop_failed(failed)?);
            }
            Ok(count)
        },
    )
}
