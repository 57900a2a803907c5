//! The command line of `queue`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use crate::spool::Id;

/// The subcommands of `queue`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List queued and failed messages
    List(QueueListArgs),
    /// Show an entry and its messages
    Show(QueueShowArgs),
    /// Retry messages now, including those that were given up
    Retry(QueueChooseArgs),
    /// Move the queued and failed messages of one endpoint to another
    ///
    /// OLD may no longer be configured. NEW must be; it gets the messages in push order, with
    /// its own key and headers. With --repository, OLD and NEW are paths of a repository that
    /// was renamed: its messages are sent for the new path.
    Move(QueueMoveArgs),
    /// Drop messages without delivering them
    Drop(QueueChooseArgs),
}

/// Arguments of `queue list`.
#[derive(Debug, Args)]
pub struct QueueListArgs {
    /// The selection; everything without it
    #[command(flatten)]
    pub choice: Choice,
    /// Print a JSON object for each entry
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `queue show`.
#[derive(Debug, Args)]
pub struct QueueShowArgs {
    /// Id of the entry
    #[arg(value_parser = parse_id)]
    pub id: Id,
    /// Repository, spool, or folder to search [default: the current repository, or the server]
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
    /// The selection
    #[command(flatten)]
    pub choice: Choice,
    /// Select everything
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `queue move`.
#[derive(Debug, Args)]
pub struct QueueMoveArgs {
    /// Treat OLD and NEW as paths of a repository that was renamed
    #[arg(long)]
    pub repository: bool,
    /// The endpoint to move from
    #[arg(value_name = "OLD")]
    pub from: String,
    /// The endpoint to move to
    #[arg(value_name = "NEW")]
    pub to: String,
    /// Repository, spool, or folder to search [default: the current repository, or the server]
    #[arg(long = "in", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Chooses entries; each condition narrows the choice.
#[derive(Debug, Args)]
pub struct Choice {
    /// Ids of entries
    #[arg(value_name = "ID", value_parser = parse_id)]
    pub ids: Vec<Id>,
    /// Only entries for this endpoint
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// Only entries of this repository
    #[arg(long, value_name = "REPO")]
    pub repository: Option<PathBuf>,
    /// Only entries older than DURATION, such as `2d`
    #[arg(long, value_name = "DURATION")]
    pub older_than: Option<humantime::Duration>,
    /// Repository, spool, or folder to search [default: the current repository, or the server]
    #[arg(long = "in", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

pub(super) fn parse_id(text: &str) -> Result<Id, &'static str> {
    Id::parse(text).ok_or("no entry has such an id (a repository is named with --in PATH)")
}
