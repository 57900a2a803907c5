//! `queue`: lists, shows, retries, drops and moves entries that wait or have failed.

pub(super) mod act;
mod describe;
mod drop;
mod ids;
mod list;
mod r#move;
mod resolve;
mod retry;
pub(super) mod rows;
mod scope;
mod selection;
mod show;

use clap::Subcommand;

use crate::command::queue::act::QueueChooseArgs;
use crate::command::queue::drop::QueueDropArgs;
use crate::command::queue::ids::QueueIdsArgs;
use crate::command::queue::list::QueueListArgs;
use crate::command::queue::r#move::QueueMoveArgs;
use crate::command::queue::show::QueueShowArgs;
use crate::context::Context;
use crate::error::{Error, Exit};

/// The subcommands of `queue`.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List queued and failed messages
    List(QueueListArgs),
    /// Show an entry and its messages
    Show(QueueShowArgs),
    /// Retry messages now, including those that were given up
    Retry(QueueChooseArgs),
    /// Move the queued and failed messages of one endpoint to another
    ///
    /// OLD may no longer be configured. NEW must be; it gets the messages in push order, with
    /// its own key and headers. With --renamed, OLD and NEW are paths of a repository that
    /// was renamed: its messages are sent for the new path.
    Move(QueueMoveArgs),
    /// Drop messages without delivering them
    ///
    /// They do not come back: without ids, --repo or --server says where, and -n shows first.
    Drop(QueueDropArgs),
    /// Print the ids that begin like this, for root's refpost
    #[command(hide = true)]
    Ids(QueueIdsArgs),
}

pub(crate) fn run(command: &QueueCommand, ctx: &Context) -> Result<Exit, Error> {
    match command {
        QueueCommand::List(args) => list::run(args, ctx),
        QueueCommand::Show(args) => show::run(args, ctx),
        QueueCommand::Retry(args) => retry::run(args, ctx),
        QueueCommand::Move(args) => r#move::run(args, ctx),
        QueueCommand::Drop(args) => drop::run(args, ctx),
        QueueCommand::Ids(args) => ids::run(args, ctx),
    }
}
