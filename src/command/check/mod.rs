//! `check`: finds the faults of a repository's set-up, and tells how to correct them.

mod alerts;
mod all;
mod alone;
mod broker;
pub(super) mod disk;
mod endpoint;
mod filters;
mod findings;
mod repository;
mod routes;
mod service;
mod spool;
mod template;
mod worker;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::as_account::apart::Job;
use crate::command::ReposArgs;
use crate::command::check::findings::Findings;
use crate::command::check::repository::{Known, check};
use crate::config::RepositoryPattern;
use crate::context::named::{self, Named};
use crate::context::{Context, locate, repositories};
use crate::error::{Error, Exit};
use crate::report;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The repositories.
    #[command(flatten)]
    pub(crate) repos: ReposArgs,
    /// Only repositories whose path below the folder or `root`, without `.git`, matches GLOB; `**`
    /// crosses `/`, a leading `!` excludes, the last match decides
    #[arg(long = "match", value_name = "GLOB")]
    pub(crate) matches: Vec<RepositoryPattern>,
    /// Print the effective settings and their sources
    #[arg(long, conflicts_with_all = ["server", "matches"])]
    pub(crate) show: bool,
    /// Print only where each repository sends, and why others send nowhere
    #[arg(long, conflicts_with = "show")]
    pub(crate) routes: bool,
    /// Print a JSON object for each finding, or with --routes for each repository
    #[arg(long, conflicts_with = "show")]
    pub(crate) json: bool,
}

impl CheckArgs {
    /// Makes the job of each account's refpost, where root checks for all of them.
    fn job(&self) -> Job {
        let options = [(self.routes, "--routes"), (self.json, "--json")];
        let options = options.iter().filter(|(is_on, _)| *is_on);
        let line = ["check"].into_iter().chain(options.map(|(_, name)| *name));
        Job {
            as_json: self.json,
            ..Job::for_a_person(line.map(OsString::from).collect())
        }
    }
}

pub(crate) fn run(args: &CheckArgs, ctx: &Context) -> Result<Exit, Error> {
    let is_nothing_named = matches!(args.repos.named(), Named::Nothing) && args.matches.is_empty();
    if let Some(file) = ctx.named_config()
        && is_nothing_named
        && !args.show
        && !args.routes
        && !ctx.is_given
    {
        return alone::run(&file, args.json, ctx);
    }
    let is_server = matches!(args.repos.named(), Named::Nothing | Named::Server);
    if is_server
        && !ctx.is_given
        && let Some(exit) = worker::run(args.json, &ctx.server()?, ctx)?
    {
        return Ok(exit);
    }
    if let Some(folders) = many(args, ctx)? {
        if args.routes {
            return routes::of_many(&folders, args, ctx);
        }
        return all::run(&folders, args, is_server, ctx);
    }
    let here = [PathBuf::from(".")];
    let repos = match args.repos.named() {
        Named::Paths(repos) => repos,
        Named::Nothing | Named::Server => &here,
    };
    if args.routes {
        return Ok(routes::of_named(repos, args.json, ctx));
    }
    let mut findings = Findings::told(args.json);
    let known = Known::default();
    for repo in repos {
        if args.show {
            show(repo, ctx)?;
        } else {
            check(repo, &mut findings, &known, ctx);
        }
    }
    if args.show {
        return Ok(Exit::Well);
    }
    Ok(findings.summary())
}

/// Returns the folders whose repositories are meant, if not single repositories are.
fn many(args: &CheckArgs, ctx: &Context) -> Result<Option<Vec<PathBuf>>, Error> {
    if ctx.is_given {
        return Ok(Some(Vec::new()));
    }
    if args.show {
        return Ok(None);
    }
    let is_one = |at: &Path| named::is_repository(at) || named::is_repository(&at.join(".git"));
    let is_folder = |at: &PathBuf| at.is_dir() && !is_one(at);
    let is_chosen = !args.matches.is_empty();
    Ok(match args.repos.named() {
        Named::Paths(paths) => (is_chosen || paths.iter().any(is_folder)).then(|| paths.to_vec()),
        Named::Nothing if !is_chosen && named::here(ctx)?.is_some() => None,
        Named::Nothing | Named::Server => Some(vec![repositories::root(ctx)?]),
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
