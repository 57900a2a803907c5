//! `completions`: prints a shell's completion script.

use clap::Args;
use clap_complete::Shell;

use crate::error::Exit;
use crate::report;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, whole: &clap::Command) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(whole), "refpost", &mut script);
    report::raw(&script);
    Exit::Well
}

/// Returns the command line without the options and commands that are hidden.
fn shown(whole: &clap::Command) -> clap::Command {
    let arguments = whole.get_arguments().filter(|one| !one.is_hide_set());
    let commands = whole.get_subcommands().filter(|one| !one.is_hide_set());
    clap::Command::new("refpost")
        .version(env!("CARGO_PKG_VERSION"))
        .args(arguments)
        .subcommands(commands)
}
