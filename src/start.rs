//! Starts refpost: as a hook, by its name, or as a subcommand. Errors become exit codes here.

use std::ffi::OsString;

use crate::command::hook;
use crate::context::{Context, environment, signals};
use crate::error::Exit;
use crate::{cli, report};

/// Runs the command that the arguments name, and returns the exit code. The first argument is the
/// name by which the program was called.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    signals::outlive_always();
    let args: Vec<OsString> = args.into_iter().collect();
    let hook = hook::args_of(&args);
    if (hook.is_some() || environment::is_of_a_hook()) && !environment::is_clean() {
        let error = environment::run_clean(&args);
        report::say(&format!(
            "cannot run without the variables of others: {error}"
        ));
        // A push is not refused for it.
        return u8::from(hook.is_none());
    }
    let done = match hook {
        Some(args) => Ok(hook::run(&args, &Context::new(None, false))),
        None => cli::run(args),
    };
    match done {
        // What was asked for has not arrived.
        Ok(Exit::Well) if report::is_cut() => Exit::No.exit_code(),
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
