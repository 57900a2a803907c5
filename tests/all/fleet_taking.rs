//! `refpost work` at a broker that gives it nothing, and when it is told to end.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::fleet::{emit, flush, handing, url};
use crate::fleet_worker::{WORKER, worker};
use crate::support::spooled::{eventually, signal};
use crate::support::{Accounts, Background, Broker, Fleet, Opening, Word};

/// A git server, and the account of a worker for the same receiver.
struct Taking {
    accounts: Accounts,
    fleet: Fleet,
    folder: PathBuf,
}

impl Taking {
    /// `None`: a test needs root.
    fn new(broker: &Broker) -> Option<Self> {
        let accounts = Accounts::new()?;
        let fleet = handing(&["a"], &url(broker), "mode = \"spool\"", "");
        let folder = accounts.folder("worker", WORKER);
        let taking = Self {
            accounts,
            fleet,
            folder,
        };
        taking.configure(broker);
        Some(taking)
    }

    /// Lets the worker take from this broker.
    fn configure(&self, broker: &Broker) {
        let url = self.fleet.receiver.url("/ci");
        let text = format!("[[endpoint]]\nname = \"ci\"\nurl = \"{url}\"\nunsigned = true\n");
        let text = worker(broker, &self.folder, &text);
        self.accounts.public("system.toml", &text);
    }

    /// Hands an entry to the broker.
    fn send(&self, topic: &str) {
        emit(&self.fleet, "a", topic);
        flush(&self.fleet, "a").well();
    }

    fn start(&self, args: &[&str]) -> Background {
        let said = fs::File::create(self.accounts.path("said")).unwrap();
        let mut command = self.accounts.command(WORKER, &self.accounts.binary);
        command.arg("work").args(args).stdout(Stdio::null());
        Background(command.stderr(said).spawn().unwrap())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.accounts.path("said")).unwrap()
    }
}

/// Sends a signal, and gives the exit code, or none if the signal ended it. That takes a moment.
#[track_caller]
fn end(running: &mut Background, name: &str) -> Option<i32> {
    signal(name, running.0.id());
    let begun = Instant::now();
    let ended = running.0.wait().unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{name}: {took:?}");
    ended.code()
}

/// It said that it could not go on, since the panic was on a thread that is not spared.
#[test]
fn a_broker_that_sent_garbage_ended_a_worker() {
    let broker = Broker::opening(
        |n| match n {
            0 => Opening::BadProperties,
            _ => Opening::Well,
        },
        |_| Word::Ack,
    );
    let Some(taking) = Taking::new(&broker) else {
        return;
    };
    let mut running = taking.start(&[]);
    eventually("it says so", || taking.said().contains("not AMQP 0-9-1"));
    taking.send("x.y");
    let requests = taking.fleet.receiver.wait_for(1);
    assert_eq!(requests[0].message().topic(), "x.y");
    assert_eq!(end(&mut running, "TERM"), Some(0));
    assert!(!taking.said().contains("panic"), "{}", taking.said());
}
