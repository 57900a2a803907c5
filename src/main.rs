//! The binary: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    refpost::start::run(std::env::args_os()).into()
}
