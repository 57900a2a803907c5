//! `refpost work` at a broker that gives it nothing, and when it is told to end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::fleet::{emit, flush, handing, url};
use crate::fleet_worker::{WORKER, worker};
use crate::support::spooled::{eventually, late, names, processes, signal};
use crate::support::{Accounts, Answer, Background, Broker, Fleet, Opening, Word, leave_out};

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
        // A shell that runs tests in the background has it ignored.
        let mut command = self.accounts.command(WORKER, "env");
        command
            .arg("--default-signal=INT")
            .arg(&self.accounts.binary);
        command.arg("work").args(args).stdout(Stdio::null());
        Background(command.stderr(said).spawn().unwrap())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.accounts.path("said")).unwrap()
    }

    fn waiting(&self) -> usize {
        names(&self.folder.join("w/retry/ci")).len()
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

#[test]
fn a_worker_that_was_told_to_end_while_a_broker_was_silent_took_half_a_minute() {
    let broker = Broker::saying(Opening::NoConsumers, |_| Word::Ack);
    let Some(taking) = Taking::new(&broker) else {
        return;
    };
    let mut running = taking.start(&[]);
    eventually("it asks for entries", || broker.opened().len() == 1);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(end(&mut running, "TERM"), Some(0));
}

#[test]
fn a_worker_that_was_told_to_end_while_it_took_began_to_deliver() {
    let broker = Broker::start();
    let Some(taking) = Taking::new(&broker) else {
        return;
    };
    taking.send("x.y");
    taking.fleet.receiver.script(|_| Answer::status(503));
    taking.start(&["--once"]).0.wait().unwrap();
    let arrived = taking.fleet.receiver.take().len();
    assert_eq!((arrived, taking.waiting()), (1, 1));
    let silent = Broker::saying(Opening::NoConsumers, |_| Word::Ack);
    taking.configure(&silent);
    let mut running = taking.start(&["--once"]);
    eventually("it asks for entries", || silent.opened().len() == 1);
    thread::sleep(Duration::from_secs(2));
    // Not all was taken.
    assert_eq!(end(&mut running, "TERM"), Some(75), "{}", taking.said());
    assert!(taking.fleet.receiver.take().is_empty());
}

/// It came while a long file was read, before there was anything to deliver: nobody heard it.
#[test]
fn a_worker_that_was_told_to_end_before_it_delivered_lived_on() {
    let broker = Broker::start();
    let Some(taking) = Taking::new(&broker) else {
        return;
    };
    let short = fs::read_to_string(taking.accounts.path("system.toml")).unwrap();
    let one =
        |n| format!("[[endpoint]]\nname = \"e{n}\"\nurl = \"https://h/{n}\"\nunsigned = true\n");
    let many: String = (0..4000).map(one).collect();
    let long = short.replacen("[broker]", &format!("{many}[broker]"), 1);
    taking.accounts.public("system.toml", &long);
    let mut running = taking.start(&[]);
    let status = format!("/proc/{}/status", running.0.id());
    let term = 1 << (Signal::SIGTERM as u64 - 1);
    eventually("it catches the signal", || {
        let text = fs::read_to_string(&status).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        u64::from_str_radix(caught.unwrap().trim(), 16).unwrap() & term != 0
    });
    signal("TERM", running.0.id());
    eventually("it ends", || running.0.try_wait().unwrap().is_some());
}

/// A handler from before stayed, so that nothing happened.
#[test]
fn a_worker_could_not_be_interrupted_while_it_delivered() {
    let broker = Broker::start();
    let Some(taking) = Taking::new(&broker) else {
        return;
    };
    taking.send("x.y");
    let receiver = &taking.fleet.receiver;
    receiver.script(|_| late(Duration::from_secs(9), 200));
    let mut running = taking.start(&["--once"]);
    receiver.wait_for(1);
    assert_eq!(end(&mut running, "INT"), None);
}

/// It lived on, and took nothing any more.
#[test]
fn a_worker_that_lacked_file_descriptors_for_a_moment_gave_up_its_queue() {
    if !Path::new("/usr/bin/strace").exists() {
        leave_out("strace is not there: a want of file descriptors is not tested");
        return;
    }
    let broker = Broker::opening(
        |n| match n {
            0..2 => Opening::CloseAtLogin,
            _ => Opening::Well,
        },
        |_| Word::Ack,
    );
    let Some(taking) = Taking::new(&broker) else {
        return;
    };
    let said = fs::File::create(taking.accounts.path("said")).unwrap();
    let mut command = taking.accounts.command(WORKER, "strace");
    // The third on each thread; the main one has two.
    command.args(["-f", "-qq", "-o", "/dev/null"]);
    command.args(["-e", "inject=epoll_create1:error=EMFILE:when=3"]);
    command.arg(&taking.accounts.binary).arg("work");
    let running = command.stdout(Stdio::null()).stderr(said).spawn();
    let mut running = Background(running.unwrap());
    eventually("it lacks them", || {
        taking.said().contains("Too many open files")
    });
    taking.send("x.y");
    eventually("it takes again", || {
        !taking.fleet.receiver.take().is_empty()
    });
    let of_it = processes(&[taking.accounts.binary.to_str().unwrap(), "work"]);
    let traced = of_it.iter().find(|own| **own != running.0.id()).unwrap();
    signal("TERM", *traced);
    assert!(running.0.wait().unwrap().success());
}

#[test]
fn a_queue_that_another_worker_takes_from_was_said_to_be_empty() {
    let broker = Broker::opening(
        |n| match n {
            0 => Opening::Well,
            _ => Opening::Standby,
        },
        |_| Word::Ack,
    );
    let Some(taking) = Taking::new(&broker) else {
        return;
    };
    taking.send("x.y");
    let ran = taking.accounts.refpost(WORKER, &["work", "--once"]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let expected = "refpost: cannot take from `refpost.0`: another worker takes from it, with 1 \
                    message waiting\n";
    assert_eq!(ran.stderr, expected);
    assert!(broker.opened().iter().all(|one| one.is_closed_well));
}
