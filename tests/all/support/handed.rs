//! A git server, a real broker, and workers of another account.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::spooled::names;
use super::{Accounts, Background, REFPOST, RabbitMq, Ran, Receiver, Request, Runner, set_mode};

pub(crate) const KEY: &str = "a key that workers alone have";
pub(crate) const INSTANCE: &str = "https://git.example.org/";
/// The account of the workers. It has no name.
pub(crate) const WORKER: u32 = 61_234;

/// Root is the git server.
pub(crate) struct Handed {
    pub(crate) accounts: Accounts,
    pub(crate) broker: RabbitMq,
    pub(crate) receiver: Receiver,
}

impl Handed {
    /// With a broker that has so many queues. `None`: something is missing, which was said.
    pub(crate) fn new(shards: u32) -> Option<Self> {
        let accounts = Accounts::new()?;
        let broker = RabbitMq::of_fleet(&accounts.path("broker"), shards)?;
        let handed = Self {
            accounts,
            broker,
            receiver: Receiver::start(),
        };
        handed.accounts.folder("worker", WORKER);
        let key = handed.accounts.environment.write("worker/key", KEY);
        chown(&key, Some(WORKER), Some(WORKER)).unwrap();
        let broker = &handed.broker;
        handed.configure(&broker.url("git1"), "", &format!("shards = {shards}"));
        handed.configure_worker(
            "w",
            &broker.url("worker1"),
            &format!("shards = {shards}"),
            "",
        );
        Some(handed)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.accounts.path(name)
    }

    fn text(&self, top: &str, url: &str, broker: &str) -> String {
        format!(
            "root = \"{}\"\ninstance = \"{INSTANCE}\"\n{top}\n\
             [[endpoint]]\nname = \"ci\"\nurl = \"{}\"\n\
             headers = {{ X-Token = \"a-value-of-a-header\" }}\n\
             [broker]\nurl = \"{url}\"\n{broker}\n",
            self.path("srv").display(),
            self.receiver.url("/a-path-that-is-secret"),
        )
    }

    /// Writes the git server's file: keys of its top, and of `[broker]`.
    pub(crate) fn configure(&self, url: &str, top: &str, broker: &str) {
        let text = self.text(&format!("key_file = \"no/key\"\n{top}"), url, broker);
        self.accounts.environment.write("system.toml", text);
    }

    /// Writes the file of a worker: keys of `[broker]` and of `[worker]`. Its spool is `worker/NAME`.
    pub(crate) fn configure_worker(&self, name: &str, url: &str, broker: &str, worker: &str) {
        let text = self.text("key_file = \"worker/key\"", url, broker);
        let spool = self.path("worker").join(name);
        let text = format!(
            "{text}[worker]\nspool = \"{}\"\n{worker}\n",
            spool.display()
        );
        let file = self
            .accounts
            .environment
            .write(format!("{name}.toml"), text);
        chown(&file, Some(0), Some(WORKER)).unwrap();
        set_mode(&file, 0o640);
    }

    /// Makes a repository with the hook.
    pub(crate) fn repository(&self, name: &str) -> PathBuf {
        let bare = self.accounts.environment.bare(&format!("srv/{name}.git"));
        symlink(REFPOST, bare.join("hooks/post-receive")).unwrap();
        bare
    }

    /// The binary on the git server.
    pub(crate) fn refpost(&self, args: &[&str]) -> Runner {
        self.accounts.environment.refpost(args)
    }

    pub(crate) fn bare(&self, name: &str) -> PathBuf {
        self.path(&format!("srv/{name}.git"))
    }

    pub(crate) fn emit(&self, name: &str, topic: &str) {
        let run = self.refpost(&["emit", "--topic", topic]);
        let ran = run.arg(self.bare(name)).stdin("{}").run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
    }

    /// Flushes all of the git server.
    pub(crate) fn flush(&self) -> Ran {
        self.refpost(&["flush", "--server"]).run()
    }

    /// The same, whatever falls due later.
    pub(crate) fn flush_all(&self) {
        self.refpost(&["queue", "retry", "--all", "--server"]).run();
        self.flush();
    }

    /// What waits for the broker on the git server, in one repository's spool.
    pub(crate) fn waiting(&self, name: &str) -> usize {
        let spool = self.bare(name).join("refpost/spool");
        names(&spool.join("new")).len() + names(&spool.join("retry/@broker")).len()
    }

    /// The binary as a worker, about to run.
    pub(crate) fn as_worker(&self, name: &str, args: &[&str]) -> Command {
        let mut command = self.accounts.command(WORKER, &self.accounts.binary);
        let config = self.path(&format!("{name}.toml"));
        command.env("REFPOST_CONFIG", config).args(args);
        command
    }

    /// `work --once`, and so on, as a worker.
    #[track_caller]
    pub(crate) fn work(&self, name: &str, args: &[&str]) -> Ran {
        let ran = Accounts::run(self.as_worker(name, &["work"]).args(args));
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        ran
    }

    /// A worker, which runs.
    pub(crate) fn start(&self, name: &str) -> Background {
        let said = fs::File::options()
            .append(true)
            .create(true)
            .open(self.path(&format!("{name}.said")));
        let mut command = self.as_worker(name, &["work"]);
        command.stdout(Stdio::null()).stderr(said.unwrap());
        Background(command.spawn().unwrap())
    }

    /// What a worker said up to now.
    pub(crate) fn said(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.said"))).unwrap_or_default()
    }

    /// The names in a folder of a worker's spool.
    pub(crate) fn spooled(&self, name: &str, folder: &str) -> Vec<String> {
        names(&self.path("worker").join(name).join(folder))
    }
}

/// Project and topic of each message, in the order in which they came.
pub(crate) fn told(requests: &[Request]) -> Vec<String> {
    let told = requests.iter().map(|request| {
        let project = request.header("X-Pagure-Project").unwrap();
        let topic = request.header("X-Pagure-Topic").unwrap();
        format!("{project} {topic}")
    });
    told.collect()
}
