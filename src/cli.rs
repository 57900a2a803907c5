//! The command line, as clap's types and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

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

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What refpost can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run as a git hook, spelled out: for hook scripts that chain
    Hook(HookArgs),
    /// Show the messages of ref updates without sending them
    ///
    /// Reads `OLD NEW REF` lines from standard input, as post-receive does, and
    /// prints each message's body, one a line, exactly as it would be sent.
    Preview(PreviewArgs),
    /// Say whether all is well: config, hooks, keys, URLs
    Check(CheckArgs),
    /// Send a signed Test.notification to each endpoint now, and print what it answered
    Ping(PingArgs),
    /// Link the hook into repositories, keeping a hook that was there before
    ///
    /// With --url, a repository without a configuration gets one, readable by its
    /// owner only, with a fresh key.
    Enable(EnableArgs),
    /// Unlink the hook, and put back the one that was there before
    Disable(DisableArgs),
    /// Print a fresh key: 32 random bytes as text
    Keygen,
    /// Receive messages, print them and verify their signatures
    Listen(ListenArgs),
    /// Check the signature of a body on standard input
    ///
    /// SHA-1 or SHA-256, told by its length. Exits with 0 if it is right, 1 if not.
    Verify(VerifyArgs),
    /// Show the main job: a repository, a receiver, a push and a verified message, all real
    Demo,
    /// Print a shell's completion script
    Completions(CompletionsArgs),
    /// Print the man page
    Man,
}

/// The git hooks that refpost can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HookName {
    /// Runs after the refs have moved (githooks(5)).
    PostReceive,
}

/// Arguments of `hook`.
#[derive(Debug, Args)]
pub struct HookArgs {
    /// Which hook to be
    pub name: HookName,
    /// The hook's own arguments, as git gives them
    pub args: Vec<String>,
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
    /// Show whole requests, for each endpoint; secrets are hidden
    #[arg(long)]
    pub http: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The repositories [default: this folder]
    #[arg(value_name = "REPO")]
    pub repos: Vec<PathBuf>,
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

/// Arguments of `enable`.
#[derive(Debug, Args)]
pub struct EnableArgs {
    /// The repositories
    #[arg(value_name = "REPO", required = true)]
    pub repos: Vec<PathBuf>,
    /// Where to send messages: written to a first configuration, with a fresh key
    #[arg(long = "url", value_name = "URL")]
    pub urls: Vec<String>,
}

/// Arguments of `disable`.
#[derive(Debug, Args)]
pub struct DisableArgs {
    /// The repositories
    #[arg(value_name = "REPO", required = true)]
    pub repos: Vec<PathBuf>,
}

/// Arguments of `listen`.
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub addr: SocketAddr,
    /// The key to verify signatures with
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The file that holds the key
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// The signature, as hex
    #[arg(long, value_name = "HEX")]
    pub signature: String,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}
