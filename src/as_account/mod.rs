//! Runs refpost as other accounts, for commands of root.

pub(crate) mod apart;
pub(crate) mod become_account;
mod ended;
mod forwarded;
pub(crate) mod gathered;
pub(crate) mod owners_hook;
mod parts;
