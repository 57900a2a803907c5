//! Real hosts: what must be installed for them, accounts, sshd.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::User;

use super::{Accounts, Ran, Runner, find, left_out};

/// Whether these programs are there, by Debian's packages. If not, the test is left out.
pub(crate) fn has_host(needed: &[(&str, &str)]) -> bool {
    let missing: Vec<_> = needed
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(program, package)| format!("`{program}` (Debian: {package})"))
        .collect();
    if missing.is_empty() {
        return true;
    }
    super::leave_out(&format!("cannot find {}", missing.join(", ")));
    false
}

/// As [`has_host`], where accounts must be made too: by root, and only with `REFPOST_TEST_ALL`.
pub(crate) fn has_host_and_accounts(needed: &[(&str, &str)]) -> bool {
    if !left_out::is_forbidden() {
        super::leave_out("REFPOST_TEST_ALL is not set: hosts that need accounts are not tested");
        return false;
    }
    if !nix::unistd::geteuid().is_root() {
        super::leave_out("accounts can be made by root alone");
        return false;
    }
    has_host(needed)
}

/// An account of the system that goes with the test.
pub(crate) struct SystemAccount {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) home: PathBuf,
}

/// How many accounts this process has made: tests run side by side.
static MADE: AtomicU32 = AtomicU32::new(0);

/// useradd(8) waits a second if another one is running.
static ACCOUNTS: Mutex<()> = Mutex::new(());

impl SystemAccount {
    /// An account with this role, whose home is in the test's folder.
    pub(crate) fn new(accounts: &Accounts, role: &str) -> Self {
        Self::with(accounts, role, &[])
    }

    /// The same in the group of another.
    pub(crate) fn in_group(accounts: &Accounts, role: &str, other: &Self) -> Self {
        Self::with(accounts, role, &["--groups", &other.name])
    }

    fn with(accounts: &Accounts, role: &str, more: &[&str]) -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("rp{}-{number}{role}", std::process::id());
        let home = accounts.path(&format!("home-{role}"));
        fs::create_dir(&home).unwrap();
        let options = ["--system", "--user-group", "--no-create-home"];
        let line = ["--shell", "/bin/sh", "--password", "*", "--home-dir"];
        run_as_root(
            Command::new("/usr/sbin/useradd")
                .args(options)
                .args(more)
                .args(line)
                .arg(&home)
                .arg(&name),
        );
        let user = User::from_name(&name).unwrap().unwrap();
        chown(&home, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        Self {
            uid: user.uid.as_raw(),
            home,
            name,
        }
    }

    /// A command as this account, with nothing of our environment.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", &self.home)
            .env("USER", &self.name)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .uid(self.uid)
            .gid(User::from_name(&self.name).unwrap().unwrap().gid.as_raw());
        command
    }

    /// A shell line as this account; it must succeed.
    #[track_caller]
    pub(crate) fn shell(&self, line: &str) -> Ran {
        let ran = Accounts::run(self.command("/bin/sh").args(["-ec", line]));
        assert_eq!(ran.status, 0, "{line}: {}", ran.stderr);
        ran
    }

    /// Writes a file of this account's that it alone can read.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        super::set_mode(&path, 0o600);
        let gid = fs::metadata(&self.home).map(|meta| std::os::unix::fs::MetadataExt::gid(&meta));
        chown(&path, Some(self.uid), gid.ok()).unwrap();
        chown(path.parent().unwrap(), Some(self.uid), None).unwrap();
        path
    }
}

impl Drop for SystemAccount {
    fn drop(&mut self) {
        let _one = ACCOUNTS
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut command = Command::new("/usr/sbin/userdel");
        command.arg("--force").arg(&self.name).output().ok();
    }
}

fn run_as_root(command: &mut Command) {
    let _one = ACCOUNTS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let ran = Accounts::run(command);
    assert_eq!(ran.status, 0, "{command:?}: {}", ran.stderr);
}

/// A port of loopback that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that was started; it ends with the test.
pub(crate) struct Server(Child);

impl Server {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(command: &mut Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let mut server = Self(child);
        let until = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.0.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {ended:?}");
            assert!(Instant::now() < until, "{command:?} does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The real sshd on loopback, with a configuration and a host key of its own.
pub(crate) struct Sshd {
    port: u16,
    folder: PathBuf,
    _server: Server,
}

impl Sshd {
    pub(crate) fn start(accounts: &Accounts) -> Self {
        let folder = accounts.path("ssh");
        fs::create_dir(&folder).unwrap();
        // As Debian's service does (tmpfiles.d(5) of openssh-server).
        fs::create_dir_all("/run/sshd").unwrap();
        let host_key = key(&folder, "host");
        let port = free_port();
        let config = folder.join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nMaxStartups 100\nLogLevel QUIET\n\
             PermitUserEnvironment REFPOST_PUSHER\n",
            host_key.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(find("sshd").unwrap());
        let command = command.args(["-D", "-e", "-f"]).arg(config);
        Self {
            port,
            _server: Server::start(command, port),
            folder,
        }
    }

    /// Makes a key pair; gives the public half.
    pub(crate) fn key(&self, name: &str) -> String {
        key(&self.folder, name);
        fs::read_to_string(self.folder.join(format!("{name}.pub"))).unwrap()
    }

    /// `ssh://ACCOUNT@…/PATH`.
    pub(crate) fn url(&self, account: &SystemAccount, path: &str) -> String {
        format!("ssh://{}@127.0.0.1:{}/{path}", account.name, self.port)
    }

    /// git that connects with the key of this name.
    pub(crate) fn git(
        &self,
        accounts: &Accounts,
        key: &str,
        folder: &Path,
        args: &[&str],
    ) -> Runner {
        let runner = accounts.environment.run("git");
        let runner = runner.dir(folder).args(args);
        runner.env("GIT_SSH_COMMAND", self.ssh(key))
    }

    /// ssh with the key of this name, which connects here whatever the host is called.
    pub(crate) fn ssh(&self, key: &str) -> String {
        format!(
            "ssh -F none -i {} -o IdentitiesOnly=yes -o BatchMode=yes -o HostName=127.0.0.1 \
             -o Port={} -o UserKnownHostsFile={} -o StrictHostKeyChecking=accept-new \
             -o LogLevel=ERROR",
            self.folder.join(key).display(),
            self.port,
            self.folder.join("known_hosts").display(),
        )
    }
}

fn key(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    path
}
