//! Keeps signals from ending this process at a bad moment, and gives panics an exit code.
//!
//! Each signal gets a handler that does nothing, rather than being ignored: programs that this one
//! starts begin without the handler (execve(2)), so nothing needs to be reset.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::panic;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use nix::libc;
use nix::sys::signal::Signal;
use signal_hook::low_level::pipe;
use tokio::sync::watch;

use crate::delivery::BUS_THREAD;
use crate::report;

/// Signals that end no command. A file that may not grow (`ulimit -f`) is an error of the call
/// instead: EFBIG.
const ALWAYS: [Signal; 1] = [Signal::SIGXFSZ];

/// All other signals with a name that end a process by default (signal(7)), except those of its own
/// faults, SIGKILL, and SIGPIPE, which Rust ignores. Real-time signals, which end one too, have
/// numbers.
///
/// A pusher's ^C and a session that ends reach the whole process group. Refs have moved by then,
/// and the rest of the work has its own time limits.
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

/// Installs handlers for the signals that end no command.
pub(crate) fn outlive_always() {
    outlive(ALWAYS.map(|signal| signal as i32));
}

/// Installs handlers for the signals that end other processes, in a hook that runs after refs have
/// moved.
pub(crate) fn outlive_after_refs_moved() {
    let named = AFTER_REFS_MOVED.map(|signal| signal as i32);
    outlive(named.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()));
}

fn outlive(signals: impl IntoIterator<Item = i32>) {
    for signal in signals {
        // Registering fails for none of these signals; if it did, the default would stay.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).ok();
    }
}

/// Hears of these signals from now on, on a thread of its own. The value becomes true with the first.
pub(crate) fn heard(signals: &[Signal]) -> io::Result<watch::Receiver<bool>> {
    let (tell, told) = watch::channel(false);
    let (mut hearing, speaking) = UnixStream::pair()?;
    for signal in signals {
        pipe::register(*signal as i32, speaking.try_clone()?)?;
    }
    thread::Builder::new().spawn(move || {
        hearing.read_exact(&mut [0]).ok();
        tell.send_replace(true);
    })?;
    Ok(told)
}

/// Makes a panic end this process with this exit code, and print that `what` is not done. tokio
/// panics where `epoll_wait(2)` fails. Threads with a connection to a broker are spared.
pub(crate) fn panic_ends(what: &'static str, code: i32) {
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some(BUS_THREAD) {
            return;
        }
        report::say(&format!(
            "{what}: {}",
            info.payload_as_str().unwrap_or("panic")
        ));
        process::exit(code);
    }));
}
