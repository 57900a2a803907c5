//! `completions`: a shell's completion script.

use clap::CommandFactory;

use super::Done;
use crate::cli::{Cli, CompletionsArgs};
use crate::report;

pub(super) fn run(args: &CompletionsArgs) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "refpost", &mut script);
    report::raw(&script);
    Done::Well
}
