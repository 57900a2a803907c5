//! `as-account`: becomes an account for good, and runs refpost as it.

use std::ffi::OsString;

use clap::Args;

use crate::as_account::become_account;
use crate::error::{Error, Exit};

/// Arguments of `as-account`.
#[derive(Debug, Args)]
pub(crate) struct AsAccountArgs {
    /// The account's number
    pub(crate) account: u32,
    /// The arguments of the refpost that it runs
    #[arg(last = true)]
    pub(crate) args: Vec<OsString>,
}

pub(crate) fn run(args: &AsAccountArgs) -> Result<Exit, Error> {
    become_account::run(args.account, &args.args)
}
