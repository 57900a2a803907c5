//! `check`: finds the faults of a repository's set-up, and tells how to correct them.

mod all;
pub(super) mod disk;
mod endpoint;
mod filters;
mod findings;
mod repository;
mod service;
mod spool;

use std::path::{Path, PathBuf};

use clap::Args;

use crate::command::MatchArgs;
use crate::command::check::findings::Findings;
use crate::command::check::repository::{Known, check};
use crate::context::{Context, locate};
use crate::error::{Error, Exit};
use crate::report;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The repositories [default: the current directory]
    #[arg(value_name = "REPO")]
    pub(crate) repos: Vec<PathBuf>,
    /// Check all repositories below ROOT and print only problems and a summary [default: `root`
    /// of the server's configuration]
    #[arg(long, value_name = "ROOT", conflicts_with_all = ["repos", "show"])]
    #[allow(
        clippy::option_option,
        reason = "clap's way to say that the value is optional"
    )]
    pub(crate) all: Option<Option<PathBuf>>,
    /// The selection.
    #[command(flatten)]
    pub(crate) selection: MatchArgs,
    /// Print the effective settings and their sources
    #[arg(long)]
    pub(crate) show: bool,
}

pub(crate) fn run(args: &CheckArgs, ctx: &Context) -> Result<Exit, Error> {
    if let Some(root) = &args.all {
        return all::run(root.as_deref(), &args.selection.matches, ctx);
    }
    let here = [PathBuf::from(".")];
    let repos = if args.repos.is_empty() {
        &here[..]
    } else {
        &args.repos
    };
    let mut findings = Findings::default();
    let known = Known::default();
    for repo in repos {
        if args.show {
            show(repo, ctx)?;
        } else {
            check(repo, &mut findings, &known, ctx);
        }
    }
    if !args.show {
        let (errors, warnings) = (findings.errors, findings.warnings);
        report::line(&format!(
            "{}, {}",
            report::count(errors, "error"),
            report::count(warnings, "warning")
        ));
    }
    Ok(if findings.errors == 0 {
        Exit::Well
    } else {
        Exit::No
    })
}

/// Prints the effective settings as TOML with their sources as comments.
fn show(repo: &Path, ctx: &Context) -> Result<(), Error> {
    let git_dir = locate::repository(Some(repo), ctx)?.path();
    for (key, shown) in ctx.load(Some(&git_dir))?.shown() {
        report::line(&format!("{key} = {}  # {}", shown.value, shown.source));
    }
    Ok(())
}
