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
  level                   safe against                        costs a push
  enable                  all that happens from the hook's    two flushes of
                          end on: crashes, dead receivers     the disk
  enable --guaranteed     a machine that dies between a       four flushes, and a
                          ref's move and the hook, too;       process for each
                          what moves without a push is        transaction of refs
                          announced
  the same, and           moving a ref that cannot be         the same
  `require = true`        recorded: the push is refused";

/// A ref moves, a POST goes out: signed web-hook messages from bare git repositories.
///
/// Linked as `hooks/post-receive` of a repository, refpost announces each push to
/// the URLs of its configuration, in the format of Pagure's web-hooks.
#[derive(Debug, Parser)]
#[command(name = "refpost", version, max_term_width = 100)]
pub struct Cli {
    /// The server's configuration [default: `$REFPOST_CONFIG` or /etc/refpost/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What is looked through is on standard input, NUL-separated: what root's refpost found
    /// of this account's, in place of the PATHs or the folder
    #[arg(long, global = true, hide = true)]
    pub found: bool,

    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run as a git hook, spelled out: for hook scripts that chain
    Hook(HookArgs),
    /// Deliver what is due
    ///
    /// Each PATH is a repository, a spool, or a folder that is searched for them;
    /// without one, the spool and all below the root of the server's configuration.
    /// Silent unless a person must act.
    Flush(FlushArgs),
    /// Deliver for all accounts, as a service: what they submit to `socket`, and what waits
    ///
    /// Runs as an account of its own, which owns `spool` and can read the keys. Takes over the
    /// socket that systemd listens on, or makes it. docs/guides/accounts.md, "A service account".
    Work(WorkArgs),
    /// Make messages of pushes that were only recorded, for a flush
    #[command(hide = true)]
    Build(BuildArgs),
    /// See, try again, hand over or drop what waits and what failed
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Say how each endpoint stands: healthy, failing since when, how much waits
    Status(StatusArgs),
    /// Show the last attempts
    Log(LogArgs),
    /// Show the messages of ref updates without sending them
    ///
    /// Reads `OLD NEW REF` lines from standard input, as post-receive does, and
    /// prints each message's body, one a line, exactly as it would be sent. Which
    /// moves of refs reach refpost at all depends on the level that is enabled.
    #[command(after_long_help = LEVELS)]
    Preview(PreviewArgs),
    /// Say whether all is well: config, hooks, keys, URLs
    Check(CheckArgs),
    /// Send a test message to each endpoint now, in its format, and print what it answered
    Ping(PingArgs),
    /// Send a message of any topic, such as issue.new, as messages of pushes are sent
    ///
    /// It is signed, spooled, tried again and logged as those are. `agent` and
    /// `project` are added to the object where it has none. An endpoint gets it if its
    /// `topics` have the topic, whatever its `refs`.
    Emit(EmitArgs),
    /// Link the hook into repositories, keeping a hook that was there before
    ///
    /// With --url, a repository without a configuration gets one, readable by its
    /// owner only, with a fresh key and an endpoint that is named after the URL's host.
    #[command(after_long_help = LEVELS)]
    Enable(EnableArgs),
    /// Unlink the hook, and put back the one that was there before
    Disable(DisableArgs),
    /// Print a fresh key: 32 random bytes as text
    Keygen,
    /// Receive messages, print them and verify their signatures
    Listen(ListenArgs),
    /// Check the signature of a body on standard input
    ///
    /// SHA-1 or SHA-256, told by its length, as Pagure, GitHub and Gitea have it, or that of
    /// Standard Webhooks, as GitLab has it. Exits with 0 if it is right, 1 if not.
    Verify(VerifyArgs),
    /// Show the main job: a repository, a receiver, a push and a verified message, all real
    Demo(DemoArgs),
    /// Print a shell's completion script
    Completions(CompletionsArgs),
    /// Print the man page
    Man,
    /// Become an account, for good, and run refpost as it
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
    /// Repositories, spools, or folders of them
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Stay, and deliver what comes and what falls due
    #[arg(long, conflicts_with_all = ["budget", "strict"])]
    pub watch: bool,
    /// Begin no attempt after this long, such as `55s`
    #[arg(long, value_name = "DURATION")]
    pub budget: Option<humantime::Duration>,
    /// Exit with 75 if something is left
    #[arg(long)]
    pub strict: bool,
    /// Print a JSON object for each queue that was worked on
    #[arg(long)]
    pub json: bool,
    /// Leave the session of whoever started this
    #[arg(long, hide = true)]
    pub detached: bool,
}

