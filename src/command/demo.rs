//! `demo`: pushes, an outage and verified messages, end to end, in a temporary directory.

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::listen;
use super::parse_ready_format;
use crate::config::REPOSITORY_FILE;
use crate::context::Context;
use crate::context::binary::own_binary;
use crate::error::{Error, Exit, IoContext};
use crate::hooks::file::Hook;
use crate::payload::Format;
use crate::receiver::{self, Received, Verdict};
use crate::report;
use crate::signature::Secret;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The format of the messages [default: pagure]
    #[arg(long, value_name = "FORMAT", value_parser = parse_ready_format)]
    pub(crate) format: Option<Format>,
}

/// Number of messages in Pagure's format for the first push of a branch: its creation, and its
/// commits.
const PAGURES: usize = 2;

/// Time after which a message is no longer expected, and between two looks.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Parts of a body that are shown, in any format. The others are left out.
const SHOWN: [&str; 14] = [
    "after",
    "agent",
    "before",
    "branch",
    "changed_files",
    "end_commit",
    "msg",
    "msg_id",
    "object_kind",
    "ref",
    "text",
    "topic",
    "total_commits",
    "user_username",
];

/// Characters of a header's value that are shown.
const VALUE: usize = 44;

pub(crate) fn run(args: &DemoArgs, ctx: &Context) -> Result<Exit, Error> {
    let folder = tempfile::Builder::new()
        .prefix("refpost-demo-")
        .tempdir()
        .doing("create a folder in", &std::env::temp_dir())?;
    let root = folder.path().canonicalize().doing("find", folder.path())?;
    let site = Site { root };
    let key = ctx.fresh_key()?;
    let receiver = Receiver::start(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = receiver.address;
    let format = args.format.unwrap_or_default();
    site.set_up(format, &key, address)?;
    let messages = if format == Format::Pagure { PAGURES } else { 1 };

    report::text("Alice pushes to a bare repository whose post-receive hook is refpost:\n\n");
    site.push("README")?;
    let (proof, keys) = if format.needs_no_key() {
        (
            "taken unsigned: a chat knows by the URL who may post",
            &[][..],
        )
    } else {
        ("signature verified", std::slice::from_ref(&key))
    };
    let mut message = receiver.next(keys)?;
    for _ in 1..messages {
        message = message.and(receiver.next(keys)?);
    }
    let Some(message) = message else {
        return Ok(Exit::No);
    };
    report::text("\nThe receiver got this message (shortened):\n\n");
    show(&message);
    report::text(&format!("\n    {proof}\n"));

    report::text("\nThe receiver goes down, and she pushes again:\n\n");
    receiver.stop();
    site.push("NEWS")?;
    site.show(&["refpost", "status", "demo.git"])?;

    report::text(
        "\nThe receiver is back. The next attempt is due in a minute; she does not wait:\n\n",
    );
    let receiver = Receiver::start(address)?;
    site.show(&["refpost", "queue", "retry", "--all", "--repo", "demo.git"])?;
    if receiver.next(keys)?.is_none() {
        return Ok(Exit::No);
    }
    report::text(&format!(
        "\nThe receiver got the second push:\n\n    {proof}\n"
    ));
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if site
            .run(&["refpost", "status", "demo.git"])?
            .contains("healthy")
        {
            break;
        }
        thread::sleep(PAUSE);
    }
    site.show(&["refpost", "status", "demo.git"])?;
    site.remove(folder)?;
    Ok(Exit::Well)
}

/// The folder with the repositories, in which git and refpost run without any configuration of
/// the user or the system.
struct Site {
    root: PathBuf,
}

impl Site {
    /// Makes a bare repository with hook and configuration, and one to push from.
    fn set_up(&self, format: Format, key: &Secret, address: SocketAddr) -> Result<(), Error> {
        let bare = self.root.join("demo.git");
        self.write("empty", "")?;
        self.run(&["git", "init", "--quiet", "--bare", "demo.git"])?;
        self.run(&[
            "git",
            "--git-dir=demo.git",
            "symbolic-ref",
            "HEAD",
            "refs/heads/main",
        ])?;
        self.run(&["git", "init", "--quiet", "work"])?;
        self.run(&[
            "git",
            "-C",
            "work",
            "remote",
            "add",
            "origin",
            "../demo.git",
        ])?;
        Hook::new(&bare.join("hooks"), "post-receive").enable(&own_binary()?)?;
        let secret = if format.needs_no_key() {
            ""
        } else {
            "key_file = \"key\"\n"
        };
        let text = format!(
            "mode = \"sync\"\n[[endpoint]]\nname = \"receiver\"\nurl = \"http://{address}/hook\"\n\
             format = \"{}\"\n{secret}",
            format.name()
        );
        self.write(&format!("demo.git/{REPOSITORY_FILE}"), &text)?;
        self.write("demo.git/key", key.expose())?;
        restrict(&bare.join("key"))
    }

