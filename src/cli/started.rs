//! Arguments of the subcommands that git and refpost start, not people.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::queue::parse_id;
use crate::spool::Id;

/// The git hooks that refpost can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HookName {
    /// Runs before any ref moves.
    PreReceive,
    /// Runs before each ref moves.
    Update,
    /// Runs after the refs have moved (githooks(5)).
    PostReceive,
    /// Runs after the refs have moved, and is told only their names.
    PostUpdate,
    /// Runs for each transaction of refs, pushed or not.
    ReferenceTransaction,
}

/// Arguments of `hook`.
#[derive(Debug, Args)]
pub struct HookArgs {
    /// The hook to run as
    pub name: HookName,
    /// The hook's arguments, as git passes them
    pub args: Vec<String>,
}

/// Arguments of `as-account`.
#[derive(Debug, Args)]
pub struct AsAccountArgs {
    /// The account's number
    pub account: u32,
    /// The arguments of the refpost that it runs
    #[arg(last = true)]
    pub args: Vec<OsString>,
}

/// Arguments of `build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// A spool
    pub spool: PathBuf,
    /// The first entry to build
    #[arg(value_parser = parse_id)]
    pub id: Id,
    /// The process that waits for the messages
    pub flush: i32,
}
