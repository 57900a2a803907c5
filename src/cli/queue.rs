//! The command line of `queue`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use crate::spool::Id;

/// The subcommands of `queue`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List what waits and what failed, a line each
    List(QueueListArgs),
    /// Show an entry: where it comes from, and its messages
    Show(QueueShowArgs),
    /// Try again now, what failed for good too
    Retry(QueueChooseArgs),
    /// Hand all that waits for an endpoint, and what failed there, to another
    ///
    /// OLD need not be configured any more. NEW must be, and gets it in the order of the
    /// pushes, with its own key and headers. With --repository, OLD and NEW are paths: what
    /// waits for a repository that was renamed is sent for its new path.
    Move(QueueMoveArgs),
    /// Drop, never to be delivered
    Drop(QueueChooseArgs),
}

/// Arguments of `queue list`.
#[derive(Debug, Args)]
pub struct QueueListArgs {
    /// What to list; without any of it, everything
    #[command(flatten)]
    pub choice: Choice,
    /// Print a JSON object for each
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `queue show`.
#[derive(Debug, Args)]
pub struct QueueShowArgs {
    /// The entry
    #[arg(value_parser = parse_id)]
    pub id: Id,
    /// Repository, spool, or folder of them [default: this folder's repository, or the server's]
    #[arg(long = "in", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Arguments of `queue retry` and `queue drop`.
///
/// At least one is required, so that an omission does not retry or drop everything.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("chosen").required(true).multiple(true)
    .args(["ids", "endpoint", "repository", "older_than", "all"])))]
pub struct QueueChooseArgs {
    /// What to take
    #[command(flatten)]
    pub choice: Choice,
    /// Everything
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `queue move`.
#[derive(Debug, Args)]
pub struct QueueMoveArgs {
    /// OLD and NEW are paths of a repository that was renamed
    #[arg(long)]
    pub repository: bool,
    /// The endpoint whose queue it is
    #[arg(value_name = "OLD")]
    pub from: String,
    /// The endpoint that gets it
    #[arg(value_name = "NEW")]
    pub to: String,
    /// Repository, spool, or folder of them [default: this folder's repository, or the server's]
    #[arg(long = "in", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Chooses entries; each condition narrows the choice.
#[derive(Debug, Args)]
pub struct Choice {
    /// These entries
    #[arg(value_name = "ID", value_parser = parse_id)]
    pub ids: Vec<Id>,
    /// Of this endpoint
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// Of this repository
    #[arg(long, value_name = "REPO")]
    pub repository: Option<PathBuf>,
    /// Enqueued longer ago than this, such as `2d`
    #[arg(long, value_name = "DURATION")]
    pub older_than: Option<humantime::Duration>,
    /// Repository, spool, or folder of them [default: this folder's repository, or the server's]
    #[arg(long = "in", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

pub(super) fn parse_id(text: &str) -> Result<Id, &'static str> {
    Id::parse(text).ok_or("no entry has such an id (a repository is named with --in PATH)")
}
