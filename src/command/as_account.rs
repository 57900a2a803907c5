//! `as-account`: becomes an account for good, and runs refpost as it.

use std::ffi::OsString;

use clap::Args;

use crate::as_account::become_account;
use crate::command::hook;
use crate::error::{Error, Exit};

/// Arguments of `as-account`.
#[derive(Debug, Args)]
pub(crate) struct AsAccountArgs {
    /// The account's number
    pub(crate) account: u32,
    /// The arguments are a hook's, in a repository that is the account's
    #[arg(long)]
    pub(crate) hook: bool,
    /// The arguments of the refpost that it runs
    #[arg(last = true)]
    pub(crate) args: Vec<OsString>,
}

pub(crate) fn run(args: &AsAccountArgs) -> Result<Exit, Error> {
    if !args.hook {
        return become_account::run(args.account, &args.args);
    }
    become_account::run_hook(args.account, &args.args).or_else(|error| {
        hook::tell_unannounced(&error);
        Ok(Exit::Well)
    })
}
