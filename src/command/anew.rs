//! This binary once more, in place of this process.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::enable::own_binary;

/// Runs it, as `set` has it; returns only if that fails. Where the account does not reach it by
/// its path, the kernel still knows it.
pub(super) fn run_anew(set: impl Fn(&mut Command)) -> io::Error {
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
