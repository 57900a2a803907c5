//! `as-account`: becomes an account for good, and runs refpost as it.

use crate::as_account::become_account;
use crate::cli::AsAccountArgs;
use crate::error::{Done, Error};

pub(super) fn run(args: &AsAccountArgs) -> Result<Done, Error> {
    become_account::run(args.account, &args.args)
}
