//! A bare repository whose pushes go into a spool.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::REFPOST;

/// A bare repository with two commits, which announces to some URLs.
pub struct Site {
    pub folder: PathBuf,
    pub bare: PathBuf,
    /// What git writes to the hook.
    update: String,
}

impl Site {
    pub fn new(folder: &Path, urls: &[String]) -> Self {
        let bare = folder.join("bench.git");
        let mut site = Self {
            folder: folder.to_owned(),
            bare,
            update: String::new(),
        };
        fs::write(folder.join("none"), "").unwrap();
        let bare = site.bare.to_str().unwrap().to_owned();
        site.run("git", &["init", "-q", "--bare", "-b", "main", &bare], "");
        let commit = |n: u8| {
            format!(
                "commit refs/heads/main\ncommitter Ada <ada@example.org> 17000000{n}0 +0000\n\
                 data 6\nchange\nM 100644 inline file\ndata 2\n{n}\n\n"
            )
        };
        let commits = [commit(0), commit(1)].concat();
        site.run("git", &["-C", &bare, "fast-import", "--quiet"], &commits);
        let log = site.run("git", &["-C", &bare, "rev-list", "main"], "");
        let [new, old] = log.lines().collect::<Vec<_>>()[..] else {
            panic!("two commits")
        };
        site.update = format!("{old} {new} refs/heads/main\n");
        site.announce_to(urls);
        site
    }

    /// From now on pushes are announced to these, signed.
    pub fn announce_to(&self, urls: &[String]) {
        let urls = urls.iter().map(|url| format!("{url:?}"));
        let urls = urls.collect::<Vec<_>>().join(", ");
        let config = format!(
            "mode = \"spool\"\nquiet = true\nkey = \"0123456789abcdef0123\"\nurls = [{urls}]\n"
        );
        fs::write(self.bare.join("refpost.toml"), config).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(self.bare.join("refpost.toml"), mode).unwrap();
    }

    /// Runs a command to its end, with nothing of this machine's configuration.
    pub fn run(&self, program: &str, args: &[&str], input: &str) -> String {
        let mut command = self.command(program, args);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{program} {args:?}: {said}"
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command with nothing of this machine's configuration.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_GLOBAL", self.folder.join("none"));
        command.env("REFPOST_CONFIG", self.folder.join("none"));
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Enqueues an entry, as git has it done.
    pub fn hook(&self) {
        let mut command = self.command(REFPOST, &["hook", "post-receive"]);
        command.stdin(Stdio::piped()).current_dir(&self.bare);
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(self.update.as_bytes()).unwrap();
        drop(input);
        assert!(child.wait().unwrap().success());
    }

    pub fn spool(&self) -> PathBuf {
        self.bare.join("refpost/spool")
    }

    /// A flush of this repository, which has nothing to say.
    pub fn flush(&self) -> Command {
        let mut command = self.command(REFPOST, &["flush", "--json"]);
        command.arg(&self.bare).stdout(Stdio::null());
        command
    }
}