/// Arguments of `work`.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Take in once what lies in a mail drop of an earlier refpost, and end
    #[arg(long, value_name = "FOLDER", conflicts_with = "json")]
    pub drain: Option<PathBuf>,
    /// Print a JSON object for each queue that was worked on
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Repositories, spools, or folders of them [default: this folder's repository, or the server's]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Print a JSON object for each endpoint
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// The repository [default: this folder]
    pub repo: Option<PathBuf>,
    /// How many attempts
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    pub lines: usize,
    /// Print them as the log has them, a JSON object each
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `preview`.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// The repository [default: the one of the hook that runs, or this folder]
    #[arg(long, value_name = "REPO")]
    pub repo: Option<PathBuf>,
    /// The account that pushes [default: found out as in a hook]
    #[arg(long, value_name = "NAME")]
    pub pusher: Option<String>,
    /// What is given along, as with `git push -o`; can be repeated
    #[arg(short = 'o', long = "push-option", value_name = "OPTION")]
    pub push_options: Vec<String>,
    /// Show whole requests, for each endpoint; secrets are hidden
    #[arg(long)]
    pub http: bool,
    /// Only messages of this format, whether an endpoint has it or not [default: those of all
    /// endpoints]
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    pub format: Option<Format>,
}

/// A selection of the repositories below a folder, for commands that have `--all` and `REPO`.
#[derive(Debug, Args)]
pub struct Chosen {
    /// With --all, only those whose path below ROOT this matches, without `.git`; `*` does
    /// not cross a `/`, `**` does, `!` takes away; the last that matches decides
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
    /// The repositories [default: this folder]
    #[arg(value_name = "REPO")]
    pub repos: Vec<PathBuf>,
    /// All repositories below ROOT [default: `root` of the server's configuration]: only what a
    /// person must look at is printed, and a summary
    #[arg(long, value_name = "ROOT", conflicts_with_all = ["repos", "show"])]
    #[allow(
        clippy::option_option,
        reason = "clap's way to say that the value is optional"
    )]
    pub all: Option<Option<PathBuf>>,
    /// The selection.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Print the effective settings, and where each comes from
    #[arg(long)]
    pub show: bool,
}

/// Arguments of `ping`.
#[derive(Debug, Args)]
pub struct PingArgs {
    /// The repository [default: this folder]
    pub repo: Option<PathBuf>,
    /// Only this endpoint
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
}

/// Arguments of `emit`.
#[derive(Debug, Args)]
pub struct EmitArgs {
    /// The topic, such as `pull-request.comment.added`
    #[arg(long, value_name = "TOPIC", value_parser = parse_topic)]
    pub topic: String,
    /// What `msg` is to be: a file with a JSON object in it [default: standard input, as `-`]
    #[arg(long, value_name = "FILE")]
    pub msg: Option<PathBuf>,
    /// The account that did it [default: found out as in a hook]
    #[arg(long, value_name = "NAME")]
    pub pusher: Option<String>,
    /// Print the body and who would get it; send nothing, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The repository [default: the one of the hook that runs, or this folder]
    pub repo: Option<PathBuf>,
}

/// Arguments of `enable`.
#[derive(Debug, Args)]
pub struct EnableArgs {
    /// The repositories
    #[arg(value_name = "REPO", required_unless_present = "all")]
    pub repos: Vec<PathBuf>,
    /// All repositories below ROOT, in folders of any depth; links are not followed
    #[arg(long, value_name = "ROOT", conflicts_with = "repos")]
    pub all: Option<PathBuf>,
    /// The selection.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Link pre-receive and reference-transaction too: no ref moves unannounced,
    /// whoever is killed, and what moves without a push is announced as well
    #[arg(long)]
    pub guaranteed: bool,
    /// Where to send messages: written to a first configuration, with a fresh key
    #[arg(long = "url", value_name = "URL", conflicts_with = "all")]
    pub urls: Vec<String>,
    /// What the receivers at these URLs understand [default: pagure]
    #[arg(long, value_name = "FORMAT", value_parser = parse_format, requires = "urls")]
    pub format: Option<Format>,
}

/// Arguments of `disable`.
#[derive(Debug, Args)]
pub struct DisableArgs {
    /// The repositories
    #[arg(value_name = "REPO", required_unless_present = "all")]
    pub repos: Vec<PathBuf>,
    /// All repositories below ROOT, in folders of any depth; links are not followed
    #[arg(long, value_name = "ROOT", conflicts_with = "repos")]
    pub all: Option<PathBuf>,
    /// The selection.
    #[command(flatten)]
    pub chosen: Chosen,
}

/// Arguments of `listen`.
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub addr: SocketAddr,
    /// The key to verify signatures with; given twice, either will do
    #[arg(long = "key-file", value_name = "FILE")]
    pub key_files: Vec<PathBuf>,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The file that holds the key; given twice, either will do
    #[arg(long = "key-file", value_name = "FILE", required = true)]
    pub key_files: Vec<PathBuf>,
    /// The signature: hex, with `sha1=` or `sha256=` before it or not, or that of Standard
    /// Webhooks, `v1,…`
    #[arg(long, value_name = "SIGNATURE")]
    pub signature: String,
    /// Of Standard Webhooks, the value of `webhook-id`
    #[arg(long, value_name = "ID", requires = "timestamp")]
    pub id: Option<String>,
    /// Of Standard Webhooks, the value of `webhook-timestamp`
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
