//! Runs a hook that root runs in another account's repository as that account.
//!
//! The account's process has pipes and the variables that hooks honour. Root's process hands on
//! what git writes to the hook, prints what the account's says, and ends as that ends.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::thread;

use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};

use super::ended::exit_of;
use super::forwarded::{Forwarded, Kind};
use crate::context::{Context, binary, environment};
use crate::delivery;
use crate::error::{Error, Exit, IoContext};

/// Runs a hook as the account that owns the repository. Returns the outcome.
pub(crate) fn run(owner: u32, args: &[OsString], ctx: &Context) -> Result<Exit, Error> {
    let mut command = Command::new(binary::own_binary()?);
    command.env_clear().envs(environment::honoured_in_hooks());
    command.args(["as-account", "--hook", &owner.to_string(), "--"]);
    command.args(args).stdin(Stdio::piped());
    // A hook says what it has to say on standard error.
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let name = || ctx.account(owner).0;
    let run = Path::new("refpost");
    let status = delivery::run(finish(&mut command, &name)).doing("wait for", run)??;
    Ok(exit_of(status, owner, &name))
}

/// Runs the command to its end. It takes as long as it takes: git waits for it.
async fn finish(command: &mut Command, name: &dyn Fn() -> String) -> Result<ExitStatus, Error> {
    let refpost = Path::new("refpost");
    // Before the process starts, so that its end is noticed wherever SIGCHLD was ignored.
    let mut ended = signal(SignalKind::child()).doing("wait for", Path::new("signals"))?;
    let mut child = command.spawn().doing("run", refpost)?;
    if let Some(input) = child.stdin.take() {
        feed(input);
    }
    let errors = child.stderr.take().map(OwnedFd::from);
    let errors = errors.map(Receiver::from_owned_fd).transpose();
    let mut errors = Forwarded::new(errors.doing("talk to", refpost)?, Kind::Complaint);
    loop {
        if let Some(status) = child.try_wait().doing("wait for", refpost)? {
            errors.end(name);
            return Ok(status);
        }
        tokio::select! {
            _ = ended.recv() => {}
            () = errors.readable() => errors.tell(name),
        }
    }
}

/// Hands on this process's input. A thread that waits for more does not keep the process.
fn feed(mut input: ChildStdin) {
    // An account's hook that reads no more is no error here.
    thread::spawn(move || io::copy(&mut io::stdin(), &mut input).ok());
}
