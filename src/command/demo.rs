//! `demo`: pushes, delivers and verifies for real, in a temporary folder.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::listen;
use crate::cli::DemoArgs;
use crate::config::REPOSITORY_FILE;
use crate::context::Surroundings;
use crate::context::binary::own_binary;
use crate::error::{Done, Error, IoContext};
use crate::hooks::file::Hook;
use crate::payload::Format;
use crate::receiver::{self, Received, Verdict};
use crate::report;

/// Number of messages in Pagure's format for the first push of a branch: its creation, and its
/// commits.
const PAGURES: usize = 2;

/// Time after which a message is no longer expected.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(args: &DemoArgs, around: &Surroundings) -> Result<Done, Error> {
    let folder = tempfile::Builder::new()
        .prefix("refpost-demo-")
        .tempdir()
        .doing("create a folder in", &std::env::temp_dir())?;
    let place = Path::new("127.0.0.1:0");
    let listener = TcpListener::bind("127.0.0.1:0").doing("listen on", place)?;
    let address = listener.local_addr().doing("listen on", place)?;
    let (sender, arrivals) = mpsc::channel();
    // The thread listens until the process ends, which is soon.
    thread::spawn(move || receiver::serve(&listener, &move |received| drop(sender.send(received))));

    let key = around.fresh_key()?;
    let bare = folder.path().join("demo.git");
    let work = folder.path().join("work");
    let empty = folder.path().join("empty");
    fs::write(&empty, "").doing("write", &empty)?;
    report::line("a bare repository, and a clone of it:");
    git(
        folder.path(),
        &[
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            "demo.git",
        ],
    )?;
    git(folder.path(), &["clone", "--quiet", "demo.git", "work"])?;
    report::line("refpost as its hook, with the receiver's URL and a fresh key:");
    Hook::new(&bare.join("hooks"), "post-receive").enable(&own_binary()?)?;
    let config = bare.join(REPOSITORY_FILE);
    let format = args.format.unwrap_or_default();
    let (words, messages) = match format {
        Format::Pagure => (String::new(), PAGURES),
        other => (format!("format = \"{}\"\n", other.name()), 1),
    };
    let text =
        format!("mode = \"sync\"\nurls = [\"http://{address}/hook\"]\n{words}key_file = \"key\"\n");
    fs::write(&config, &text).doing("write", &config)?;
    for line in text.lines() {
        report::line(&format!("    {line}"));
    }
    let key_file = bare.join("key");
    fs::write(&key_file, key.expose()).doing("write", &key_file)?;
    restrict(&key_file)?;
    report::line("a commit, and a push:");
    let readme = work.join("README");
    fs::write(&readme, "A ref moves, a POST goes out.\n").doing("write", &readme)?;
    git(&work, &["add", "README"])?;
    git(&work, &["commit", "--quiet", "--message=Say what it does"])?;
    git(&work, &["push", "--quiet", "origin", "HEAD:main"])?;

    report::line("what the receiver got:");
    for _ in 0..messages {
        let received: Received = arrivals
            .recv_timeout(PATIENCE)
            .map_err(|_| Error::failed("the message did not arrive"))?;
        let keys = std::slice::from_ref(&key);
        listen::show(&received, keys);
        if received.verify(keys) != Verdict::Verified {
            return Ok(Done::No);
        }
    }
    let path = folder.path().to_owned();
    folder.close().doing("remove", &path)?;
    Ok(Done::Well)
}

/// Lets only the owner read a key: refpost refuses other keys.
fn restrict(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).doing("restrict", path)
}

/// Runs the installed git without any configuration of the user or the system.
fn git(folder: &Path, args: &[&str]) -> Result<(), Error> {
    report::line(&format!("    git {}", args.join(" ")));
    let root = if folder.join("empty").exists() {
        folder
    } else {
        folder.parent().unwrap_or(folder)
    };
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    let status = command
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("HOME", root)
        .env("REFPOST_CONFIG", root.join("empty"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", root.join("empty"))
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org")
        .status()
        .doing("run", Path::new("git"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::failed(format!("git {} failed", args[0])))
    }
}
