//! Signals that would end this process at a bad moment, and what a panic comes to.
//!
//! Each gets a handler that does nothing, rather than being ignored: whatever is started begins
//! without it (execve(2)), so nothing needs to be reset.

use std::panic;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::Signal;

use crate::report;

/// A file that may not grow (`ulimit -f`) is an error of the call instead: EFBIG.
const ALWAYS: [Signal; 1] = [Signal::SIGXFSZ];

/// All others that end a process by default (signal(7)), but for those of its own faults,
/// SIGKILL, and SIGPIPE, which Rust ignores. A pusher's ^C and a session that ends come to the
/// whole process group; refs have moved by then, and what is to be done has its bounds of time.
const AFTER_REFS_MOVED: [Signal; 13] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGIO,
    Signal::SIGPWR,
    Signal::SIGSTKFLT,
    Signal::SIGXCPU,
];

/// Outlives what no command is to end by.
pub(super) fn outlive_always() {
    outlive(&ALWAYS);
}

/// Outlives what ends other processes, in a hook that runs after refs have moved.
pub(super) fn outlive_after_refs_moved() {
    outlive(&AFTER_REFS_MOVED);
}

fn outlive(signals: &[Signal]) {
    for signal in signals {
        // It fails for no signal of these, or leaves what was.
        signal_hook::flag::register(*signal as i32, Arc::new(AtomicBool::new(false))).ok();
    }
}

/// Has a panic end this process with this exit code, and tells that `what` is not done. tokio
/// panics where `epoll_wait(2)` fails.
pub(super) fn panic_ends(what: &'static str, code: i32) {
    panic::set_hook(Box::new(move |info| {
        report::say(&format!(
            "{what}: {}",
            info.payload_as_str().unwrap_or("panic")
        ));
        process::exit(code);
    }));
}