    /// Commits a file and pushes the commit.
    fn push(&self, file: &str) -> Result<(), Error> {
        self.write(&format!("work/{file}"), "A ref moves, a POST goes out.\n")?;
        self.run(&["git", "-C", "work", "add", file])?;
        self.run(&["git", "-C", "work", "commit", "--quiet", "-m", file])?;
        self.show(&[
            "git",
            "-C",
            "work",
            "push",
            "--quiet",
            "origin",
            "HEAD:main",
        ])
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.root.join(name);
        fs::write(&path, text).doing("write", &path)
    }

    /// Prints a command and its output.
    fn show(&self, command: &[&str]) -> Result<(), Error> {
        report::line(&format!("    $ {}", command.join(" ")));
        for line in self.run(command)?.lines() {
            report::line(&format!("    {}", line.trim_end()));
        }
        Ok(())
    }

    /// Runs git or refpost and returns its output, in which paths begin at the folder.
    fn run(&self, command: &[&str]) -> Result<String, Error> {
        let name = command[0];
        let program = match name {
            "refpost" => own_binary()?,
            git => PathBuf::from(git),
        };
        let kept = ["PATH", "TMPDIR"].map(|name| (name, std::env::var_os(name)));
        let output = Command::new(&program)
            .args(&command[1..])
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .env_clear()
            .envs(
                kept.into_iter()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("HOME", &self.root)
            .env("REFPOST_CONFIG", self.root.join("empty"))
            .env("REFPOST_PUSHER", "alice")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.root.join("empty"))
            .env("GIT_AUTHOR_NAME", "Alice")
            .env("GIT_AUTHOR_EMAIL", "alice@example.org")
            .env("GIT_COMMITTER_NAME", "Alice")
            .env("GIT_COMMITTER_EMAIL", "alice@example.org")
            .output()
            .doing("run", &program)?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        if output.status.success() {
            Ok(text.replace(&format!("{}/", self.root.display()), ""))
        } else {
            report::say(&text);
            Err(Error::failed(format!("{name} failed")))
        }
    }

    /// Removes the folder. A flush near its end may still make files in it.
    fn remove(&self, folder: tempfile::TempDir) -> Result<(), Error> {
        let path = folder.keep();
        let mut removed = fs::remove_dir_all(&path);
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            match &removed {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    thread::sleep(PAUSE);
                    removed = fs::remove_dir_all(&path);
                }
                _ => break,
            }
        }
        removed.doing("remove", &self.root)
    }
}

/// A receiver that can go down.
struct Receiver {
    address: SocketAddr,
    listener: TcpListener,
    arrivals: mpsc::Receiver<Received>,
    thread: JoinHandle<io::Result<()>>,
}

impl Receiver {
    fn start(address: SocketAddr) -> Result<Self, Error> {
        let place = address.to_string();
        let place = Path::new(&place);
        let listener = TcpListener::bind(address).doing("listen on", place)?;
        let address = listener.local_addr().doing("listen on", place)?;
        let served = listener.try_clone().doing("listen on", place)?;
        let (sender, arrivals) = mpsc::channel();
        let thread = thread::spawn(move || {
            receiver::serve(&served, &move |received| drop(sender.send(received)))
        });
        Ok(Self {
            address,
            listener,
            arrivals,
            thread,
        })
    }

    /// Returns the next message. Returns `None`, and prints it, if its signature is wrong. Without
    /// keys none is wanted.
    fn next(&self, keys: &[Secret]) -> Result<Option<Received>, Error> {
        let received = self
            .arrivals
            .recv_timeout(PATIENCE)
            .map_err(|_| Error::failed("the message did not arrive"))?;
        if keys.is_empty() || received.verify(keys) == Verdict::Verified {
            return Ok(Some(received));
        }
        listen::show(&received, keys);
        Ok(None)
    }

    /// Frees the port: connections are refused from then on.
    fn stop(self) {
        // Ends the wait for connections, with an error.
        socket2::SockRef::from(&self.listener)
            .shutdown(Shutdown::Both)
            .ok();
        self.thread.join().ok();
    }
}

/// Prints the parts of a message that differ from push to push.
fn show(received: &Received) {
    report::line(&format!(
        "    {}",
        report::printable(&received.request_line)
    ));
    for (name, value) in &received.headers {
        if name.starts_with("X-") || name.starts_with("webhook-") {
            let value = shortened(value);
            report::line(&format!("    {name}: {}", report::printable(&value)));
        }
    }
    report::line("");
    let body = serde_json::from_slice::<Value>(&received.body).unwrap_or_default();
    for line in laid_out(&body).lines() {
        report::line(&format!("    {}", report::printable(line)));
    }
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(VALUE) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// Lays out the parts of a body that are shown, `…` in place of the others.
fn laid_out(body: &Value) -> String {
    let Value::Object(parts) = body else {
        return body.to_string();
    };
    let mut text = "{\n".to_owned();
    for (name, value) in parts {
        if SHOWN.contains(&name.as_str()) {
            let value = match name.as_str() {
                "msg" => laid_out(value).replace('\n', "\n  "),
                _ => value.to_string(),
            };
            text.push_str("  \"");
            text.push_str(name);
            text.push_str("\": ");
            text.push_str(&value);
            text.push_str(",\n");
        }
    }
    text.push_str("  …\n}");
    text
}

/// Lets only the owner read a key: refpost refuses other keys.
fn restrict(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).doing("restrict", path)
}
