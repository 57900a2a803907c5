//! The subcommands, one file each: its arguments beside `run`, which wires the modules below.
//!
//! Here is what several of them share in the command line.

pub(crate) mod announce;
pub(crate) mod as_account;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod disable;
pub(crate) mod emit;
pub(crate) mod enable;
pub(crate) mod flush;
pub(crate) mod hook;
pub(crate) mod key;
pub(crate) mod keygen;
pub(crate) mod listen;
pub(crate) mod log;
pub(crate) mod man;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod ping;
pub(crate) mod preview;
pub(crate) mod queue;
pub(crate) mod status;
pub(crate) mod verify;
pub(crate) mod work;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use clap_complete::engine::ArgValueCompleter;

use crate::command::completions::candidates;
use crate::config::{self, Endpoint, RepositoryPattern, Settings};
use crate::context::named::Named;
use crate::context::{Context, repositories};
use crate::error::Error;
use crate::payload::Format;

/// The levels of `enable`, their safety and their cost, for help and man page.
pub(crate) const LEVELS: &str = "\
Three levels:
  level                   protects against                    cost per push
  enable                  crashes and dead receivers once     two disk flushes
                          the hook has ended
  enable --guaranteed     also a crash between a ref update   four disk flushes, and a
                          and the hook; also announces refs   process per transaction
                          that change without a push          of refs
  the same, with          also a ref update that cannot be    the same
  `require = true`        recorded: the push is refused";

/// The exit codes, for help and man page. They are those of sysexits.h, except 1 and 3.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
   0  done; queued counts as done
   1  failed or not examined, in part at least, or the answer is no
   2  wrong command line
   3  an endpoint fails or refuses messages, or messages are late (status --exit-code)
  75  something is left for later (flush --strict)
  78  a configuration or key cannot be read
A hook exits with 0, unless `require` refuses.";

/// The exit codes of `status`, for its help.
pub(crate) const STATUS_EXIT_CODES: &str = "\
Exit codes:
   0  shown; with --exit-code, no endpoint fails or refuses messages, and none are late or given up
   1  something could not be examined
   3  with --exit-code: an endpoint fails or refuses messages, messages are late or given up, or a
      disk or `max_spool` has no room for pushes
  78  the server's configuration cannot be read";

/// The exit codes of `flush`, for its help.
pub(crate) const FLUSH_EXIT_CODES: &str = "\
Exit codes:
   0  done, whatever receivers answered: what they did not take stays queued
   1  something could not be examined, or a spool cannot be read, written or locked
  75  with --strict: a message is still queued
  78  the server's configuration cannot be read";

/// The exit codes of `check`, for its help.
pub(crate) const CHECK_EXIT_CODES: &str = "\
Exit codes:
   0  no error was found; warnings and notes count as none
   1  an error was found, or something could not be examined
  78  with --config FILE or for many repositories: the configuration cannot be read";

/// The exit codes of `ping`, for its help.
pub(crate) const PING_EXIT_CODES: &str = "\
Exit codes:
   0  every endpoint answered with 2xx
   1  one did not, or nothing could be sent to it
  78  a configuration or key cannot be read";

/// The exit codes of `verify`, for its help.
pub(crate) const VERIFY_EXIT_CODES: &str = "\
Exit codes:
   0  the signature is right
   1  it is not
  78  the key cannot be read";

/// The exit codes of `metrics`, for its help.
pub(crate) const METRICS_EXIT_CODES: &str = "\
Exit codes:
   0  written
   1  something could not be examined, and the rest is written; or FILE cannot be written
  78  the server's configuration cannot be read";

/// The environment variables, for help and man page.
pub(crate) const ENVIRONMENT: &str = "\
Environment:
  REFPOST_CONFIG  the server's configuration, in place of /etc/refpost/config.toml
  REFPOST_PUSHER  the pusher; else GL_USER, GL_USERNAME, GITEA_PUSHER_NAME, SOFT_SERVE_USERNAME,
                  REMOTE_USER, or the system account
  REFPOST_LOG     with `debug`, preview, announce and flush say why an endpoint does not get a
                  message; ignored in hooks";

