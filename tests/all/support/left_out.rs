//! Tests that cannot run on this machine.

use std::process::Command;

/// Set by `.ci/run`: the programs and accounts that tests need must be there.
const OBLIGATORY: &str = "REFPOST_TEST_ALL";

/// Set by `.ci/run --long`: tests may take minutes.
const LONG: &str = "REFPOST_TEST_LONG";

/// Returns whether nothing may be left out.
pub(crate) fn is_forbidden() -> bool {
    std::env::var_os(OBLIGATORY).is_some()
}

/// Says that a program or an account is missing, so that something is not tested.
///
/// With `REFPOST_TEST_ALL` that is a failure.
#[track_caller]
pub(crate) fn leave_out(why: &str) {
    assert!(!is_forbidden(), "{OBLIGATORY} is set, and {why}");
    eprintln!("warning: {why}");
}

/// Says that a mount failed, so that something is not tested.
///
/// With `REFPOST_TEST_ALL` that is a failure where mounts are allowed, as they are not in many
/// containers.
#[track_caller]
pub(crate) fn leave_out_mount(why: &str) {
    let unshare = Command::new("unshare").args(["-m", "true"]).output();
    if unshare.is_ok_and(|ran| ran.status.success()) {
        leave_out(why);
    } else {
        leave_out_anyway(why);
    }
}

/// Says that the kernel does not have something here, so that it is not tested.
pub(crate) fn leave_out_anyway(why: &str) {
    eprintln!("warning: {why}");
}

/// Returns whether tests may take minutes.
pub(crate) fn is_long() -> bool {
    std::env::var_os(LONG).is_some()
}

/// Returns whether a test that takes minutes is to run, and says so if it is not.
pub(crate) fn may_take_minutes() -> bool {
    if !is_long() {
        eprintln!("warning: {LONG} is not set: what takes minutes is not tested");
    }
    is_long()
}
