//! Debian's `RabbitMQ`, without systemd: on loopback, all of it below a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use amqprs::channel::{
    BasicPublishArguments, Channel, ExchangeDeleteArguments, QueueUnbindArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::{BasicProperties, DELIVERY_MODE_PERSISTENT};
use serde_json::{Value, json};

use super::free_port;
use super::running::{Running, is_missing, wait_for_port};
use super::spooled::eventually;

/// A broker, and Erlang's name server for it.
pub(crate) struct RabbitMq {
    pub(crate) port: u16,
    folder: PathBuf,
    /// The folder of its programs.
    programs: PathBuf,
    variables: Vec<(&'static str, String)>,
    server: Mutex<Option<Running>>,
    _names: Running,
}

/// Where Debian has the broker's programs, of whatever version.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/rabbitmq/lib").ok()?;
    let mut paths = versions.map(|entry| entry.unwrap().path().join("sbin"));
    paths.find(|path| path.join("rabbitmq-server").exists())
}

impl RabbitMq {
    /// One without queues. `None`: it is not installed, which was said.
    pub(crate) fn start(folder: &Path) -> Option<Self> {
        let Some(programs) = installed() else {
            is_missing("rabbitmq-server");
            return None;
        };
        fs::create_dir_all(folder).unwrap();
        let (port, names, distribution) = (free_port(), free_port(), free_port());
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\nlog.console = false\n\
             vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 64MB\n"
        );
        fs::write(folder.join("rabbitmq.conf"), config).unwrap();
        fs::write(folder.join("plugins"), "[].").unwrap();
        let mut epmd = Command::new("epmd");
        epmd.args(["-address", "127.0.0.1", "-port", &names.to_string()]);
        let log = fs::File::create(folder.join("epmd.log")).unwrap();
        let epmd = Running(epmd.stdout(log).spawn().unwrap());
        let path = |name: &str| folder.join(name).display().to_string();
        let one_thread = "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1";
        let variables = vec![
            ("HOME", path("")),
            ("LANG", "C.UTF-8".to_owned()),
            ("RABBITMQ_NODENAME", format!("refpost{port}@localhost")),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODE_PORT", port.to_string()),
            ("RABBITMQ_DIST_PORT", distribution.to_string()),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
            ("RABBITMQ_CONFIG_FILE", path("rabbitmq")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins")),
            ("RABBITMQ_MNESIA_BASE", path("mnesia")),
            ("RABBITMQ_LOG_BASE", path("log")),
            ("RABBITMQ_GENERATED_CONFIG_DIR", path("config")),
            ("RABBITMQ_PID_FILE", path("pid")),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", one_thread.to_owned()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("ERL_EPMD_PORT", names.to_string()),
            // So that it becomes the broker, rather than starting it.
            ("NOTIFY_SOCKET", "/dev/null".to_owned()),
        ];
        let broker = Self {
            port,
            folder: folder.to_owned(),
            programs,
            variables,
            server: Mutex::default(),
            _names: epmd,
        };
        broker.restart();
        Some(broker)
    }

    /// One that has what `contrib/rabbitmq-definitions.json` says, with so many queues; each user's
    /// password is `pw-USER`, and `guest` may do everything.
    pub(crate) fn of_fleet(folder: &Path, shards: u32) -> Option<Self> {
        if std::env::var_os("REFPOST_TEST_RECEIVERS").is_none() {
            eprintln!("left out: REFPOST_TEST_RECEIVERS is not set, and it takes minutes");
            return None;
        }
        let broker = Self::start(folder)?;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/rabbitmq-definitions.json");
        let text = fs::read_to_string(file).unwrap();
        let text = match shards {
            1 => text,
            _ => with_queues(&text, shards),
        };
        fs::write(folder.join("definitions.json"), text).unwrap();
        broker.ctl(&["await_startup"]);
        broker.define();
        Some(broker)
    }

    /// Gives it what its definitions say, and `guest` all rights.
    pub(crate) fn define(&self) {
        let definitions = self.folder.join("definitions.json");
        self.ctl(&["import_definitions", definitions.to_str().unwrap()]);
        for user in ["git1", "worker1"] {
            self.ctl(&["change_password", user, &format!("pw-{user}")]);
        }
        let all = ["guest", ".*", ".*", ".*"];
        self.ctl(&[&["set_permissions", "-p", "refpost"][..], &all].concat());
    }

