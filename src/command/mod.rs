//! The subcommands: wiring, one file each.

mod as_account;
mod build;
mod check;
mod completions;
mod demo;
mod disable;
mod emit;
mod enable;
mod flush;
mod hook;
mod keygen;
mod listen;
mod log;
mod man;
mod ping;
mod preview;
mod queue;
mod status;
mod verify;
mod work;

use std::ffi::OsString;
use std::path::Path;

use clap::{Parser, ValueEnum};

use crate::cli::{Cli, Command, HookArgs, HookName};
use crate::context::{Surroundings, environment, signals};
use crate::error::{Done, Error};
use crate::report;

/// Runs the command that the arguments name, and returns the exit code. The first argument is the
/// name by which the program was called.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    signals::outlive_always();
    let args: Vec<OsString> = args.into_iter().collect();
    let hook = as_hook(&args);
    if (hook.is_some() || environment::is_of_a_hook()) && !environment::is_clean() {
        let error = environment::run_clean(&args);
        report::say(&format!(
            "cannot run without the variables of others: {error}"
        ));
        // A push is not refused for it.
        return u8::from(hook.is_none());
    }
    let done = match hook {
        Some(args) => Ok(hook::run(&args, &Surroundings::new(None, false))),
        None => of_command_line(args),
    };
    match done {
        Ok(done) => done.exit_code(),
        Err(error) => {
            report::error(&error);
            if let Some(hint) = error.hint() {
                report::hint(&hint);
            }
            error.exit_code()
        }
    }
}

/// Reads the arguments of a hook. Returns `None` for every other command line.
///
/// A hook is called by its name (a link in `hooks/`), or as `refpost hook NAME ARG…` without
/// options. These two do not pass through clap: a push need not wait until it has made ready for
/// every other command line.
fn as_hook(args: &[OsString]) -> Option<HookArgs> {
    let hook = |name: &str| HookName::from_str(name, false).ok();
    let (name, args) = match (named_as(args.first()?), args) {
        (Some(name), [_, args @ ..]) => (name, args),
        (None, [_, command, name, args @ ..])
            if command == "hook" && !args.iter().any(is_option) =>
        {
            (hook(name.to_str()?)?, args)
        }
        _ => return None,
    };
    let args = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    Some(HookArgs { name, args })
}

/// Returns the hook that a name stands for: `hooks/NAME`; `hooks/NAME.ANYTHING`, as gitolite's
/// repository-specific hooks are called; any file in a folder `NAME.d`, which dispatchers run.
fn named_as(called: &OsString) -> Option<HookName> {
    let hook = |name: &str| HookName::from_str(name, false).ok();
    let called = Path::new(called);
    let name = called.file_name()?.to_str()?;
    let (first, _) = name.split_once('.').unwrap_or((name, ""));
    let folder = called
        .parent()
        .and_then(|folder| folder.file_name()?.to_str());
    let folder = folder.and_then(|folder| folder.strip_suffix(".d"));
    hook(first).or_else(|| hook(folder?))
}

fn is_option(arg: &OsString) -> bool {
    arg.as_encoded_bytes().starts_with(b"-")
}

/// Parses a command line with clap, and runs its command.
///
/// A function of its own, never inlined: a hook needs no stack for all other commands, and none of
/// their code lies between its own.
#[inline(never)]
fn of_command_line(args: Vec<OsString>) -> Result<Done, Error> {
    let cli = Cli::parse_from(args);
    dispatch(cli.command, &Surroundings::new(cli.config, cli.found))
}

fn dispatch(command: Command, around: &Surroundings) -> Result<Done, Error> {
    match command {
        Command::Hook(args) => Ok(hook::run(&args, around)),
        Command::Flush(args) => flush::run(&args, around),
        Command::Work(args) => work::run(&args, around),
        Command::Build(args) => build::run(&args, around),
        Command::Queue(args) => queue::run(&args, around),
        Command::Status(args) => status::run(&args, around),
        Command::Log(args) => log::run(&args, around),
        Command::Preview(args) => preview::run(&args, around),
        Command::Check(args) => check::run(&args, around),
        Command::Ping(args) => ping::run(&args, around),
        Command::Emit(args) => emit::run(&args, around),
        Command::Enable(args) => enable::run(&args, around),
        Command::Disable(args) => disable::run(&args, around),
        Command::Keygen => keygen::run(around),
        Command::Listen(args) => listen::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Demo(args) => demo::run(&args, around),
        Command::Completions(args) => Ok(completions::run(&args)),
        Command::Man => man::run(),
        Command::AsAccount(args) => as_account::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_known_by_its_name_or_spelled_out_and_the_rest_is_claps() {
        let hook = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let HookArgs { name, args } = as_hook(&args)?;
            Some((name, args.join(" ")))
        };
        let found = |name, args: &str| Some((name, args.to_owned()));
        assert_eq!(hook("hooks/post-receive"), found(HookName::PostReceive, ""));
        assert_eq!(hook("update r 1 2"), found(HookName::Update, "r 1 2"));
        for named in [
            "hooks/post-receive.h00-refpost",
            "/srv/a.git/custom_hooks/post-receive.d/refpost",
            "./hooks/post-receive.d/90-refpost",
        ] {
            assert_eq!(hook(named), found(HookName::PostReceive, ""), "{named}");
        }
        assert_eq!(
            hook("/usr/bin/refpost hook update r 1 2"),
            found(HookName::Update, "r 1 2")
        );
        for others in [
            "refpost",
            "refpost hook",
            "refpost hook nonsense",
            "refpost hook post-receive --help",
            "refpost flush post-receive",
            "/etc/cron.d/refpost",
            "post-receive-email",
        ] {
            assert_eq!(hook(others), None, "{others}");
        }
    }
}
