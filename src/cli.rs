//! The command line, as clap's types and nothing else.

mod queue;
mod started;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::RepositoryPattern;
use crate::payload::Format;
use crate::payload::pagure::parse_topic;

pub use queue::{
    Choice, QueueChooseArgs, QueueCommand, QueueListArgs, QueueMoveArgs, QueueShowArgs,
};
pub use started::{AsAccountArgs, BuildArgs, HookArgs, HookName};

/// The levels of `enable`, their safety and their cost, for help and man page.
pub const LEVELS: &str = "\
Three levels:
  level                   protects against                    cost per push
  enable                  crashes and dead receivers once     two disk flushes
                          the hook has ended
  enable --guaranteed     also a crash between a ref update   four disk flushes, and a
                          and the hook; also announces refs   process per transaction
                          that change without a push          of refs
  the same, with          also a ref update that cannot be    the same
  `require = true`        recorded: the push is refused";

/// Send signed web-hook messages for pushes to bare git repositories
///
/// Linked as `hooks/post-receive` of a repository, refpost records each push in a spool on
/// disk and delivers it from there to the configured URLs, in the format of Pagure, GitHub,
/// GitLab, Gitea, Forgejo or Slack.
#[derive(Debug, Parser)]
#[command(name = "refpost", version, max_term_width = 100)]
pub struct Cli {
    /// The server's configuration [default: `$REFPOST_CONFIG` or /etc/refpost/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Read the paths from standard input, NUL-separated, in place of PATHs or the folder: root's
    /// refpost found them for this account
    #[arg(long, global = true, hide = true)]
    pub found: bool,

    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run as the named git hook, from a hook script
    Hook(HookArgs),
    /// Deliver queued messages that are due
    ///
    /// PATH is a repository, a spool, or a folder to search for them. Without PATH, flushes
    /// the `spool` of the server's configuration and everything below its `root`. Prints
    /// nothing unless an administrator must act.
    Flush(FlushArgs),
    /// Run the delivery service, to which accounts submit messages through `socket`
    ///
    /// Runs as an account of its own that owns `spool` and can read the keys. Uses the socket
    /// that systemd passes, or creates it. docs/guides/accounts.md, "A service account".
    Work(WorkArgs),
    /// Build messages of pushes that were recorded as ref updates, for a flush
    #[command(hide = true)]
    Build(BuildArgs),
    /// Inspect, retry, move or drop queued and failed messages
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Show the state of each endpoint and its queue
    Status(StatusArgs),
    /// Show the last delivery attempts
    Log(LogArgs),
    /// Show the messages of ref updates without sending them
    ///
    /// Reads `OLD NEW REF` lines from standard input, as post-receive does, and prints the
    /// body of each message on one line, exactly as it would be sent. Which ref updates reach
    /// refpost depends on the level that is enabled.
    #[command(after_long_help = LEVELS)]
    Preview(PreviewArgs),
    /// Check configuration, hooks, keys, URLs and spool
    Check(CheckArgs),
    /// Send a test message to each endpoint and print the response
    Ping(PingArgs),
    /// Send a message of any topic, such as `issue.new`
    ///
    /// The message is signed, spooled, retried and logged like those of pushes. `agent` and
    /// `project` are added to the object if it lacks them. Endpoints whose `topics` match
    /// get it, whatever their `refs`.
    Emit(EmitArgs),
    /// Link the hook into repositories, keeping existing hooks
    ///
    /// With --url, a repository without a configuration gets one, readable by its owner only,
    /// with a fresh key and an endpoint named after the URL's host.
    #[command(after_long_help = LEVELS)]
    Enable(EnableArgs),
    /// Unlink the hook and restore the previous one
    Disable(DisableArgs),
    /// Print a new random key (32 bytes in hex)
    Keygen,
    /// Run a test receiver that prints messages and verifies their signatures
    Listen(ListenArgs),
    /// Verify the signature of a body on standard input
    ///
    /// Takes the HMAC-SHA-1 or HMAC-SHA-256 of Pagure, GitHub and Gitea, or the signature of
    /// Standard Webhooks, as GitLab sends it. Exits with 0 if it is valid and 1 if it is not.
    Verify(VerifyArgs),
    /// Run an end-to-end demo in a temporary directory
    Demo(DemoArgs),
    /// Print a shell completion script
    Completions(CompletionsArgs),
    /// Print the man page
    Man,
    /// Become an account and run refpost as it
    #[command(hide = true)]
    AsAccount(AsAccountArgs),
}

/// Arguments of `flush`.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct FlushArgs {
    /// Repositories, spools, or folders to search
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Keep running: deliver new messages, and retries as they fall due
    #[arg(long, conflicts_with_all = ["budget", "strict"])]
    pub watch: bool,
    /// Start no new attempts after DURATION, such as `55s`
    #[arg(long, value_name = "DURATION")]
    pub budget: Option<humantime::Duration>,
    /// Exit with 75 if any message is still queued
    #[arg(long)]
    pub strict: bool,
    /// Print a JSON object for each queue that was flushed
    #[arg(long)]
    pub json: bool,
    /// Leave the session of the process that started this
    #[arg(long, hide = true)]
    pub detached: bool,
}

