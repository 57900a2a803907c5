//! A bare repository that refpost spools for, and git with nothing of this machine's
//! configuration.

use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

pub(crate) const REFPOST: &str = env!("CARGO_BIN_EXE_refpost");

/// The id of no object.
pub(crate) const ZEROS: &str = "0000000000000000000000000000000000000000";

/// How many people take turns in writing commits.
const AUTHORS: usize = 1000;

pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) bare: PathBuf,
}

impl Site {
    pub(crate) fn new() -> Self {
        let prefix = "refpost-bench-";
        let folder = tempfile::Builder::new().prefix(prefix).tempdir().unwrap();
        let bare = folder.path().join("bench.git");
        fs::create_dir(&bare).unwrap();
        fs::write(folder.path().join("server.toml"), "").unwrap();
        let site = Self { folder, bare };
        site.git(&["init", "-q", "--bare", "-b", "main"], "");
        site.configure(&["http://127.0.0.1:9/hook"], "");
        site
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the configuration: spooled, signed, for these URLs, and what `more` says.
    pub(crate) fn configure(&self, urls: &[&str], more: &str) {
        self.configure_alone(&format!("urls = {urls:?}\n{more}"));
    }

    /// Writes the configuration: spooled, signed, and what `text` says.
    pub(crate) fn configure_alone(&self, text: &str) {
        let text =
            format!("mode = \"spool\"\nquiet = true\nkey = \"0123456789abcdef0123\"\n{text}");
        let file = self.bare.join("refpost.toml");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// A command in the repository.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let config = self.folder().join("server.toml");
        let mut command = Command::new(program.as_ref());
        command.env_clear().current_dir(&self.bare);
        // As a service has it: no wrappers of a person's own before git and python3.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("HOME", self.folder());
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("REFPOST_CONFIG", config);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada");
            command.env(format!("GIT_{who}_EMAIL"), "ada@example.org");
        }
        command
    }

    /// What git prints.
    pub(crate) fn git(&self, args: &[&str], input: &str) -> String {
        let mut command = self.command("git");
        run(command.args(args), input).trim().to_owned()
    }

    /// refpost as a hook.
    pub(crate) fn hook(&self, name: &str) -> Command {
        let mut command = self.command(REFPOST);
        command.args(["hook", name]).env("GIT_DIR", ".");
        command
    }

    /// Fills the repository through `git fast-import`.
    pub(crate) fn import(&self, write: impl FnOnce(&mut BufWriter<ChildStdin>)) {
        let mut command = self.command("git");
        command
            .args(["fast-import", "--quiet"])
            .stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut to = BufWriter::new(child.stdin.take().unwrap());
        write(&mut to);
        to.flush().unwrap();
        drop(to);
        assert!(child.wait().unwrap().success());
    }

    /// The line of a branch that was created.
    pub(crate) fn created(&self, branch: &str) -> String {
        self.line(ZEROS, branch)
    }

    /// The line of a branch that was at `old`.
    pub(crate) fn moved(&self, branch: &str, old: &str) -> String {
        let old = self.git(&["rev-parse", old], "");
        self.line(&old, branch)
    }

    /// The lines of all refs of this kind, created by one push, or moved from what
    /// `old`, one of git's formats, has for each.
    pub(crate) fn all(&self, pattern: &str, old: &str) -> String {
        let format = format!("--format={old} %(objectname) %(refname)");
        self.git(&["for-each-ref", &format, pattern], "") + "\n"
    }

    fn line(&self, old: &str, branch: &str) -> String {
        let name = format!("refs/heads/{branch}");
        let new = self.git(&["rev-parse", &name], "");
        format!("{old} {new} {name}\n")
    }

    /// git takes this extension, which changes nothing, and libgit2 refuses it.
    pub(crate) fn read_through_git(&self, through_git: bool) {
        let only_git = "[core]\nrepositoryformatversion = 1\n[extensions]\nnoop-v1 = true\n";
        let config = self.bare.join("config");
        let mut text = fs::read_to_string(&config).unwrap().replace(only_git, "");
        if through_git {
            text.push_str(only_git);
        }
        fs::write(&config, text).unwrap();
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.bare.join("refpost/spool")
    }

    /// A flush of this repository, which has nothing to say.
    pub(crate) fn flush(&self) -> Command {
        let mut command = self.command(REFPOST);
        command.args(["flush", "--json", "."]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Removes what was spooled.
    pub(crate) fn forget(&self) {
        fs::remove_dir_all(self.bare.join("refpost")).ok();
    }
}

/// Runs a command that has nothing to complain of; gives what it prints.
pub(crate) fn run(command: &mut Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who reads no input has ended already.
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Writes commit n for `git fast-import`, with the mark n + 1; `from` is a commit, or
/// else it follows the branch's last.
pub(crate) fn commit(to: &mut impl Write, branch: &str, n: usize, from: Option<&str>) {
    let (who, time) = (n % AUTHORS, 1_600_000_000 + n);
    write!(
        to,
        "commit refs/heads/{branch}\nmark :{}\nauthor Author {who} <a{who}@example.org> {time} +0000\n\
         committer C <c@example.org> {time} +0000\ndata 8\nmessage\n",
        n + 1
    )
    .unwrap();
    if let Some(from) = from {
        writeln!(to, "from {from}").unwrap();
    }
}

/// Writes a file of the commit that was begun.
pub(crate) fn file(to: &mut impl Write, path: &str, text: &str) {
    write!(to, "M 644 inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
}
