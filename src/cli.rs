//! The command line: lists the subcommands, and runs the one that is named.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ColorChoice, CommandFactory, Parser, Subcommand};

use crate::command::{
    CHECK_EXIT_CODES, ENVIRONMENT, EXIT_CODES, FLUSH_EXIT_CODES, LEVELS, METRICS_EXIT_CODES,
    PING_EXIT_CODES, STATUS_EXIT_CODES, VERIFY_EXIT_CODES, announce, as_account, build, check,
    completions, demo, disable, emit, enable, flush, hook, key, keygen, listen, log, man, metrics,
    page, ping, preview, queue, status, verify, work,
};
use crate::context::Context;
use crate::error::{Error, Exit};
use crate::report;

/// Heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// Send signed web-hook messages for pushes to bare git repositories
///
/// Linked as `hooks/post-receive` of a repository, refpost records each push in a spool on
/// disk and delivers it from there to the configured URLs, in the format of Pagure, GitHub,
/// GitLab, Gitea, Forgejo or Slack.
#[derive(Debug, Parser)]
#[command(name = "refpost", version, max_term_width = 100)]
#[command(after_long_help = format!("{EXIT_CODES}\n\n{ENVIRONMENT}"))]
pub(crate) struct Cli {
    /// The server's configuration [default: `$REFPOST_CONFIG` or /etc/refpost/config.toml]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Paint the states in tables
    #[arg(long, global = true, help_heading = GLOBAL)]
    #[arg(value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,

    /// Read the paths from standard input, NUL-separated, in place of REPOs or the folder: root's
    /// refpost found them for this account
    #[arg(long, global = true, hide = true)]
    pub(crate) found: bool,

    /// The subcommand.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run as the named git hook, from a hook script
    Hook(hook::HookArgs),
    /// Deliver queued messages that are due
    ///
    /// REPO is a repository, a spool, or a folder to search for them. From cron and units use
    /// --server. Prints nothing unless an administrator must act.
    #[command(after_long_help = FLUSH_EXIT_CODES)]
    Flush(flush::FlushArgs),
    /// Run the delivery service, to which accounts submit messages through `socket`
    ///
    /// Runs as an account that owns `spool` and can read the keys. Uses the socket that systemd
    /// passes, or creates it. docs/guides/accounts.md, "A service account".
    Work(work::WorkArgs),
    /// Build messages of pushes that were recorded as ref updates, for a flush
    #[command(hide = true)]
    Build(build::BuildArgs),
    /// Inspect, retry, move or drop queued and failed messages
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Show the state of each endpoint and its queue
    #[command(after_long_help = STATUS_EXIT_CODES)]
    Status(status::StatusArgs),
    /// Write metrics for Prometheus
    ///
    /// Looks at the spools of the whole server, as a flush does. FILE is for a textfile
    /// collector, and replaced whole. docs/reference/metrics.md lists the metrics.
    #[command(after_long_help = METRICS_EXIT_CODES)]
    Metrics(metrics::MetricsArgs),
    /// Write a page of endpoints and recent deliveries, as HTML
    ///
    /// Shows the whole server, but for repositories that are private or match `[page] exclude`.
    /// `flush --page FILE` writes it at the end of each flush.
    Page(page::PageArgs),
    /// Show the last delivery attempts
    Log(log::LogArgs),
    /// Show the messages of ref updates without sending them
    ///
    /// Reads `OLD NEW REF` lines from standard input, as post-receive does, and prints the
    /// body of each message on one line. `refpost help enable` says which updates reach refpost.
    Preview(preview::PreviewArgs),
    /// Check configuration, hooks, keys, URLs and spool
    ///
    /// Of a folder or the server prints only problems, and a summary.
    #[command(after_long_help = CHECK_EXIT_CODES)]
    Check(check::CheckArgs),
    /// Send a test message to each endpoint and print the response
    #[command(after_long_help = PING_EXIT_CODES)]
    Ping(ping::PingArgs),
    /// Send a message of any topic, such as `issue.new`
    ///
    /// Signs, spools, retries and logs it as messages of pushes. Adds `agent` and `project` to
    /// an object that lacks them. Endpoints whose `topics` match get it, whatever their `refs`.
    Emit(emit::EmitArgs),
    /// Send the messages of a ref update again
    ///
    /// Builds them anew, with new message ids, and queues them behind what already waits. OLD
    /// and NEW are revisions, such as object ids or tags; REF need not be at NEW any more.
    Announce(announce::AnnounceArgs),
    /// Link the hook into repositories, keeping existing hooks
    ///
    /// With --url, a repository without a configuration gets one, readable by its owner only,
    /// with a fresh key and an endpoint named after the URL's host.
    #[command(after_long_help = LEVELS)]
    Enable(enable::EnableArgs),
    /// Unlink the hook and restore the previous one
    Disable(disable::DisableArgs),
    /// Print the key that the messages to an endpoint are signed with
    Key(key::KeyArgs),
    /// Print a new random key (32 bytes in hex)
    Keygen,
    /// Run a test receiver that prints messages and verifies their signatures
    Listen(listen::ListenArgs),
    /// Verify the signature of a body on standard input
    ///
    /// Takes the HMAC-SHA-1 or HMAC-SHA-256 of Pagure, GitHub and Gitea, or the signature of
    /// Standard Webhooks, as GitLab sends it. Exits with 0 if it is valid, else with 1.
    #[command(after_long_help = VERIFY_EXIT_CODES)]
    Verify(verify::VerifyArgs),
    /// Run an end-to-end demo in a temporary directory
    Demo(demo::DemoArgs),
    /// Print a shell completion script
    Completions(completions::CompletionsArgs),
    /// Print the man page, or that of a subcommand
    Man(man::ManArgs),
    /// Become an account and run refpost as it
    #[command(hide = true)]
    AsAccount(as_account::AsAccountArgs),
}