/// Arguments of `work`.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Import a mail drop of an earlier refpost and exit
    #[arg(long, value_name = "FOLDER", conflicts_with = "json")]
    pub drain: Option<PathBuf>,
    /// Print a JSON object for each queue that was flushed
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Repositories, spools, or folders to search [default: the current repository, or the server]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Print a JSON object for each endpoint
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// The repository [default: the current directory]
    pub repo: Option<PathBuf>,
    /// Number of attempts to show
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    pub lines: usize,
    /// Print the log's JSON lines
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `preview`.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// The repository [default: that of the running hook, or the current directory]
    #[arg(long, value_name = "REPO")]
    pub repo: Option<PathBuf>,
    /// Name of the pusher [default: found as in a hook]
    #[arg(long, value_name = "NAME")]
    pub pusher: Option<String>,
    /// A push option, as with `git push -o`; can be repeated
    #[arg(short = 'o', long = "push-option", value_name = "OPTION")]
    pub push_options: Vec<String>,
    /// Show the whole request for each endpoint, without secrets
    #[arg(long)]
    pub http: bool,
    /// Show messages in this format, whether or not an endpoint uses it [default: the formats
    /// of all endpoints]
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    pub format: Option<Format>,
}

/// A selection of the repositories below a folder, for commands that have `--all` and `REPO`.
#[derive(Debug, Args)]
pub struct Chosen {
    /// With --all, only repositories whose path below ROOT, without `.git`, matches GLOB;
    /// `**` crosses `/`, a leading `!` excludes, the last match decides
    #[arg(
        long = "match",
        value_name = "GLOB",
        requires = "all",
        conflicts_with = "repos"
    )]
    pub matches: Vec<RepositoryPattern>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The repositories [default: the current directory]
    #[arg(value_name = "REPO")]
    pub repos: Vec<PathBuf>,
    /// Check all repositories below ROOT and print only problems and a summary [default: `root`
    /// of the server's configuration]
    #[arg(long, value_name = "ROOT", conflicts_with_all = ["repos", "show"])]
    #[allow(
        clippy::option_option,
        reason = "clap's way to say that the value is optional"
    )]
    pub all: Option<Option<PathBuf>>,
    /// The selection.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Print the effective settings and their sources
    #[arg(long)]
    pub show: bool,
}

/// Arguments of `ping`.
#[derive(Debug, Args)]
pub struct PingArgs {
    /// The repository [default: the current directory]
    pub repo: Option<PathBuf>,
    /// Test only this endpoint
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
}

/// Arguments of `emit`.
#[derive(Debug, Args)]
pub struct EmitArgs {
    /// The topic, such as `pull-request.comment.added`
    #[arg(long, value_name = "TOPIC", value_parser = parse_topic)]
    pub topic: String,
    /// File with the JSON object for `msg` [default: `-`, standard input]
    #[arg(long, value_name = "FILE")]
    pub msg: Option<PathBuf>,
    /// Name of the account that acted [default: found as in a hook]
    #[arg(long, value_name = "NAME")]
    pub pusher: Option<String>,
    /// Print the body and its recipients without sending anything
    #[arg(long)]
    pub dry_run: bool,
    /// The repository [default: that of the running hook, or the current directory]
    pub repo: Option<PathBuf>,
}

/// Arguments of `enable`.
#[derive(Debug, Args)]
pub struct EnableArgs {
    /// The repositories
    #[arg(value_name = "REPO", required_unless_present = "all")]
    pub repos: Vec<PathBuf>,
    /// All repositories below ROOT; symbolic links are not followed
    #[arg(long, value_name = "ROOT", conflicts_with = "repos")]
    pub all: Option<PathBuf>,
    /// The selection.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Also link pre-receive and reference-transaction: no ref update is lost to a crash, and
    /// refs that change without a push are announced
    #[arg(long)]
    pub guaranteed: bool,
    /// URL of a receiver: written to a new configuration, with a fresh key
    #[arg(long = "url", value_name = "URL", conflicts_with = "all")]
    pub urls: Vec<String>,
    /// The format that these receivers expect [default: pagure]
    #[arg(long, value_name = "FORMAT", value_parser = parse_format, requires = "urls")]
    pub format: Option<Format>,
}

/// Arguments of `disable`.
#[derive(Debug, Args)]
pub struct DisableArgs {
    /// The repositories
    #[arg(value_name = "REPO", required_unless_present = "all")]
    pub repos: Vec<PathBuf>,
    /// All repositories below ROOT; symbolic links are not followed
    #[arg(long, value_name = "ROOT", conflicts_with = "repos")]
    pub all: Option<PathBuf>,
    /// The selection.
    #[command(flatten)]
    pub chosen: Chosen,
}

/// Arguments of `listen`.
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub addr: SocketAddr,
    /// File with the key; can be repeated, any one may match
    #[arg(long = "key-file", value_name = "FILE")]
    pub key_files: Vec<PathBuf>,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// File with the key; can be repeated, any one may match
    #[arg(long = "key-file", value_name = "FILE", required = true)]
    pub key_files: Vec<PathBuf>,
    /// The signature: hex, optionally prefixed with `sha1=` or `sha256=`, or `v1,…` of
    /// Standard Webhooks
    #[arg(long, value_name = "SIGNATURE")]
    pub signature: String,
    /// Value of `webhook-id` (Standard Webhooks)
    #[arg(long, value_name = "ID", requires = "timestamp")]
    pub id: Option<String>,
    /// Value of `webhook-timestamp` (Standard Webhooks)
    #[arg(long, value_name = "SECONDS", requires = "id")]
    pub timestamp: Option<u64>,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The format of the messages [default: pagure]
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    pub format: Option<Format>,
}

/// A format by its name.
fn parse_format(text: &str) -> Result<Format, String> {
    Format::named(text).ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join("`, `");
        format!("formats are `{names}`")
    })
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}
