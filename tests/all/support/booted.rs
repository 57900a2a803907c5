//! A Debian that systemd has booted, in a container: units run under all that they say.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::spooled::eventually;
use super::{REFPOST, Ran, Receiver};

/// Set by `.ci/run --long`: the folder of a Debian with systemd, git, Postfix and a mail program.
const DEBIAN: &str = "REFPOST_TEST_BOOTED";

/// Enters the cgroup `$1` and becomes the container, which leaves nothing in the machine's `/run`.
const BOOT: &str = "
mount -t tmpfs none /run
mount -t cgroup2 none /sys/fs/cgroup
mkdir /sys/fs/cgroup/$1
echo $$ >/sys/fs/cgroup/$1/cgroup.procs
shift
exec systemd-nspawn \"$@\"
";

/// Kills all that runs in the cgroup `$1`, and removes it.
const END: &str = "
mount -t cgroup2 none /sys/fs/cgroup
cd /sys/fs/cgroup/$1
echo 1 >cgroup.kill
until grep -q 'populated 0' cgroup.events; do sleep 0.1; done
find . -mindepth 1 -depth -type d -exec rmdir {} +
cd ..
rmdir $1
";

/// One at a time: they share the folder, of which each sees a copy of its own.
static ONE: Mutex<()> = Mutex::new(());

pub(crate) struct Booted {
    pub(crate) receiver: Receiver,
    container: Child,
    name: String,
    _one: MutexGuard<'static, ()>,
}

/// A push: its commit, and what it was told.
pub(crate) struct Pushed {
    pub(crate) commit: String,
    pub(crate) said: String,
}

impl Booted {
    /// Has the network of the machine, and so the receiver on its loopback.
    pub(crate) fn new() -> Option<Self> {
        let Some(debian) = std::env::var_os(DEBIAN) else {
            eprintln!("warning: {DEBIAN} is not set: no unit is run");
            return None;
        };
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("refpost-{}", std::process::id());
        let mut boot = Command::new("unshare");
        boot.args(["--mount", "sh", "-ec", BOOT, "sh", &name]);
        boot.args(["--quiet", "--boot", "--volatile=overlay", "--register=no"]);
        boot.args(["--keep-unit", "--console=pipe", "--machine", &name]);
        boot.arg(format!("--bind-ro={}:/src", env!("CARGO_MANIFEST_DIR")));
        boot.arg(format!("--bind-ro={REFPOST}:/build/release/refpost"));
        boot.arg("--directory").arg(debian);
        boot.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        let container = boot.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let booted = Self {
            receiver: Receiver::start(),
            container: container.unwrap(),
            name,
            _one: one,
        };
        eventually("it has booted", || {
            booted.try_root("systemctl is-system-running").stdout == "running\n"
        });
        Some(booted)
    }

    /// Runs a shell line in it as root.
    pub(crate) fn try_root(&self, line: &str) -> Ran {
        self.run(line, b"")
    }

    /// The same; it must succeed. Returns its output.
    #[track_caller]
    pub(crate) fn root(&self, line: &str) -> String {
        let ran = self.try_root(line);
        let (out, err) = (&ran.stdout, &ran.stderr);
        assert_eq!(
            ran.status,
            0,
            "{line}: {out}{err}\n{}",
            self.journal("'refpost*'")
        );
        ran.stdout
    }

    #[track_caller]
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let line = format!("mkdir -p $(dirname {path}); cat >{path}");
        assert_eq!(self.run(&line, bytes.as_ref()).status, 0, "{path}");
    }

    fn run(&self, line: &str, input: &[u8]) -> Ran {
        let pid = self.container.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let init = children.split(' ').next().filter(|it| !it.is_empty());
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", init.unwrap_or("none")]);
        command.args(["sh", "-ec", line]).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command
            .env("HOME", "/root")
            .env("CARGO_TARGET_DIR", "/build");
        let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = streams.stderr(Stdio::piped()).spawn().unwrap();
        // One that reads nothing may have ended.
        child.stdin.take().unwrap().write_all(input).ok();
        let output = child.wait_with_output().unwrap();
        Ran {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }

    /// Installs refpost as a README reader does, from the binary that was built.
    #[track_caller]
    pub(crate) fn install(&self, commands: &str) {
        self.root(&commands.replace("./install.sh", "/src/install.sh --no-build"));
    }

    /// What `systemctl edit` writes.
    #[track_caller]
    pub(crate) fn edit(&self, unit: &str, text: &str) {
        self.write(&format!("/etc/systemd/system/{unit}.d/override.conf"), text);
        self.root("systemctl daemon-reload");
    }

    /// A property of a unit.
    #[track_caller]
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        let value = self.root(&format!("systemctl show --property {name} --value {unit}"));
        value.trim_end().to_owned()
    }

    /// What refpost and what it runs said: priority and text of each line.
    pub(crate) fn journal(&self, unit: &str) -> String {
        let line = format!("journalctl --quiet --output json --unit {unit}");
        let lines = self.try_root(&line).stdout;
        let line = |line| {
            let it: serde_json::Value = serde_json::from_str(line).ok()?;
            let (priority, text) = (it["PRIORITY"].as_str()?, it["MESSAGE"].as_str()?);
            Some(format!("<{priority}>{text}\n"))
        };
        lines.lines().filter_map(line).collect()
    }

    /// A bare repository of an account's, which is made with its first.
    #[track_caller]
    pub(crate) fn repository(&self, account: &str, path: &str) {
        self.root(&format!(
            "id -u {account} >/dev/null 2>&1 || useradd --create-home --shell /bin/sh {account}
             install -d -o {account} -g {account} $(dirname {path})
             runuser -l {account} -c 'git init -q --bare {path} && refpost enable {path}'"
        ));
    }

    /// Pushes a new branch as an account.
    #[track_caller]
    pub(crate) fn push(&self, account: &str, path: &str) -> Pushed {
        let said = self.root(&format!(
            "runuser -l {account} -c 'w=$(mktemp -d) && cd $w && git init -q &&
             git -c user.name=A -c user.email=a@example.org commit -q --allow-empty -m $w &&
             git rev-parse HEAD && git push -q {path} HEAD:refs/heads/$(basename $w) 2>&1'"
        ));
        let (commit, said) = said.split_once('\n').unwrap();
        let (commit, said) = (commit.to_owned(), said.to_owned());
        Pushed { commit, said }
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        let end = ["--mount", "sh", "-ec", END, "sh", &self.name];
        Command::new("unshare").args(end).status().ok();
        self.container.wait().ok();
    }
}

/// The fenced block that follows this text on a page of the docs.
#[track_caller]
pub(crate) fn documented(page: &str, behind: &str) -> String {
    let path = format!("{}/docs/guides/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(behind).expect(behind);
    let mut parts = rest.split("```").skip(1);
    let block = parts.next().unwrap();
    let (_language, block) = block.split_once('\n').unwrap();
    block.to_owned()
}
