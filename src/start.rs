//! The way in where glibc starts us: past Rust's runtime, which makes ready for what
//! refpost has no use for, and takes a hook a tenth of a millisecond and 21 system calls.
//!
//! What it would have done, and is needed, is done here: closed standard streams are
//! opened, SIGPIPE is ignored, what standard output holds is written at the end. The
//! arguments are there without it (`std::env::args_os`). What is lost is a message: a stack
//! that overflows still ends the process at the kernel's guard page, but nobody says that
//! this is what it was.

use std::os::fd::{AsRawFd, IntoRawFd};

use nix::fcntl::{OFlag, open};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;

/// C's `main`, whose arguments are taken from elsewhere.
// SAFETY: the binary has `no_main`, so that this is the only one.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    open_standard_streams();
    // SAFETY: nothing handles signals yet, and ignoring one runs no code.
    // It fails for no signal that exists.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.ok();
    let code = refpost::command::run(std::env::args_os());
    std::process::exit(i32::from(code))
}

/// Whoever starts us may have closed a standard stream. What is opened next would get its
/// number, and what is meant for a person would be written into the spool.
fn open_standard_streams() {
    // A new file gets the lowest number that is free. Whom we start inherits these.
    let stand_in = || {
        open("/dev/null", OFlag::O_RDWR, Mode::empty())
            .or_else(|_| open("/", OFlag::O_RDONLY, Mode::empty()))
    };
    while let Ok(file) = stand_in() {
        if file.as_raw_fd() > 2 {
            return;
        }
        // It stays open.
        let _ = file.into_raw_fd();
    }
}
