//! `completions`: prints a shell's completion script.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};
use crate::error::Done;
use crate::report;

pub(super) fn run(args: &CompletionsArgs) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(), "refpost", &mut script);
    report::raw(&script);
    Done::Well
}

/// Returns the command line without the options and commands that are hidden.
fn shown() -> clap::Command {
    let whole = Cli::command();
    let arguments = whole.get_arguments().filter(|one| !one.is_hide_set());
    let commands = whole.get_subcommands().filter(|one| !one.is_hide_set());
    clap::Command::new("refpost")
        .version(env!("CARGO_PKG_VERSION"))
        .args(arguments)
        .subcommands(commands)
}
