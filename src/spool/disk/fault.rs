//! Stops the "process" between two system calls, fills its disk, and traces its calls.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

/// Calls that take room on a disk.
const TAKE_ROOM: [&str; 5] = ["create", "write", "link", "mkdir", "reserve"];

/// Number of system calls to come, and then the act of another process.
type Meanwhile = Option<(usize, Box<dyn FnOnce()>)>;

thread_local! {
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    static MEANWHILE: RefCell<Meanwhile> = const { RefCell::new(None) };
    static IS_FULL: Cell<bool> = const { Cell::new(false) };
    static TRACE: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

pub(super) fn step(operation: &str, path: impl FnOnce() -> PathBuf) -> io::Result<()> {
    match LEFT.get() {
        // A dead process does not clean up: everything after fails too.
        Some(0) => return Err(io::Error::other("killed")),
        Some(left) => LEFT.set(Some(left - 1)),
        None => {}
    }
    if IS_FULL.get() && TAKE_ROOM.contains(&operation) {
        return Err(Errno::ENOSPC.into());
    }
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            trace.push(format!("{operation} {}", path().display()));
        }
    });
    let come = MEANWHILE.with_borrow_mut(|meanwhile| {
        let (left, _) = meanwhile.as_mut()?;
        match left.checked_sub(1) {
            Some(fewer) => *left = fewer,
            None => return meanwhile.take(),
        }
        None
    });
    if let Some((_, act)) = come {
        act();
    }
    Ok(())
}

/// Runs `act`, and `meanwhile`, as another process would, before the system call of `act` with this
/// number. Returns whether `act` made so many calls.
pub(in crate::spool) fn interrupted_at<T>(
    steps: usize,
    act: impl FnOnce() -> T,
    meanwhile: impl FnOnce() + 'static,
) -> (T, bool) {
    MEANWHILE.set(Some((steps, Box::new(meanwhile))));
    let result = act();
    (result, MEANWHILE.take().is_none())
}

/// Runs `act` and kills it after `steps` system calls. Returns whether it was killed.
pub(in crate::spool) fn killed_after<T>(steps: usize, act: impl FnOnce() -> T) -> (T, bool) {
    LEFT.set(Some(steps));
    let result = act();
    let killed = LEFT.get() == Some(0);
    LEFT.set(None);
    (result, killed)
}

/// Makes the disk full for this thread, or gives it room again.
pub(in crate::spool) fn fill(is_full: bool) {
    IS_FULL.set(is_full);
}

pub(super) fn is_full() -> bool {
    IS_FULL.get()
}

/// Runs `act` and returns the system calls that it made.
pub(in crate::spool) fn traced<T>(act: impl FnOnce() -> T) -> (T, Vec<String>) {
    TRACE.set(Some(vec![]));
    let result = act();
    (result, TRACE.take().unwrap_or_default())
}
