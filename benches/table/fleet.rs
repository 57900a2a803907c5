//! Handing entries to a broker, beside a bare client that publishes bodies of that size, and taking
//! them from it, beside making files of that size durable.
//!
//! `REFPOST_BENCH_BROKER=amqp://USER:PASSWORD@HOST/VHOST` names a broker with
//! contrib/rabbitmq-definitions.json in that virtual host, and a user with all rights there. Its queue
//! is emptied.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use amqprs::callbacks::{ChannelCallback, DefaultChannelCallback};
use amqprs::channel::{
    BasicPublishArguments, Channel, ConfirmSelectArguments, QueuePurgeArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use async_trait::async_trait;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::entries::Template;
use crate::measure::{median, time, watch};
use crate::site::{REFPOST, Site};
use crate::table::{self, Row};

const ROUNDS: usize = 3;
/// About what an entry of one commit takes on disk.
const SIZE: usize = 2048;
/// Entries that are on their way at once, at most.
const WINDOW: usize = 64;
/// Entries whose names are made durable at once.
const BATCH: usize = 32;
/// The account that takes entries, which is not root.
const NOBODY: u32 = 65534;

pub(crate) fn measure() {
    table::part("handing over and taking entries of 2 KiB");
    let Ok(url) = std::env::var("REFPOST_BENCH_BROKER") else {
        table::fact("REFPOST_BENCH_BROKER is not set", "-");
        return;
    };
    hand_over(&url, 1, 2000, 0.7);
    hand_over(&url, WINDOW, 12_800, 0.6);
    take(&url, 5000);
}

/// A server with so many repositories that hands over.
struct Fleet {
    site: Site,
    repositories: Vec<PathBuf>,
    template: Template,
}

impl Fleet {
    fn new(url: &str, repositories: usize) -> Self {
        let site = Site::new();
        let root = site.folder().join("srv");
        let text = format!(
            "root = \"{}\"\nmode = \"spool\"\nunsigned = true\nmax_spool = 0\n[[endpoint]]\nname = \"ci\"\n\
             url = \"http://127.0.0.1:9/\"\npaused = true\n[broker]\nurl = \"{url}\"\n[worker]\nspool = \"{}\"\n",
            // The repository of the template lies there, too.
            site.folder().display(),
            site.folder().join("worker").display()
        );
        let config = site.folder().join("server.toml");
        fs::write(&config, text).unwrap();
        fs::set_permissions(&config, PermissionsExt::from_mode(0o600)).unwrap();
        fs::remove_file(site.bare.join("refpost.toml")).unwrap();
        let template = Template::new(&site);
        fs::create_dir(&root).unwrap();
        let name = |n: usize| root.join(format!("r{n}.git"));
        let repositories: Vec<_> = (0..repositories).map(name).collect();
        for repository in &repositories {
            let mut copy = Command::new("cp");
            copy.arg("-r").arg(&site.bare).arg(repository);
            assert!(copy.status().unwrap().success());
        }
        Self {
            site,
            repositories,
            template,
        }
    }

    /// Writes so many entries, in turns for each repository.
    fn fill(&self, bodies: &[Vec<u8>]) {
        for (n, body) in bodies.iter().enumerate() {
            let repository = &self.repositories[n % self.repositories.len()];
            let entry = self.template.entry_of(n, body, repository);
            let new = repository.join("refpost/spool/new");
            fs::write(new.join(self.template.id(n)), entry).unwrap();
        }
        nix::unistd::sync();
    }

    fn flush(&self) -> Command {
        let mut command = self.site.command(REFPOST);
        command.args(["flush", "--strict", "--server"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

fn hand_over(url: &str, repositories: usize, entries: usize, bar: f64) {
    let fleet = Fleet::new(url, repositories);
    let bodies: Vec<_> = (0..entries).map(|n| fleet.template.body(n, SIZE)).collect();
    let (mut flushes, mut clients) = (vec![], vec![]);
    purge(url);
    for _ in 0..ROUNDS {
        fleet.fill(&bodies);
        flushes.push(time(|| assert!(fleet.flush().status().unwrap().success())));
        assert_eq!(purge(url), entries);
        let window = repositories.min(WINDOW);
        clients.push(time(|| publish(url, &bodies, window)));
        assert_eq!(purge(url), entries);
    }
    table::row(&Row {
        what: format!("{entries} entries of {repositories} repositories"),
        peer: "a bare client, as many on their way",
        cost: median(flushes),
        peer_cost: median(clients),
        most: Some(1.0 / bar),
        ..Row::default()
    });
}

fn take(url: &str, entries: usize) {
    let fleet = Fleet::new(url, 1);
    let bodies: Vec<_> = (0..entries).map(|n| fleet.template.body(n, SIZE)).collect();
    let (mut takes, mut writes, mut memory) = (vec![], vec![], 0);
    let folder = fleet.site.folder();
    fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    let worker = folder.join("worker");
    for _ in 0..ROUNDS {
        fleet.fill(&bodies);
        assert!(fleet.flush().status().unwrap().success());
        let config = folder.join("server.toml");
        chown(&config, Some(NOBODY), None).unwrap();
        fs::create_dir(&worker).unwrap();
        fs::set_permissions(&worker, PermissionsExt::from_mode(0o700)).unwrap();
        chown(&worker, Some(NOBODY), None).unwrap();
        let mut command = fleet.site.command(REFPOST);
        command.args(["work", "--once"]).current_dir("/");
        command
            .uid(NOBODY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        takes.push(time(|| {
            memory = memory.max(watch(&mut command.spawn().unwrap()));
        }));
        let count = fs::read_dir(worker.join("retry/ci")).unwrap().count();
        assert_eq!(count, entries);
        writes.push(time(|| write(&folder.join("files"), &bodies)));
        fs::remove_dir_all(&worker).unwrap();
        chown(&config, Some(0), None).unwrap();
    }
    table::row(&Row {
        what: format!("a worker that takes {entries} entries"),
        peer: "files, fsync(2) of each and of 32 names",
        cost: median(takes),
        peer_cost: median(writes),
        most: Some(1.0 / 0.5),
        memory: Some(memory),
    });
}

/// Makes a file of each body durable.
fn write(folder: &Path, bodies: &[Vec<u8>]) {
    fs::create_dir_all(folder).unwrap();
    let names = File::open(folder).unwrap();
    for (batch, bodies) in bodies.chunks(BATCH).enumerate() {
        for (n, body) in bodies.iter().enumerate() {
            let tmp = folder.join(format!("{batch}-{n}.tmp"));
            let mut file = File::create_new(&tmp).unwrap();
            file.write_all(body).unwrap();
            file.sync_all().unwrap();
            fs::rename(&tmp, folder.join(format!("{batch}-{n}"))).unwrap();
        }
        names.sync_all().unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

/// A channel's ear for confirms.
struct Confirms(UnboundedSender<(u64, bool)>);

#[async_trait]
impl ChannelCallback for Confirms {
    async fn close(
        &mut self,
        _: &Channel,
        close: CloseChannel,
    ) -> Result<(), amqprs::error::Error> {
        panic!("{close:?}");
    }
    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }
    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }
    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.0.send((ack.delivery_tag(), ack.mutiple())).ok();
    }
    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        panic!("{nack:?}");
    }
    async fn publish_return(&mut self, _: &Channel, own: Return, _: BasicProperties, _: Vec<u8>) {
        panic!("{own:?}");
    }
}

/// Publishes bodies, so many at once without a confirm.
fn publish(url: &str, bodies: &[Vec<u8>], window: usize) {
    let (ear, mut heard) = unbounded_channel();
    on_channel(url, async |channel| {
        channel.register_callback(Confirms(ear)).await.unwrap();
        let confirms = ConfirmSelectArguments::default();
        channel.confirm_select(confirms).await.unwrap();
        let mut waiting = VecDeque::new();
        for (n, body) in bodies.iter().enumerate() {
            if waiting.len() == window {
                let (tag, is_multiple) = heard.recv().await.unwrap();
                waiting.retain(|&own| own != tag && !(is_multiple && own < tag));
            }
            let mut properties = BasicProperties::default();
            properties.with_delivery_mode(2);
            let mut to = BasicPublishArguments::new("refpost", "0");
            to.mandatory(true);
            let sent = channel.basic_publish(properties, body.clone(), to);
            sent.await.unwrap();
            waiting.push_back(n as u64 + 1);
        }
        while !waiting.is_empty() {
            let (tag, is_multiple) = heard.recv().await.unwrap();
            waiting.retain(|&own| own != tag && !(is_multiple && own < tag));
        }
    });
}

/// Empties the broker's queue. Returns the number of entries in it.
fn purge(url: &str) -> usize {
    on_channel(url, async |channel| {
        channel
            .register_callback(DefaultChannelCallback)
            .await
            .unwrap();
        let queue = QueuePurgeArguments::new("refpost.0");
        let count = channel.queue_purge(queue).await.unwrap();
        usize::try_from(count.unwrap()).unwrap()
    })
}

fn on_channel<T>(url: &str, act: impl AsyncFnOnce(&Channel) -> T) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let done = runtime.block_on(async {
        let url = url::Url::parse(url).unwrap();
        let (user, password) = (url.username(), url.password().unwrap());
        let (host, port) = (url.host_str().unwrap(), url.port().unwrap_or(5672));
        let mut arguments = OpenConnectionArguments::new(host, port, user, password);
        arguments.virtual_host(url.path().trim_start_matches('/'));
        let connection = Connection::open(&arguments).await.unwrap();
        let channel = connection.open_channel(None).await.unwrap();
        let done = act(&channel).await;
        connection.close().await.ok();
        done
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}
