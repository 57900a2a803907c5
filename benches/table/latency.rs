//! When a message arrives: after a push in mode `background`, and beside a thousand
//! endpoints that never answer.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::percentile;
use crate::receiver::Receiver;
use crate::site::{REFPOST, Site, commit, file, run};
use crate::table::{self, Row};

/// Pushes whose messages are waited for.
const PUSHES: usize = 100;

const HANGING: usize = 1_000;

/// Long enough for a message that is late.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) fn measure() {
    table::part("from the end of a push to the arrival");
    background();
    beside_hanging();
}

/// Real pushes, one after another, and a hook as people write it beside them.
fn background() {
    let receiver = Receiver::start();
    let ours = Site::new();
    let urls = [receiver.url()];
    ours.configure(&[&urls[0]], "");
    change(&ours, "\"spool\"", "\"background\"");
    hook(&ours, &format!("exec {REFPOST:?} hook post-receive"));
    let peer = Site::new();
    hook(
        &peer,
        &format!(
            "curl -s -o /dev/null --data-binary @- {} </dev/null >/dev/null 2>&1 &",
            urls[0]
        ),
    );
    let (mut delays, mut peer_delays) = (vec![], vec![]);
    for n in 0..PUSHES {
        for (site, delays) in [(&ours, &mut delays), (&peer, &mut peer_delays)] {
            let end = push(site, n);
            delays.push(receiver.arrival(PATIENCE).saturating_duration_since(end));
        }
    }
    for percent in [50, 95] {
        let cost = percentile(&mut delays, percent);
        let row = |peer, peer_cost, most| {
            table::row(&Row {
                what: format!("in mode background, {percent} % of them"),
                peer,
                cost,
                peer_cost,
                most,
                ..Row::default()
            });
        };
        let curl = percentile(&mut peer_delays, percent);
        row("a hook that starts curl in the background", curl, None);
        row("10 ms", Duration::from_millis(10), Some(1.0));
    }
}

/// Changes the configuration of a site.
fn change(site: &Site, from: &str, to: &str) {
    let file = site.bare.join("refpost.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from));
    fs::write(&file, text.replace(from, to)).unwrap();
}

fn hook(site: &Site, script: &str) {
    let path = site.bare.join("hooks/post-receive");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Pushes a commit of its own to `main`; gives the time at which `git push` had ended.
fn push(site: &Site, n: usize) -> Instant {
    let blob = site.git(&["hash-object", "-w", "--stdin"], &n.to_string());
    let tree = site.git(&["mktree"], &format!("100644 blob {blob}\tfile\n"));
    let commit = site.git(&["commit-tree", "-m", "x", &tree], "");
    let spec = format!("+{commit}:refs/heads/main");
    site.git(
        &["push", "-q", "--receive-pack=git receive-pack", ".", &spec],
        "",
    );
    Instant::now()
}

/// Messages to an endpoint that answers, while a flush has a thousand that do not.
fn beside_hanging() {
    let receiver = Receiver::start();
    let port = hang();
    let site = Site::new();
    let mut endpoints = format!(
        "[[endpoint]]\nname = \"healthy\"\nurl = {:?}\nrefs = [\"refs/heads/main\"]\n",
        receiver.url()
    );
    for n in 0..HANGING {
        // Each is a host of its own.
        let (high, low) = (1 + n / 250, 1 + n % 250);
        writeln!(
            endpoints,
            "[[endpoint]]\nname = \"h{n}\"\nurl = \"http://127.0.{high}.{low}:{port}/\"\n\
             refs = [\"refs/heads/slow\"]"
        )
        .unwrap();
    }
    site.configure(&[], &endpoints);
    // Named endpoints alone: an empty list switches them off.
    change(&site, "urls = []\n", "");
    site.import(|to| {
        for branch in ["main", "slow"] {
            for n in 0..2 {
                commit(to, branch, n, None);
                file(to, "file", &n.to_string());
            }
        }
    });
    let update = |branch| site.moved(branch, &format!("{branch}~1"));
    let (healthy, slow) = (update("main"), update("slow"));
    let announce = |update: &str| {
        run(&mut site.hook("post-receive"), update);
        Instant::now()
    };
    let mut watch = Watch(start_watch(&site));
    // It has answered once before the others have anything.
    announce(&healthy);
    receiver.arrival(PATIENCE);
    for _ in 0..5 {
        announce(&slow);
    }
    let mut delays = vec![];
    for _ in 0..PUSHES {
        thread::sleep(Duration::from_millis(200));
        let end = announce(&healthy);
        delays.push(receiver.arrival(PATIENCE).saturating_duration_since(end));
    }
    assert!(watch.0.try_wait().unwrap().is_none(), "the watch has ended");
    for percent in [50, 99] {
        table::row(&Row {
            what: format!("beside 1,000 that hang, {percent} % of them"),
            peer: "a second",
            cost: percentile(&mut delays, percent),
            peer_cost: Duration::from_secs(1),
            most: Some(1.0),
            ..Row::default()
        });
    }
}

/// Accepts connections to any address of loopback, and never answers; gives the port.
fn hang() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || while stream.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {});
        }
    });
    port
}

struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn start_watch(site: &Site) -> Child {
    let mut command: Command = site.command(REFPOST);
    command.args(["flush", "--watch", "."]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).spawn().unwrap()
}