    /// Its URL for this user.
    pub(crate) fn url(&self, user: &str) -> String {
        format!("amqp://{user}:pw-{user}@127.0.0.1:{}/refpost", self.port)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Kills it, as a power cut would, but for the disk.
    pub(crate) fn kill(&self) {
        *self.server.lock().unwrap() = None;
    }

    /// Starts it, and waits until it serves.
    pub(crate) fn restart(&self) {
        let log = || fs::File::create(self.folder.join("start.log")).unwrap();
        let mut command = self.command("rabbitmq-server");
        let server = command.stdout(log()).stderr(log()).spawn().unwrap();
        let mut server = Running(server);
        wait_for_port(self.port, &mut server);
        *self.server.lock().unwrap() = Some(server);
    }

    /// Asks it for something, as an administrator. Gives what it prints.
    #[track_caller]
    pub(crate) fn ctl(&self, args: &[&str]) -> String {
        let ran = self.command("rabbitmqctl").arg("-q").args(args).output();
        let ran = ran.unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{args:?}: {said}{wrong}");
        said
    }

    /// Waits until so many messages are in a queue, taken or not. The broker counts each 5 seconds.
    #[track_caller]
    pub(crate) fn wait_for(&self, queue: &str, count: u64) {
        eventually(&format!("{queue} has {count}"), || {
            self.messages(queue) == count
        });
    }

    /// The messages that were in a queue some seconds ago.
    pub(crate) fn messages(&self, queue: &str) -> u64 {
        self.number(queue, "messages")
    }

    /// The consumers of a queue, that which stands by too.
    pub(crate) fn consumers(&self, queue: &str) -> u64 {
        self.number(queue, "consumers")
    }

    fn number(&self, queue: &str, what: &str) -> u64 {
        let list = ["list_queues", "-p", "refpost", "name", what];
        let said = self.ctl(&[&list[..], &["--formatter", "json"]].concat());
        let all: Value = serde_json::from_str(&said).unwrap();
        let mut all = all.as_array().unwrap().iter();
        let own = all.find(|one| one["name"] == queue);
        let own = own.unwrap_or_else(|| panic!("{queue}: {said}"));
        own[what].as_u64().unwrap()
    }

    /// Publishes a message as a git server would, with a body that need not be an entry.
    pub(crate) fn publish(&self, user: Option<&str>, id: &str, body: &[u8]) {
        let login = user.unwrap_or("guest");
        let password = user.map_or("guest".to_owned(), |user| format!("pw-{user}"));
        let mut properties = BasicProperties::default();
        properties
            .with_delivery_mode(DELIVERY_MODE_PERSISTENT)
            .with_message_id(id);
        if let Some(user) = user {
            properties.with_user_id(user);
        }
        self.on_a_channel(login, &password, async |channel| {
            let to = BasicPublishArguments::new("refpost", "0");
            let published = channel.basic_publish(properties, body.to_vec(), to);
            published.await.unwrap();
        });
    }

    /// Takes a queue's binding away.
    pub(crate) fn unbind(&self, queue: &str, key: &str) {
        self.on_a_channel("guest", "guest", async |channel| {
            let binding = QueueUnbindArguments::new(queue, "refpost", key);
            channel.queue_unbind(binding).await.unwrap();
        });
    }

    /// Takes the exchange away.
    pub(crate) fn delete_exchange(&self) {
        self.on_a_channel("guest", "guest", async |channel| {
            let exchange = ExchangeDeleteArguments::new("refpost");
            channel.exchange_delete(exchange).await.unwrap();
        });
    }

    fn on_a_channel(&self, login: &str, password: &str, done: impl AsyncFnOnce(&Channel)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let mut arguments =
                OpenConnectionArguments::new("127.0.0.1", self.port, login, password);
            let connection = Connection::open(arguments.virtual_host("refpost"));
            let connection = connection.await.unwrap();
            let channel = connection.open_channel(None).await.unwrap();
            done(&channel).await;
            channel.close().await.unwrap();
            connection.close().await.unwrap();
        });
    }
}

/// Definitions with more queues like the first, each with its binding.
fn with_queues(text: &str, shards: u32) -> String {
    let mut all: Value = serde_json::from_str(text).unwrap();
    for shard in 1..shards {
        let name = format!("refpost.{shard}");
        for (kind, key, value) in [
            ("queues", "name", &name),
            ("bindings", "destination", &name),
        ] {
            let mut like = all[kind][0].clone();
            like[key] = json!(value);
            if kind == "bindings" {
                like["routing_key"] = json!(shard.to_string());
            }
            all[kind].as_array_mut().unwrap().push(like);
        }
    }
    all.to_string()
}
