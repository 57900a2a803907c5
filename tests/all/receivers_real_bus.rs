//! A real broker, `RabbitMQ`, and a consumer of fedora-messaging with the schemas of
//! pagure-messages, which nobody here wrote: each push is accepted, validated and rendered.
//!
//! What is not installed is said and left out; with `REFPOST_TEST_RECEIVERS=1`, which `.ci/run
//! --long` sets, that is a failure. `REFPOST_FEDORA_MESSAGING` is the `bin` of an environment.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::receivers_real::{data, folder};
use crate::scenarios::{RECORDED, repository};
use crate::support::random_pushes::RandomPushes;
use crate::support::running::Running;
use crate::support::spooled::objects;
use crate::support::{Environment, REFPOST, RabbitMq, Site};

/// What does not happen in this time never will.
const PATIENCE: Duration = Duration::from_mins(2);

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A consumer, and a bus for it.
struct Bus {
    broker: RabbitMq,
    log: PathBuf,
    seen: PathBuf,
    _consumer: Running,
}

impl Bus {
    /// `None`: something is missing, which was said.
    fn start(environment: &Environment) -> Option<Self> {
        let bin = folder("REFPOST_FEDORA_MESSAGING")?;
        let broker = RabbitMq::start(&environment.path("broker"))?;
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
        let bus = Self {
            broker,
            log,
            seen,
            _consumer: Running(consumer.spawn().unwrap()),
        };
        wait_until("it consumes", || {
            bus.log().contains("Successfully registered")
        });
        Some(bus)
    }

    /// What the consumer logged.
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The configuration that sends there, during a push.
    fn endpoint(&self) -> String {
        format!(
            "[[endpoint]]\nname = \"bus\"\nurl = \"amqp://127.0.0.1:{}\"\n\
             topic_prefix = \"org.example\"\nrequire_route = true\ntimeout = \"60s\"\n",
            self.broker.port
        )
    }

    /// Waits until so many messages are consumed, and gives them: each is as its publisher's own
    /// library would have made it, and was rendered; no error was logged.
    fn consumed(&self, count: usize) -> Vec<Value> {
        let told = || objects(&fs::read_to_string(&self.seen).unwrap());
        wait_until("all are consumed", || told().len() >= count);
        let told: Vec<Value> = told();
        assert_eq!(told.len(), count);
        for message in &told {
            assert_eq!(message["same"], true, "{message}");
            let text = |key: &str| message[key].as_str().unwrap();
            assert!(text("schema").starts_with("Git"), "{message}");
            assert!(!text("text").is_empty(), "{message}");
            assert!(!text("summary").is_empty(), "{message}");
        }
        for bad in ["ERROR", "did not pass validation", "Traceback"] {
            assert!(!self.log().contains(bad), "{}", self.log());
        }
        told
    }
}

#[test]
fn a_consumer_of_fedora_messaging_accepts_every_recorded_push() {
    let environment = Environment::new();
    let Some(bus) = Bus::start(&environment) else {
        return;
    };
    let config = format!("mode = \"sync\"\npush_budget = \"60s\"\n{}", bus.endpoint());
    environment.write("system.toml", config);
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
    bus.consumed(sent);
}

#[test]
fn a_consumer_of_fedora_messaging_accepts_pushes_of_any_kind() {
    const PUSHES: usize = 200;
    let site = Site::new();
    let Some(bus) = Bus::start(&site) else {
        return;
    };
    let instance = "instance = \"https://git.example.org/\"\n";
    site.config_alone(&format!("{instance}{}", bus.endpoint()));
    let begun = Instant::now();
    let mut all = RandomPushes::new(&site, 23);
    let (mut pushed, mut sent) = (0, 0);
    while pushed < PUSHES {
        let Some(moved) = all.next(&site) else {
            continue;
        };
        let ran = moved.push(&site);
        let is_sent = ran.stderr.contains(" sent to `bus`");
        assert!(is_sent && ran.status == 0, "{}: {}", moved.name, ran.stderr);
        pushed += 1;
        // Its log keeps the last of them alone.
        let log = site.bare.join("refpost/spool/log");
        let attempts = objects(&fs::read_to_string(&log).unwrap());
        fs::remove_file(&log).unwrap();
        assert!(
            attempts.iter().all(|one| one["status"] == 200),
            "{attempts:?}"
        );
        sent += attempts.len();
    }
    assert!(sent >= PUSHES);
    let told = bus.consumed(sent);
    let schemas: BTreeSet<&str> = told
        .iter()
        .map(|one| one["schema"].as_str().unwrap())
        .collect();
    assert!(schemas.len() >= 5, "{schemas:?}");
    eprintln!(
        "{sent} messages of {PUSHES} pushes in {:?}",
        begun.elapsed()
    );
}
