//! The command of `[alerts]`: a program that is given a text.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::error::{Error, IoContext};
use crate::observe::alerts::Letter;

/// Longest time that the command has.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// Interval at which the end of the command is looked for.
const AGAIN: Duration = Duration::from_millis(10);
/// Search path for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The text that stands for the alert in a line.
const SUBJECT: &str = "{subject}";

/// Runs the command with a text on standard input, in `/`, with no environment but `PATH`. What
/// it prints is ignored.
///
/// After `longest` it is killed, and all that it started in its process group.
pub(super) fn run(command: &[String], letter: &Letter<'_>, longest: Duration) -> Result<(), Error> {
    let [program, args @ ..] = command else {
        return Ok(());
    };
    let args = args.iter().map(|arg| arg.replace(SUBJECT, &letter.subject));
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .doing("run", Path::new(program))?;
    if let Some(mut input) = child.stdin.take() {
        let text = letter.text.clone();
        // A command that reads nothing is not waited for here.
        thread::spawn(move || input.write_all(text.as_bytes()).ok());
    }
    let why = match ended(&mut child, longest) {
        Some(Ok(status)) if status.success() => return Ok(()),
        Some(Ok(status)) => format!("it ended with {status}"),
        Some(Err(error)) => error.to_string(),
        None => {
            let longest = humantime::format_duration(longest);
            format!("it took longer than {longest}, and was killed")
        }
    };
    Err(Error::Failed {
        what: format!("cannot tell an alert by `{program}` of `alerts.command`: {why}"),
        hint: Some("it is tried again at the next flush".to_owned()),
    })
}

/// Waits for the end of a process. Returns `None` if it was killed.
fn ended(
    child: &mut Child,
    longest: Duration,
) -> Option<std::io::Result<std::process::ExitStatus>> {
    let end = Instant::now() + longest;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < end => thread::sleep(AGAIN),
            Ok(None) => break,
            ended => return ended.transpose(),
        }
    }
    if let Ok(pid) = i32::try_from(child.id()) {
        killpg(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
    child.wait().ok();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! >{}; wait", file.display());
        let command = ["sh", "-c", &script].map(str::to_owned);
        let begun = Instant::now();
        // Longer than any pipe takes at once.
        let letter = Letter {
            subject: String::new(),
            text: "x".repeat(4 << 20),
            alerts: &[],
        };
        let mut error = None;
        let is_there = || std::fs::read_to_string(&file).is_ok_and(|pid| pid.ends_with('\n'));
        while !is_there() {
            let longest = Duration::from_millis(300);
            error = run(&command, &letter, longest).err();
        }
        let why = "cannot tell an alert by `sh` of `alerts.command`: it took longer than 300ms, \
                   and was killed";
        assert_eq!(error.expect("it failed").to_string(), why);
        assert!(begun.elapsed() < Duration::from_mins(1));
        let pid = std::fs::read_to_string(&file).expect("its number");
        let stat = format!("/proc/{}/stat", pid.trim());
        let is_over = || match std::fs::read_to_string(&stat) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        while !is_over() {
            assert!(begun.elapsed() < Duration::from_mins(1), "it runs");
            thread::sleep(AGAIN);
        }
    }
}
