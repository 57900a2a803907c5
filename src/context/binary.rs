//! Runs this binary again.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, IoContext};

/// Returns the path of this binary. Links are resolved, so that an upgrade in place is found.
pub(crate) fn own_binary() -> Result<PathBuf, Error> {
    let this = Path::new("refpost");
    std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .doing("find", this)
}

/// Runs this binary in place of this process, as `set` prepares it. Returns only if that fails.
///
/// An account that cannot reach the binary by its path runs it by `/proc/self/exe`.
pub(crate) fn run_anew(set: impl Fn(&mut Command)) -> io::Error {
    let run = |binary: &Path| {
        let mut command = Command::new(binary);
        set(&mut command);
        command.exec()
    };
    let kernels = Path::new("/proc/self/exe");
    let path = own_binary().unwrap_or_else(|_| PathBuf::from(kernels));
    run(&path);
    run(kernels)
}