/// Repositories by their paths, or the whole server.
#[derive(Debug, Args)]
pub(crate) struct ReposArgs {
    /// Repositories, spools, or folders to search [default: the repository of the current folder,
    /// else the server]
    #[arg(value_name = "REPO", add = ArgValueCompleter::new(candidates::repositories))]
    pub(crate) repos: Vec<PathBuf>,
    /// The whole server: its `spool`, and everything below its `root`
    #[arg(long, conflicts_with = "repos")]
    pub(crate) server: bool,
}

impl ReposArgs {
    pub(crate) fn named(&self) -> Named<'_> {
        Named::new(&self.repos, self.server)
    }
}

/// Repositories to link hooks in: by their paths, or all of them below a folder.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("many").args(["all", "server"])))]
pub(crate) struct RepositoriesArgs {
    /// The repositories [default: that of the current folder]
    #[arg(value_name = "REPO", add = ArgValueCompleter::new(candidates::repositories))]
    pub(crate) repos: Vec<PathBuf>,
    /// All repositories below ROOT; symbolic links are not followed
    #[arg(long, value_name = "ROOT", conflicts_with = "repos")]
    pub(crate) all: Option<PathBuf>,
    /// All repositories below `root` of the server's configuration
    #[arg(long, conflicts_with = "repos")]
    pub(crate) server: bool,
    /// With --all or --server, only repositories whose path below ROOT, without `.git`, matches
    /// GLOB; `**` crosses `/`, a leading `!` excludes, the last match decides
    #[arg(
        long = "match",
        value_name = "GLOB",
        requires = "many",
        conflicts_with = "repos"
    )]
    pub(crate) matches: Vec<RepositoryPattern>,
}

impl RepositoriesArgs {
    /// Returns the folder whose repositories are meant, if many are.
    fn root(&self, ctx: &Context) -> Result<Option<PathBuf>, Error> {
        if self.server {
            return repositories::root(ctx).map(Some);
        }
        Ok(self.all.clone())
    }

    /// Returns the repositories that are named, or that of the current folder.
    fn paths(&self) -> Vec<PathBuf> {
        if self.repos.is_empty() {
            vec![PathBuf::from(".")]
        } else {
            self.repos.clone()
        }
    }

    /// Returns the command line of a subcommand for repositories that are handed over to it on
    /// standard input.
    fn line_of(&self, subcommand: &str) -> Vec<OsString> {
        let is_many = self.server || self.all.is_some();
        // A placeholder.
        let many = is_many.then_some(["--all", "/"]);
        let line = std::iter::once(subcommand).chain(many.into_iter().flatten());
        line.map(OsString::from).collect()
    }
}

/// Returns the endpoints, or the one of this name. `verb` is what cannot be done without one.
fn endpoints_named<'a>(
    name: Option<&str>,
    settings: &'a Settings,
    verb: &str,
) -> Result<Vec<&'a Endpoint>, Error> {
    let endpoints = settings.endpoints.iter();
    let chosen: Vec<_> = endpoints
        .filter(|endpoint| name.is_none_or(|name| name == endpoint.name))
        .collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    Err(Error::Failed {
        what: match name {
            Some(name) => format!("cannot {verb} `{name}`: there is no such endpoint"),
            None => format!("cannot {verb} any endpoint: none is configured"),
        },
        hint: Some("`refpost check` lists the endpoints".to_owned()),
    })
}

/// A format by its name.
pub(crate) fn parse_format(text: &str) -> Result<Format, String> {
    Format::named(text).ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join("`, `");
        format!("formats are `{names}`")
    })
}

/// A format that needs no file of a person's own, by its name.
pub(crate) fn parse_ready_format(text: &str) -> Result<Format, String> {
    let format = parse_format(text)?;
    if format == Format::Template {
        return Err(
            "it needs a template: write an `[[endpoint]]` with `format = \"template\"` and \
             `template = { file = \"…\" }`"
                .to_owned(),
        );
    }
    Ok(format)
}

/// A duration of at most 100 years.
pub(crate) fn parse_duration(text: &str) -> Result<humantime::Duration, String> {
    config::parse_period(text).map(humantime::Duration::from)
}
