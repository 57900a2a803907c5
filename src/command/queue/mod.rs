//! `queue`: lists, shows, retries, drops and moves entries that wait or have failed.

mod act;
mod describe;
mod drop;
mod list;
mod r#move;
mod retry;
mod selection;
mod show;

use crate::cli::QueueCommand;
use crate::context::Surroundings;
use crate::error::{Done, Error};

pub(crate) fn run(command: &QueueCommand, around: &Surroundings) -> Result<Done, Error> {
    match command {
        QueueCommand::List(args) => list::run(args, around),
        QueueCommand::Show(args) => show::run(args, around),
        QueueCommand::Retry(args) => retry::run(args, around),
        QueueCommand::Move(args) => r#move::run(args, around),
        QueueCommand::Drop(args) => drop::run(args, around),
    }
}
