//! A real broker, `RabbitMQ`, and a consumer of fedora-messaging with the schemas of
//! pagure-messages, which nobody here wrote: each recorded push is accepted, validated and rendered.
//!
//! What is not installed is said and left out; with `REFPOST_TEST_RECEIVERS=1`, which `.ci/run
//! --long` sets, that is a failure. `REFPOST_FEDORA_MESSAGING` is the `bin` of an environment.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::receivers_real::{Running, data, folder, free_port, is_missing, wait_for_port};
use crate::scenarios::{RECORDED, repository};
use crate::support::spooled::objects;
use crate::support::{Environment, REFPOST};

/// What does not happen in this time never will.
const PATIENCE: Duration = Duration::from_mins(2);

/// Where Debian has the broker, of whatever version.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/rabbitmq/lib").ok()?;
    let mut paths = versions.map(|entry| entry.unwrap().path().join("sbin/rabbitmq-server"));
    paths.find(|path| path.exists())
}

/// A broker on loopback, all of it below a folder, and Erlang's name server for it.
struct RabbitMq {
    port: u16,
    _server: Running,
    _names: Running,
}

impl RabbitMq {
    fn start(server: &Path, folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let (port, names, distribution) = (free_port(), free_port(), free_port());
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\nlog.console = false\n\
             vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 64MB\n"
        );
        fs::write(folder.join("rabbitmq.conf"), config).unwrap();
        fs::write(folder.join("plugins"), "[].").unwrap();
        let log = || fs::File::create(folder.join("start.log")).unwrap();
        let mut epmd = Command::new("epmd");
        epmd.args(["-address", "127.0.0.1", "-port", &names.to_string()]);
        let epmd = Running(epmd.stdout(log()).spawn().unwrap());
        let mut command = Command::new(server);
        command
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .env("RABBITMQ_NODENAME", format!("refpost{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", folder.join("config"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
            )
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", names.to_string())
            // So that it becomes the broker, rather than starting it.
            .env("NOTIFY_SOCKET", "/dev/null");
        let server = command.stdout(log()).stderr(log()).spawn().unwrap();
        let mut server = Running(server);
        wait_for_port(port, &mut server);
        Self {
            port,
            _server: server,
            _names: epmd,
        }
    }
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_consumer_of_fedora_messaging_accepts_every_recorded_push() {
    let Some(server) = installed() else {
        is_missing("rabbitmq-server");
        return;
    };
    let Some(bin) = folder("REFPOST_FEDORA_MESSAGING") else {
        return;
    };
    let environment = Environment::new();
    let broker = RabbitMq::start(&server, &environment.path("broker"));
    let settings = data("fedora-messaging.toml").replace("PORT", &broker.port.to_string());
    let settings = environment.write("fm.toml", settings);
    environment.write("consumer.py", data("consumer.py"));
    let (log, seen) = (environment.path("consumer.log"), environment.path("seen"));
    fs::write(&seen, "").unwrap();
    let mut consumer = Command::new(bin.join("fedora-messaging"));
    consumer.arg("--conf").arg(settings).arg("consume");
    let to = fs::File::create(&log).unwrap();
    consumer
        .env("PYTHONPATH", environment.path(""))
        .env("SEEN", &seen)
        .stdout(to.try_clone().unwrap())
        .stderr(to);
    let _consumer = Running(consumer.spawn().unwrap());
    let log = || fs::read_to_string(&log).unwrap();
    wait_until("it consumes", || log().contains("Successfully registered"));

    let bus = format!(
        "mode = \"sync\"\npush_budget = \"60s\"\n[[endpoint]]\nname = \"bus\"\n\
         url = \"amqp://127.0.0.1:{}\"\ntopic_prefix = \"org.example\"\nrequire_route = true\n",
        broker.port
    );
    environment.write("system.toml", bus);
    let mut sent = 0;
    for scenario in RECORDED.as_array().unwrap() {
        let bare = repository(&environment, scenario);
        let program = bare.join("hooks/post-receive");
        symlink(REFPOST, &program).unwrap();
        let hook = environment
            .run(&program)
            .dir(&bare)
            .env("GIT_DIR", ".")
            .stdin(scenario["stdin"].as_str().unwrap())
            .run();
        let name = &scenario["name"];
        // Of a push without messages, nothing is said.
        let is_sent = hook.stderr.is_empty() || hook.stderr.contains(" sent to `bus`\n");
        assert!(is_sent && hook.status == 0, "{name}: {}", hook.stderr);
        let attempts = fs::read_to_string(bare.join("refpost/spool/log")).unwrap_or_default();
        let attempts = objects(&attempts);
        let mut statuses = attempts.iter().map(|line| &line["status"]);
        assert!(statuses.all(|status| *status == 200), "{attempts:?}");
        sent += attempts.len();
        fs::remove_dir_all(&bare).unwrap();
    }
    assert!(sent > 40);
    let told = || objects(&fs::read_to_string(&seen).unwrap());
    wait_until("all are consumed", || told().len() >= sent);
    let told: Vec<Value> = told();
    assert_eq!(told.len(), sent);
    for message in &told {
        assert_eq!(message["same"], true, "{message}");
        assert!(
            message["schema"].as_str().unwrap().starts_with("Git"),
            "{message}"
        );
        assert!(!message["text"].as_str().unwrap().is_empty(), "{message}");
        assert!(
            !message["summary"].as_str().unwrap().is_empty(),
            "{message}"
        );
    }
    for bad in ["ERROR", "did not pass validation", "Traceback"] {
        assert!(!log().contains(bad), "{}", log());
    }
}
