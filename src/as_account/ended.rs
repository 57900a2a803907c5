//! The end of an account's refpost.

use std::process::ExitStatus;

use crate::error::Exit;
use crate::report;

/// The end of an account's refpost.
pub(super) struct Ended {
    pub(super) account: u32,
    pub(super) exit: Exit,
    /// Its output, if gathered and complete.
    pub(super) output: Option<Vec<u8>>,
}

/// Returns the outcome of an account's refpost, and tells what that has not told itself.
pub(super) fn exit_of(status: ExitStatus, account: u32, name: &dyn Fn() -> String) -> Exit {
    match status.code() {
        Some(0) => Exit::Well,
        Some(3) => Exit::Failing,
        Some(66) => Exit::NotHere,
        Some(67) => {
            report::say(&format!(
                "what belongs to `{account}` is passed over: there is no such account"
            ));
            report::hint("chown it, or remove it");
            Exit::No
        }
        Some(75) => Exit::Deferred,
        // The process has told the reason itself.
        Some(_) => Exit::No,
        None => {
            let name = name();
            report::say(&format!("{name}: its refpost was killed ({status})"));
            Exit::No
        }
    }
}
