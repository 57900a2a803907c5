//! `completions`: prints a shell's completion script, and answers what the script asks.

pub(crate) mod candidates;

use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use clap_complete::Shell;
use clap_complete::env::{CompleteEnv, Shells};

use crate::error::{Error, Exit, IoContext};
use crate::report;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// The variable in which a script names its shell. No other variable is listened to: one of a
/// common name in a pusher's environment would turn a push into a completion.
const VARIABLE: &str = "REFPOST_COMPLETE";

/// The program, as scripts call it.
const PROGRAM: &str = "refpost";

pub(crate) fn run(args: &CompletionsArgs) -> Result<Exit, Error> {
    let shells = Shells::builtins();
    let completer = shells.completer(&args.shell.to_string());
    let completer =
        completer.ok_or_else(|| Error::failed(format!("cannot complete for `{}`", args.shell)))?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .doing("write", Path::new("the completion script"))?;
    report::raw(&script);
    Ok(Exit::Well)
}

/// Answers a completion script, if one asks. Returns whether one did.
///
/// The command line to complete stands behind `--`, where no hook and no command has it.
pub(crate) fn answer(
    args: &[OsString],
    factory: impl Fn() -> clap::Command,
) -> Result<bool, clap::Error> {
    if args.get(1).is_none_or(|word| word != "--") {
        return Ok(false);
    }
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(factory)
        .var(VARIABLE)
        .try_complete(args, here.as_deref())
}