/// Parses a command line with clap, and runs its command.
///
/// A function of its own, never inlined: a hook needs no stack for all other commands, and none of
/// their code lies between its own.
#[inline(never)]
pub(crate) fn run(args: Vec<OsString>) -> Result<Exit, Error> {
    match completions::answer(&args, Cli::command) {
        Ok(true) => return Ok(Exit::Well),
        Ok(false) => {}
        Err(wrong) => wrong.exit(),
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(wrong) if wrong.use_stderr() => with_new_way(wrong).exit(),
        Err(asked) => {
            report::help(&asked);
            return Ok(Exit::Well);
        }
    };
    report::table::paint(cli.color);
    let ctx = Context::new(cli.config, cli.found);
    // A push goes on without it, and its hook tells why.
    if !matches!(cli.command, Command::Hook(_)) {
        if ctx.is_journal() {
            report::with_priorities();
        }
        ctx.ensure_named_config()?;
    }
    dispatch(cli.command, &ctx)
}

/// Options of former versions, and what took their place.
const FORMER: [(&str, &str); 3] = [
    ("--in", "`queue list REPO`, or --repo REPO behind ids"),
    (
        "--repository",
        "--repo REPO, or `queue move --renamed OLD NEW`",
    ),
    ("--all", "--server, or name the folder: `check FOLDER`"),
];

/// Adds the present way to the error that an option of a former version is not known.
fn with_new_way(mut wrong: clap::Error) -> clap::Error {
    let Some(ContextValue::String(option)) = wrong.get(ContextKind::InvalidArg) else {
        return wrong;
    };
    let is_unknown = wrong.kind() == ErrorKind::UnknownArgument;
    if let Some((_, way)) = FORMER.iter().find(|(name, _)| is_unknown && name == option) {
        let tip = ContextValue::StyledStrs(vec![format!("that is now {way}").into()]);
        wrong.insert(ContextKind::Suggested, tip);
        wrong.remove(ContextKind::SuggestedArg);
    }
    wrong
}

fn dispatch(command: Command, ctx: &Context) -> Result<Exit, Error> {
    match command {
        Command::Hook(args) => Ok(hook::run(&args, ctx)),
        Command::Flush(args) => flush::run(&args, ctx),
        Command::Work(args) => work::run(&args, ctx),
        Command::Build(args) => build::run(&args, ctx),
        Command::Queue(args) => queue::run(&args, ctx),
        Command::Status(args) => status::run(&args, ctx),
        Command::Metrics(args) => metrics::run(&args, ctx),
        Command::Page(args) => page::run(&args, ctx),
        Command::Log(args) => log::run(&args, ctx),
        Command::Preview(args) => preview::run(&args, ctx),
        Command::Check(args) => check::run(&args, ctx),
        Command::Ping(args) => ping::run(&args, ctx),
        Command::Emit(args) => emit::run(&args, ctx),
        Command::Announce(args) => announce::run(&args, ctx),
        Command::Enable(args) => enable::run(&args, ctx),
        Command::Disable(args) => disable::run(&args, ctx),
        Command::Key(args) => key::run(&args, ctx),
        Command::Keygen => keygen::run(ctx),
        Command::Listen(args) => listen::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Demo(args) => demo::run(&args, ctx),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::AsAccount(args) => as_account::run(&args),
    }
}
